"""Hypotheses find their references: by the recording's name, or by order where a file names none.

Knows: which field holds what, which rows belong together, what is missing, double or failed. Does not know: how files
are read (texts), how anything is scored.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from s2t2_cli.errors import UsageError
from s2t2_cli.evaluation.texts import TextFile, TextRow
from s2t2_cli.manifests import PATH_FIELD

REFERENCE_FIELDS = ("reference", "translation", "input_text", "text")
"""Where a reference is looked for, in this order, unless its field is named."""

_SPLIT_FIELD = "split"


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """What one system made of one recording; `failure` says why there is nothing, and then `text` is empty."""

    text: str
    failure: str | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)
    """The whole row: `score`, `warnings`, `duration`, `lang` …"""


@dataclass(frozen=True, slots=True)
class Utterance:
    """A reference with a hypothesis from each system, in the order of the systems."""

    number: int
    """Its place among the references, from 1."""
    name: str
    """The recording, or the line that the reference stands in."""
    reference: str
    hypotheses: tuple[Hypothesis, ...]
    fields: Mapping[str, Any]
    """The whole row of the reference: `transcript`, `duration` …"""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that did not go together, with all it concerns; `spoils` tells a gap from a remark."""

    kind: str
    """`failed`, `missing`, `no_reference`, `unreadable`; as remarks `duplicated`, `unreferenced`, `joined_by_end`,
    `tokenized`."""
    where: str
    """The file or model it was found in."""
    sentence: str
    """What `names` are or how they were treated, to stand behind their number: `3 without a hypothesis`."""
    names: tuple[str, ...]
    spoils: bool = True


@dataclass(frozen=True, slots=True)
class Joined:
    """All that can be scored, and what went wrong on the way."""

    systems: tuple[str, ...]
    utterances: tuple[Utterance, ...]
    reference_field: str
    problems: tuple[Problem, ...]
    folders: tuple[Path, ...]
    """Where recordings may lie: what the references' and then each system's names are relative to."""

    @property
    def lang(self) -> str | None:
        """The language that the translations say they are in."""
        said = (one.fields.get("lang") for utterance in self.utterances for one in utterance.hypotheses)
        return next((lang for lang in said if isinstance(lang, str) and lang), None)


@dataclass(frozen=True, slots=True)
class _Reference:
    row: TextRow
    text: str | None


def join(
    references: TextFile,
    systems: Sequence[TextFile],
    *,
    reference_field: str | None = None,
    hypothesis_field: str = "text",
    split: str | None = None,
    exclude_failed: bool = False,
) -> Joined:
    """Give every reference its hypotheses.

    A reference is in `reference_field`, by default the first of REFERENCE_FIELDS that the first row has (`text`
    counts only where it is no translation of ours). With `split`, only rows whose field `split` says so are
    references. Rows meet by `audio_filepath`; names that are not found as they are, by as many of their last parts
    as tell all of them apart (`clips/a.wav` and `/data/clips/a.wav`). Where either file names no recordings, their
    order counts and their numbers must be equal. Of several rows for one recording the first that did not fail
    counts. What failed or is missing is an empty hypothesis, or takes the utterance out of the evaluation with
    `exclude_failed`.

    Raises UsageError where nothing can be scored.
    """
    name = reference_field or _reference_field(references)
    kept, problems = _references(references, name, split)
    if not any(one.text is not None for one in kept):
        raise UsageError(f"there is nothing to score: {_why_nothing(references.name, name, kept, split)}")
    columns = []
    for system in systems:
        hypotheses, found = _hypotheses(system, references.name, kept, hypothesis_field, exclude_failed)
        columns.append(hypotheses)
        problems += found
    utterances = [
        Utterance(number, _name(one.row, hypotheses), one.text, tuple(hypotheses), one.row.fields)
        for number, (one, *hypotheses) in enumerate(zip(kept, *columns, strict=True), 1)
        if one.text is not None
    ]
    if exclude_failed:
        utterances = [one for one in utterances if all(hypothesis.failure is None for hypothesis in one.hypotheses)]
    if not utterances:
        raise UsageError("there is nothing left to score: every recording failed")
    names = _distinct([system.name for system in systems])
    folders = tuple(dict.fromkeys(file.folder for file in (references, *systems)))
    return Joined(names, tuple(utterances), name, tuple(problems), folders)


