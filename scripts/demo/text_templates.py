"""Templates and slot tables: reading them, and the sentences they stand for.

Knows: the tables' notation (README.md beside this file). Does not know: any language beyond how a sentence begins,
which sentences are wanted.
"""

from __future__ import annotations

import itertools
import math
import random
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from text_rows import LANGUAGES

Entry = Mapping[str, str]
Tables = Mapping[str, tuple[Entry, ...]]
# By (slot, instance): the entry's place in its table.
Choice = Mapping[tuple[str, str], int]

_SECTION = re.compile(r"== (slot|family) (\w+)(?: (\d+))? ==")
_REFERENCE = re.compile(r"\{(?P<slot>\w+)(?:@(?P<tag>\w+))?(?::(?P<instance>\w))?(?:\.(?P<form>\w+))?\}")
_SPACE_BEFORE_MARK = re.compile(r" (?=[.?!,؟،])")
_CHOICE = re.compile(r"\[([^\[\]]*)\]")


class TemplateError(ValueError):
    """A table or template is not well-formed; the message names its file and line."""


@dataclass(frozen=True)
class Sentence:
    """One sentence in every language, and the slot values it was made of, as (slot, place in its table)."""

    family: str
    text: Mapping[str, str]
    values: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Template:
    """A sentence with gaps: one cell a language; `wanted` are the slots by (name, instance) and the tag asked for."""

    family: str
    place: str
    cells: Mapping[str, str]
    wanted: Mapping[tuple[str, str], str]

    def text(self, language: str, chosen: Choice, tables: Tables) -> str:
        """The sentence in one language, with the chosen entries' forms in its gaps."""
        return capitalised(_tidied(_filled(self.cells[language], language, chosen, tables)), language)

    def sentence(self, chosen: Choice, tables: Tables) -> Sentence:
        """The sentence in every language."""
        text = {language: self.text(language, chosen, tables) for language in LANGUAGES}
        return Sentence(self.family, text, tuple((slot, entry) for (slot, _), entry in chosen.items()))


def _tidied(text: str) -> str:
    """No space before a mark, where a choice was empty; no mark after the dot of "a.m."."""
    return _SPACE_BEFORE_MARK.sub("", " ".join(text.split())).replace("m..", "m.")


def capitalised(text: str, language: str) -> str:
    """The sentence with a capital, where the script has them; a cell that starts with `_` keeps its small letter."""
    if text.startswith("_"):
        return text[1:]
    first = {"i": "İ", "ı": "I"}.get(text[0], text[0].upper()) if language == "tr" else text[0].upper()
    return first + text[1:]


@dataclass(frozen=True)
class Family:
    """Templates of one kind. `quota`: how many of its sentences are wanted, if there are so many."""

    name: str
    quota: int
    templates: tuple[Template, ...]

    def size(self, tables: Tables) -> int:
        """How many fillings there are; two may still give the same sentence."""
        return sum(math.prod(len(choices) for choices in _choices(each, tables)) for each in self.templates)

    def fillings(
        self, tables: Tables, used: Counter[tuple[str, int]], rng: random.Random
    ) -> Iterator[tuple[Template, Choice]]:
        """Choices without end, templates in turn, for each gap one of its least used entries; `used` is kept up."""
        for template in itertools.cycle(rng.sample(self.templates, len(self.templates))):
            chosen: dict[tuple[str, str], int] = {}
            for (slot, instance), tag in template.wanted.items():
                taken = {entry for (name, _), entry in chosen.items() if name == slot}
                free = [entry for entry in entries_of(tables[slot], tag) if entry not in taken]
                best = min(rng.sample(free, min(len(free), 4)), key=lambda entry: used[slot, entry])
                chosen[slot, instance] = best
                used[slot, best] += 1
            yield template, chosen


def entries_of(table: tuple[Entry, ...], tag: str) -> list[int]:
    """The places in a table of the entries that carry the tag; all of them without one."""
    return [place for place, entry in enumerate(table) if not tag or tag in entry.get("tags", "").split()]


