"""Sentences as ids, and batches of them by tokens, for a language model.

Knows: ids, lengths, padding. Does not know: text, models, the loop.
"""

from __future__ import annotations

import zlib
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from s2t2_cli.training.batches import BatchPart, plan_epoch
from s2t2_cli.training.objective import IGNORED


@dataclass(frozen=True)
class Marks:
    """The ids around a sentence, as a translation decoder sees them."""

    start: int
    """What the first token is predicted from: the decoder's start token, `</s>` in the published checkpoints."""
    end: int
    """What is predicted after the last."""
    pad: int


class EncodedText:
    """Sentences as ids without marks, four bytes a token, however many there are."""

    def __init__(self, rows: Iterable[Sequence[int]] = ()) -> None:
        self._tokens = array("i")
        self._ends = array("q")
        for row in rows:
            self.add(row)

    def add(self, row: Sequence[int]) -> None:
        """One more sentence."""
        self._tokens.extend(row)
        self._ends.append(len(self._tokens))

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, row: int) -> NDArray[np.int32]:
        start = self._ends[row - 1] if row else 0
        return np.array(self._tokens[start : self._ends[row]], dtype=np.int32)

    @property
    def lengths(self) -> NDArray[np.float64]:
        """Tokens to predict in each sentence, the end token among them."""
        ends = np.array([0, *self._ends], dtype=np.float64)
        return ends[1:] - ends[:-1] + 1

    @property
    def tokens(self) -> int:
        """Tokens to predict in all."""
        return len(self._tokens) + len(self)

    @property
    def fingerprint(self) -> str:
        """Equal for equal sentences in equal order."""
        return f"{len(self)} sentences {zlib.crc32(self._ends, zlib.crc32(self._tokens)):08x}"


@dataclass(frozen=True, eq=False)
class TextBatch:
    """`input_ids` (rows, length), start token first; `labels` (rows, length), end token last, -100 behind it."""

    input_ids: Tensor
    labels: Tensor
    targets: int
    """Labels that count."""


class TextBatches:
    """The batches of a text, of up to `batch_tokens` tokens with padding, `accumulate` of them an update."""

    def __init__(
        self, text: EncodedText, marks: Marks, *, batch_tokens: int, accumulate: int = 1, seed: int = 1
    ) -> None:
        self._text, self._marks = text, marks
        self._budget, self._accumulate, self._seed = batch_tokens, accumulate, seed

    def plan(self, epoch: int) -> list[list[BatchPart]]:
        """The updates of an epoch."""
        return plan_epoch(
            self._text.lengths, budget=self._budget, per_update=self._accumulate, seed=self._seed, epoch=epoch
        )

    def load(self, part: BatchPart) -> TextBatch:
        """One batch, on the CPU."""
        return collate([self._text[row] for row in part.rows], self._marks)


def collate(rows: Sequence[NDArray[np.int32]], marks: Marks) -> TextBatch:
    """Rows of ids without marks -> a batch: each token, and at last the end, from those before it."""
    longest = max(len(row) for row in rows) + 1
    inputs = np.full((len(rows), longest), marks.pad, dtype=np.int64)
    labels = np.full((len(rows), longest), IGNORED, dtype=np.int64)
    for place, row in enumerate(rows):
        inputs[place, 0] = marks.start
        inputs[place, 1 : len(row) + 1] = row
        labels[place, : len(row)] = row
        labels[place, len(row)] = marks.end
    return TextBatch(torch.from_numpy(inputs), torch.from_numpy(labels), sum(len(row) + 1 for row in rows))
