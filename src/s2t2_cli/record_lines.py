"""Files of results (JSON lines) read line by line: which input each line is of, and where it lies.

Knows: how a line is told apart and found again without holding its text. Does not know: why it is looked for
(resuming, merging), or what else a record says (records).
"""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from s2t2_cli.errors import ManifestError, UsageError
from s2t2_cli.records import RECORD_KEYS

LONGEST_LINE = 1 << 26
"""Bytes. No record comes near it; a file that is something else must not be read into memory as one line."""
_BLOCK = 1 << 16


@dataclass(frozen=True, slots=True)
class RecordLine:
    """One line of a file of results: `length` bytes from `start` on, its end included."""

    file: int
    """Which of the files that are read together."""
    start: int
    length: int
    key: str
    """What `input_key` says of the input it is of."""
    is_error: bool


def input_key(name: str, fields: Mapping[str, Any], *, is_bad_row: bool) -> str:
    """What an input is known by: its name, and `fields`, what the manifest said besides, as it stands in the record.

    Several rows may name the same recording and differ in the rest. Of a broken row it is the manifest's file name and
    the line: it is called after the manifest as it was typed, `lists/a.jsonl:7` one day and `./lists/a.jsonl:7` the
    next, while the recordings' names come out of the manifest and stay the same.
    """
    if is_bad_row:
        return name.rpartition("/")[2]
    if not fields:
        return name
    rest = json.dumps(fields, sort_keys=True).encode()
    return f"{name}\0{hashlib.blake2b(rest, digest_size=12).hexdigest()}"


def key_name(key: str) -> str:
    """The name in a key."""
    return key.partition("\0")[0]


def read_lines(path: Path, *, end: int | None = None, file: int = 0) -> Iterator[RecordLine]:
    """The lines of `path`, up to the byte `end`; blank ones are passed over.

    Raises UsageError for a line that is no record, or where the file cannot be read.
    """
    try:
        with path.open("rb") as stream:
            start = number = 0
            while (end is None or start < end) and (line := stream.readline(LONGEST_LINE)):
                number += 1
                if line.strip():
                    try:
                        key, is_error = _parse(line)
                    except ValueError as problem:
                        raise UsageError(
                            f"line {number} of {path} is no result ({problem}); take it out, and --resume makes it anew"
                        ) from problem
                    yield RecordLine(file, start, len(line), key, is_error)
                start += len(line)
    except OSError as problem:
        raise UsageError(f"cannot read {path} ({problem.strerror})") from problem


def is_record(line: bytes) -> bool:
    """Whether `line` is a whole record."""
    try:
        _parse(line)
    except ValueError:
        return False
    return True


def start_of_last_line(stream: BinaryIO) -> int:
    """Where what stands behind the last line end starts: the size of the file if nothing does."""
    position = stream.seek(0, 2)
    while position:
        length = min(_BLOCK, position)
        stream.seek(position - length)
        found = stream.read(length).rfind(b"\n")
        if found >= 0:
            return position - length + found + 1
        position -= length
    return 0


class Finder:
    """Finds the lines of an input in files read side by side, each only once and only as far as needed.

    Files that follow the order of what is asked for are never held: only what was passed over while looking is, its
    position, not its text. Looking for what is not there reads everything.
    """

    def __init__(self, paths: Sequence[Path], ends: Sequence[int | None]) -> None:
        self._readers = [
            _Reader(read_lines(path, end=end, file=file), end if end is not None else path.stat().st_size)
            for file, (path, end) in enumerate(zip(paths, ends, strict=True))
        ]
        self._passed: dict[str, deque[RecordLine]] = {}

    def take(self, key: str) -> RecordLine | None:
        """The first line with this key that was not taken before, or None."""
        while key not in self._passed:
            line = self._read()
            if line is None:
                return None
            self._passed.setdefault(line.key, deque()).append(line)
        lines = self._passed[key]
        line = lines.popleft()
        if not lines:
            del self._passed[key]
        return line

    def rest(self) -> Iterator[RecordLine]:
        """What nobody took."""
        for lines in self._passed.values():
            yield from lines
        while (line := self._read()) is not None:
            yield line

    def _read(self) -> RecordLine | None:
        """The next line of the file that the least has been read of, so that all are left at about the same input."""
        while self._readers:
            reader = min(self._readers, key=lambda one: one.part)
            line = next(reader.lines, None)
            if line is not None:
                reader.part = (line.start + line.length) / reader.size
                return line
            self._readers.remove(reader)
        return None


@dataclass(eq=False)
class _Reader:
    lines: Iterator[RecordLine]
    size: int
    part: float = 0.0
    """How much of the file has been read, from 0 to 1."""


def _parse(line: bytes) -> tuple[str, bool]:
    try:
        record = json.loads(line)
    except RecursionError as problem:
        raise ValueError("it is nested too deeply") from problem
    except json.JSONDecodeError as problem:
        raise ValueError(f"{problem.msg} at column {problem.colno}") from problem
    name = record.get("audio_filepath") if isinstance(record, dict) else None
    if not isinstance(name, str) or record.get("status") not in ("ok", "error"):
        raise ValueError("it has no audio_filepath or no status")
    error = record.get("error")
    is_bad_row = isinstance(error, dict) and error.get("type") == ManifestError.__name__
    fields = {key: value for key, value in record.items() if key not in RECORD_KEYS}
    return input_key(name, fields, is_bad_row=is_bad_row), record["status"] == "error"
