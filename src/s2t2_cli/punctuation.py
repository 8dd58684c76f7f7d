"""Taking back the spaces that Moses' tokenisation has put around punctuation, and its escapes.

Knows: which tokens belong to the word before or after, whatever the language. Does not know: quotation marks (quotes),
what differs between languages (text).

The rules are those of Moses' own detokeniser. They are written down here because sacremoses, which has them, takes a
quarter as long to import as torch does, before the first line can appear; the tests compare the two.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

_ESCAPES = {
    "&#124;": "|", "&bar;": "|", "&lt;": "<", "&gt;": ">", "&quot;": '"', "&apos;": "'",
    "&#91;": "[", "&bra;": "[", "&#93;": "]", "&ket;": "]", "&amp;": "&",
}  # fmt: skip
_ESCAPE = re.compile("|".join(map(re.escape, _ESCAPES)))

_OPENING = frozenset("([{¿¡")
_CLOSING = frozenset(",.?!:;\\%}])")

# What is written without spaces between words: Chinese and Japanese, not Korean.
_UNSPACED = re.compile(
    "[\u2e80-\u303f\u3040-\u312f\u31a0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f"
    "\U00016fe0-\U00018aff\U0001b000-\U0001b12f\U00020000-\U0002ffff]"
)


def unescape(text: str) -> str:
    """`text` with the characters that Moses escapes (`&quot;`, `&#91;`) as they are, each undone once."""
    return _ESCAPE.sub(lambda found: _ESCAPES[found.group()], text)


def join_tokens(tokens: Sequence[str]) -> str:
    """One string, a space between tokens except where punctuation belongs to one of them: `( Ja ! )` -> `(Ja!)`.

    Opening brackets and currency signs go with what follows, other punctuation and closing brackets with what comes
    before; between Chinese or Japanese tokens there is no space.
    """
    joined, opened, before = "", True, ""
    for token in tokens:
        close = opened or _CLOSING.issuperset(token) or _are_unspaced(before, token)
        joined += token if close else f" {token}"
        opened, before = _opens(token), token
    return joined


def _opens(token: str) -> bool:
    return all(one in _OPENING or unicodedata.category(one) == "Sc" for one in token)


def _are_unspaced(before: str, token: str) -> bool:
    return bool(before and _UNSPACED.match(before[-1]) and _UNSPACED.match(token[0]))
