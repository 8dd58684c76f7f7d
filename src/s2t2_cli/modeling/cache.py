"""Keys and values kept between decoder steps.

Knows: rows (one running hypothesis each) and utterances (whose encoder states several rows share).
Does not know: which rows are worth keeping (generation).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

_FIRST_CAPACITY = 32


class DecoderCache:
    """The decoder's memory of the positions decoded so far and of the encoder states.

    `cache[layer]` is the reference's tuple: self-attention keys and values (rows, heads, positions, head_dim),
    then cross-attention keys and values (utterances, heads, frames, head_dim) if there is an encoder.
    All layers' self-attention lies in one tensor, so that reordering hypotheses is one gather for the whole network.
    """

    def __init__(self, layers: int) -> None:
        self.layers = layers
        self.length = 0
        self._own: Tensor | None = None  # (layers, keys or values, rows, heads, capacity, head_dim)
        self._spare: Tensor | None = None  # room of the same shape, where the next order of rows is written
        self._cross: list[tuple[Tensor, Tensor]] = []

    @classmethod
    def from_tuples(cls, past: Sequence[tuple[Tensor, ...]]) -> DecoderCache:
        """Take over the reference's tuple of layers of 2 or 4 tensors."""
        cache = cls(len(past))
        cache._own = torch.stack([torch.stack([one[0], one[1]]) for one in past])
        cache.length = past[0][0].shape[2]
        cache._cross = [(one[2], one[3]) for one in past if len(one) == 4]
        return cache

    def __len__(self) -> int:
        return self.layers

    def __getitem__(self, layer: int) -> tuple[Tensor, ...]:
        if self._own is None or not -self.layers <= layer < self.layers:
            raise IndexError(layer)
        keys, values = self._own[layer, :, :, :, : self.length]
        return (keys, values, *(self._cross[layer] if self._cross else ()))

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        return (self[layer] for layer in range(self.layers))

    def append(self, layer: int, new: Tensor) -> Tensor:
        """Store new keys and values (2, rows, heads, new, head_dim) of one layer; return all of them so far.

        `length` moves on when `advance` is called, once all layers have stored theirs.
        """
        _, rows, heads, positions, head_dim = new.shape
        needed = self.length + positions
        if self._own is None:
            capacity = max(_FIRST_CAPACITY, needed)
            self._own = new.new_empty((self.layers, 2, rows, heads, capacity, head_dim))
        elif needed > self._own.shape[4]:
            room = self._own.new_empty((*self._own.shape[:4], max(needed, self._own.shape[4]), head_dim))
            self._own = torch.cat([self._own, room], dim=4)
        here = self._own[layer].narrow(3, 0, needed)
        here.narrow(3, self.length, positions).copy_(new)
        return here

    def advance(self, new: int) -> None:
        """Count `new` positions as decoded."""
        self.length += new

    def cross(self, layer: int) -> tuple[Tensor, Tensor] | None:
        """The encoder's keys and values for one layer, if they were stored."""
        return self._cross[layer] if layer < len(self._cross) else None

    def store_cross(self, keys: Tensor, values: Tensor) -> None:
        """Keep the encoder's keys and values for the next layer in turn."""
        self._cross.append((keys, values))

    def reorder(self, rows: Tensor) -> None:
        """Let row i continue what row `rows[i]` held; `rows` may be fewer than before."""
        if self._own is None:
            return
        # Two blocks take turns: memory that is given back after each step is cleared by the system before the next.
        target = self._spare
        if target is None or target.shape != (*self._own.shape[:2], len(rows), *self._own.shape[3:]):
            target = self._own.new_empty((*self._own.shape[:2], len(rows), *self._own.shape[3:]))
        filled = self._own.narrow(4, 0, self.length)
        torch.index_select(filled, 2, rows, out=target.narrow(4, 0, self.length))
        self._own, self._spare = target, self._own

    def keep_utterances(self, utterances: Tensor) -> None:
        """Drop the encoder's keys and values of all but the named utterances."""
        self._cross = [
            (keys.index_select(0, utterances), values.index_select(0, utterances)) for keys, values in self._cross
        ]
