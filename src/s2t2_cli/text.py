"""Between text as people write it and what the checkpoints speak, both ways; the reference's English clean-up.

Knows: Moses tokenisation; how German, Turkish, Catalan and Arabic are written. Does not know: tokens, models.
"""

from __future__ import annotations

import re

from s2t2_cli.punctuation import join_tokens, unescape
from s2t2_cli.quotes import QuotationMarks

# In the order the reference goes through them; each is replaced in what those before have left.
_ENGLISH_CLEAN_UP = (
    (" .", "."), (" ?", "?"), (" !", "!"), (" ,", ","), (" ' ", "'"),
    (" n't", "n't"), (" 'm", "'m"), (" 's", "'s"), (" 've", "'ve"), (" 're", "'re"),
)  # fmt: skip

_CODES = {"deu": "de", "ger": "de", "tur": "tr", "cat": "ca", "ara": "ar"}

_USUALLY_OPEN = {"de": "„‚»›"}
_USUALLY_OPEN_ELSEWHERE = "“‘«‹"

_CURRENCY = "[$€£¥₺₹₽]"
_LETTER = r"[^\W\d_]"

# What is wrong after Moses' rules, which go token by token: a pattern and what comes in its place.
_REPAIRS = (
    # brackets and punctuation that a quotation mark was attached to: `("`, `?"`
    (r"(?<=[(\[{¿¡]) | (?=[)\]}])| (?=[,.;:!?]+(?:[^\w\s]|\s|$))", ""),
    (r"((?<![\d.,])\d{1,3}) ?: (?=\d{1,3}(?![.,]?\d))", r"\1:"),  # 10 : 30
    (r"(?<=[^\W_]) / (?=[^\W_])", "/"),  # und / oder
    (r"\b(https?|ftp): ?/ ?/ ?", r"\1://"),
    (r"(?<=\w) @ (?=[\w-]+\.\w)", "@"),  # name @ example.com
    (r"(?<=\d) °(?! ?[CF]\b)", "°"),  # 90 °
    (r"(?<=\d) ° (?=[CF]\b)", " °"),  # 20 ° C
    # Moses draws a currency sign to what follows, right for `$ 5` only: 5 €pro
    (rf"(?<=\d )({_CURRENCY})(?=\w)|(?<!\w)({_CURRENCY})(?={_LETTER})", r"\1\2 "),
    (" (?=[\u0300-\u036f\u064b-\u065f])", ""),  # a combining mark on its own
    ("(?<=i\u0307) (?=\\w)", ""),  # which in Turkish is the dot of a decomposed i̇ within a word
)

_REPAIRS_OF = {
    "de": (
        (r"(?<=\d)(?=[%‰])", " "),  # 5 %
        (r"(?<=%) (?=-?ige?[mnrs]?\b)", ""),  # 100 % ig
        (rf"(?<=[\"“«»”‘]) (?=-{_LETTER})", ""),  # "Bild" -Zeitung
        (r"(?<=\w)'(\w{2,})'(?=\w)", r" '\1' "),  # what the clean-up made of: sagte ' Nein ' und
    ),
    "tr": (
        # Moses draws the sign to what comes before, and here it belongs to the number: oran% 5
        (r"(?<=[^\s\d(\[{\"'“‘«])% (?=\d)", " %"),
        (r"(?<!\d)% (?=\d)", "%"),
        (r"(?<=\w)'(\w{2,})'(?=\w)", r" '\1' "),
        (r"(?<=\w) …", "…"),
    ),
    "ca": (
        (r"(?<=\d)(?=[%‰])", " "),
        (rf"(?<![\w'’])([dlmnst]['’]) (?={_LETTER})", r"\1"),  # l' home, s' ha
        (rf"(?<={_LETTER})(['’]) (?=(?:[mt]|[lns]s?)\b)", r"\1"),  # dona' m, anar-se' n
        (r"(?<=l) · (?=l)", "·"),  # col · legi
        (r"(?<=\w) …", "…"),
    ),
    "ar": ((r" (?=[،؛؟])", ""), (r"(?<=\d) ٪", "٪"), (r"(?<=\w) …", "…")),
}

# How Moses marks a hyphen it has split off, when asked to.
_SPLIT_HYPHEN = re.compile(r" ?(?<!\S)@-@(?!\S) ?")

# The end of a word whose rest the length limit has cut off.
_CUT_OFF = re.compile(r"\s*@@\s*$")


def clean_up_tokenization(text: str) -> str:
    """The reference's English clean-up: . ? ! , and contractions join the word before, whatever the language."""
    for spaced, joined in _ENGLISH_CLEAN_UP:
        text = text.replace(spaced, joined)
    return text


def language_code(lang: str | None) -> str | None:
    """The two-letter code of a language tag (`de-DE`, `deu`); other tags in lower case, None stays None."""
    if not lang:
        return None
    primary = re.split("[-_]", lang.strip().lower())[0]
    return _CODES.get(primary, primary)


class MosesTokenizer:
    """Makes text as people write it into label text: Moses-tokenised, as the checkpoints write it.

    This is what models are trained on, whatever trains them: punctuation and quotation marks stand apart, nothing
    is escaped (the published checkpoints write `"`, not `&quot;`), and case stays. The way back is `Detokenizer`.
    """

    def __init__(self, lang: str) -> None:
        """`lang` is a language tag (`de`, `de-DE`, `deu`); it decides which abbreviations keep their full stop.

        Languages without a list of abbreviations get the English one, as in Moses.
        """
        from sacremoses import MosesTokenizer as Moses

        self.lang = language_code(lang)
        self._moses = Moses(lang=self.lang)

    def __call__(self, text: str) -> str:
        """The label text of one sentence, on one line."""
        # White space of every kind first: Moses itself knows the plain space only as such.
        tokenized: str = self._moses.tokenize(" ".join(text.split()), escape=False, return_str=True)
        return " ".join(tokenized.split())


class Detokenizer:
    """Makes the Moses-tokenised text that the checkpoints write (`raw_text`) into text as people write it.

    Moses' own rules are for single tokens: punctuation, brackets, `@-@`, escapes as `&quot;`. Around them: quotation
    marks by what they enclose, numbers and units, Catalan elision, Arabic punctuation, and a last word cut off at the
    length limit, which loses its `@@`.

    No character but white space, escapes and those markers is ever added, dropped or moved. Text that tokenisation
    has made alike stays as it is: `3. 5` may be a date or a number.
    """

    def __init__(self, lang: str | None) -> None:
        """`lang` is a language tag (`de`, `de-DE`, `deu`).

        Other languages than the four get what is common to them; None undoes escapes and markers only, and leaves
        punctuation as the model wrote it.
        """
        self.lang = language_code(lang)
        self._quotation_marks = QuotationMarks(_USUALLY_OPEN.get(self.lang or "", _USUALLY_OPEN_ELSEWHERE))
        repairs = (*_REPAIRS, *_REPAIRS_OF.get(self.lang or "", ()))
        self._repairs = tuple((re.compile(found, re.IGNORECASE), instead) for found, instead in repairs)

    def __call__(self, raw_text: str) -> str:
        """The natural text of one `raw_text`, on one line."""
        text = unescape(_CUT_OFF.sub("", raw_text))
        text = _SPLIT_HYPHEN.sub("-", " ".join(text.split()))
        if self.lang is None:
            return text
        text = join_tokens(self._quotation_marks(text).split())
        for found, instead in self._repairs:
            text = found.sub(instead, text)
        return text
