"""What may be taken out of texts before they are scored, where case or punctuation should not count.

Knows: the rules, and how to name them. Does not know: how texts are scored; what sacrebleu does itself (its
lower-casing, its tokenisation) stands in sacrebleu's signature.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

from s2t2_cli.text import language_code


@dataclass(frozen=True, slots=True)
class Normalization:
    """Applied to hypotheses and references alike.

    `ignore_case` lower-cases as Unicode does, in Turkish (`lang`) I to ı and İ to i first. `ignore_punctuation`
    makes every character of Unicode's punctuation categories (P*, % and apostrophes among them) a space. Either
    one also makes white space single spaces.
    """

    ignore_case: bool = False
    ignore_punctuation: bool = False
    lang: str | None = None

    def __call__(self, text: str) -> str:
        """`text` without what does not count."""
        if self.ignore_case:
            if language_code(self.lang) == "tr":
                text = text.replace("I", "ı").replace("İ", "i")
            text = text.lower()
        if self.ignore_punctuation:
            text = "".join(" " if unicodedata.category(one).startswith("P") else one for one in text)
        return " ".join(text.split()) if self.ignore_case or self.ignore_punctuation else text

    def __str__(self) -> str:
        """What was done, for a report: nothing where nothing was."""
        rules = []
        if self.ignore_case:
            rules.append("lower-cased" + (" (Turkish)" if language_code(self.lang) == "tr" else ""))
        if self.ignore_punctuation:
            rules.append("punctuation made spaces")
        return ", ".join(rules)
