"""Which words of a hypothesis and of its reference have no counterpart in the other.

Knows: words and their order. Does not know: how differences are shown, scores.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from difflib import SequenceMatcher
from itertools import groupby

Marked = list[tuple[str, bool]]
"""A text in pieces, in order; True for a piece that has no counterpart."""

# A letter with the marks that stand on it belongs to the word, in Arabic too; anything else is a piece of its own.
_PIECES = re.compile("(?:\\w[\u0300-\u036f\u0610-\u061a\u064b-\u065f\u0670]*)+|\\s+|.", re.DOTALL)


def mark_differences(
    reference: str, hypotheses: Sequence[str], same: Callable[[str], str] = lambda word: word
) -> tuple[Marked, list[Marked]]:
    """The reference with what no hypothesis has, and each hypothesis with what the reference has not.

    Words and single punctuation marks are compared by what `same` makes of them; what it makes empty differs from
    nothing. Order counts: a word at another place is no counterpart. Where all hypotheses are empty there is nothing
    to compare with, and nothing is marked.
    """
    pieces = _PIECES.findall(reference)
    words = [key for piece in pieces if (key := same(piece).strip())]
    missed = set(range(len(words)))
    marked = []
    for hypothesis in hypotheses:
        theirs = _PIECES.findall(hypothesis)
        keys = [key for piece in theirs if (key := same(piece).strip())]
        blocks = SequenceMatcher(None, words, keys, autojunk=False).get_matching_blocks()
        missed -= {block.a + step for block in blocks for step in range(block.size)}
        found = {block.b + step for block in blocks for step in range(block.size)}
        marked.append(_mark(theirs, set(range(len(keys))) - found, same))
    return _mark(pieces, missed if any(marked) else set(), same), marked


def _mark(pieces: Iterable[str], differing: set[int], same: Callable[[str], str]) -> Marked:
    """Pieces of one kind joined; space between two that differ goes with them."""
    flags: list[tuple[str, bool | None]] = []
    number = 0
    for piece in pieces:
        if not same(piece).strip():
            flags.append((piece, None))
            continue
        flags.append((piece, number in differing))
        number += 1
    decided = [
        (piece, flag if flag is not None else _between(flags, place)) for place, (piece, flag) in enumerate(flags)
    ]
    return [("".join(piece for piece, _ in group), differs) for differs, group in groupby(decided, lambda one: one[1])]


def _between(flags: Sequence[tuple[str, bool | None]], place: int) -> bool:
    before = next((flag for _, flag in reversed(flags[:place]) if flag is not None), False)
    after = next((flag for _, flag in flags[place + 1 :] if flag is not None), False)
    return before and after
