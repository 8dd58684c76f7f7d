"""English as it is spoken: a readable form for synthesizers and a bare form for transcripts.

Knows: numbers, initialisms, apostrophes. Does not know: any other language, where a sentence comes from.
"""

from __future__ import annotations

import re
from functools import cache

from num2words import num2words
from text_words import word_lists

APOSTROPHES = str.maketrans({"’": "'", "‘": "'", "´": "'", "`": "'", "ʼ": "'"})

_CLOCK = re.compile(r"\b([ap])\. m\.")
_AFTER_HOUR = re.compile(
    r"\b(one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|fifteen|twenty|thirty|forty|fifty|o'clock) am\b"
)
_INITIALISM = re.compile(r"\b[a-z]\.(?: ?[a-z]\.)+")
_QUESTION = re.compile(
    r"(?:(?:please|hey|ok|okay|so|and|or|well|hi|hello|olly|siri|alexa|google|now|sorry|excuse me) )*"
    r"(?:(?:at|on|in|for|from|by|to|of|until) (?:what|which|whose)\b|what|what's|whats|who|who's|whose|where|where's"
    r"|when|when's|why|how|how's|hows|which|is|are|am|was|were|do|does|did|can|could|will|would|shall|should|may|might|have|has|had|isn't|aren't|don't|doesn't|didn't|won't|can't|any)\b"
)
_COMMAND = re.compile(
    r"(?:(?:please|hey|ok|okay|olly|siri|alexa|google) )*(?:do (?:not|it|this|that|a|the|my)|have (?:a|you|it)|don't)\b"
)
_TAG = re.compile(r" (?:or not|is it|isn't it|right|or no|doesn't it|is that true)$")
_CAPITALS = word_lists("parallel.txt")["english_capitals"]


@cache
def normalise_english(sentence: str) -> str:
    """The words alone, as they are said: `a`-`z`, apostrophes inside words and single spaces.

    Numerals become words ("7" seven), "a.m." becomes "a m", "U.S.A." becomes "u s a", hyphens separate words. This is
    the form for CTC transcripts and phonemes, and the form by which two sentences count as the same.

    Raises:
        ValueError: a character has no spoken form here.
    """
    said = sentence.translate(APOSTROPHES).lower()
    said = re.sub(r"\d+", lambda digits: f" {num2words(int(digits[0]))} ", said)
    said = re.sub(r"\b([a-z])\.", r"\1 ", said)
    said = re.sub(r"[-,.;:!?…\"]", " ", said)
    said = re.sub(r"(?<![a-z])'|'(?![a-z])", lambda mark: "'" if said[: mark.start()].endswith("s") else " ", said)
    said = " ".join(said.split())
    if strange := sorted(set(re.sub(r"[a-z' ]", "", said))):
        raise ValueError(f"no spoken form is known for {''.join(strange)!r} in {sentence!r}")
    return said


def is_question(spoken: str) -> bool:
    """Whether lower-case English without punctuation asks something."""
    return bool(_TAG.search(spoken) or (_QUESTION.match(spoken) and not _COMMAND.match(spoken)))


def readable_english(spoken: str, names: frozenset[str]) -> str:
    """Lower-case speech without punctuation as a sentence: capitals, "a.m.", a final mark.

    Args:
        spoken: for example `wake me up at nine am on friday`.
        names: lower-case words that are proper names, whatever the sentence.
    """
    text = _AFTER_HOUR.sub(r"\1 a.m.", spoken.translate(APOSTROPHES))
    text = _CLOCK.sub(r"\1.m.", text)
    text = _INITIALISM.sub(
        lambda match: match[0] if match[0] in ("a.m.", "p.m.") else match[0].replace(" ", "").upper(), text
    )
    words = [word.capitalize() if re.split(r"'", word)[0] in _CAPITALS | names else word for word in text.split()]
    text = " ".join(words)
    text = text[0].upper() + text[1:]
    mark = "?" if is_question(spoken) else "."
    return text + mark if not (mark == "." and text.endswith(".")) else text