def read_templates(folder: Path, tables: Tables | None = None) -> tuple[dict[str, tuple[Entry, ...]], list[Family]]:
    """All slot tables (`slots/*.txt`) and families (`families/*.txt`): every form that a template names is there.

    Args:
        folder: slots are read first, each kind in the order of names.
        tables: slot tables made elsewhere (numbers), which the files may use.

    Raises:
        TemplateError: with file and line, if a row has too few cells, or a slot or form is unknown.
    """
    slots: dict[str, tuple[Entry, ...]] = dict(tables or {})
    templates: dict[str, list[Template]] = {}
    quotas: dict[str, int] = {}
    for path in [*sorted(folder.glob("slots/*.txt")), *sorted(folder.glob("families/*.txt"))]:
        kind = name = ""
        columns: list[str] = []
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            place = f"{path.name}:{number}"
            if not line.strip() or line.startswith("#"):
                continue
            if match := _SECTION.fullmatch(line.strip()):
                kind, name, columns = match[1], match[2], []
                if kind == "family":
                    quotas[name] = int(match[3] or 300)
                continue
            cells = _cells(line)
            if kind == "slot" and not columns:
                columns, slots[name] = cells, ()
                continue
            expected = columns if kind == "slot" else list(LANGUAGES)
            if len(cells) != len(expected) or not all(cells):
                raise TemplateError(
                    f"{place}: {len(cells)} cells where {len(expected)} are due ({', '.join(expected)})"
                )
            if kind == "slot":
                slots[name] += tuple(_expanded(dict(zip(columns, cells, strict=True)), slots, place))
            else:
                cell = dict(zip(LANGUAGES, cells, strict=True))
                templates.setdefault(name, []).extend(
                    _template(name, place, cell | {"en": english}, slots) for english in alternatives(cell["en"])
                )
    return slots, [Family(name, quotas[name], tuple(rows)) for name, rows in templates.items()]


def alternatives(cell: str) -> list[str]:
    """`[What's|What is] this?` stands for two wordings; an empty alternative may leave a doubled space, which goes."""
    match = _CHOICE.search(cell)
    if match is None:
        return [" ".join(cell.split())]
    return [
        wording
        for choice in match[1].split("|")
        for wording in alternatives(cell[: match.start()] + choice + cell[match.end() :])
    ]


def _cells(line: str) -> list[str]:
    """Cells at bars, but not at the bars between the wordings of a choice."""
    masked = _CHOICE.sub(lambda match: match[0].replace("|", "\0"), line)
    return [cell.strip().replace("\0", "|") for cell in masked.split("|")]


def _template(family: str, place: str, cells: Mapping[str, str], slots: Tables) -> Template:
    wanted: dict[tuple[str, str], str] = {}
    for match in _REFERENCE.finditer(cells["en"]):
        wanted[match["slot"], match["instance"] or ""] = match["tag"] or ""
    for language in LANGUAGES:
        for match in _REFERENCE.finditer(cells[language]):
            slot = match["slot"]
            if slot not in slots:
                raise TemplateError(f"{place}: there is no slot {slot!r}")
            if (slot, match["instance"] or "") not in wanted:
                raise TemplateError(f"{place}: {match[0]} is in {language}, but not in en")
            entries = entries_of(slots[slot], wanted[slot, match["instance"] or ""])
            column = _column(language, match["form"])
            if not entries or not all(slots[slot][entry].get(column) for entry in entries):
                raise TemplateError(f"{place}: not every entry of {slot!r} has {column!r}")
        if re.search(r"[{}\[\]]", _REFERENCE.sub("", cells[language])):
            raise TemplateError(f"{place}: a bracket too many in {language}")
    return Template(family, place, cells, wanted)


def _choices(template: Template, tables: Tables) -> list[list[int]]:
    return [entries_of(tables[slot], tag) for (slot, _), tag in template.wanted.items()]


def _column(language: str, form: str | None) -> str:
    return f"{language}.{form}" if form else language


def _filled(cell: str, language: str, chosen: Choice, tables: Tables) -> str:
    """The cell with the chosen entries' forms in its gaps."""

    def form(match: re.Match[str]) -> str:
        entry = tables[match["slot"]][chosen[match["slot"], match["instance"] or ""]]
        return entry[_column(language, match["form"])]

    return _REFERENCE.sub(form, cell)


def _expanded(row: dict[str, str], slots: Tables, place: str) -> Iterator[Entry]:
    """A row that names another slot stands for one row for each of that slot's entries; `[a|b]` for one each."""
    match = next((match for cell in row.values() for match in [_REFERENCE.search(cell)] if match), None)
    if match is None:
        yield from ({**row, "en": english} for english in alternatives(row["en"]))
        return
    table = slots.get(match["slot"])
    if table is None:
        raise TemplateError(f"{place}: there is no slot {match['slot']!r}")
    for entry in entries_of(table, match["tag"] or ""):
        chosen = {(match["slot"], match["instance"] or ""): entry}
        filled = {column: _filled(cell, column.partition(".")[0], chosen, slots) for column, cell in row.items()}
        yield from ({**filled, "en": english} for english in alternatives(filled["en"]))
