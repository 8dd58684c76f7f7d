"""The word lists in `words/`. Knows: their notation (`== name ==`, then words). Does not know: what they are for."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).with_name("words")


@cache
def word_lists(file: str) -> dict[str, frozenset[str]]:
    """The lists of one file by their names; lines that begin with "#" are remarks."""
    lists: dict[str, set[str]] = {}
    words: set[str] = set()
    for line in (FOLDER / file).read_text(encoding="utf-8").splitlines():
        if heading := re.fullmatch(r"== (\w+) ==", line.strip()):
            words = lists.setdefault(heading[1], set())
        elif not line.startswith("#"):
            words.update(line.split())
    return {name: frozenset(words) for name, words in lists.items()}
