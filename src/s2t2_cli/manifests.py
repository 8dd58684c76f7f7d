"""Manifests: a row a recording, as JSON lines or TSV, read as a stream.

Knows: the two formats, what a row must hold, where a row's recording lies. Does not know: what becomes of it, how
others write their TSVs (commonvoice).
"""

from __future__ import annotations

import json
import math
import os
import stat
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from s2t2_cli.commonvoice import CLIPS, in_clips, is_common_voice, our_columns, split_line
from s2t2_cli.errors import InputReadError, ManifestError, UsageError
from s2t2_cli.escaping import unescape_cell
from s2t2_cli.inputs import STDIN, Source, file_source, is_url, open_text, url_place, url_source

PATH_FIELD = "audio_filepath"

_JSON_ENDINGS = (".jsonl", ".ndjson", ".json")
_UTF8_BOM = b"\xef\xbb\xbf"
_UTF16_BOMS = (b"\xff\xfe", b"\xfe\xff")


MAX_LINE_BYTES = 2**24
"""What a row may hold; of a longer one, no more than this is ever held in memory."""


@dataclass(frozen=True, slots=True)
class Row:
    """What one line of a manifest says, `audio_filepath` among it; with `error` set, as much as could be read."""

    number: int
    """Of its line, from 1."""
    fields: Mapping[str, Any]
    error: ManifestError | None = None


class Manifest:
    """A manifest known to be readable; each iteration over it yields a source a row, in order.

    JSON lines hold one object a line. TSV starts with a header row and escapes as linear TSV does. Both name
    the recording in `audio_filepath`, relative to `audio_dir`, by default the manifest's folder (the current one
    for a pipe); whatever else a row says is passed through. The TSVs of CoVoST 2 and Common Voice are read as they
    are: `path` becomes `audio_filepath`, below the folder `clips` beside the TSV if there is one, `sentence` becomes
    `transcript` and `translation` becomes `text`. A broken row becomes a source called `manifest:line` with a
    `ManifestError`, and the others go on. Only the row at hand is held in memory. What was read from a pipe
    already can be handed over as `content`. Addresses lead to public hosts alone (`PublicUrl`) unless private ones
    are allowed: a manifest may be someone else's.

    Raises `UsageError` where no row can be read: no such file, not a manifest, no column `audio_filepath`.
    """

    def __init__(
        self,
        name: str,
        *,
        audio_dir: Path | None = None,
        content: BinaryIO | None = None,
        allow_private: bool = False,
    ) -> None:
        self.name = name
        self._allow_private = allow_private
        self._shown = "standard input" if name == STDIN else name
        stream = content or open_text(name, "manifest")
        lines = _numbered_lines(stream, ours=name != STDIN)
        try:
            self.repeatable = content is None and name != STDIN and stat.S_ISREG(os.fstat(stream.fileno()).st_mode)
            head = next(lines, None)
        except OSError as problem:
            raise UsageError(f"cannot read the manifest {self._shown} ({problem.strerror})") from problem
        if self.repeatable:
            lines.close()
        # What comes through a pipe comes once: the line looked at is put back in front of the rest.
        self._waiting = None if self.repeatable else chain([head] if head else [], lines)
        self._is_tsv = head is not None and self._looks_like_tsv(head[1])
        self._folder = audio_dir or (Path(name).parent if self.repeatable else Path())
        self._columns: list[str] = []
        self._is_common_voice = False
        if head is not None and self._is_tsv:
            self._read_header(head[1])
        self._has_clips = self._is_common_voice and audio_dir is None and (self._folder / CLIPS).is_dir()

    def __iter__(self) -> Iterator[Source]:
        return map(self.source, self.rows())

    def rows(self) -> Iterator[Row]:
        """The rows alone, in order; whether their recordings are there is not looked at."""
        try:
            if self._waiting is not None:
                yield from self._rows(self._waiting)
            else:
                yield from self._rows(_numbered_lines(Path(self.name).open("rb"), ours=True))  # noqa: SIM115
        except OSError as problem:
            raise InputReadError(f"cannot read on in the manifest {self._shown} ({problem.strerror})") from problem

    def _rows(self, lines: Iterator[tuple[int, bytes]]) -> Iterator[Row]:
        parse: Callable[[str], Mapping[str, Any]] = self._tsv_row if self._is_tsv else _json_row
        if self._is_tsv:
            next(lines, None)
        for number, line in lines:
            fields: Mapping[str, Any] = {}
            error = None
            try:
                if len(line) > MAX_LINE_BYTES:
                    raise ValueError(f"is longer than {MAX_LINE_BYTES // 2**20} MiB")
                fields = parse(line.decode("utf-8", "surrogateescape"))
                path = fields.get(PATH_FIELD)
                if not isinstance(path, str) or not path:
                    raise ValueError(f"names no recording in {PATH_FIELD}")
            except ValueError as problem:
                error = ManifestError(f"line {number} of {self._shown} {problem}")
            yield Row(number, fields, error)

    def name_of(self, row: Row) -> str:
        """What the source of a row is called: as its recording, or `manifest:line` where that cannot be told."""
        return f"{self.name}:{row.number}" if row.error is not None else str(row.fields[PATH_FIELD])

    def place_of(self, row: Row) -> str:
        """Where the result of a row belongs below an output folder."""
        if row.error is not None:
            return f"{Path(self.name).name}.{row.number}"
        path = self.name_of(row)
        return url_place(path) if is_url(path) else _place(path)

    def source(self, row: Row) -> Source:
        """The source of a row; only now it is looked whether its recording is there."""
        path, place = self.name_of(row), self.place_of(row)
        if row.error is not None:
            return Source(path, Path(self.name), None, dict(row.fields), row.error, place)
        fields = {name: value for name, value in row.fields.items() if name != PATH_FIELD}
        if is_url(path):
            return url_source(path, place=place, fields=fields, public_only=not self._allow_private)
        source = file_source(path, self._folder / path, place=place, fields=fields)
        if source.error is None:
            return source
        error = type(source.error)(f"{source.error}, named in line {row.number} of {self._shown}")
        return Source(path, source.media, None, fields, error, source.place)

    def _looks_like_tsv(self, head: bytes) -> bool:
        if head.startswith(_UTF16_BOMS) or b"\0" in head:
            raise UsageError(f"the manifest {self._shown} is not UTF-8 text; save it as UTF-8")
        ending = Path(self.name).suffix.lower()
        if ending != ".tsv" and head.lstrip().startswith(b"["):
            raise UsageError(f"the manifest {self._shown} is one JSON list; write an object a line: jq -c '.[]'")
        return ending == ".tsv" or (ending not in _JSON_ENDINGS and not head.lstrip().startswith(b"{"))

    def _read_header(self, head: bytes) -> None:
        columns = _cells(head.decode("utf-8", "surrogateescape"))
        if PATH_FIELD not in columns and is_common_voice(columns):
            self._is_common_voice = True
            columns = our_columns(columns)
        if PATH_FIELD not in columns:
            raise UsageError(
                f"the manifest {self._shown} has no column {PATH_FIELD}; start it with a header row"
                " that names its columns, separated by tabs, or write JSON lines"
            )
        if twice := {column for column in columns if columns.count(column) > 1}:
            raise UsageError(f"the manifest {self._shown} has two columns called {min(twice)}; rename one")
        self._columns = columns

    def _tsv_row(self, line: str) -> Mapping[str, str]:
        cells = split_line(line) if self._is_common_voice else _cells(line)
        if len(cells) != len(self._columns):
            raise ValueError(f"has {len(cells)} columns where the header has {len(self._columns)}")
        row = dict(zip(self._columns, cells, strict=True))
        if self._has_clips:
            row[PATH_FIELD] = in_clips(row[PATH_FIELD])
        return row


