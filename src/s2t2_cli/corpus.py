"""Target text for training: sentences out of plain text, JSON lines and TSV, read as a stream.

Knows: files and their formats. Does not know: languages, sub-words, what is learned.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from s2t2_cli.commonvoice import is_common_voice, our_columns, split_line
from s2t2_cli.errors import UsageError
from s2t2_cli.escaping import unescape_cell
from s2t2_cli.inputs import STDIN, open_text
from s2t2_cli.manifests import PATH_FIELD
from s2t2_cli.records import is_alternative

TEXT_FIELD = "text"

_JSON_ENDINGS = (".jsonl", ".ndjson", ".json")
_UTF8_BOM = "\ufeff"


def read_sentences(names: Iterable[str], *, field: str = TEXT_FIELD) -> Iterator[str]:
    """The sentences of several files, in order, each on one line and without space around it; empty ones are left out.

    A file is plain text, one sentence a line, unless its name says JSON lines (`.jsonl`) or TSV with a header row
    (`.tsv`; ours, CoVoST 2's or Common Voice's, escaped as each of them is), or it starts with `{"`: then the sentence
    is in `field`. `-` is standard input. Of what `s2t2 translate` wrote, failed inputs and further hypotheses are
    passed over.

    Raises UsageError: a file that cannot be read, is not UTF-8, or a row without `field`.
    """
    for name in names:
        shown = "standard input" if name == STDIN else name
        stream = open_text(name, "text file")
        try:
            for sentence in _sentences(_lines(stream, shown), name, shown, field):
                if one_line := " ".join(sentence.split()):
                    yield one_line
        finally:
            if name != STDIN:
                stream.close()


def _lines(stream: BinaryIO, shown: str) -> Iterator[tuple[int, str]]:
    """The lines that are not blank, with their numbers from 1."""
    number = 0
    try:
        for number, line in enumerate(stream, 1):
            text = line.decode("utf-8").removeprefix(_UTF8_BOM if number == 1 else "").rstrip("\r\n")
            if text.strip():
                yield number, text
    except UnicodeDecodeError:
        raise UsageError(f"line {number} of {shown} is not UTF-8 text; save it as UTF-8") from None
    except OSError as problem:
        raise UsageError(f"cannot read on in {shown} ({problem.strerror})") from problem


def _sentences(lines: Iterator[tuple[int, str]], name: str, shown: str, field: str) -> Iterator[str]:
    ending = Path(name).suffix.lower()
    first = next(lines, None)
    if first is None:
        return
    if ending == ".tsv":
        yield from _from_tsv(first[1], lines, shown, field)
    elif ending in _JSON_ENDINGS or first[1].lstrip().startswith('{"'):
        yield from _from_json(first, lines, shown, field)
    else:
        yield first[1]
        for _, line in lines:
            yield line


def _from_tsv(header: str, lines: Iterator[tuple[int, str]], shown: str, field: str) -> Iterator[str]:
    """As a manifest of the same name would be read."""
    columns = header.split("\t")
    is_theirs = PATH_FIELD not in columns and is_common_voice(columns)
    if is_theirs and field not in columns:
        columns = our_columns(columns)
    if field not in columns:
        raise UsageError(f"{shown} has no column {field!r}, only {', '.join(columns)}; name one with --field")
    for number, line in lines:
        try:
            cells = split_line(line) if is_theirs else list(map(unescape_cell, line.split("\t")))
        except ValueError as problem:
            raise UsageError(f"line {number} of {shown} {problem}") from problem
        if len(cells) != len(columns):
            raise UsageError(f"line {number} of {shown} has {len(cells)} columns where the header has {len(columns)}")
        row = dict(zip(columns, cells, strict=True))
        if not is_alternative(row):
            yield row[field]


def _from_json(first: tuple[int, str], lines: Iterator[tuple[int, str]], shown: str, field: str) -> Iterator[str]:
    for number, line in chain([first], lines):
        try:
            row = json.loads(line)
        except ValueError as problem:
            raise UsageError(f"line {number} of {shown} is not valid JSON ({problem})") from problem
        if not isinstance(row, dict):
            raise UsageError(f"line {number} of {shown} is not a JSON object")
        if row.get("status") == "error":
            continue
        if not isinstance(row.get(field), str):
            raise UsageError(f"line {number} of {shown} has no {field!r}; name the field with --field")
        yield row[field]
