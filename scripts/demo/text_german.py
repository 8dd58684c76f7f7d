"""Lower-case German without marks as German is written. Knows: nouns by a tagger, commas that are sure, final marks.

Does not know: MASSIVE, templates. The tagger is HanTa (Hannover Tagger, LGPL; its German model comes in the package): a
tool, of which nothing ends up in the corpus but the choice of a capital.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from text_english import is_question
from text_words import word_lists

_WORDS = word_lists("german.txt")
_CALLS, _COMMANDS = _WORDS["calls"], _WORDS["commands"]

_DETERMINERS = ("ART", "PPOSAT", "PDAT", "PIAT", "APPRART", "PWAT", "ADJ(A)")
_ONES = "ein|zwei|drei|vier|fünf|sechs|sieben|acht|neun"
_CARDINAL = re.compile(
    rf"(?:(?:{_ONES})(?:und)?)?(?:hundert\w*|tausend\w*|zwanzig|dreißig|(?:vier|fünf|sech|sieb|acht|neun)zig)"
)
_INITIALISM = re.compile(r"\b[a-zäöü]\.(?: [a-zäöü]\.)+")
_CALLED = re.compile(r"^((?:hey |ok |okay )?(?:olly|siri|alexa|google)) (?=\w)", re.IGNORECASE)
_THIRD_PERSON = re.compile(r"\b(?:she|her|they|them|their|it|these|those)\b")

_INVERTED = re.compile(r"\w+(?:st du|t (?:es|er|ihr)|[eb] ich|en wir)\b")

_PREPOSITION = r"(?:(?:um|für|an|in|auf|von|zu|bei|mit|seit|bis|aus|über|nach|vor) )?"
_QUESTION_WORD = (
    r"(?:was|wer|wen|wem|wessen|wohin|woher|wo|wann|wie|wieso|weshalb|warum|wozu|womit|wofür|worum|wieviel"
    r"|welche[rsnm]?)\b"
)
_ASKS = re.compile(_PREPOSITION + _QUESTION_WORD, re.IGNORECASE)
_INDIRECT = re.compile(rf"(?<=\w) (?={_PREPOSITION}{_QUESTION_WORD})")
_CLAUSE = re.compile(
    r"(?<=\w) (?=(?:dass|ob|weil|wenn|falls|damit|sodass|bevor|nachdem|aber)\b"
    r"|(?:(?:von|mit|in|bei|für|an|zu) )?(?:der|die|das|den|dem) (?:ich|du|wir|man|er)\b"
    r"|um (?!\w+ Uhr)(?:\S+ )*zu \w+n$)"
    r"|(?<=daran) (?=(?:\S+ )+zu \w+n$)"
)
_NO_COMMA_AFTER = _CALLS | {
    "und",
    "oder",
    "als",
    "so",
    "auch",
    "nicht",
    "nur",
    "selbst",
    "sowie",
    "aber",
    "egal",
    "wie",
}


@cache
def _tagger() -> Any:
    try:
        from HanTa import HanoverTagger
    except ImportError as error:
        raise SystemExit("German needs the tagger: pip install -r scripts/demo/requirements.txt") from error
    return HanoverTagger.HanoverTagger("morphmodel_ger.pgz")


def german_tags(words: list[str]) -> list[str]:
    """STTS tags, some with a form as `VV(FIN)`, of lower-case words."""
    return [tag for _, _, tag in _tagger().tag_sent(words, casesensitive=False)]


def written_german(spoken: str, english: str, names: frozenset[str] = frozenset()) -> str:
    """The sentence with capitals, sure commas and a final mark.

    Args:
        spoken: lower case, no marks: `weck mich am freitag um neun uhr auf`.
        english: its source, lower case; tells "Sie" from "sie", and a question.
        names: proper names in lower case.
    """
    spoken = _INITIALISM.sub(lambda match: re.sub(r"[. ]", "", match[0]).upper(), spoken)
    words = spoken.split()
    tags = german_tags([word.lower() for word in words])
    asks = _is_question(words, tags, english)
    cased = " ".join(_cased(words, tags, place, english, names) for place in range(len(words)))
    sentence = _CALLED.sub(r"\1, ", _with_commas(cased, tags))
    return sentence[0].upper() + sentence[1:].rstrip(".") + ("?" if asks else ".")


def _cased(words: list[str], tags: list[str], place: int, english: str, names: frozenset[str]) -> str:
    word, tag = words[place], tags[place]
    previous, before = (words[place - 1], tags[place - 1]) if place else ("", "")
    following = tags[place + 1] if place + 1 < len(words) else ""
    if len(word) > 1 and word.isupper():
        return word
    if _is_noun(word, tag, previous, before, following, names):
        return word.capitalize()
    if word == "sie" and not _THIRD_PERSON.search(english):
        polite = (previous.endswith("en") and before.startswith("V")) or (previous == "dass" and " you to " in english)
        return "Sie" if polite else word
    return word


def _is_noun(word: str, tag: str, previous: str, before: str, following: str, names: frozenset[str]) -> bool:
    determined = before.startswith(_DETERMINERS)
    tagged = tag.startswith("NN") or tag == "NE"
    noun_follows = following.startswith(("NN", "NE", "ADJ"))
    if word in names:
        return True
    if word in _WORDS["verbal"]:
        return tagged and previous != "zu" and (determined or before.startswith("APPR"))
    if word in _COMMANDS:
        return previous not in _CALLS and (determined or before.startswith("APPR"))
    if word in _WORDS["always"]:
        return True
    if word == "morgen":
        return determined or previous in ("heute", "gestern", "guten", "jeden", "am", "morgen")
    if word == "mal":
        return before == "ADJ(A)"
    if word in _WORDS["nominalised"]:
        return not noun_follows
    if word in _WORDS["never"] or _CARDINAL.fullmatch(word):
        return False
    if _is_ordinal(word):
        return before.startswith("ART") and not noun_follows
    return tagged and word[0].isalpha()


def _is_ordinal(word: str) -> bool:
    stem = re.sub(r"e[nrms]?$", "", word)
    return stem in _WORDS["ordinal_stems"] or stem.endswith(("zigst", "ßigst"))


def _is_question(words: list[str], tags: list[str], english: str) -> bool:
    start = next(
        (place for place, word in enumerate(words) if word not in _CALLS | {"hey", "ok", "okay", "und", "also"}), 0
    )
    rest, first = " ".join(words[start:]), tags[start]
    if _ASKS.match(rest) or rest.endswith((" oder", " oder nicht", " richtig")):
        return True
    if words[start] in _COMMANDS | {"lass", "sei"}:
        return False
    if first.startswith("VV") or words[start] in ("hab", "möchte", "werde"):
        return bool(_INVERTED.match(rest)) or (words[start].endswith("t") and is_question(english))
    if first in ("VA(FIN)", "VM(FIN)"):
        return True
    return is_question(english)


def _with_commas(sentence: str, tags: list[str]) -> str:
    def comma(match: re.Match[str]) -> str:
        return " " if match.string[: match.start()].split()[-1].lower() in _NO_COMMA_AFTER else ", "

    sentence = _CLAUSE.sub(comma, sentence)
    # "Sag mir, wie spät es ist": a question inside a sentence is known by the finite verb at its end.
    if tags[-1] in ("VA(FIN)", "VM(FIN)", "VV(FIN)") and not _ASKS.match(sentence):
        sentence = _INDIRECT.sub(comma, sentence, count=1)
    return sentence