def _numbered_lines(stream: BinaryIO, *, ours: bool) -> Generator[tuple[int, bytes], None, None]:
    """The lines that are not blank, with their numbers from 1, without line ends and byte order mark.

    The stream is closed with the generator if it is `ours`.
    """
    try:
        for number, line in enumerate(_lines(stream), 1):
            if number == 1:
                line = line.removeprefix(_UTF8_BOM)
            if line.strip(b" \r\n"):
                yield number, line.rstrip(b"\r\n")
    finally:
        if ours:
            stream.close()


def _lines(stream: BinaryIO) -> Iterator[bytes]:
    """The lines of a file, of one that is too long only the beginning."""
    while line := stream.readline(MAX_LINE_BYTES + 1):
        yield line
        while line and not line.endswith(b"\n"):
            line = stream.readline(MAX_LINE_BYTES)


def _cells(line: str) -> list[str]:
    return [unescape_cell(cell) for cell in line.split("\t")]


def _json_row(line: str) -> Mapping[str, Any]:
    try:
        row = json.loads(line, parse_constant=_refuse_constant, parse_float=_finite)
    except json.JSONDecodeError as problem:
        raise ValueError(f"is not valid JSON ({problem.msg} at column {problem.colno})") from problem
    except RecursionError as problem:
        raise ValueError("is nested too deeply") from problem
    except ValueError as problem:
        raise ValueError(f"is not valid JSON ({problem})") from problem
    if not isinstance(row, dict):
        raise ValueError("is not a JSON object")
    return row


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not a JSON number")


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"{digits} is too large for a number")
    return value


def _place(path: str) -> str:
    """A path inside the manifest's folder as it is; of any other, the file's own name."""
    normal = PurePosixPath(os.path.normpath(path))
    return normal.name if normal.is_absolute() or normal.parts[:1] == ("..",) else str(normal)
