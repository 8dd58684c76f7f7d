"""Batches of like length within a budget, order restored, reading ahead bounded."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s2t2_cli.batching import LengthBatches, ReadAhead, in_order, read_ahead

lengths = st.lists(st.floats(0.1, 30.0, allow_nan=False), max_size=60)


def length_batches(
    items: Iterable[tuple[int, Any]],
    seconds_of: Callable[[Any], float],
    budget: float,
    *,
    padding_is_neutral: bool,
    cannot_wait: Callable[[Any], bool] = lambda item: False,
) -> Iterator[list[tuple[int, Any]]]:
    waiting = LengthBatches[Any](seconds_of, budget, padding_is_neutral=padding_is_neutral)
    for position, item in items:
        yield from waiting.add(position, item, cannot_wait=cannot_wait(item))
    yield from waiting.rest()


def batches_of(
    seconds: list[float], budget: float, *, padding_is_neutral: bool = True
) -> list[list[tuple[int, float]]]:
    return list(length_batches(enumerate(seconds), float, budget, padding_is_neutral=padding_is_neutral))


@given(lengths, st.floats(1.0, 60.0))
def test_every_item_is_in_one_batch_and_no_batch_exceeds_the_budget(seconds: list[float], budget: float) -> None:
    batches = batches_of(seconds, budget)

    assert sorted(item for batch in batches for item in batch) == list(enumerate(seconds))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * max(length for _, length in batch) <= budget


@given(st.lists(st.sampled_from([1.0, 2.0, 3.0]), max_size=40))
def test_where_padding_matters_only_equal_lengths_share_a_batch(seconds: list[float]) -> None:
    for batch in batches_of(seconds, 12.0, padding_is_neutral=False):
        assert len({length for _, length in batch}) == 1


def test_the_first_item_is_in_the_first_batch() -> None:
    assert 0 in [position for position, _ in batches_of([1.0, 9.0, 8.0, 7.0, 2.0], 10.0)[0]]


def test_a_batch_comes_before_the_rest_is_read() -> None:
    read: list[int] = []

    def items() -> Iterator[tuple[int, float]]:
        for number in range(1000):
            read.append(number)
            yield number, 1.0

    next(length_batches(items(), float, 4.0, padding_is_neutral=True))
    assert len(read) == 4


def test_the_first_results_need_little_audio_whatever_the_budget() -> None:
    read = [0]

    def items() -> Iterator[tuple[int, float]]:
        for number in range(1000):
            read[0] = number + 1
            yield number, 1.0

    batches = length_batches(items(), float, 600.0, padding_is_neutral=True)
    assert [(len(next(batches)), read[0]) for _ in range(4)] == [(5, 5), (10, 15), (20, 35), (40, 75)]


def test_what_cannot_wait_is_not_kept_waiting() -> None:
    batches = length_batches(enumerate([1.0, 2.0, 3.0, 1.0]), float, 60.0, padding_is_neutral=True, cannot_wait=bool)
    assert [[position for position, _ in batch] for batch in batches] == [[0], [1], [2], [3]]


@given(st.permutations(range(12)))
def test_order_is_restored(order: list[int]) -> None:
    assert list(in_order((position, position) for position in order)) == list(range(12))


def test_a_result_comes_out_as_soon_as_all_before_it_are_there() -> None:
    arriving = iter([(1, "b"), (0, "a"), (2, "c")])
    assert next(in_order(arriving)) == "a"
    assert next(arriving) == (2, "c")


def test_reading_ahead_keeps_order_and_stops_at_the_budget() -> None:
    produced: list[int] = []
    reached = threading.Event()

    def items() -> Iterator[int]:
        for number in range(100):
            produced.append(number)
            if number == 5:
                reached.set()
            yield number

    with closing(read_ahead(items(), lambda item: 1.0, 4.0)) as ahead:
        assert next(ahead) == 0
        assert reached.wait(10)
        # One handed out, four held, one in hand: no more is produced until something is taken.
        assert len(produced) <= 6
        assert list(ahead) == list(range(1, 100))


def test_reading_ahead_tells_whether_there_is_more_at_once() -> None:
    go_on = threading.Event()

    def items() -> Iterator[int]:
        yield 1
        go_on.wait(10)
        yield 2

    with closing(ReadAhead(items(), lambda item: 1.0, 4.0)) as ahead:
        assert next(ahead) == 1
        assert not ahead.has_more
        go_on.set()
        assert next(ahead) == 2
        assert next(ahead, None) is None
        assert ahead.has_more  # the end is there


def test_an_exception_arrives_in_its_place() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise OSError("the disk is gone")

    ahead = read_ahead(items(), lambda item: 1.0, 10.0)
    assert next(ahead) == 1
    with pytest.raises(OSError, match="the disk is gone"):
        next(ahead)


def test_closing_ends_the_thread() -> None:
    before = threading.active_count()
    ahead = read_ahead(iter(range(1000)), lambda item: 1.0, 2.0)
    next(ahead)
    ahead.close()
    for thread in threading.enumerate():
        if thread.name == "s2t2-read-ahead":
            thread.join(10)
    assert threading.active_count() == before
