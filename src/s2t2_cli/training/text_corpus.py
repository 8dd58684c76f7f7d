"""Label text becomes ids to learn from and ids to validate on.

Knows: the tokenizer, which sentences are held out or left out. Does not know: files, languages, batches, models.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from s2t2_cli.errors import UsageError
from s2t2_cli.tokenization import Speech2Text2Tokenizer
from s2t2_cli.training.text_data import EncodedText

# Without a file to validate on, one sentence in so many is held out, and at most so many of those are looked at.
_ONE_IN = 100
_ENOUGH = 2000


@dataclass(frozen=True)
class Corpus:
    """Text to learn from and text to validate on, and what was left out."""

    training: EncodedText
    validation: EncodedText
    too_long: int = 0
    """Sentences with more tokens than the model has positions."""
    unknown: float = 0.0
    """The part of all sub-words that the tokenizer does not know."""


def read_corpus(
    sentences: Iterable[str],
    validation: Iterable[str] | None,
    tokenizer: Speech2Text2Tokenizer,
    *,
    longest: int,
    progress: Callable[[int], None] | None = None,
) -> Corpus:
    """Encode label text, one sentence each.

    Without `validation` a hundredth of the sentences is held out, chosen by their text, so that the same sentence
    never stands on both sides; at most 2,000 of them are looked at. `progress` hears the number of sentences so far.
    Raises UsageError where one side has nothing.
    """
    learned, held_out = EncodedText(), EncodedText()
    counts = {"too_long": 0, "unknown": 0, "pieces": 0}
    unknown = tokenizer.unk_token_id

    def take(sentence: str, into: EncodedText) -> None:
        row = tokenizer.encode(sentence)
        if len(row) >= longest:
            counts["too_long"] += 1
        elif row:
            into.add(row)
            counts["unknown"] += row.count(unknown)
            counts["pieces"] += len(row)

    for number, sentence in enumerate(sentences):
        if progress is not None:
            progress(number)
        if validation is not None or zlib.crc32(sentence.encode()) % _ONE_IN:
            take(sentence, learned)
        elif len(held_out) < _ENOUGH:
            take(sentence, held_out)
    for sentence in validation or ():
        take(sentence, held_out)
    if not len(learned):
        raise UsageError("there is no text to train on")
    if not len(held_out):
        text = "there is no text to validate on" if validation is not None else "too little text to hold some of it out"
        raise UsageError(f"{text}; name a file of other sentences with --valid")
    return Corpus(learned, held_out, counts["too_long"], counts["unknown"] / max(1, counts["pieces"]))
