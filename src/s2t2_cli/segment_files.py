"""Segments that the user gives: RTTM, TSV, or the times of SRT and WebVTT.

Knows: the four formats, which stretch belongs to which recording. Does not know: audio, how segments are cut.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from s2t2_cli.errors import UsageError
from s2t2_cli.escaping import unescape_cell
from s2t2_cli.inputs import STDIN, open_text
from s2t2_cli.segmentation.spans import Span

Segments = Mapping[str | None, Sequence[Span]]
"""The stretches of each recording, sorted; None stands for a recording the file gives no name."""

_MOST_BYTES = 2**26

_UTF16_BOMS = (b"\xff\xfe", b"\xfe\xff")

# The types of an RTTM record (NIST, RT-09 evaluation plan, appendix A); only SPEAKER says who speaks when.
_RTTM_TYPES = {
    "SPEAKER", "SPKR-INFO", "SEGMENT", "NOSCORE", "NO_RT_METADATA", "LEXEME", "NON-LEX", "NON-SPEECH", "FILLER",
    "EDIT", "IP", "SU", "CB", "A/P",
}  # fmt: skip

# Names that columns of a TSV go by. `offset` is the end beside an `onset` (DCASE) and else the start (NeMo).
_FILE_COLUMNS = ("audio_filepath", "file", "filename", "path", "recording", "wav", "audio")
_START_COLUMNS = ("start", "start_time", "begin", "onset", "offset")
_END_COLUMNS = ("end", "end_time", "stop", "offset")

_NUMBER = re.compile(r"\d+(\.\d*)?([eE][+-]?\d+)?|\.\d+([eE][+-]?\d+)?")
_CLOCK = r"(?:(\d{1,9}):)?(\d{1,2}):(\d{1,2})(?:[.,](\d{1,3}))?"
_CUE_TIMES = re.compile(rf"\s*{_CLOCK}\s*-->\s*{_CLOCK}(?:\s.*)?")
_LIKE_TIMES = re.compile(r"\s*(?:\d\S*:\S*\s*)?-->")

_Numbered = tuple[int, str]
_Found = tuple[int, str | None, float, float]
"""Number of the line, recording, start and end as they were read."""


def read_segments(path: str | os.PathLike[str]) -> dict[str | None, list[Span]]:
    """The stretches that a file names, for each recording; `-` is standard input.

    What the file is, its content says:

    - RTTM: the SPEAKER records; the recording is the record's file id, mostly a name without its ending.
    - TSV with a header row: `start` with `end` or `duration` (or `offset` with `duration`, `onset` with `offset`) in
      seconds, or `start_ms` with `end_ms` or `duration_ms`; the recording, if there are several, in `audio_filepath`,
      `file` or `path`. Without a header row the first columns are start and end, or file, start and end, in seconds.
    - SRT and WebVTT: the times of the cues; they name no recording.

    Stretches are sorted. Overlapping ones stay as they are, each is translated by itself (people talk at the same
    time); of equal ones, one is kept; one of no length holds no sound and is left out.

    Raises UsageError, with the number of the line, for what cannot be read and where nothing is named.
    """
    name = os.fspath(path)
    shown = "standard input" if name == STDIN else name
    lines = _lines(name, shown)
    head = next((line for _, line in lines if line.strip()), "")
    read, kind = _reader(head)
    spans: dict[str | None, set[Span]] = {}
    try:
        for number, recording, start, end in read(lines):
            if not (math.isfinite(start) and math.isfinite(end)):
                raise _BadLineError(number, "names a time too large for a recording")
            if end < start:
                raise _BadLineError(number, f"ends at {end:g} s, before it starts at {start:g} s")
            if start < end:
                spans.setdefault(recording, set()).add(Span(start, end))
    except _BadLineError as problem:
        raise UsageError(f"line {problem.number} of {shown}, read as {kind}, {problem.what}") from problem
    if not spans:
        raise UsageError(f"{shown}, read as {kind}, names no segments")
    return {recording: sorted(found) for recording, found in spans.items()}


def segments_of(recording: str, segments: Segments) -> list[Span] | None:
    """The stretches of one recording, by its path, its file name, that name without its ending (as in RTTM), or those
    that stand without a name; None if the file does not know it.
    """
    path = PurePosixPath(recording)
    for key in (recording, path.name, path.stem, None):
        if key in segments:
            return list(segments[key])
    return None


@dataclass
class _BadLineError(Exception):
    number: int
    what: str


def _lines(name: str, shown: str) -> list[_Numbered]:
    stream = open_text(name, "segments file")
    try:
        content = stream.read(_MOST_BYTES + 1)
    except OSError as problem:
        raise UsageError(f"cannot read the segments file {shown} ({problem.strerror})") from problem
    finally:
        if name != STDIN:
            stream.close()
    if len(content) > _MOST_BYTES:
        raise UsageError(f"the segments file {shown} is larger than {_MOST_BYTES >> 20} MiB; name the times alone")
    if content.startswith(_UTF16_BOMS) or b"\0" in content:
        raise UsageError(f"the segments file {shown} is not UTF-8 text; save it as UTF-8")
    text = content.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
    return list(enumerate(re.split(r"\r\n|\n|\r", text), 1))


def _reader(head: str) -> tuple[Callable[[list[_Numbered]], Iterator[_Found]], str]:
    """Who reads a file that begins with the line `head`, and what it is called."""
    if head.startswith("WEBVTT"):
        return _read_cues, "WebVTT"
    if head.strip().isdigit() or _LIKE_TIMES.match(head):
        return _read_cues, "SRT"
    if head.startswith(";;") or not _RTTM_TYPES.isdisjoint(head.split()[:1]):
        return _read_rttm, "RTTM"
    return _read_tsv, "TSV"


def _read_rttm(lines: list[_Numbered]) -> Iterator[_Found]:
    for number, line in lines:
        cells = line.split()
        if not cells or line.startswith(";;"):
            continue
        if cells[0] not in _RTTM_TYPES:
            raise _BadLineError(number, f"begins with {cells[0]!r}, which is no type of record; SPEAKER was expected")
        if cells[0] != "SPEAKER":
            continue
        if len(cells) < 5:
            raise _BadLineError(number, f"has {len(cells)} columns; SPEAKER file channel start duration was expected")
        start = _number(number, cells[3], "start")
        yield number, cells[1], start, start + _number(number, cells[4], "duration")


def _read_cues(lines: list[_Numbered]) -> Iterator[_Found]:
    # By our own pattern: pysubs2 leaves out what it cannot read, and knows no line numbers.
    for number, line in lines:
        if not _LIKE_TIMES.match(line):
            continue
        times = _CUE_TIMES.fullmatch(line)
        if times is None:
            raise _BadLineError(number, "is not two times; 00:00:01,000 --> 00:00:02,500 was expected")
        found = times.groups()
        yield number, None, _seconds(found[:4]), _seconds(found[4:])


def _seconds(clock: Sequence[str | None]) -> float:
    hours, minutes, seconds = (int(part or 0) for part in clock[:3])
    milliseconds = int((clock[3] or "0").ljust(3, "0"))
    return (((hours * 60 + minutes) * 60 + seconds) * 1000 + milliseconds) / 1000


def _read_tsv(lines: list[_Numbered]) -> Iterator[_Found]:
    rows = [
        (number, [unescape_cell(cell.strip(" ")) for cell in line.split("\t")])
        for number, line in lines
        if line.strip()
    ]
    if not rows:
        return
    number, head = rows[0]
    columns = _headless(head)
    if columns is None:
        columns = _header(number, head)
        rows = rows[1:]
        if [cell.lower() for cell in head] == ["start", "end", "text"]:
            _refuse_whole_numbers(rows)
    for number, cells in rows:
        if len(cells) <= columns.last:
            raise _BadLineError(number, f"has {len(cells)} columns, at least {columns.last + 1} were expected")
        start = _number(number, cells[columns.start], "start") * columns.unit
        end = _number(number, cells[columns.end], "duration" if columns.ends_by_duration else "end") * columns.unit
        recording = None if columns.file is None else cells[columns.file] or None
        yield number, recording, start, start + end if columns.ends_by_duration else end


@dataclass(frozen=True)
class _Columns:
    """Where in a row of a TSV things are, and how many seconds its unit has."""

    start: int
    end: int
    file: int | None = None
    ends_by_duration: bool = False
    unit: float = 1.0

    @property
    def last(self) -> int:
        return max(self.start, self.end, self.file or 0)


def _headless(cells: Sequence[str]) -> _Columns | None:
    """The columns of a TSV whose first row holds times already."""
    numbers = [_NUMBER.fullmatch(cell) is not None for cell in cells[:3]]
    if numbers[:2] == [True, True]:
        return _Columns(0, 1)
    if numbers[1:] == [True, True]:
        return _Columns(1, 2, file=0)
    return None


def _header(number: int, head: Sequence[str]) -> _Columns:
    names = [cell.lower() for cell in head]

    def find(candidates: Iterable[str], *, but_not: int | None = None) -> int | None:
        return next((names.index(one) for one in candidates if one in names and names.index(one) != but_not), None)

    unit, suffix = (0.001, "_ms") if any(name.endswith("_ms") for name in names) else (1.0, "")
    start = find(one + suffix for one in _START_COLUMNS)
    end = find((one + suffix for one in _END_COLUMNS), but_not=start)
    duration = find(["duration" + suffix]) if end is None else None
    last = duration if end is None else end
    if start is None or last is None:
        raise _BadLineError(number, "has no columns start and end, or start and duration, separated by tabs")
    return _Columns(start, last, find(_FILE_COLUMNS), duration is not None, unit)


def _refuse_whole_numbers(rows: Iterable[tuple[int, Sequence[str]]]) -> None:
    """Whisper writes this header above milliseconds, others above seconds: a guess could be wrong by a thousand."""
    rows = list(rows)
    if rows and all(cell.isdigit() for _, cells in rows for cell in cells[:2]):
        raise _BadLineError(
            rows[0][0],
            "could mean seconds or, as Whisper writes them, milliseconds; rename the columns to start_ms and end_ms, "
            "or write seconds with a point (5.0)",
        )


def _number(number: int, cell: str, column: str) -> float:
    if not _NUMBER.fullmatch(cell):
        raise _BadLineError(number, f"has the {column} {cell!r}, which is not a number")
    return float(cell)
