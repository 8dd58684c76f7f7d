"""What comes out for one input, and its JSON.

Knows: the fields of a result, their order in JSON, how a result survives the way to JSON and back.
Does not know: where results are written (writers) or how they were made (translator).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from s2t2_cli.errors import S2T2Error

# The keys of our own, in the order they are written. A manifest field of the same name is kept as `input_<name>`.
RECORD_KEYS = (
    "audio_filepath", "status", "lang", "model", "duration", "text", "raw_text",
    "score", "tokens", "alternatives", "segments", "warnings", "error",
)  # fmt: skip

# A manifest's own values for these are the same facts as ours, so ours replace them.
_SAME_FACT = frozenset({"audio_filepath", "duration"})

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Alternative:
    """One more hypothesis of the beam, best first.

    `text` is for people, `raw_text` is the reference's exact string; `score` is the length-normalised
    log-probability (the reference's `sequences_scores`); `tokens` are ids without start, end and padding.
    """

    text: str
    raw_text: str
    score: float
    tokens: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of the input with its own translation; `start` and `end` in seconds."""

    start: float
    end: float
    text: str
    raw_text: str
    score: float | None


@dataclass(frozen=True, slots=True)
class TranslationResult:
    """The outcome for one input: a translation (`status == "ok"`) or the error that stopped it.

    `duration` is in seconds. `score` is None where nothing was searched (no speech). On an error
    `text` is the empty string, so a loop over `.text` never meets None, and `error` holds the exception.
    """

    audio_filepath: str
    status: Literal["ok", "error"] = "ok"
    lang: str | None = None
    model: str | None = None
    duration: float | None = None
    text: str = ""
    raw_text: str = ""
    score: float | None = None
    tokens: tuple[int, ...] = ()
    alternatives: tuple[Alternative, ...] = ()
    segments: tuple[Segment, ...] = ()
    warnings: tuple[str, ...] = ()
    error: S2T2Error | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)
    """What the manifest said besides `audio_filepath`, passed through."""

    def to_dict(self, *, tokens: bool = False) -> dict[str, Any]:
        """The record as JSON-ready values, keys in the documented order; `tokens` adds the token ids."""
        record: dict[str, Any] = {"audio_filepath": self.audio_filepath, "status": self.status}
        if self.error is not None:
            if self.duration is not None:
                record["duration"] = round(self.duration, 3)
            record["error"] = {"type": type(self.error).__name__, "message": str(self.error)}
        else:
            record |= {"lang": self.lang, "model": self.model, "duration": _rounded(self.duration, 3)}
            record |= {"text": self.text, "raw_text": self.raw_text, "score": _rounded(self.score, 6)}
            if tokens:
                record["tokens"] = list(self.tokens)
            if self.alternatives:
                record["alternatives"] = [_alternative_to_dict(one, tokens) for one in self.alternatives]
            if self.segments:
                record["segments"] = [_segment_to_dict(one) for one in self.segments]
            if self.warnings:
                record["warnings"] = list(self.warnings)
        return record | passed_on(self.fields)

    def to_json(self, *, tokens: bool = False) -> str:
        """The record as one line of JSON that any parser reads, whatever bytes the file name holds."""
        return dump_json_line(self.to_dict(tokens=tokens))


def passed_on(fields: Mapping[str, Any]) -> dict[str, Any]:
    """What a manifest said besides, by the names it has in a record."""
    return {
        f"input_{name}" if name in RECORD_KEYS else name: value
        for name, value in fields.items()
        if name not in _SAME_FACT
    }


def is_alternative(fields: Mapping[str, Any]) -> bool:
    """Whether a row is one of the further hypotheses that `translate --format tsv --n-best` gives rows of their own.

    In JSON lines they stand within the record.
    """
    return "status" in fields and fields.get("rank") not in (None, "", "1", 1)


def dump_json_line(value: Mapping[str, Any]) -> str:
    """`value` as one line of UTF-8-safe JSON.

    A file name that is not UTF-8 reaches Python as lone surrogates; they are written as `\\udcXX` escapes,
    which are valid JSON and which `os.fsencode(json.loads(...))` turns back into the same bytes.
    """
    line = json.dumps(value, ensure_ascii=False, allow_nan=False)
    return _LONE_SURROGATE.sub(lambda found: f"\\u{ord(found.group()):04x}", line)


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def _alternative_to_dict(one: Alternative, tokens: bool) -> dict[str, Any]:
    record: dict[str, Any] = {"text": one.text, "raw_text": one.raw_text, "score": round(one.score, 6)}
    if tokens:
        record["tokens"] = list(one.tokens)
    return record


def _segment_to_dict(one: Segment) -> dict[str, Any]:
    return {
        "start": round(one.start, 3),
        "end": round(one.end, 3),
        "text": one.text,
        "raw_text": one.raw_text,
        "score": _rounded(one.score, 6),
    }