def _name(row: TextRow, hypotheses: Iterable[Hypothesis]) -> str:
    """The recording, as the first to know it calls it; else the reference's line."""
    names = (row.name, *(one.fields.get(PATH_FIELD) for one in hypotheses))
    return next((name for name in names if isinstance(name, str)), row.place)


def _reference_field(references: TextFile) -> str:
    if not references.rows:
        raise UsageError(f"{references.name} is empty, there is nothing to score against")
    fields = next((row.fields for row in references.rows if row.error is None), {})
    is_translation = "status" in fields
    for name in REFERENCE_FIELDS:
        if name in fields and not (name == "text" and is_translation):
            return name
    if is_translation:
        raise UsageError(
            f"{references.name} holds translations and no references; name the file that has them: --references FILE"
        )
    known = ", ".join(REFERENCE_FIELDS[:-1])
    raise UsageError(
        f"{references.name} has no field {known} or {REFERENCE_FIELDS[-1]} to score against;"
        " say which holds the reference: --reference-field NAME"
    )


def _references(file: TextFile, name: str, split: str | None) -> tuple[list[_Reference], list[Problem]]:
    """The rows that references are in, each once; without text where the row has none."""
    unreadable, missing, double = [], [], []
    seen: set[str] = set()
    kept = []
    for row in file.rows:
        if split is not None and row.error is None and str(row.fields.get(_SPLIT_FIELD)) != split:
            continue
        if row.name is not None:
            if row.name in seen:
                double.append(row.name)
                continue
            seen.add(row.name)
        text = row.fields.get(name)
        if row.error is not None:
            unreadable.append(row.error)
        elif not isinstance(text, str):
            missing.append(row.name or row.place)
        kept.append(_Reference(row, text if isinstance(text, str) and row.error is None else None))
    problems = [
        _problem("unreadable", file.name, "cannot be read, left out", unreadable),
        _problem("no_reference", file.name, f"without {name} to score against, left out", missing),
        _problem("duplicated", file.name, "named more than once, the first row counts", double, spoils=False),
    ]
    return kept, [problem for problem in problems if problem.names]


def _hypotheses(
    system: TextFile, references_name: str, references: Sequence[_Reference], name: str, exclude_failed: bool
) -> tuple[list[Hypothesis], list[Problem]]:
    """A hypothesis for every reference."""
    problems = [_problem("unreadable", system.name, "cannot be read", [row.error for row in system.rows if row.error])]
    rows: list[TextRow | None]
    if system.names_recordings and any(one.row.name is not None for one in references):
        rows, found = _by_name(system, references)
        problems += found
    else:
        if len(system.rows) != len(references):
            raise UsageError(
                f"{system.name} has {len(system.rows)} hypotheses for the {len(references)} references of"
                f" {references_name}; without names of recordings they are joined by order, so there must be as many"
            )
        rows = list(system.rows)
    hypotheses = [_hypothesis(row, name) for row in rows]
    failed: list[str] = []
    missing: list[str] = []
    for row, hypothesis, reference in zip(rows, hypotheses, references, strict=True):
        if hypothesis.failure is not None and reference.text is not None:
            (missing if row is None else failed).append(reference.row.name or reference.row.place)
    if references and len(missing) == len(references):
        raise UsageError(
            f"no hypothesis of {system.name} belongs to a reference of {references_name}:"
            f" there is {_first_name(system.rows)!r} here and {references[0].row.name!r} there"
        )
    consequence = "left out" if exclude_failed else "scored as empty"
    problems.append(_problem("failed", system.name, f"not translated, {consequence}", failed))
    problems.append(_problem("missing", system.name, f"without a hypothesis, {consequence}", missing))
    spaced = [row.name or row.place for row, one in zip(rows, hypotheses, strict=True) if row and _is_spaced(one.text)]
    if name != "raw_text" and 2 * len(spaced) >= len(rows):
        sentence = "that end in a full stop after a space, as tokenised text does, which costs BLEU"
        problems.append(_problem("tokenized", system.name, sentence, spaced, spoils=False))
    return hypotheses, [problem for problem in problems if problem.names]


