"""Byte-pair encoding: a word into subwords, by the ranks of `merges.txt`.

Knows: merges, words. Does not know: sentences, ids, special tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Self

from s2t2_cli.configuration.base import read_limited
from s2t2_cli.errors import TokenizerError

END_OF_WORD = "</w>"
"""Marks, in merges, a subword that ends its word."""

CONTINUES = "@@"
"""Marks, in the vocabulary, a subword that the next one continues."""

# A language has far more words than are worth remembering; the bound keeps memory flat over a large corpus.
_REMEMBERED_WORDS = 100_000


class BytePairEncoding:
    """Joins the characters of a word pair by pair, the best ranked pair first (Sennrich et al. 2016)."""

    def __init__(self, ranks: Mapping[tuple[str, ...], int]) -> None:
        self.ranks = dict(ranks)
        self._remembered: dict[str, list[str]] = {}

    @classmethod
    def from_file(cls, path: Path) -> Self:
        """Read `merges.txt`. Raises TokenizerError, naming the file.

        As in the reference: every line takes a rank, a version header or a malformed line too; a third column
        (frequency) is dropped; of two equal pairs the later rank holds; an unfinished last line does not count.
        """
        try:
            # Line ends of any system count, as in the reference.
            text = read_limited(path).decode("utf-8").replace("\r\n", "\n").replace("\r", "\n")
        except OSError as error:
            raise TokenizerError(f"cannot read {path}: {error.strerror}") from error
        except UnicodeDecodeError:
            raise TokenizerError(f"{path} is not UTF-8 text") from None
        except ValueError as error:
            raise TokenizerError(f"cannot read {path}: {error}") from error
        return cls({tuple(line.split()[:2]): rank for rank, line in enumerate(text.split("\n")[:-1])})

    def to_text(self) -> str:
        """The contents of `merges.txt`: the pairs in the order of their ranks."""
        return "".join(f"{' '.join(pair)}\n" for pair in sorted(self.ranks, key=self.ranks.__getitem__))

    def split(self, word: str) -> list[str]:
        """The subwords of a word, as the vocabulary spells them: all but the last end in `@@`."""
        subwords = self._remembered.get(word)
        if subwords is None:
            if len(self._remembered) >= _REMEMBERED_WORDS:
                self._remembered.clear()
            *going_on, last = (symbol.replace(END_OF_WORD, "") for symbol in self._merge(word))
            subwords = self._remembered[word] = [*(symbol + CONTINUES for symbol in going_on), last]
        return subwords

    def _merge(self, word: str) -> list[str]:
        symbols = [*word[:-1], word[-1] + END_OF_WORD]
        while len(symbols) > 1:
            ranked = [pair for pair in pairwise(symbols) if pair in self.ranks]
            if not ranked:
                break
            symbols = list(_joined(symbols, min(ranked, key=self.ranks.__getitem__)))
        return symbols


def _joined(symbols: list[str], pair: tuple[str, str]) -> Iterator[str]:
    """The symbols with every occurrence of the pair, from the left, made one."""
    position = 0
    while position < len(symbols):
        width = 2 if tuple(symbols[position : position + 2]) == pair else 1
        yield "".join(symbols[position : position + width])
        position += width
