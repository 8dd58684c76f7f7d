"""Output that ran away: the search caught in a loop, or more words than anybody speaks in that time.

Knows: token ids and seconds. Does not know: the model, text, how a second try is made (translator).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from s2t2_cli.generation.hypotheses import Hypothesis

RETRY_NO_REPEAT_NGRAM_SIZE = 3
"""What a second try forbids: no three tokens in a row twice. Pairs may come back, as in every ordinary sentence."""

Reason = Literal["repetition", "too_long_for_duration"]

# How often in a row 1, 2, … 8 tokens must come to be a loop. A word has up to three or four sub-words, and digits read
# out do repeat ("null null null null"); whole phrases do not come four times running.
_REPEATS = (8, 8, 8, 6, 4, 4, 4, 4)

# Of a loop with variations ("a b c a b d a b c …") most runs of three have been there before. In 2984 translations of
# spoken sentences at least 95 of 100 are new.
_FEWEST_NEW_TRIGRAMS = 0.5
_ENOUGH_TO_JUDGE = 24

# Of 37 600 spoken sentences and numbers with their German, Turkish or Arabic translations, fast synthetic voices among
# them, none exceeds this, although the vocabulary is of 800 sub-words and a larger one needs fewer: half have more than
# 6.5 tokens a second, one in a hundred more than 11.7. A short clip has more a second than a long one.
_TOKENS_PER_SECOND = 12.0
_TOKENS_AT_ONCE = 12


def is_runaway(
    tokens: Sequence[int], seconds: float, *, tokens_per_second: float = _TOKENS_PER_SECOND
) -> Reason | None:
    """Why `tokens`, without start, end and padding, cannot be what was said in `seconds`; None if they can.

    `repetition`: 1 to 8 tokens come again and again in a row, or hardly any run of three tokens is new.
    `too_long_for_duration`: far more than `tokens_per_second` allow. The reason is the warning's name.
    """
    if _looping(tokens) or _is_monotonous(tokens):
        return "repetition"
    if len(tokens) > _allowance(seconds, tokens_per_second):
        return "too_long_for_duration"
    return None


def better_of(
    first: Hypothesis, second: Hypothesis, seconds: float, *, tokens_per_second: float = _TOKENS_PER_SECOND
) -> Hypothesis:
    """The one to keep of a hypothesis and a second try at the same `seconds` of speech.

    One that ran away loses against one that did not; if both did, the one with fewer tokens that cannot be right is
    kept, among equals the first. A second try without a word is no improvement: what the first began with may be right.
    Scores do not decide: loops are more probable to the model than sentences.
    """
    if not second.tokens:
        return first

    def rank(one: Hypothesis) -> tuple[bool, int]:
        too_many = len(one.tokens) - int(_allowance(seconds, tokens_per_second))
        surplus = max(_looping(one.tokens), too_many, 0)
        return is_runaway(one.tokens, seconds, tokens_per_second=tokens_per_second) is not None, surplus

    return min(first, second, key=rank)


def _allowance(seconds: float, tokens_per_second: float) -> float:
    return _TOKENS_AT_ONCE + tokens_per_second * seconds


def _looping(tokens: Sequence[int]) -> int:
    """Tokens of the longest loop beyond its first round; 0 where there is none."""
    longest = 0
    for period, repeats in enumerate(_REPEATS, 1):
        same = 0
        for position in range(period, len(tokens)):
            same = same + 1 if tokens[position] == tokens[position - period] else 0
            if same >= period * (repeats - 1):
                longest = max(longest, same)
    return longest


def _is_monotonous(tokens: Sequence[int]) -> bool:
    if len(tokens) < _ENOUGH_TO_JUDGE:
        return False
    trigrams = [tuple(tokens[start : start + 3]) for start in range(len(tokens) - 2)]
    return len(set(trigrams)) < _FEWEST_NEW_TRIGRAMS * len(trigrams)
