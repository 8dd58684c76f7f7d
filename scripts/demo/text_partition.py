"""Template sentences parted into train, dev and test.

Sentences with the same German stay together, so that no test answer was seen in training; what a test sentence is made
of (words, slot values) is in training. Knows: what makes two sentences the same. Does not know: files, templates.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from text_english import normalise_english
from text_rows import Partition, Row, row_id
from text_templates import Sentence

DEV, TEST = 400, 600
# Of fewer different sentences none is spared for a test: greetings are learned, not derived.
_SMALLEST_FAMILY = 90


def part(sentences: Sequence[Sentence], given: Iterable[Row], scored: Iterable[Row]) -> tuple[list[Row], Counter[str]]:
    """Rows of the sentences, in their order, and how many were left out, by reason.

    Args:
        given: rows from elsewhere; their training sentences are in no test of ours.
        scored: rows by which the model is judged; a template that happens to say the same is left out.
    """
    dropped: Counter[str] = Counter()
    given = list(given)
    known_english = {normalise_english(row.en) for row in given if row.partition == "train"}
    known_german = {bare(row.de) for row in given if row.partition == "train"}
    judged = {normalise_english(row.en) for row in scored} - known_english
    kept: dict[str, Sentence] = {}
    for sentence in sentences:
        english = normalise_english(sentence.text["en"])
        if english in judged:
            dropped["said in a test of another source"] += 1
        elif english in kept:
            dropped["same English in another family"] += kept[english].text != sentence.text
        else:
            kept[english] = sentence
    groups: dict[str, dict[str, list[Sentence]]] = defaultdict(lambda: defaultdict(list))
    for sentence in kept.values():
        groups[sentence.family][bare(sentence.text["de"])].append(sentence)
    fresh = {
        family: [
            german
            for german, members in answers.items()
            if german not in known_german
            and not any(normalise_english(each.text["en"]) in known_english for each in members)
        ]
        for family, answers in groups.items()
    }
    held = _held_out(groups, fresh)
    rows = []
    for english, sentence in kept.items():
        partition: Partition = held.get(bare(sentence.text["de"]), "train")
        if partition != "train" and groups[sentence.family][bare(sentence.text["de"])][0] is not sentence:
            dropped["another wording of a held-out sentence"] += 1
            continue
        rows.append(Row(row_id("template", english), "template", sentence.family, partition, **sentence.text))
    return rows, dropped


def bare(text: str) -> str:
    """A sentence without case and marks: by this two translations are the same."""
    return " ".join(re.sub(r"[^\w\s]", " ", text.casefold()).split())


def _held_out(groups: dict[str, dict[str, list[Sentence]]], fresh: dict[str, list[str]]) -> dict[str, Partition]:
    """Which answers are for dev and test: of each large family in proportion to the root of its size.

    An answer's own hash decides, so that a few more templates leave most sentences in their partition.
    """
    weights = {family: math.sqrt(len(answers)) for family, answers in fresh.items() if len(answers) >= _SMALLEST_FAMILY}
    total = sum(weights.values())
    remaining = Counter(
        piece
        for answers in groups.values()
        for members in answers.values()
        for each in members
        for piece in _pieces(each)
    )
    shared = Counter(german for answers in groups.values() for german in answers)
    held: dict[str, Partition] = {}
    for family, weight in weights.items():
        tests, devs = round(TEST * weight / total), round(DEV * weight / total)
        taken = 0
        for german in sorted(fresh[family], key=lambda answer: hashlib.blake2s(answer.encode()).digest()):
            pieces = Counter(piece for each in groups[family][german] for piece in _pieces(each))
            if taken == min(tests + devs, len(fresh[family]) // 4):
                break
            if shared[german] == 1 and all(remaining[piece] - count >= 2 for piece, count in pieces.items()):
                held[german] = "dev" if taken % 5 in (1, 3) else "test"
                remaining -= pieces
                taken += 1
    return held


def _pieces(sentence: Sentence) -> set[tuple[str, str]]:
    """English words, and slot values except free strings of digits, which are new in every sentence."""
    words = {("", word) for word in normalise_english(sentence.text["en"]).split()}
    return words | {
        (slot, str(entry))
        for slot, entry in sentence.values
        if slot not in ("digits", "big", "price", "when", "time", "daytime")
    }
