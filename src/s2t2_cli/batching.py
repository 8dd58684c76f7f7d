"""Clips to batches of like length under a budget of seconds, and the original order back at the end.

Knows: durations and positions. Does not know: audio, models, what is made of a batch.

An item travels as (position in the input, item), so that order can be restored whatever happens in between.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from typing import Generic, TypeVar

T = TypeVar("T")

# How much audio is looked at to find clips of like length: so many batches' worth.
_WINDOW_BATCHES = 4

# The first results come after this much audio; then the windows double.
_FIRST_SECONDS = 5.0


class LengthBatches(Generic[T]):
    """Groups items into batches whose padded length stays within `batch_seconds` (a longer item goes alone).

    The first window is small, so that the first results come soon; windows grow to several batches' worth, sorted by
    length within. Without `padding_is_neutral` only clips of the very same length share a batch.
    """

    def __init__(self, seconds_of: Callable[[T], float], batch_seconds: float, *, padding_is_neutral: bool) -> None:
        self._seconds_of = seconds_of
        self._batch_seconds = batch_seconds
        self._padding_is_neutral = padding_is_neutral
        self._window: list[tuple[int, T]] = []
        self._seconds = 0.0
        self._limit = min(_FIRST_SECONDS, batch_seconds)

    def add(self, position: int, item: T, *, cannot_wait: bool = False) -> list[list[tuple[int, T]]]:
        """One more item; the batches of its window if it fills that, or cannot wait until it is full."""
        self._window.append((position, item))
        self._seconds += self._seconds_of(item)
        if self._seconds < self._limit and not cannot_wait:
            return []
        self._limit = min(2 * self._limit, self._batch_seconds * _WINDOW_BATCHES)
        return self.rest()

    def rest(self) -> list[list[tuple[int, T]]]:
        """The batches of what is waiting."""
        window, self._window, self._seconds = self._window, [], 0.0
        return _window_batches(window, self._seconds_of, self._batch_seconds, self._padding_is_neutral)


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


class ReadAhead(Iterator[T]):
    """Runs `items` in a thread of its own, ahead of the consumer by at most `budget` in the unit of `cost_of`.

    The thread starts with the first item that is asked for. An exception in it is raised here, in its place among the
    items. Closing ends the thread after the item it is working on.
    """

    def __init__(self, items: Iterator[T], cost_of: Callable[[T], float], budget: float) -> None:
        self._items = items
        self._cost_of = cost_of
        self._budget = budget
        self._ready: deque[T] = deque()
        self._state = threading.Condition()
        self._held = 0.0
        self._started = self._finished = self._closed = False
        self._failure: BaseException | None = None

    @property
    def has_more(self) -> bool:
        """Whether the next item, or the end, is there already."""
        with self._state:
            return bool(self._ready) or self._finished

    def __next__(self) -> T:
        if not self._started:
            self._started = True
            threading.Thread(target=self._produce, name="s2t2-read-ahead", daemon=True).start()
        with self._state:
            self._state.wait_for(lambda: self._ready or self._finished)
            if self._ready:
                item = self._ready.popleft()
                self._held -= self._cost_of(item)
                self._state.notify_all()
                return item
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure
        raise StopIteration

    def close(self) -> None:
        """Want no more."""
        with self._state:
            self._closed = True
            self._state.notify_all()

    def _produce(self) -> None:
        try:
            for item in self._items:
                with self._state:
                    self._state.wait_for(lambda: self._closed or not self._ready or self._held < self._budget)
                    if self._closed:
                        return
                    self._ready.append(item)
                    self._held += self._cost_of(item)
                    self._state.notify_all()
        except BaseException as error:  # handed to the consumer, which raises it
            self._failure = error
        finally:
            with self._state:
                self._finished = True
                self._state.notify_all()


def read_ahead(items: Iterator[T], cost_of: Callable[[T], float], budget: float) -> Generator[T, None, None]:
    """`ReadAhead` as a generator, which ends the thread when it is closed or left behind."""
    with closing(ReadAhead(items, cost_of, budget)) as ahead:
        yield from ahead
