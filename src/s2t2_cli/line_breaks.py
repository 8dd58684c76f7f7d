"""Text as subtitles: broken into cues, and each cue into lines.

Knows: words, sentences and clauses by their punctuation, how much a line holds. Does not know: times of cues, files.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Sequence
from itertools import accumulate

from s2t2_cli.escaping import one_line

LINE_LENGTH = 42
"""Characters in a line, two lines in a cue (Netflix, Timed Text Style Guide)."""

LONGEST_SECONDS = 7.0
"""What people look at for longer they begin to read again (same guide)."""

Lines = tuple[str, ...]
"""One line or two."""

# What it costs to end a cue where a word ends, a clause, a sentence; and to have another cue at all.
_AFTER_WORD, _AFTER_CLAUSE, _AFTER_SENTENCE, _CUE = 150.0, 50.0, 0.0, 100.0
# What it costs to stay for twice as long as people look; to flash by with hardly a word; to be full (which, squared,
# makes cues equally long where nothing else decides).
_OVERLONG, _TINY, _FULL = 300.0, 60.0, 40.0
_TINY_LENGTH = 15

_CLOSING = "\"'”“»«’‘)]"
_CLAUSE_ENDS = (",", ";", ":", "–", "—", "،", "؛")
# After a number the point makes an ordinal (3. Mai), after a single letter an abbreviation (z. B.).
_SENTENCE_END = re.compile(r"[!?…؟]$|[^\W\d]{2}\.$")
_BREAKABLE = re.compile(r"[-–—/_.,;:?&=]+")


def break_text(text: str, seconds: float = 0.0) -> list[Lines]:
    """`text`, spoken in `seconds`, as cues of at most two lines of at most `LINE_LENGTH` characters.

    Where text is too long for one cue, or stays for too long, it ends at a sentence, else a clause, else a word. All
    words are kept in order; only one longer than a line is broken. Text without a visible character has no cue.
    """
    words = _words(text)
    ends = [0, *accumulate(len(word) + 1 for word in words)]
    full_lines = _full_lines(ends)
    spoken = seconds / max(ends[-1], 1)
    # The cheapest way to break the words before each position, and where its last cue begins.
    best: list[tuple[float, int]] = [(0.0, 0)]
    for stop in range(1, len(words) + 1):
        cost_of_end = _cost_of_end(words, stop) if stop < len(words) else 0.0
        ways = []
        for start in range(stop - 1, -1, -1):
            if full_lines[full_lines[start]] < stop:
                break
            length = ends[stop] - ends[start] - 1
            ways.append((best[start][0] + _cost(length, length * spoken) + cost_of_end, start))
        best.append(min(ways))
    cues: list[Lines] = []
    stop = len(words)
    while stop:
        start = best[stop][1]
        cues.append(_lines(words[start:stop]))
        stop = start
    return cues[::-1]


def _full_lines(ends: Sequence[int]) -> list[int]:
    """For each word, the position behind the last that fits a line with it; words and spaces end at `ends`."""
    positions = []
    stop = 0
    for begin in ends:
        while stop < len(ends) and ends[stop] - begin - 1 <= LINE_LENGTH:
            stop += 1
        positions.append(stop - 1)
    return positions


def _cost(length: int, seconds: float) -> float:
    overlong = max(seconds / LONGEST_SECONDS - 1, 0) * _OVERLONG
    tiny = max(1 - length / _TINY_LENGTH, 0) * _TINY
    return _CUE + overlong + tiny + (length / (2 * LINE_LENGTH)) ** 2 * _FULL


def _cost_of_end(words: Sequence[str], stop: int) -> float:
    """Of ending a cue between two words."""
    word = words[stop - 1].rstrip(_CLOSING)
    if _SENTENCE_END.search(word) and not words[stop][0].islower():
        return _AFTER_SENTENCE
    return _AFTER_CLAUSE if word.endswith(_CLAUSE_ENDS) else _AFTER_WORD


def _lines(words: Sequence[str]) -> Lines:
    """The words, which fit a cue, in one line or in two of about the same length."""
    text = " ".join(words)
    if len(text) <= LINE_LENGTH:
        return (text,)
    ways = []
    for count in range(1, len(words)):
        first, second = " ".join(words[:count]), " ".join(words[count:])
        if max(len(first), len(second)) <= LINE_LENGTH:
            unlike = abs(len(first) - len(second)) + _cost_of_end(words, count) / 10
            # Some readers of SRT take a last line of digits for the number of the next cue.
            ways.append((second.isdigit(), unlike, len(first) > len(second), (first, second)))
    return min(ways)[-1]


def _words(text: str) -> list[str]:
    """The words, without line ends or other controls, those longer than a line in pieces."""
    visible = (one_line(word) for word in text.split() if any(unicodedata.category(c) != "Cf" for c in word))
    return [piece for word in visible for piece in _pieces(word)]


def _pieces(word: str) -> list[str]:
    """A word in pieces that fit a line: after a hyphen or the like, else in equal parts."""
    pieces = []
    while len(word) > LINE_LENGTH:
        ends = [found.end() for found in _BREAKABLE.finditer(word, 0, LINE_LENGTH)]
        cut = ends[-1] if ends else _part(word)
        pieces.append(word[:cut])
        word = word[cut:]
    return [*pieces, word]


def _part(word: str) -> int:
    """Where the first of equal parts ends; marks stay with their letter."""
    cut = wanted = math.ceil(len(word) / math.ceil(len(word) / LINE_LENGTH))
    while cut > 1 and unicodedata.combining(word[cut]):
        cut -= 1
    return cut if cut > 1 else wanted
