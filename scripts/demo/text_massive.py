"""MASSIVE's rows as sentences. Knows: the columns of the TSV, what its translators left. Does not know: templates."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from text_english import APOSTROPHES, is_question, readable_english
from text_german import written_german
from text_rows import Row
from text_templates import capitalised
from text_words import word_lists

NAMES = word_lists("parallel.txt")["names"]
# Arabic vowel signs and the lengthening stroke; the wasla alif.
_MARKS: dict[int, str | None] = {**dict.fromkeys((*range(0x64B, 0x653), 0x640)), 0x671: "ا"}
_ARABIC_BEGINNINGS = tuple(sorted(word_lists("parallel.txt")["arabic_beginnings"]))
_ONLY_A_TIME = re.compile(
    r"(?:كل )?(?:يوم )?\w+|ليوم \w+|هذا \w+|نهاية (?:هذا )?\w+|في \w+|\w+ (?:الجاي|القادم|الصبح|صباح|حقي)|حقي \w+"
)
_ARABIC_ASKS = re.compile(r"(?:هل|كم|متى|وش|ايش|إيش|كيف|وين|أين|من هو|ما هو|ما هي|ليش|لماذا|بكم) ")
_TURKISH_PARTICLE = re.compile(
    r"\bm[ıiuü](?:y[ıiuü]m|s[ıiuü]n(?:[ıiuü]z)?|y[ıiuü]z|d[ıiuü]r|yd[ıiuü])?(?: ki| olly| lütfen)?$"
)
_TURKISH_INTERROGATIVE = re.compile(
    r"\b(?:m[ıiuü](?:y[ıiuü]m|s[ıiuü]n(?:[ıiuü]z)?|y[ıiuü]z|d[ıiuü]r)?|ka[çc]\w*|ne|neler\w*|nedir|neye|neyi\w*|neyden"
    r"|nesin|naber|varm[ıi]|nere\w*|nasıl\w*|kim\w*|hangi\w*|niye|neden|niçin)\b"
    r"(?!.*\b(?:söyle|göster|bildir|anlat|bul|öğren|kontrol et|oku|aç)$)"
)
# A slip that several of the translators made: "wir es morgen regnen".
_SLIP = re.compile(r"^wir (?=es |das |die )")
_CATALAN_COMMAND = re.compile(
    r"(?:digues|digue'm|digues-me|mostra|posa|busca|troba|dona|explica|llegeix|obre|esborra|informa)\b"
)
_CATALAN_DAYPART = re.compile(
    r"\b(?P<hour>una|dues|tres|quatre|cinc|sis|set|vuit|nou|deu|onze|dotze)(?P<minutes> trenta| i mitja| quinze)?"
    r" (?P<half>[ap])\. m\."
)
_CATALAN_PARTS = {
    "dotze": "del migdia",
    "una": "del migdia",
    "nou": "de la nit",
    "deu": "de la nit",
    "onze": "de la nit",
} | dict.fromkeys(("dues", "tres", "quatre", "cinc", "sis", "set"), "de la tarda")
_INVISIBLE = re.compile("[\u200b-\u200f\ufeff\u00ad\u0307]")
_INITIALISM = re.compile(r"\b[a-zç]\.(?: [a-zç]\.)+")


def read_massive(path: Path) -> list[dict[str, str]]:
    """The rows as they are, one dictionary by column name each."""
    with path.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))


def massive_rows(records: list[dict[str, str]]) -> tuple[list[Row], Counter[str]]:
    """Sentences with capitals and marks, in the data set's own partitions; and what was left out, by reason.

    Only training rows lose anything: a whole row, or its Arabic cell, which then is empty. What a score is measured on
    is given capitals and marks, loses Arabic vowel signs, and is otherwise as it was published.
    """
    rows, dropped = [], Counter[str]()
    for record in records:
        training = record["partition"] == "train"
        if training and (reason := _broken(record)):
            dropped[reason] += 1
            continue
        row = massive_row(record)
        if training and is_fragment(record["en"], record["ar"]):
            dropped["Arabic cells that are a fragment"] += 1
            row = replace(row, ar="")
        rows.append(row)
    return rows, dropped


def _broken(record: Mapping[str, str]) -> str:
    if not all(record[language].strip() for language in ("en", "de", "tr", "ca", "ar")):
        return "rows with an empty cell"
    lengths = {language: len(record[language].split()) for language in ("en", "de", "ca")}
    if min(lengths["de"], lengths["ca"]) * 3 < lengths["en"] and lengths["en"] >= 6:
        return "rows with a translation too short to be one"
    if max(lengths["de"], lengths["ca"]) > 3 * lengths["en"] + 3:
        return "rows with a translation too long to be one"
    return ""


def is_fragment(english: str, arabic: str) -> bool:
    """Whether only a slot of the sentence was translated ("taxi" for "book me a taxi"), as happens in the Arabic."""
    if not re.search("[ء-ي]", arabic):
        return True
    if _ONLY_A_TIME.fullmatch(arabic) and len(english.split()) >= 4:
        return True
    words = arabic.split()
    if len(words) == 1 and len(english.split()) >= 3:
        return not words[0].startswith(_ARABIC_BEGINNINGS)
    return len(words) * 2.5 < len(english.split()) and not words[0].startswith(_ARABIC_BEGINNINGS)


def massive_row(record: Mapping[str, str]) -> Row:
    """One record with capitals and marks, nothing left out."""
    clean = {
        language: " ".join(_INVISIBLE.sub("", record[language]).translate(APOSTROPHES).split()).strip("'")
        for language in ("en", "de", "tr", "ca", "ar")
    }
    english, partition = clean["en"], record["partition"]
    catalan, german = clean["ca"], clean["de"]
    if partition == "train":
        catalan, german = spelled_dayparts(catalan), _SLIP.sub("wird ", german)
    asks = is_question(english)
    return Row(
        id=f"massive-{record['id']}",
        source="massive",
        family=record["scenario"],
        partition=partition,  # type: ignore[arg-type]
        en=readable_english(english, NAMES),
        de=written_german(german, english, NAMES),
        tr=_latin(clean["tr"], turkish_asks(clean["tr"], asks), turkish=True),
        ca=_latin(catalan, asks and not _CATALAN_COMMAND.match(catalan), turkish=False),
        ar=clean["ar"].translate(_MARKS).rstrip(" .؟?") + ("؟" if asks or _ARABIC_ASKS.match(clean["ar"]) else "."),
    )


def turkish_asks(text: str, english_asks: bool) -> bool:
    """Whether lower-case Turkish asks: by its particle or an interrogative, unless it only reports one ("… söyle")."""
    if _TURKISH_PARTICLE.search(text):
        return True
    return english_asks and bool(_TURKISH_INTERROGATIVE.search(text))


def spelled_dayparts(catalan: str) -> str:
    """ "les nou a. m." as "les nou del matí", which is the more frequent of the two in the data."""

    def words(match: re.Match[str]) -> str:
        hour = match["hour"]
        part = "del matí" if match["half"] == "a" else _CATALAN_PARTS.get(hour, "del vespre")
        return f"{hour}{match['minutes'] or ''} {part}"

    return _CATALAN_DAYPART.sub(words, catalan)


def _latin(text: str, asks: bool, *, turkish: bool) -> str:
    text = _INITIALISM.sub(
        lambda match: match[0] if match[0] in ("a. m.", "p. m.") else re.sub(r"[. ]", "", match[0]).upper(), text
    )
    text = " ".join(word.capitalize() if word in NAMES else word for word in text.split())
    text = capitalised(text, "tr" if turkish else "ca")
    if asks:
        return text.rstrip(".") + "?" if not text.endswith(" m.") else text + "?"
    return text if text.endswith(".") else text + "."
