"""Where one segment ends and the next begins, from how likely and how loud each frame is speech.

Knows: thresholds, silences, the longest segment. Does not know: samples, who judges the frames.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from s2t2_cli.segmentation.frames import frames_in

# silero-vad's own thresholds: speech begins at the first, and only below the second it may end.
_ENTER = 0.5
_LEAVE = 0.35

# Less than this is a click or a cough, as in silero-vad.
_SHORTEST_SPEECH_SECONDS = 0.25
# A pause inside a sentence is mostly shorter, one between sentences mostly longer.
_PAUSE_SECONDS = 0.64
# So short a segment is seldom a sentence: it waits for what follows until a longer pause has passed.
_TINY_SECONDS = 0.6
_PAUSE_AFTER_TINY_SECONDS = 1.0
# A cut in the middle of speech leaves at least this for the next segment.
_LEAST_REMAINDER_SECONDS = 1.0
# Where a segment begins and ends around its speech. The likelihood rises at once and falls late, by about 0.1 s.
_BEFORE_SECONDS = 0.2
_AFTER_SECONDS = 0.1
# What the model hears around speech: the checkpoints know sentences with quiet around them, and say something else of
# one in five if it is missing.
_HEARD_BEFORE_SECONDS = 0.3
_HEARD_AFTER_SECONDS = 0.5
# Loudness is averaged over so many frames, so that a cut falls into a pause and not on a single quiet frame.
_SMOOTHING = 5


@dataclass(frozen=True, slots=True)
class CuttingRules:
    """All in frames; a segment with the quiet that is heard around it has at most `longest`."""

    longest: int
    before: int = frames_in(_BEFORE_SECONDS)
    after: int = frames_in(_AFTER_SECONDS)
    heard_before: int = frames_in(_HEARD_BEFORE_SECONDS)
    heard_after: int = frames_in(_HEARD_AFTER_SECONDS)
    shortest_speech: int = frames_in(_SHORTEST_SPEECH_SECONDS)
    pause: int = frames_in(_PAUSE_SECONDS)
    tiny: int = frames_in(_TINY_SECONDS)
    pause_after_tiny: int = frames_in(_PAUSE_AFTER_TINY_SECONDS)
    least_remainder: int = frames_in(_LEAST_REMAINDER_SECONDS)

    def __post_init__(self) -> None:
        if self.pause < max(self.before + self.after, self.heard_after) or self.pause_after_tiny < self.pause:
            raise ValueError("neighbours would share their padding")
        if self.heard_before < self.before or self.heard_after < self.after:
            raise ValueError("less would be heard than is in the segment")
        if self.longest < 2 * (self.pause_after_tiny + self.least_remainder + self.heard_before):
            raise ValueError(f"segments of at most {self.longest} frames are too short to be cut well")


@dataclass(frozen=True, slots=True)
class Cut:
    """A segment from frame `start` to before frame `end`, of which the model hears `heard_from` to `heard_to`."""

    start: int
    end: int
    heard_from: int
    heard_to: int


class Cutter:
    """Takes frames one by one and gives segments as soon as their ends are certain.

    Segments come in order and do not overlap, and each frame of speech is in exactly one: from a frame of at least 0.5
    on, through short pauses, to the last frame before the likelihood fell below 0.35. Up to 0.2 s of what is around
    goes with them. The model hears more of it, where there is quiet; two may hear the same quiet, never the same
    speech. Speech that is longer than a segment may be is cut where it is quietest in the second half of the segment.
    """

    def __init__(self, rules: CuttingRules) -> None:
        self._rules = rules
        self._now = 0
        self._floor = 0  # where the last segment ended
        self._start: int | None = None  # from where the open segment is heard
        self._first = 0  # its first frame of speech
        self._last = 0  # behind its last frame of speech
        self._speaking = False
        self._is_remainder = False
        self._powers: list[float] = []  # from `_start` on

    @property
    def needed_from(self) -> int:
        """The first frame that a segment still to come may contain."""
        if self._start is not None:
            return self._start
        return max(self._floor, self._now - self._rules.heard_before)

    def push(self, likelihood: float, power: float) -> Cut | None:
        """One more frame; the segment that it completes, if any."""
        index = self._now
        self._now += 1
        if self._start is None:
            if likelihood >= _ENTER:
                self._open(index, power)
            return None
        self._powers.append(power)
        if likelihood >= _ENTER or (self._speaking and likelihood >= _LEAVE):
            self._speaking = True
            self._last = self._now
            length = self._last + self._rules.heard_after - self._start
            return self._cut() if length > self._rules.longest else None
        self._speaking = False
        is_tiny = self._is_speech() and self._last - self._first < self._rules.tiny
        pause = self._rules.pause_after_tiny if is_tiny else self._rules.pause
        return self._close() if self._now - self._last >= pause else None

    def flush(self) -> Cut | None:
        """The recording is over: the segment that was open, if any."""
        return None if self._start is None else self._close()

    def _open(self, index: int, power: float) -> None:
        self._start = max(self._floor, index - self._rules.heard_before)
        self._first = index
        self._last = self._now
        self._speaking = True
        self._is_remainder = False
        # What was before the speech is no place to cut.
        self._powers = [np.inf] * (index - self._start) + [power]

    def _close(self) -> Cut | None:
        assert self._start is not None
        heard_from, self._start = self._start, None
        if not self._is_speech():
            return None
        self._floor = min(self._last + self._rules.after, self._now)
        heard_to = min(self._last + self._rules.heard_after, self._now)
        return Cut(self._begin(heard_from), self._floor, heard_from, heard_to)

    def _begin(self, heard_from: int) -> int:
        """Where the segment begins of which so much is heard."""
        return max(heard_from, self._first - self._rules.before)

    def _is_speech(self) -> bool:
        return self._is_remainder or self._last - self._first >= self._rules.shortest_speech

    def _cut(self) -> Cut:
        assert self._start is not None
        heard_from, begin = self._start, self._begin(self._start)
        length = self._quietest(self._rules.longest // 2, self._rules.longest - self._rules.least_remainder)
        self._floor = self._start = self._first = heard_from + length
        self._is_remainder = True
        del self._powers[:length]
        return Cut(begin, self._floor, heard_from, self._floor)

    def _quietest(self, lowest: int, highest: int) -> int:
        """The frame from `lowest` to `highest`, counted from the start, around which it is quietest."""
        reach = _SMOOTHING // 2
        around = np.asarray(self._powers[lowest - reach : highest + reach + 1])
        smooth = np.convolve(around, np.ones(_SMOOTHING), mode="valid")
        equals = np.flatnonzero(smooth == smooth.min())
        return lowest + int(equals[len(equals) // 2])
