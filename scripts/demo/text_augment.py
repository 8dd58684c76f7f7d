"""New sentences from MASSIVE's training rows: a time or a day exchanged in all five languages at once.

Knows: how a surface is found and put in. Does not know: the words themselves (text_swaps), capitals, files.

An exchange is made only where each language has exactly one surface of the same member in a form that the new member
has too; anything less sure is left alone.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache

from text_massive import is_fragment
from text_rows import LANGUAGES
from text_swaps import HOUR, PARTS_OF_THE_DAY, WHEN, Member, hour_number

Record = Mapping[str, str]

SCENARIOS = frozenset({"alarm", "calendar", "datetime", "transport", "weather"})
_FUTURE = re.compile(
    r"\b(?:will|going to|gonna|should|shall|supposed to|do i need|set|wake|remind|add|create|book|schedule|cancel"
    r"|delete|remove|what's on|do i have|am i free|is my|any)\b"
)
_SETTLED = re.compile(
    r"\b(?:was|were|did|been|has|now|right now|it's|its|yesterday|already|currently|current|is it (?:rain|snow)ing)\b"
)
_CATALAN_PRESENT = re.compile(r"\b(?:fa|plou|neva|està|és)\b")
# What stands beside the old surface and cannot stand beside the new one.
_CLASHES = {
    "en": re.compile(
        r"\b(?:from|by|until|till|before|after|since|first|second|third|fourth|for|to|the|of|on|my|a)"
        r" (?:on|today|tomorrow|tonight|this|next)\b"
        r"|\b(?:be|is|how's|in|it) on \w+day\b"
    ),
    "de": re.compile(
        r"\b(?!für )(?:von|bis|ab|vor|nach|seit|bei|mit|die|der|den|dem|das|des|zum|zur|eine[nrm]?|meine[nrm]?|jeden"
        r"|nächsten|diese[rnm]|am) (?:am|morgen|heute|diese|nächste|dieses)\b"
        r"|\bfür (?:am|die am)\b"
    ),
    "tr": re.compile(
        r"\b(?:bugün|yarın|hafta|akşam|sonu) (?:günü|gün)\b|\bgünü (?:günü|den|dan)\b"
        r"|\b(?:her|bu|sonraki|gelecek) (?:bu|gelecek|bugün|yarın)\b"
    ),
    "ca": re.compile(
        r"\b(?:el|els|al|als|del|pel|la|cada|proper|aquest) (?:avui|demà|aquest|aquesta|la)\b|\b(?:de|per) (?:de|per)\b"
    ),
    "ar": re.compile(
        r"(?:بكره|الليلة|الجاي|الأسبوع|اليوم) (?:هذ|هاذ)|[لب]?هذا (?:يوم|اليوم)"
        r"|يوم (?:بكره|اليوم|هذا|الأسبوع|نهاية|الليلة|يوم)(?!\w)"
    ),
}
_QUESTION_PARTICLE = re.compile(r"^m[ıiuü]\w*")
# "for five" of "for five minutes" and "morgen" of "morgen früh" are no surfaces.
_NOT_BEFORE = {
    "en": r"(?![\w'])(?! (?:morning|evening|afternoon|night|noon|thirty|fifteen|minutes?|hours?|days?|weeks?|hundred"
    r"|o'clock|p\. m\.|am|to|and|at night))",
    "de": r"(?!\w)(?! (?:früh|morgen|abend|nachmittag|mittag|nacht|vormittag|dreißig|fünfzehn))",
    "tr": r"(?!\w)(?! (?:günkü|gün |sonu|bir|iki|dakika|saat |[dt][ae]n?\b|y?[ea]\b))",
    "ca": r"(?![\w·-])(?! (?:al matí|a la tarda|al vespre|a la nit|i quart))",
    "ar": r"(?!\w)",
}
_POLITE = {"de": "bitte {}", "tr": "lütfen {}", "ca": "si us plau {}", "ar": "لو سمحت {}"}
_IMPERATIVE = re.compile(
    r"(?:set|wake|show|tell|remind|add|create|delete|remove|cancel|turn|give|book|find|check|open|list|make|clear|call"
    r"|schedule|stop|change|buy|get|read|put) "
)


def augmented(records: Iterable[Record], rng: random.Random, each: int = 8) -> Iterator[dict[str, str]]:
    """New records in the columns of the old, `each` at most of one row, all of the training partition."""
    for record in records:
        if record["partition"] != "train" or record["scenario"] not in SCENARIOS:
            continue
        clean = {language: record[language].replace("’", "'") for language in LANGUAGES}
        found = [*_exchanged(clean, "when"), *_exchanged(clean, "hour")]
        both = [again for first in _exchanged(clean, "when") for again in _exchanged(first, "hour")]
        found += rng.sample(both, min(len(both), each))
        found = rng.sample(found, min(len(found), each))
        if polite := _politely(clean):
            found.append(polite)
        for sentence in found:
            yield {**record, **sentence}


def _exchanged(sentence: Record, kind: str) -> list[dict[str, str]]:
    members = WHEN if kind == "when" else HOUR
    places = {}
    for language in LANGUAGES:
        match = _only_surface(sentence[language], language, kind)
        if match is None:
            return []
        places[language] = match
    present = {member for _, member, _ in places.values()}
    if len(present) != 1:
        return []
    (old,) = present
    if kind == "when" and not _may_change_day(sentence, old):
        return []
    hours = _hours_beside(sentence) if kind == "hour" else frozenset()
    new_sentences = []
    for new, forms in members.items():
        if new == old or (kind == "hour" and (hour_number(new) not in hours or new == "one")):
            continue
        if kind == "when" and not _tense_fits(sentence, old, new):
            continue
        new_sentence = {}
        for language, ((start, end), _, form) in places.items():
            if form not in forms[language]:
                break
            text = sentence[language]
            new_sentence[language] = text[:start] + forms[language][form][0] + text[end:]
        else:
            if not any(_CLASHES[language].search(text) for language, text in new_sentence.items()):
                new_sentences.append(new_sentence)
    return new_sentences


def _only_surface(text: str, language: str, kind: str) -> tuple[tuple[int, int], str, str] | None:
    """Where the one surface is, its member and form; None if there is none or more than one."""
    pattern, meanings = _surfaces(language, kind)
    matches = list(pattern.finditer(text))
    if len(matches) != 1:
        return None
    match = matches[0]
    if language == "tr" and _QUESTION_PARTICLE.match(text[match.end() :].strip()):
        return None  # the particle agrees with the vowel before it
    member, form = meanings[match[0]]
    return match.span(), member, form


@cache
def _surfaces(language: str, kind: str) -> tuple[re.Pattern[str], dict[str, tuple[str, str]]]:
    members: Mapping[str, Member] = WHEN if kind == "when" else HOUR
    meanings = {
        spelling: (member, form)
        for member, languages in members.items()
        for form, spellings in languages[language].items()
        for spelling in spellings
    }
    longest_first = sorted(meanings, key=len, reverse=True)
    pattern = re.compile(r"(?<![\w'])(?:" + "|".join(map(re.escape, longest_first)) + ")" + _NOT_BEFORE[language])
    return pattern, meanings


def _may_change_day(sentence: Record, old: str) -> bool:
    if re.search(r"\b(?:the|which|what) (?:date|day)\b", sentence["en"]) or _SETTLED.search(sentence["en"]):
        return False
    return old != "today" or bool(_FUTURE.search(sentence["en"]))


def _tense_fits(sentence: Record, old: str, new: str) -> bool:
    """Catalan and English say today's weather in the present, tomorrow's in the future; nine a.m. is not tonight."""
    if old == "today" and new != "today" and _CATALAN_PRESENT.search(sentence["ca"]):
        return False
    if new == "tonight" and re.search(r"\b(?:am|p\. m\.|o'clock|morning|noon|afternoon)\b", sentence["en"]):
        return False
    # "this" and "the" agree with nothing else, but "every" and "next friday" would clash.
    return not re.search(r"\b(?:every|each|last|next (?!week)|of this|of next|per)\b", sentence["en"])


def _hours_beside(sentence: Record) -> frozenset[int]:
    hours = frozenset(range(1, 13))
    for language, parts in PARTS_OF_THE_DAY.items():
        for word, allowed in parts:
            if re.search(rf"(?<!\w){re.escape(word)}(?!\w)", sentence[language]):
                hours &= allowed
    return hours


def _politely(sentence: Record) -> dict[str, str] | None:
    """ "please" before a command that has none."""
    if not _IMPERATIVE.match(sentence["en"]) or "please" in sentence["en"] or len(sentence["en"].split()) < 3:
        return None
    if is_fragment(sentence["en"], sentence["ar"]) or re.match(r"(?:هل|كم|متى|وش|ايش|كيف|وين|تذكير) ", sentence["ar"]):
        return None
    if not re.match(r"\w+e? ", sentence["de"]) or re.match(
        r"(?:ein\w*|der|die|das|mein\w*|alle|füg|für|auf|in) ", sentence["de"]
    ):
        return None
    if sentence["de"].split()[-1].endswith("en") and not sentence["de"].split()[0].endswith(
        ("e", "ll", "g", "b", "ck")
    ):
        return None
    return {"en": "please " + sentence["en"]} | {
        language: form.format(sentence[language]) for language, form in _POLITE.items()
    }
