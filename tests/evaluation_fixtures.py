"""Texts to score: references, and what two systems of different quality made of them."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_WHO = ("Der Zug", "Die Bäckerei", "Mein Wecker", "Das Gespräch", "„Hamlet“", "Frau Weiß")
_WHAT = (
    "fährt um 7:45 Uhr ab",
    "öffnet am 3. Mai",
    "kostet 12,50 €",
    "dauert z. B. zwei Stunden",
    "ist leider ausgefallen",
)
_END = (".", "!", "?", ", oder nicht?")

REFERENCES = [f"{who} {what}{end}" for who in _WHO for what in _WHAT for end in _END][::2]


def spoil(texts: Sequence[str], rate: float, seed: int) -> list[str]:
    """What a system would say that gets about `rate` of all words wrong; one sentence it leaves empty."""
    draw = random.Random(seed)
    words = " ".join(texts).split()
    spoilt = [" ".join(draw.choice(words) if draw.random() < rate else word for word in text.split()) for text in texts]
    return [*spoilt[:-1], ""]


WORSE = spoil(REFERENCES, 0.4, 1)
BETTER = spoil(REFERENCES, 0.2, 2)


def write_lines(path: Path, texts: Sequence[str]) -> Path:
    """A text file with a line for each."""
    path.write_text("".join(f"{text}\n" for text in texts), "utf-8")
    return path


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """JSON lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def record(name: str, text: str | None, **fields: Any) -> dict[str, Any]:
    """A line as `s2t2 translate` writes it; None for a recording that failed."""
    if text is None:
        error = {"type": "AudioDecodeError", "message": f"{name} is not audio"}
        return {"audio_filepath": name, "status": "error", "error": error, **fields}
    return {"audio_filepath": name, "status": "ok", "lang": "de", "text": text, "raw_text": f"raw {text}", **fields}