def _by_name(system: TextFile, references: Sequence[_Reference]) -> tuple[list[TextRow | None], list[Problem]]:
    best: dict[str, TextRow] = {}
    double = []
    for row in system.rows:
        if row.name is None:
            continue
        if row.name in best:
            double.append(row.name)
            if _failure(best[row.name]) is None or _failure(row) is not None:
                continue
        best[row.name] = row
    names = [one.row.name for one in references if one.row.name is not None]
    alias = _by_end(names, list(best))
    rows = [None if one.row.name is None else best.get(alias.get(one.row.name, one.row.name)) for one in references]
    used = {row.name for row in rows if row is not None}
    extra = [name for name in best if name not in used]
    return rows, [
        _problem("duplicated", system.name, "named more than once, one row counts", double, spoils=False),
        _problem("unreferenced", system.name, "without a reference, not scored", extra, spoils=False),
        _problem("joined_by_end", system.name, "found by the end of the path alone", list(alias), spoils=False),
    ]


def _by_end(names: Sequence[str], others: Sequence[str]) -> dict[str, str]:
    """For those of `names` that `others` lack, the one of `others` that ends alike.

    As many last parts of the path are compared as it takes to tell all names apart, on either side.
    """
    lost, free = set(names) - set(others), set(others) - set(names)
    if not lost or not free:
        return {}
    deepest = max(len(PurePosixPath(name).parts) for name in (*names, *others))
    for depth in range(1, deepest + 1):
        ends, other_ends = _ends(names, depth), _ends(others, depth)
        if len(ends) == len(names) and len(other_ends) == len(others):
            pairs = ((name, other_ends.get(end)) for end, name in ends.items() if name in lost)
            return {name: other for name, other in pairs if other in free}
    return {}


def _ends(names: Iterable[str], depth: int) -> dict[tuple[str, ...], str]:
    return {PurePosixPath(name).parts[-depth:]: name for name in names}


def _hypothesis(row: TextRow | None, name: str) -> Hypothesis:
    if row is None:
        return Hypothesis("", "there is no translation")
    if (failure := _failure(row)) is not None:
        return Hypothesis("", failure, row.fields)
    text = row.fields.get(name)
    if not isinstance(text, str):
        return Hypothesis("", f"the row has no {name}", row.fields)
    return Hypothesis(text, None, row.fields)


def _is_spaced(text: str) -> bool:
    return text.endswith((" .", " ?", " !"))


def _failure(row: TextRow) -> str | None:
    """Why the recording was not translated, as far as the row knows."""
    if row.error is not None:
        return row.error
    if row.fields.get("status") != "error":
        return None
    error = row.fields.get("error")
    message = error.get("message") if isinstance(error, Mapping) else error
    return message if isinstance(message, str) and message else "the translation failed"


def _problem(kind: str, where: str, sentence: str, names: Sequence[str], *, spoils: bool = True) -> Problem:
    return Problem(kind, where, sentence, tuple(names), spoils)


def _first_name(rows: Sequence[TextRow]) -> str | None:
    return next((row.name for row in rows if row.name is not None), None)


def _why_nothing(file: str, name: str, references: Sequence[_Reference], split: str | None) -> str:
    if split is not None and not references:
        return f"no row of {file} has {split!r} as its {_SPLIT_FIELD}"
    return f"no row of {file} has a {name}"


def _distinct(names: Sequence[str]) -> tuple[str, ...]:
    """The names of the systems, a number behind one that came before."""
    return tuple(
        name if (earlier := names[:place].count(name)) == 0 else f"{name} ({earlier + 1})"
        for place, name in enumerate(names)
    )
