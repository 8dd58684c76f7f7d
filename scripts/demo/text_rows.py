"""The row of the corpus and its file. Knows: fields, JSON lines. Does not know: where rows come from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

Source = Literal["template", "massive", "massive-augmented", "phrasebook"]
Partition = Literal["train", "dev", "test"]

LANGUAGES = ("en", "de", "tr", "ca", "ar")


@dataclass(frozen=True)
class Row:
    """One sentence in five languages.

    `family` is the template family, or the data set's own scenario. `en` is what is spoken; the others are written. An
    empty translation means that the source has none that is fit for use: the row is not for that language.
    """

    id: str
    source: Source
    family: str
    partition: Partition
    en: str
    de: str
    tr: str
    ca: str
    ar: str


def row_id(source: Source, english: str) -> str:
    """The same for the same sentence, whatever else is in the corpus: speech made of it can be kept."""
    return f"{source}-{hashlib.blake2s(english.encode(), digest_size=6).hexdigest()}"


def write_rows(rows: Iterable[Row], path: Path) -> None:
    """One JSON object a line, UTF-8, in the order given; the file is there whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    with partial.open("w", encoding="utf-8") as lines:
        for row in rows:
            lines.write(json.dumps(asdict(row), ensure_ascii=False) + "\n")
    partial.replace(path)


def read_rows(path: Path) -> list[Row]:
    """What `write_rows` wrote."""
    return [Row(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]
