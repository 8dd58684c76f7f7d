"""Files that hold hypotheses or references, as rows of text: JSON lines, TSV, or a sentence a line.

Knows: which of these a file is, and what its rows are called. Does not know: which field is wanted of a row, or
what belongs together (joining).
"""

from __future__ import annotations

import io
import json
import stat
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from s2t2_cli.commonvoice import is_common_voice
from s2t2_cli.errors import ManifestError, UsageError
from s2t2_cli.inputs import STDIN, Source
from s2t2_cli.manifests import PATH_FIELD, Manifest, Row
from s2t2_cli.records import RECORD_KEYS, is_alternative

_ROW_ENDINGS = (".jsonl", ".ndjson", ".json", ".tsv")


@dataclass(frozen=True, slots=True)
class TextRow:
    """One row of a file of texts."""

    place: str
    """`line 7 of hyp.jsonl`, for messages."""
    name: str | None
    """The recording's `audio_filepath`; None in a file that names none."""
    fields: Mapping[str, Any]
    """All that the row says; of plain text, `text`."""
    error: str | None = None
    """Why the row cannot be read."""


@dataclass(frozen=True, slots=True)
class TextFile:
    """All rows of one file, in order."""

    name: str
    """As it was named on the command line; `standard input` for `-`."""
    rows: Sequence[TextRow]
    folder: Path
    """What relative names of recordings are relative to, if anything."""

    @property
    def names_recordings(self) -> bool:
        """Whether rows can be found by name; otherwise only their order says what is what."""
        return any(row.name is not None for row in self.rows)


def read_texts(name: str, *, audio_dir: Path | None = None) -> TextFile:
    """All rows of the file called `name`; `-` is standard input.

    JSON lines and TSV (ours, CoVoST 2's, Common Voice's) are read as manifests are. Anything else is plain text:
    a sentence a line, behind the recording's name and a tab where every line has one, as `s2t2 translate` writes
    several inputs. Raises UsageError for a file that cannot be read.
    """
    shown = "standard input" if name == STDIN else name
    content, is_file = _read(name, shown)
    folder = audio_dir or (Path(name).parent if is_file else Path())
    if _has_rows(name, content):
        # A pipe has been read already; of a file, the manifest should know the folder.
        stream = None if is_file else io.BytesIO(content)
        manifest = Manifest(name, audio_dir=audio_dir, content=stream)
        return TextFile(shown, _from_manifest(manifest.rows(), shown), folder)
    return TextFile(shown, _from_lines(content, shown), folder)


def texts_of_records(name: str, records: Iterable[Mapping[str, Any]], folder: Path) -> TextFile:
    """What `s2t2 translate` would have written to a file, without the file."""
    rows = [
        TextRow(f"result {number} of {name}", record[PATH_FIELD], record) for number, record in enumerate(records, 1)
    ]
    return TextFile(name, rows, folder)


def texts_of_sources(name: str, sources: Iterable[Source], folder: Path) -> TextFile:
    """The rows of a manifest that was read for its recordings."""
    rows = []
    for number, source in enumerate(sources, 1):
        # What is wrong with the recording alone does not concern its reference.
        error = str(source.error) if isinstance(source.error, ManifestError) else None
        place = f"row {number} of {name}"
        fields = {PATH_FIELD: source.name, **source.fields}
        rows.append(TextRow(place, None if error else source.name, fields, error))
    return TextFile(name, rows, folder)


def _read(name: str, shown: str) -> tuple[bytes, bool]:
    """The bytes, and whether they can be read once more."""
    try:
        if name == STDIN:
            if sys.stdin is None or sys.stdin.closed:
                raise UsageError("standard input is closed; pipe translations into s2t2 or name a file")
            return sys.stdin.buffer.read(), False
        return Path(name).read_bytes(), stat.S_ISREG(Path(name).stat().st_mode)
    except FileNotFoundError as problem:
        raise UsageError(f"there is no file {shown}") from problem
    except (OSError, ValueError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) else problem
        raise UsageError(f"cannot read {shown} ({reason})") from problem


def _has_rows(name: str, content: bytes) -> bool:
    """Whether this is JSON lines or TSV with a header, by name or by what the first line looks like."""
    if Path(name).suffix.lower() in _ROW_ENDINGS:
        return True
    head = content.lstrip(b"\xef\xbb\xbf\r\n").partition(b"\n")[0]
    columns = head.decode("utf-8", "replace").rstrip("\r").split("\t")
    return head.startswith(b'{"') or PATH_FIELD in columns or (len(columns) > 1 and is_common_voice(columns))


def _from_manifest(rows: Iterable[Row], shown: str) -> list[TextRow]:
    found = []
    for row in rows:
        fields = _unpacked(row.fields)
        if is_alternative(fields):
            continue
        name = None if row.error is not None else str(fields[PATH_FIELD])
        error = None if row.error is None else str(row.error)
        found.append(TextRow(f"line {row.number} of {shown}", name, fields, error))
    if all(row.fields and row.name is None for row in found):
        # All are well but name no recording: their order will do.
        return [TextRow(row.place, None, row.fields) for row in found]
    return found


def _unpacked(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """A row of translate's TSV with what the manifest said as fields of its own, named as in JSON lines."""
    packed = fields.get("fields")
    if "status" not in fields or not isinstance(packed, str):
        return fields
    try:
        passed = json.loads(packed)
    except ValueError:
        return fields
    if not isinstance(passed, dict):
        return fields
    unpacked = {(f"input_{name}" if name in RECORD_KEYS else name): value for name, value in passed.items()}
    return {**unpacked, **fields}


def _from_lines(content: bytes, shown: str) -> list[TextRow]:
    try:
        lines = content.decode("utf-8-sig").split("\n")
    except UnicodeDecodeError as problem:
        number = content.count(b"\n", 0, problem.start) + 1
        raise UsageError(f"line {number} of {shown} is not UTF-8 text; save it as UTF-8") from problem
    if not lines[-1]:
        lines.pop()
    cells = [line.removesuffix("\r").partition("\t") for line in lines]
    named = bool(cells) and all(tab for _, tab, _ in cells)
    return [
        TextRow(f"line {number} of {shown}", name, {PATH_FIELD: name, "text": text})
        if named
        else TextRow(f"line {number} of {shown}", None, {"text": name + tab + text})
        for number, (name, tab, text) in enumerate(cells, 1)
    ]
