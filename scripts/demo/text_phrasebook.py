"""The Refugee Phrasebook's rows as sentences.

Knows: its columns and how it writes alternatives. Does not know: MASSIVE.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Container
from pathlib import Path

from text_english import APOSTROPHES, normalise_english
from text_rows import LANGUAGES, Row
from text_templates import capitalised
from text_words import word_lists

_HEADINGS = frozenset({"basic conversation", "medical terms", "food", "clothing", "misc"})
_IN_TEMPLATES = word_lists("parallel.txt")["in_templates"]
# Not for a demonstration, or the languages do not say the same.
_BY_HAND = (
    "raped",
    "vaginal",
    "i like you",
    "don't speak",
    "need to sleep",
    "candid",
    "i'm happy",
    "registration centre",
)
_ALTERNATIVES = re.compile(r"\s*(?:/|\\|;|---| - )\s*")
_UNWRAPPED = re.compile(
    r"\((das ist meine?|meine|mein Kind|My child|Aquest és|Aquesta és|El meu fill(?:/filla)?)\)",
    re.IGNORECASE,
)
_BRACKETS = re.compile(r"\([^)]*\)|\)[^)]*\)|\[[^\]]*\]|[()]")
_GAP = re.compile(r"\.\.|…|__|،،|,,")
_ARABIC = str.maketrans(
    {"ی": "ي", "ک": "ك", "ە": "ه", "ہ": "ه", "ـ": None, ",": None} | {chr(code): None for code in range(0x64B, 0x653)}
)
_ARABIC_SPELLINGS = {
    "انا": "أنا",
    "اين": "أين",
    "علي مايرام": "على ما يرام",
    "اسرة": "أسرة",
    "اسنان": "أسنان",
    "الم": "ألم",
    "ابريق": "إبريق",
}


def read_phrasebook(path: Path) -> list[dict[str, str]]:
    """The rows as they are, one dictionary by column name each."""
    with path.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))


def phrasebook_rows(records: list[dict[str, str]], said: Container[str] = ()) -> tuple[list[Row], Counter[str]]:
    """Phrases with the first alternative of each cell, all for training; and how many were left out, by reason.

    Args:
        said: English, bare, that is translated elsewhere and left out here: one sentence, one translation.
    """
    rows, dropped = [], Counter[str]()
    for number, record in enumerate(records):
        cells = {language: (record[language] or "").translate(APOSTROPHES) for language in LANGUAGES}
        if reason := _unfit(cells):
            dropped[reason] += 1
            continue
        clean = {language: _first(cell, language) for language, cell in cells.items()}
        if clean["en"] and normalise_english(clean["en"]) in said:
            dropped["in the templates"] += 1
        elif all(clean.values()):
            asks = clean["en"].endswith("?")
            marked = {language: _marked(text, language, asks) for language, text in clean.items()}
            rows.append(
                Row(id=f"phrasebook-{number}", source="phrasebook", family="phrasebook", partition="train", **marked)
            )
        else:
            dropped["an empty cell"] += 1
    return rows, dropped


def _unfit(cells: dict[str, str]) -> str:
    english = cells["en"].strip().lower()
    if english in _HEADINGS:
        return "a heading"
    if english in _IN_TEMPLATES:
        return "in the templates"
    if any(part in english for part in _BY_HAND):
        return "by hand"
    if any(_GAP.search(cell) for cell in cells.values()):
        return "a gap to fill"
    return "a numeral" if any(re.search(r"\d", cell) for cell in cells.values()) else ""


def _first(cell: str, language: str) -> str:
    """The first of several alternatives, without remarks and the dictionary's articles in brackets."""
    text = cell.translate(_ARABIC) if language == "ar" else cell
    text = _BRACKETS.sub(" ", _UNWRAPPED.sub(r"\1", text))
    text = _ALTERNATIVES.split(text.strip(" /"))[0]
    text = re.sub(r"\s+([?!.؟])", r"\1", " ".join(text.split())).strip(" .!/")
    text = re.sub(r"(?<=[a-z])\.(?=[A-Z])", ". ", text)
    if language == "ar":
        return " ".join(_ARABIC_SPELLINGS.get(word, word) for word in text.split()).replace("علي مايرام", "على ما يرام")
    return capitalised(text, language) if text else ""


def _marked(text: str, language: str, asks: bool) -> str:
    mark = ("؟" if language == "ar" else "?") if asks else "."
    return text.rstrip("?؟!. ") + mark
