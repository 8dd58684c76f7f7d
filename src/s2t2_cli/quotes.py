"""Which quotation marks of a Moses-tokenised text open and which close, and the spaces that follow from it.

Knows: quotation marks and apostrophes. Does not know: other punctuation rules, languages by name.
"""

from __future__ import annotations

import re
from typing import Literal

Role = Literal["open", "close", "join", "keep"]

_MARK = re.compile("[\"'„“”«»‹›‚‘’]")

# Marks that can close what another has opened share a family.
_FAMILY = {mark: family[0] for family in ('"', "'", "“„”", "«»", "‹›", "‘‚’") for mark in family}
_ALWAYS_OPEN = frozenset("„‚")

_ENDS_CLAUSE = frozenset(".,;:!?…)]}،؛؟")
_OPENING_BRACKETS = frozenset("([{¿¡")


class QuotationMarks:
    """Attaches free-standing quotation marks to what they quote; it adds, drops and changes none.

    Marks of a family take turns, the first opens. Where one of a pair is missing (in a translation cut at the
    length limit, say), what stands beside a mark decides.
    """

    def __init__(self, usually_open: str) -> None:
        """`usually_open` holds the marks that open in the language; the others open only if one comes to close."""
        self._usually_open = frozenset(usually_open) | frozenset("\"'") | _ALWAYS_OPEN

    def __call__(self, text: str) -> str:
        """`text`, single spaces between its tokens, with each mark attached to the word after or before it."""
        done, start, attach = "", 0, False
        opened: set[str] = set()
        for found in _MARK.finditer(text):
            between = text[start : found.start()]
            done += between.lstrip() if attach else between
            start, mark = found.end(), found.group()
            role = self._role(text, found.start(), opened)
            attach = role in ("open", "join")
            if role == "open":
                opened.add(_FAMILY[mark])
                done += f" {mark}" if done and done[-1] in _ENDS_CLAUSE else mark
            elif role == "keep":
                done += mark
            else:
                opened.discard(_FAMILY[mark])
                done = done.rstrip() + mark
                if role == "close" and text[start : start + 1].isalnum():
                    done += " "
        rest = text[start:]
        return done + (rest.lstrip() if attach else rest)

    def _role(self, text: str, position: int, opened: set[str]) -> Role:
        mark, before, after = text[position], text[:position], text[position + 1 :]
        left, right = before[-1:], after[:1]
        is_open = _FAMILY[mark] in opened
        if mark in "'’" and left.isalnum() and right.isalnum():
            return "keep"
        if not before.strip():
            return "open" if after.strip() else "keep"
        if not after.strip():
            announced = before.rstrip()[-1] == ":" and not is_open
            return "open" if announced or mark in _ALWAYS_OPEN else "close"
        free_left, free_right = left == " ", right == " "
        if free_right and not free_left:
            return "open" if left in _OPENING_BRACKETS else "close"
        if not free_right and right not in _ENDS_CLAUSE:
            if free_left:
                return "keep" if mark == "'" else "open"
            if left in _ENDS_CLAUSE and right.isalnum():
                return "close" if is_open else "open"
            return "keep"
        if not free_left:
            return "close"
        return self._role_of_free(mark, before.rstrip(), after.lstrip(), is_open, text)

    def _role_of_free(self, mark: str, before: str, after: str, is_open: bool, text: str) -> Role:
        """The role of a mark between two spaces, or between a space and punctuation that has moved up to it."""
        if is_open:
            # An odd number of straight marks: one of them is missing, and speech is announced by a colon.
            reopened = mark == '"' and before[-1] == ":" and text.count(mark) % 2 == 1
            return "open" if reopened or mark in _ALWAYS_OPEN else "close"
        if mark == "’" and before[-1].isalnum() and after[0].isalnum():
            return "join"
        if mark not in self._usually_open:
            return "open" if any(_FAMILY.get(one) == _FAMILY[mark] for one in after) else "close"
        ends_clause = after[0] in _ENDS_CLAUSE and not after.startswith(("..", "…"))
        return "close" if ends_clause and mark not in _ALWAYS_OPEN else "open"
