"""Decoded text: the reference's English clean-up, and natural text out of what the checkpoints write.

Knows: Moses tokenisation and how German, Turkish, Catalan and Arabic are written. Does not know: tokens, models.
"""

from __future__ import annotations

import re

from s2t2_cli.quotes import QuotationMarks

# In the order the reference goes through them; each is replaced in what those before have left.
_ENGLISH_CLEAN_UP = (
    (" .", "."), (" ?", "?"), (" !", "!"), (" ,", ","), (" ' ", "'"),
    (" n't", "n't"), (" 'm", "'m"), (" 's", "'s"), (" 've", "'ve"), (" 're", "'re"),
)  # fmt: skip

_LANGUAGES = {
    "de": ("deu", "ger", "german"),
    "tr": ("tur", "turkish"),
    "ca": ("cat", "catalan"),
    "ar": ("ara", "arabic"),
}

# The end of a word that the length limit has cut off.
_CUT_OFF = re.compile(r"@@\s*$")

_CURRENCY = "[$€£¥₺₹₽]"

# What sacremoses leaves apart or joins wrongly, in any of the languages.
_REPAIRS = (
    (r"(?<=[(\[{¿¡]) | (?=[)\]}…])", ""),
    # Also before punctuation that a quotation mark has been attached to: `?"`.
    (r" (?=[,.;:!?]+(?:[^\w\s]|\s|$))", ""),
    # `10 : 30`, `3 : 1`; `und / oder`, `km / h`; `col · legi`
    (r"(?<=\d) ?: (?=\d)", ":"),
    (r"(?<=\w) / (?=\w)", "/"),
    (rf"(?<=\d) °(?!\w| [CF]\b)|(?<=°) (?=[CF]\b)", None),
)
