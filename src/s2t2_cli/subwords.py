"""Learning sub-words: from sentences to the files that `Speech2Text2Tokenizer` reads.

Knows: words, their counts, byte pairs through subword-nmt, the layout of a vocabulary. Does not know: languages,
Moses tokenisation (text), where sentences come from (corpus), models.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from s2t2_cli.bpe import CONTINUES, END_OF_WORD, BytePairEncoding
from s2t2_cli.errors import UsageError
from s2t2_cli.pretrained import write_texts
from s2t2_cli.tokenization import MERGES_NAME, VOCAB_NAME
from s2t2_cli.tokenizer_files import settings_texts

SPECIAL_TOKENS = {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
"""The first entries of a vocabulary, in the order of their ids 0 to 3, as in the published checkpoints."""

# A word with one of these in it would be taken apart by the tokenizer before byte pairs see it.
_RESERVED = (*SPECIAL_TOKENS.values(), END_OF_WORD, CONTINUES)


@dataclass(frozen=True)
class Subwords:
    """What was learned, and from how much."""

    vocabulary: tuple[str, ...]
    """Every entry, by id: the special tokens, then by frequency in the text, most frequent first."""
    merges: tuple[tuple[str, str], ...]
    """The pairs, by rank."""
    characters: int
    """Different characters; each takes two entries."""
    sentences: int
    words: int
    """Running words."""
    pieces: int
    """Running sub-words."""

    def files(self) -> dict[str, str]:
        """The tokenizer files by name, as in the published checkpoints."""
        vocab = {token: number for number, token in enumerate(self.vocabulary)}
        # subword-nmt takes a file without this line for one of before its version 0.2.
        merges = ["#version: 0.2", *map(" ".join, self.merges)]
        return {
            VOCAB_NAME: json.dumps(vocab, indent=2, ensure_ascii=False) + "\n",
            MERGES_NAME: "".join(f"{line}\n" for line in merges),
            **settings_texts(SPECIAL_TOKENS, {}),
        }

    def save_pretrained(self, save_directory: str | os.PathLike[str]) -> list[str]:
        """Write the tokenizer files; the folder is made. Raises OutputError."""
        return write_texts(save_directory, self.files())


def learn(
    sentences: Iterable[str],
    *,
    vocab_size: int | None = None,
    symbols: int | None = None,
    min_character_count: int = 1,
    min_pair_count: int = 2,
    progress: Callable[[int], None] | None = None,
) -> Subwords:
    """Learn byte pairs (Sennrich et al. 2016) and the vocabulary that goes with them.

    The vocabulary is closed: it holds every character twice, ending a word and going on (`@@`), and the result of
    every merge, so no word of known characters ever has a piece without an id. The same sentences give the same
    result, in whatever order they come.

    Args:
        sentences: label text (Moses-tokenised, see `s2t2_cli.text`), one sentence each; split at white space.
        vocab_size: learn until the vocabulary has this many entries, special tokens and characters included.
        symbols: or learn this many merges, as `subword-nmt learn-bpe --symbols` counts them.
        min_character_count: rarer characters get no entry; words with one are learned from as if they were not there.
        min_pair_count: a pair that occurs less often is not merged; where none is left, learning ends early.
        progress: called with the number of merges so far.

    Raises:
        UsageError: no text, a size that its characters alone exceed, or subword-nmt is not installed.
    """
    if (vocab_size is None) == (symbols is None):
        raise UsageError("give the size of the vocabulary or the number of merges, one of the two")
    number, words = _count(sentences)
    if not words:
        raise UsageError("there is no text to learn sub-words from")
    characters = _characters(words, min_character_count)
    known = {word: count for word, count in words.items() if characters.issuperset(word)}
    alphabet = {spelling for character in characters for spelling in (character, character + CONTINUES)}
    if vocab_size is not None and vocab_size < len(SPECIAL_TOKENS) + len(alphabet):
        raise UsageError(
            f"{vocab_size} entries are too few: the {len(characters)} different characters of the text alone take "
            f"{len(SPECIAL_TOKENS) + len(alphabet)}; ask for more, or leave rare characters out"
        )
    room = None if vocab_size is None else vocab_size - len(SPECIAL_TOKENS) - len(alphabet)
    merges = _merges(known, symbols, room, min_pair_count, progress)

    pieces = _pieces(known, merges)
    entries = alphabet | {_token(pair) for pair in merges}
    by_frequency = sorted(entries, key=lambda token: (-pieces[token], token))
    return Subwords(
        vocabulary=(*SPECIAL_TOKENS.values(), *by_frequency),
        merges=tuple(merges),
        characters=len(characters),
        sentences=number,
        words=sum(known.values()),
        pieces=pieces.total(),
    )


def _count(sentences: Iterable[str]) -> tuple[int, Counter[str]]:
    number = 0
    words: Counter[str] = Counter()
    for sentence in sentences:
        number += 1
        words.update(sentence.split())
    for word in [word for word in words if any(reserved in word for reserved in _RESERVED)]:
        del words[word]
    return number, words


def _characters(words: Mapping[str, int], min_count: int) -> set[str]:
    counts: Counter[str] = Counter()
    for word, count in words.items():
        for character in word:
            counts[character] += count
    return {character for character, count in counts.items() if count >= min_count}


class _EnoughError(Exception):
    """Ends subword-nmt's loop when the vocabulary has the size asked for."""


