"""Clips to batches of like length under a budget of seconds, and the original order back at the end.

Knows: durations and positions. Does not know: audio, models, what is made of a batch.

An item travels as (position in the input, item), so that order can be restored whatever happens in between.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

# How much audio is looked at to find clips of like length: so many batches' worth.
_WINDOW_BATCHES = 4


def length_batches(
    items: Iterable[tuple[int, T]],
    seconds_of: Callable[[T], float],
    batch_seconds: float,
    *,
    padding_is_neutral: bool,
) -> Iterator[list[tuple[int, T]]]:
    """Group items into batches whose padded length stays within `batch_seconds` (a longer item goes alone).

    The first window is one batch, so that the first results come soon; later windows are several batches' worth,
    sorted by length within. Without `padding_is_neutral` only clips of the very same length share a batch.
    """
    window: list[tuple[int, T]] = []
    seconds = 0.0
    limit = batch_seconds
    for item in items:
        window.append(item)
        seconds += seconds_of(item[1])
        if seconds >= limit:
            yield from _window_batches(window, seconds_of, batch_seconds, padding_is_neutral)
            window, seconds, limit = [], 0.0, batch_seconds * _WINDOW_BATCHES
    yield from _window_batches(window, seconds_of, batch_seconds, padding_is_neutral)


def _window_batches(
    window: list[tuple[int, T]],
    seconds_of: Callable[[T], float],
    batch_seconds: float,
    padding_is_neutral: bool,
) -> list[list[tuple[int, T]]]:
    batches: list[list[tuple[int, T]]] = []
    for item in sorted(window, key=lambda one: seconds_of(one[1]), reverse=True):
        longest = seconds_of(batches[-1][0][1]) if batches else 0.0
        fits = batches and longest * (len(batches[-1]) + 1) <= batch_seconds
        if fits and (padding_is_neutral or seconds_of(item[1]) == longest):
            batches[-1].append(item)
        else:
            batches.append([item])
    # The batch that holds the earliest item goes first: everything waits for it.
    return sorted(batches, key=lambda batch: min(position for position, _ in batch))


def in_order(results: Iterable[tuple[int, T]]) -> Iterator[T]:
    """Give results out by position, each as soon as it and all before it are there."""
    waiting: dict[int, T] = {}
    following = 0
    for position, result in results:
        waiting[position] = result
        while following in waiting:
            yield waiting.pop(following)
            following += 1


def read_ahead(items: Iterator[T], cost_of: Callable[[T], float], budget: float) -> Generator[T, None, None]:
    """Run `items` in a thread of its own, ahead of the consumer by at most `budget` in the unit of `cost_of`.

    An exception in the thread is raised here, in its place among the items. Closing this generator ends the thread
    after the item it is working on.
    """
    ready: deque[T] = deque()
    state = threading.Condition()
    held = 0.0
    finished = closed = False
    failure: BaseException | None = None

    def has_room() -> bool:
        return closed or not ready or held < budget

    def produce() -> None:
        nonlocal held, finished, failure
        try:
            for item in items:
                with state:
                    state.wait_for(has_room)
                    if closed:
                        return
                    ready.append(item)
                    held += cost_of(item)
                    state.notify_all()
        except BaseException as error:  # handed to the consumer, which raises it
            failure = error
        finally:
            with state:
                finished = True
                state.notify_all()

    thread = threading.Thread(target=produce, name="s2t2-read-ahead", daemon=True)
    thread.start()
    try:
        while True:
            with state:
                state.wait_for(lambda: ready or finished)
                if not ready:
                    break
                item = ready.popleft()
                held -= cost_of(item)
                state.notify_all()
            yield item
        if failure is not None:
            raise failure
    finally:
        with state:
            closed = True
            state.notify_all()
