"""Rows of a manifest become examples to learn from; what cannot be used is told apart, each row with its reason.

Knows: manifests, what `s2t2 translate` writes about its own work, limits. Does not know: samples, tokens, batches.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from s2t2_cli.errors import InputError, InputNotFoundError
from s2t2_cli.formats import WARNING_SEPARATOR
from s2t2_cli.inputs import Source, file_source, is_url
from s2t2_cli.records import is_alternative
from s2t2_cli.training.durations import Durations


@dataclass(frozen=True, slots=True)
class Example:
    """A recording with its translation."""

    source: Source
    text: str
    """As people write it, on one line."""
    duration: float
    """Seconds, as the manifest or the container states them."""
    units: tuple[str, ...] | None = None
    """What CTC is to find, one name a unit; None where the row has nothing of the kind."""


@dataclass(frozen=True, kw_only=True)
class RowRules:
    """Which rows to use."""

    max_seconds: float = 20.0
    min_seconds: float = 0.025
    """One frame of the encoder."""
    min_score: float | None = None
    """Rows that carry a lower `score` (pseudo-labels) are left out."""
    length_ratio: tuple[float, float] | None = None
    """Rows that carry a score and have fewer or more characters for each second of audio are left out."""
    splits: frozenset[str] | None = None
    """Rows that carry another `split` are left out: a TSV of CoVoST 2 may hold all of them."""
    units_field: str | None = None
    """Where the units for CTC are: a string (its characters are the units) or a list of strings."""


@dataclass
class Examples:
    """The usable rows of a manifest, and how many others there were, by reason."""

    rows: list[Example] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)

    @property
    def seconds(self) -> float:
        """Audio in all."""
        return sum(row.duration for row in self.rows)

    def summary(self, name: str) -> str:
        """`train.jsonl: 5,100 rows, 5.0 h; left out: 3 longer than 20 s, 1 missing`."""
        text = f"{name}: {counted(len(self.rows), 'row')}, {_spelled(self.seconds)}"
        if self.left_out:
            reasons = ", ".join(f"{count:,} {reason}" for reason, count in self.left_out.most_common())
            text += f"; left out: {reasons}"
        return text


def counted(number: int, what: str) -> str:
    """`1 row`, `5,100 rows`."""
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def _spelled(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 3600 else f"{seconds / 3600:,.1f} h"


class _LeftOutError(Exception):
    """Why a row is not used: `reason` for the count, and a sentence where the row deserves one of its own."""

    def __init__(self, reason: str, sentence: str = "") -> None:
        super().__init__(reason)
        self.reason, self.sentence = reason, sentence


def read_examples(
    sources: Iterable[Source],
    rules: RowRules,
    durations: Durations,
    *,
    report: Callable[[str], None],
    progress: Callable[[int], None] | None = None,
) -> Examples:
    """The examples among the rows of a manifest, in order.

    What is wrong with a row (no such file, no text, not audio, too short) goes to `report` as a sentence; rows left
    out by a rule are only counted. `progress` hears how many rows have been read. Whether a recording decodes to its
    end shows when it is first used.
    """
    examples = Examples()

    def candidates() -> Iterator[tuple[Source, str]]:
        for number, source in enumerate(sources, 1):
            if progress is not None:
                progress(number)
            try:
                yield _candidate(source, rules)
            except _LeftOutError as out:
                _leave_out(examples, out, report)

    for source, text, seconds in durations.measure(candidates()):
        try:
            if isinstance(seconds, InputError):
                raise _LeftOutError("not readable as audio", str(seconds))
            _check_lengths(source, text, seconds, rules)
        except _LeftOutError as out:
            _leave_out(examples, out, report)
        else:
            examples.rows.append(Example(source, text, seconds, _units(source.fields, rules.units_field)))
    return examples


def _leave_out(examples: Examples, out: _LeftOutError, report: Callable[[str], None]) -> None:
    examples.left_out[out.reason] += 1
    if out.sentence:
        report(out.sentence)


def _candidate(source: Source, rules: RowRules) -> tuple[Source, str]:
    """The row's source and text. Raises _LeftOutError for what can be told without opening the recording."""
    fields = source.fields
    if fields.get("status") == "error":
        raise _LeftOutError("whose translation failed")
    if is_alternative(fields):
        raise _LeftOutError("of further hypotheses")
    split = fields.get("split")
    if rules.splits is not None and isinstance(split, str) and split not in rules.splits:
        raise _LeftOutError(f"of the split {split}")
    source = _found(source)
    if source.error is not None:
        missing = isinstance(source.error, InputNotFoundError)
        raise _LeftOutError("missing" if missing else "not valid", str(source.error))
    text = fields.get("text")
    if not isinstance(text, str) or not (text := " ".join(text.split())):
        raise _LeftOutError("without text", f"{source.name} has no text to learn from")
    if "length_limit" in _warnings(fields):
        raise _LeftOutError("whose translation was cut off")
    score = _score(fields)
    if rules.min_score is not None and score is not None and score < rules.min_score:
        raise _LeftOutError(f"with a score below {rules.min_score:g}")
    return source, text


def _warnings(fields: Mapping[str, Any]) -> list[Any]:
    """The warnings a row carries; TSV has them in one cell."""
    warnings = fields.get("warnings")
    if isinstance(warnings, str):
        return warnings.split(WARNING_SEPARATOR)
    return warnings if isinstance(warnings, list) else []


def _score(fields: Mapping[str, Any]) -> float | None:
    """The score a row carries; TSV has it as text."""
    try:
        score = float(fields.get("score", "nan"))
    except (TypeError, ValueError):
        return None
    return score if math.isfinite(score) else None


def _found(source: Source) -> Source:
    """Relative paths start at the manifest; those that `s2t2 translate` wrote start where it was run: here, mostly."""
    if not isinstance(source.error, InputNotFoundError) or is_url(source.name):
        return source
    here = file_source(source.name, Path(source.name), place=source.place, fields=source.fields)
    return source if here.error is not None else here


def _check_lengths(source: Source, text: str, seconds: float, rules: RowRules) -> None:
    if seconds > rules.max_seconds:
        raise _LeftOutError(f"longer than {rules.max_seconds:g} s")
    if seconds < rules.min_seconds:
        raise _LeftOutError("too short", f"{source.name} lasts {seconds:.3f} s, too short to learn from")
    if rules.length_ratio is not None and _score(source.fields) is not None:
        low, high = rules.length_ratio
        if not low <= len(text) / seconds <= high:
            raise _LeftOutError(f"with less than {low:g} or more than {high:g} characters a second")


def _units(fields: Mapping[str, Any], name: str | None) -> tuple[str, ...] | None:
    value = None if name is None else fields.get(name)
    if isinstance(value, str):
        value = list(" ".join(value.casefold().split()))
    if not isinstance(value, list) or not value or not all(isinstance(one, str) for one in value):
        return None
    return tuple(value)