class _MergeList(io.TextIOBase):
    """The file subword-nmt writes its merges to, as a list.

    Two merges may make the same sub-word (`a`+`bc` and `ab`+`c`), so how many it takes to a given number of entries
    is known only on the way. For the same reason a pair may come up twice; its first rank holds.
    """

    def __init__(self, room: int | None, progress: Callable[[int], None] | None) -> None:
        self.pairs: dict[tuple[str, str], None] = {}
        self._tokens: set[str] = set()
        self._room = room
        self._progress = progress

    def write(self, text: str) -> int:
        if not text.startswith("#version"):
            first, second = text.split()
            self.pairs.setdefault((first, second))
            self._tokens.add(_token((first, second)))
            if self._progress is not None:
                self._progress(len(self.pairs))
            if len(self._tokens) == self._room:
                raise _EnoughError
        return len(text)


def _merges(
    words: Mapping[str, int],
    symbols: int | None,
    room: int | None,
    min_pair_count: int,
    progress: Callable[[int], None] | None,
) -> list[tuple[str, str]]:
    """The merges that subword-nmt learns from counted words: `symbols` of them, or to `room` different sub-words."""
    learn_bpe = _subword_nmt()
    if 0 in (symbols, room) or all(len(word) == 1 for word in words):
        return []
    found = _MergeList(room, progress)
    # Sorted, so that the order of the text decides nothing. There are never more merges than pairs of letters.
    counted = [f"{word} {count}" for word, count in sorted(words.items())]
    most = symbols if symbols is not None else sum(len(word) - 1 for word in words)
    with contextlib.suppress(_EnoughError), contextlib.redirect_stderr(io.StringIO()):  # its progress bar
        learn_bpe(counted, found, most, min_frequency=min_pair_count, is_dict=True)
    return list(found.pairs)


def _subword_nmt() -> Callable[..., Any]:
    try:
        from subword_nmt.learn_bpe import learn_bpe
    except ImportError:
        raise UsageError(
            "learning sub-words needs the package subword-nmt; run: pip install 's2t2-cli[train]'"
        ) from None
    function: Callable[..., Any] = learn_bpe
    return function


def _token(pair: tuple[str, str]) -> str:
    """The vocabulary's spelling of what a merge makes."""
    symbol = "".join(pair)
    return symbol.removesuffix(END_OF_WORD) if symbol.endswith(END_OF_WORD) else symbol + CONTINUES


def _pieces(words: Mapping[str, int], merges: Iterable[tuple[str, str]]) -> Counter[str]:
    """How often each sub-word occurs, counted with the tokenizer's own byte pairs."""
    bpe = BytePairEncoding({pair: rank for rank, pair in enumerate(merges)})
    pieces: Counter[str] = Counter()
    for word, count in words.items():
        for piece in bpe.split(word):
            pieces[piece] += count
    return pieces
