"""Subtitles: segments with their translations as cues with times, written as SRT or WebVTT.

Knows: how long a cue is shown, how a segment's time is shared, the two files. Does not know: where lines break
(line_breaks), where the file goes (writers).
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Literal

from s2t2_cli.line_breaks import LONGEST_SECONDS, Lines, break_text
from s2t2_cli.records import Segment

if TYPE_CHECKING:
    from pysubs2.formats.subrip import SubripFormat

SubtitleName = Literal["srt", "vtt"]

# Netflix, Timed Text Style Guide: what adults read in a second, the shortest cue, two frames between cues.
_CHARACTERS_PER_SECOND = 17
_SHORTEST = 833
_LONGEST = round(LONGEST_SECONDS * 1000)
_BETWEEN = 83


@dataclass(frozen=True, slots=True)
class Cue:
    """One or two lines, shown from `start` to `end`, in milliseconds."""

    start: int
    end: int
    lines: Lines


@dataclass(frozen=True, slots=True)
class _Spoken:
    """A segment with something to show, in milliseconds."""

    start: int
    end: int
    blocks: list[Lines]

    @property
    def lengths(self) -> list[int]:
        """Characters of each block, a line's end counted as the space it was."""
        return [len(" ".join(lines)) for lines in self.blocks]


class CueLayout:
    """The cues of a recording, given its segments one after the other, none overlapping another.

    A segment's text is broken as `break_text` says, and its time shared in proportion to characters. Where that is too
    fast to read (17 characters a second, 5/6 s a cue), the segment's cues stay into the pause that follows, as far as
    needed, up to two frames before the next segment and never past the recording's end. No cue is shown for more than
    7 s. Of segments that overlap, the first gives way where the next one starts. So a segment's cues are settled when
    it is known what follows.
    """

    def __init__(self) -> None:
        self._waiting: _Spoken | None = None
        self._shown_until = 0

    def add(self, segment: Segment) -> list[Cue]:
        """Take the next segment, in order of `start`, then `end`; return the cues of those before that are settled."""
        blocks = break_text(segment.text, segment.end - segment.start)
        if not blocks:
            return []
        following = _Spoken(round(segment.start * 1000), round(segment.end * 1000), blocks)
        settled = self._settled(following, math.inf)
        self._waiting = following
        return settled

    def finish(self, duration: float | None = None) -> list[Cue]:
        """The last cues, of a recording that lasts `duration` seconds."""
        settled = self._settled(None, math.inf if duration is None else round(duration * 1000))
        self._waiting = None
        return settled

    def _settled(self, following: _Spoken | None, end_of_all: float) -> list[Cue]:
        one = self._waiting
        if one is None:
            return []
        start = max(one.start, self._shown_until)
        end = max(_end(one, start, following, end_of_all), start + len(one.blocks))
        shares = _shares(one.lengths, end - start)
        stops = [start + math.floor(past + 0.5) for past in accumulate(shares)]
        cues = [
            Cue(begin, min(stop, begin + _LONGEST), lines)
            for begin, stop, lines in zip([start, *stops], stops, one.blocks, strict=False)
        ]
        self._shown_until = cues[-1].end
        return cues


def lay_out(segments: Iterable[Segment], duration: float | None = None) -> list[Cue]:
    """The cues for all segments, in any order, of a recording that lasts `duration` seconds."""
    layout = CueLayout()
    settled = [layout.add(one) for one in sorted(segments, key=lambda one: (one.start, one.end))]
    return [cue for cues in [*settled, layout.finish(duration)] for cue in cues]


def _end(one: _Spoken, start: int, following: _Spoken | None, end_of_all: float) -> int:
    """When the last cue of a segment goes, whose first is shown at `start`."""
    room: float = end_of_all
    end = one.end
    if following is not None and following.start < end:
        # Those that begin together share what they have.
        part = sum(one.lengths) / (sum(one.lengths) + sum(following.lengths))
        room = max(following.start, start + (end - start) * part)
        end = math.floor(room)
    elif following is not None:
        room = following.start - _BETWEEN
    to_read = sum(one.lengths) * 1000 / _CHARACTERS_PER_SECOND
    needed = max(to_read, len(one.blocks) * _SHORTEST)
    return max(end, math.floor(min(start + math.ceil(needed), room)))


def _shares(lengths: Sequence[int], time: int) -> list[float]:
    """`time` shared in proportion to `lengths`, but none below the shortest cue if there is enough."""
    least = min(_SHORTEST, time / len(lengths))
    shares = [max(time * length / sum(lengths), least) for length in lengths]
    above = sum(shares) - least * len(shares)
    scale = (time - least * len(shares)) / above if above > 0 else 0.0
    return [least + (share - least) * scale for share in shares]


def write_subtitles(cues: Iterable[Cue], name: SubtitleName) -> str:
    """The whole file, as text."""
    from pysubs2 import SSAEvent, SSAFile

    subtitles = SSAFile()
    subtitles.events = [SSAEvent(one.start, one.end, _marked_up(one.lines, name)) for one in cues]
    written = io.StringIO()
    _file_format(name).to_file(subtitles, written, name, keep_ssa_tags=True)
    return written.getvalue().replace(_BACKSLASH, "\\")


class SubtitleStream:
    """Subtitles while the recording lasts: the parts make up what `write_subtitles` gives for the whole."""

    def __init__(self, name: SubtitleName) -> None:
        self._name: SubtitleName = name
        self._layout = CueLayout()
        self._written = 0

    def add(self, segment: Segment) -> str:
        """Take the next segment; return what is settled of those before, which may be nothing."""
        return self._write(self._layout.add(segment))

    def finish(self, duration: float | None) -> str:
        """The rest, of a recording that lasts `duration` seconds."""
        rest = self._write(self._layout.finish(duration))
        return rest or ("" if self._written else write_subtitles([], self._name))

    def _write(self, cues: Iterable[Cue]) -> str:
        parts = []
        for cue in cues:
            header, number, body = write_subtitles([cue], self._name).partition("1\n")
            self._written += 1
            parts.append(header + number + body if self._written == 1 else f"{self._written}\n{body}")
        return "".join(parts)


# To pysubs2 a backslash begins a tag of its own; this is no character of any text (Unicode, noncharacters).
_BACKSLASH = "\ufdd0"


def _marked_up(lines: Iterable[str], name: SubtitleName) -> str:
    """Lines as pysubs2 takes them. WebVTT has entities for what it would take for tags; SRT has nothing of the kind."""
    text = "\n".join(lines).replace("\\", _BACKSLASH)
    if name == "vtt":
        text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return text.replace("\n", "\\N")


def _file_format(name: SubtitleName) -> type[SubripFormat]:
    """pysubs2's own, but for times: it stops the clock at 100 hours, which a stream may pass."""
    from pysubs2.formats.subrip import SubripFormat
    from pysubs2.formats.webvtt import WebVTTFormat

    class Srt(SubripFormat):
        @staticmethod
        def ms_to_timestamp(ms: int) -> str:
            return _clock(ms, ",")

    class WebVtt(WebVTTFormat):
        @staticmethod
        def ms_to_timestamp(ms: int) -> str:
            return _clock(ms, ".")

    return Srt if name == "srt" else WebVtt


def _clock(ms: int, point: str) -> str:
    seconds, ms = divmod(ms, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{seconds:02d}{point}{ms:03d}"
