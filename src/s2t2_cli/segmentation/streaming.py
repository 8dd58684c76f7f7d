"""Samples in as they come, segments out as soon as they are over, memory bounded by the longest segment.

Knows: the order of the steps. Does not know: how speech is found (vad), where it is cut (cutting), where samples come
from.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from s2t2_cli.segmentation.cutting import Cut, Cutter, CuttingRules
from s2t2_cli.segmentation.frames import FRAME_SAMPLES, SAMPLING_RATE, powers_of
from s2t2_cli.segmentation.spans import Span

Detector = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""Frames, shape (n, FRAME_SAMPLES), that follow those before, to how likely each is speech, shape (n,)."""


@dataclass(frozen=True, eq=False, slots=True)
class Piece:
    """What the model hears of a segment: `samples`, float32 of shape (n,), from sample number `start` on, at 16 kHz.

    The first `quiet_before` and the last `quiet_after` of them are not in the segment: silence that lets the model
    hear where a sentence begins and ends.
    """

    start: int
    samples: NDArray[np.float32]
    quiet_before: int = 0
    quiet_after: int = 0

    @property
    def end(self) -> int:
        """The number of the sample behind the last."""
        return self.start + len(self.samples)

    @property
    def span(self) -> Span:
        """The place of the segment in seconds."""
        return Span((self.start + self.quiet_before) / SAMPLING_RATE, (self.end - self.quiet_after) / SAMPLING_RATE)


class Segmenter(Protocol):
    """Cuts one recording."""

    def push(self, block: NDArray[np.float32]) -> Iterator[Piece]:
        """The segments that `block`, float32 of shape (n,), completes, in order of their starts."""

    def flush(self) -> Iterator[Piece]:
        """The recording is over: the rest."""


def cut(blocks: Iterable[NDArray[np.float32]], segmenter: Segmenter) -> Iterator[Piece]:
    """The segments of a recording that comes in `blocks`, each as soon as it is certain."""
    for block in blocks:
        yield from segmenter.push(block)
    yield from segmenter.flush()


class SpeechSegmenter:
    """Cuts where `detector` hears no speech, and speech that is too long where it is quietest."""

    def __init__(self, detector: Detector, rules: CuttingRules) -> None:
        self._detector = detector
        self._cutter = Cutter(rules)
        self._held = _Held()

    def push(self, block: NDArray[np.float32]) -> Iterator[Piece]:
        for start in range(0, len(block), SAMPLING_RATE):  # whatever comes at once, little is worked on at a time
            judged = self._held.end // FRAME_SAMPLES
            self._held.append(block[start : start + SAMPLING_RATE])
            whole = self._held.end // FRAME_SAMPLES
            yield from self._judge(self._held.take(judged * FRAME_SAMPLES, whole * FRAME_SAMPLES))
            self._held.forget_before(self._cutter.needed_from * FRAME_SAMPLES)

    def flush(self) -> Iterator[Piece]:
        rest = self._held.take(self._held.end // FRAME_SAMPLES * FRAME_SAMPLES, self._held.end)
        if len(rest):
            yield from self._judge(np.pad(rest, (0, FRAME_SAMPLES - len(rest))))
        if (segment := self._cutter.flush()) is not None:
            yield self._piece(segment)

    def _judge(self, samples: NDArray[np.float32]) -> Iterator[Piece]:
        if not len(samples):
            return
        frames = samples.reshape(-1, FRAME_SAMPLES)
        likelihoods, powers = self._detector(frames).tolist(), powers_of(frames).tolist()
        for likelihood, power in zip(likelihoods, powers, strict=True):
            if (segment := self._cutter.push(likelihood, power)) is not None:
                yield self._piece(segment)

    def _piece(self, segment: Cut) -> Piece:
        start, end, heard_from, heard_to = (
            min(frame * FRAME_SAMPLES, self._held.end)
            for frame in (segment.start, segment.end, segment.heard_from, segment.heard_to)
        )
        return Piece(heard_from, self._held.take(heard_from, heard_to), start - heard_from, heard_to - end)


class GivenSegmenter:
    """Cuts out the stretches that someone has named, in order of their starts; they may overlap.

    A stretch is cut short at the end of the recording; `missed` counts those that lie behind it altogether.
    """

    def __init__(self, spans: Sequence[Span]) -> None:
        ordered = sorted((round(one.start * SAMPLING_RATE), round(one.end * SAMPLING_RATE)) for one in spans)
        self._waiting = deque((start, max(end, start + 1)) for start, end in ordered)
        self._held = _Held()
        self.missed = 0

    def push(self, block: NDArray[np.float32]) -> Iterator[Piece]:
        self._held.append(block)
        while self._waiting and self._waiting[0][1] <= self._held.end:
            start, end = self._waiting.popleft()
            yield Piece(start, self._held.take(start, end))
        self._held.forget_before(self._waiting[0][0] if self._waiting else self._held.end)

    def flush(self) -> Iterator[Piece]:
        for start, end in self._waiting:
            if start < self._held.end:
                yield Piece(start, self._held.take(start, min(end, self._held.end)))
            else:
                self.missed += 1


class _Held:
    """The samples that may still be needed, by their numbers in the recording."""

    def __init__(self) -> None:
        self._samples = np.zeros(0, np.float32)
        self._start = 0

    @property
    def end(self) -> int:
        """How many samples there were in all."""
        return self._start + len(self._samples)

    def append(self, block: NDArray[np.float32]) -> None:
        self._samples = np.concatenate([self._samples, block])

    def take(self, start: int, end: int) -> NDArray[np.float32]:
        """A copy, so that it keeps nothing else in memory."""
        return self._samples[start - self._start : end - self._start].copy()

    def forget_before(self, number: int) -> None:
        """No sample before this `number` is needed any more."""
        number = min(number, self.end)
        if number > self._start:
            self._samples = self._samples[number - self._start :].copy()
            self._start = number
