"""How far the work is, in numbers and words."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from s2t2_cli.cli.progress import Load, Tally, count_in_background, spell_seconds
from s2t2_cli.cli.work import Ledger
from s2t2_cli.errors import InputReadError
from s2t2_cli.inputs import Source
from s2t2_cli.records import TranslationResult
from s2t2_cli.writers import Places


def source(name: str = "a.wav", size: int | None = None, place: str = "a.wav") -> Source:
    return Source(name, Path(name), size, place=place)


def load(*sizes: int | None) -> Load:
    total = Load()
    for size in sizes:
        total.add(source(size=size))
    return total


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 m 00 s"),
        (723, "12 m 03 s"),
        (11_100, "3 h 05 m"),
    ],
)
def test_times_are_for_people(seconds: float, words: str) -> None:
    assert spell_seconds(seconds) == words


@pytest.mark.parametrize(
    ("done", "whole", "part"),
    [
        (load(30), load(30, 70), 0.3),
        (load(None), load(None, None, None, None), 0.25),
        (load(100, None), load(100, 300, None, None), 3 / 8),
        (load(200), load(100), 1.0),
        (load(), load(), 0.0),
    ],
)
def test_files_weigh_by_their_bytes_and_the_unknown_as_the_average(done: Load, whole: Load, part: float) -> None:
    assert done.part_of(whole) == pytest.approx(part)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time; set its only element."""
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_the_live_line_and_the_summary(clock: list[float]) -> None:
    tally = Tally(started=clock[0])
    clock[0] += 4
    assert tally.live() == "0 done · 4.0 s so far"
    tally.count(source(size=100), TranslationResult("a.wav", duration=20.0))
    tally.count(source(size=100), TranslationResult("b.wav", "error", error=InputReadError("no")))
    assert tally.live() == "2 done · 1 failed · 20 s of audio · 5.0× real time"
    tally.whole = load(100, 100, 200)
    assert tally.live() == "2/3 · 1 failed · 20 s of audio · 5.0× real time · 4.0 s left"
    assert tally.summary() == "1 translated, 1 failed, 20 s of audio in 4.0 s (5.0× real time)"
    assert tally.how_far() == "2 of 3 inputs"


def test_no_estimate_without_ground_for_one(clock: list[float]) -> None:
    tally = Tally(whole=load(100, 100), started=clock[0])
    assert tally.seconds_left() is None
    tally.count(source(size=100), TranslationResult("a.wav", duration=1.0))
    assert tally.seconds_left() is None, "half is done, but in no time"
    clock[0] += 3
    assert tally.seconds_left() == 3


def test_very_fast_is_said_in_whole_numbers(clock: list[float]) -> None:
    tally = Tally(audio_seconds=1234.0, started=clock[0])
    clock[0] += 10
    assert "123× real time" in tally.live()


def test_the_whole_is_counted_beside_the_work() -> None:
    tally = Tally()
    count_in_background(tally, [source(size=3), source(size=4), source()])
    wait_for_counting()
    assert tally.whole == Load(sources=3, sized=2, bytes=7)


def test_a_whole_that_cannot_be_counted_stays_unknown() -> None:
    def break_off() -> Iterator[Source]:
        yield source()
        raise InputReadError("the manifest is gone")

    tally = Tally()
    count_in_background(tally, break_off())
    wait_for_counting()
    assert tally.whole is None
    assert tally.how_far() == "0 inputs"


def wait_for_counting() -> None:
    for thread in threading.enumerate():
        if thread.name == "count":
            thread.join()


def test_results_in_any_order_find_their_places() -> None:
    ledger = Ledger(Places(".txt"))
    sources = [source("one", place="x"), source("two", place="x"), source("one", place="x")]
    assert list(ledger.watch(sources)) == sources
    settled = [ledger.settle(TranslationResult(name)) for name in ("two", "one", "one")]
    assert [place for _, place in settled] == ["x.2.txt", "x.txt", "x.3.txt"]


def test_only_what_is_in_flight_is_held() -> None:
    ledger = Ledger(Places(".txt"))
    endless = (source(str(number), place=str(number)) for number in itertools.count())
    for one in itertools.islice(ledger.watch(endless), 100):
        ledger.settle(TranslationResult(one.name))
    assert not ledger._open
