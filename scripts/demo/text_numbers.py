"""Numbers in five languages as slot tables.

Knows: num2words; Turkish and Arabic, where it falls short. Does not know: sentences.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping

from num2words import num2words
from text_english import normalise_english

DIGITS: Mapping[str, tuple[str, ...]] = {
    "en": ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
    "de": ("null", "eins", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun"),
    "tr": ("sıfır", "bir", "iki", "üç", "dört", "beş", "altı", "yedi", "sekiz", "dokuz"),
    "ca": ("zero", "u", "dos", "tres", "quatre", "cinc", "sis", "set", "vuit", "nou"),
    "ar": ("صفر", "واحد", "اثنان", "ثلاثة", "أربعة", "خمسة", "ستة", "سبعة", "ثمانية", "تسعة"),
}
_TURKISH_TENS = ("", "on", "yirmi", "otuz", "kırk", "elli", "altmış", "yetmiş", "seksen", "doksan")
_ARABIC_TEENS = (
    "عشرة", "أحد عشر", "اثنا عشر", "ثلاثة عشر", "أربعة عشر", "خمسة عشر", "ستة عشر", "سبعة عشر", "ثمانية عشر",
    "تسعة عشر",
)  # fmt: skip
_ARABIC_TENS = ("", "", "عشرون", "ثلاثون", "أربعون", "خمسون", "ستون", "سبعون", "ثمانون", "تسعون")
_ARABIC_HUNDREDS = (
    "", "مئة", "مئتان", "ثلاثمئة", "أربعمئة", "خمسمئة", "ستمئة", "سبعمئة", "ثمانمئة", "تسعمئة",
)  # fmt: skip


def number_tables(rng: random.Random) -> dict[str, tuple[Mapping[str, str], ...]]:
    """The slots `digits` (strings of 2 to 7), `number` (0 to 100), `big` (to 9999) and `price` (euros and dollars)."""
    big = sorted(
        {
            *range(200, 1000, 100),
            *range(1000, 10000, 1000),
            *rng.sample(range(101, 1000), 150),
            *rng.sample(range(1001, 10000), 120),
        }
    )
    return {
        "digits": tuple(_digit_strings(rng)),
        "number": tuple(number_entry(value) for value in range(101)),
        "big": tuple(number_entry(value) for value in big),
        "price": tuple(_prices(rng)),
    }


def number_entry(value: int) -> dict[str, str]:
    """A counted number, 0 to 9999, by language."""
    english = normalise_english(num2words(value, lang="en").replace(",", ""))
    german = num2words(value, lang="de")
    if value // 100 == 1 or value // 1000 == 1:
        german = german.removeprefix("ein")
    counted = num2words(value, lang="ca")
    # Counting says "u": num2words has the form before a masculine noun.
    catalan = counted.removesuffix("un") + "u" if counted.split("-")[-1].split()[-1] == "un" else counted
    entry = {"en": english, "de": german, "tr": turkish(value), "ca": catalan, "ca.m": counted, "ar": arabic(value)}
    tags = (
        ("degree " if 2 <= value <= 40 else "")
        + ("low " if 1 <= value <= 30 else "")
        + ("age" if 2 <= value <= 90 else "")
    )
    if 2 <= value <= 40:
        degrees = _arabic_degrees(value)
        entry |= {"ar.degrees": degrees, "ar.todegrees": _genitive(degrees)}
    return entry | {"tags": tags}


def turkish(value: int) -> str:
    """Written apart, as the language institute has it: num2words joins the words, which is the form for cheques."""
    if value == 0:
        return DIGITS["tr"][0]
    thousands, hundreds, tens, ones = value // 1000, value // 100 % 10, value // 10 % 10, value % 10
    words = [
        *([DIGITS["tr"][thousands]] * (thousands > 1) + ["bin"] * (thousands > 0)),
        *([DIGITS["tr"][hundreds]] * (hundreds > 1) + ["yüz"] * (hundreds > 0)),
        *[_TURKISH_TENS[tens]] * (tens > 0),
        *[DIGITS["tr"][ones]] * (ones > 0),
    ]
    return " ".join(words)


def arabic(value: int) -> str:
    """The nominative with "و" written to the next word: num2words sets it apart and has no nominative of 200."""
    if value == 0:
        return DIGITS["ar"][0]
    parts = []
    if thousands := value // 1000:
        parts.append({1: "ألف", 2: "ألفان"}.get(thousands) or f"{DIGITS['ar'][thousands]} آلاف")
    if hundreds := value // 100 % 10:
        parts.append(_ARABIC_HUNDREDS[hundreds])
    rest = value % 100
    if 10 <= rest <= 19:
        parts.append(_ARABIC_TEENS[rest - 10])
    else:
        if rest % 10:
            parts.append(DIGITS["ar"][rest % 10])
        if rest >= 20:
            parts.append(_ARABIC_TENS[rest // 10])
    return " و".join(parts)


_FEMININE_ONES = ("", "إحدى", "اثنتان", "ثلاث", "أربع", "خمس", "ست", "سبع", "ثماني", "تسع", "عشر")


def _arabic_degrees(value: int) -> str:
    """2 to 40 degrees; "درجة" is feminine, and which number it stands in depends on the numeral."""
    tens, ones = divmod(value, 10)
    if value == 2:
        return "درجتان"
    if value <= 10:
        return f"{_FEMININE_ONES[value]} درجات"
    if value < 20:
        return f"{'اثنتا' if ones == 2 else _FEMININE_ONES[ones]} عشرة درجة"
    return f"{_FEMININE_ONES[ones]} و{_ARABIC_TENS[tens]} درجة" if ones else f"{_ARABIC_TENS[tens]} درجة"


def _genitive(words: str) -> str:
    return (
        re.sub(r"ون\b", "ين", words).replace("درجتان", "درجتين").replace("اثنتان", "اثنتين").replace("اثنتا ", "اثنتي ")
    )


def _digit_strings(rng: random.Random) -> list[dict[str, str]]:
    """Half of all pairs, and twice as many longer ones; zero is said "oh" now and then in the longer ones."""
    strings = {tuple(pair) for pair in rng.sample([(a, b) for a in range(10) for b in range(10)], 60)}
    for length, wanted in ((3, 420), (4, 520), (5, 520), (6, 260), (7, 320)):
        strings |= {tuple(rng.randrange(10) for _ in range(length)) for _ in range(wanted)}
    entries = []
    for string in sorted(strings):
        entry = {language: " ".join(words[digit] for digit in string) for language, words in DIGITS.items()}
        if len(string) > 3 and 0 in string and rng.random() < 0.12:
            entry["en"] = entry["en"].replace("zero", "oh")
        entries.append(entry)
    return entries


def _prices(rng: random.Random) -> list[dict[str, str]]:
    values = sorted({*range(2, 31), *range(35, 101, 5), *rng.sample(range(31, 100), 25), *range(150, 1000, 50)} - {101})
    entries = []
    for value in values:
        entry = number_entry(value)
        catalan = entry["ca.m"]
        last = value % 100
        dollar = "دولارات" if 3 <= last <= 10 else "دولار" if last == 0 else "دولارا"
        entries.append({
            "en": entry["en"] + " euros", "de": entry["de"] + " Euro", "tr": entry["tr"] + " euro",
            "ca": catalan + " euros", "ar": _before_noun(value, entry["ar"]) + " يورو",
        })  # fmt: skip
        if value > 2:
            entries.append({
                "en": entry["en"] + " dollars", "de": entry["de"] + " Dollar", "tr": entry["tr"] + " dolar",
                "ca": catalan + " dòlars", "ar": _before_noun(value, entry["ar"]) + " " + dollar,
            })  # fmt: skip
    return entries


def _before_noun(value: int, words: str) -> str:
    return "مئتا" if value == 200 else words
