"""How the frames of a batch lie in memory: utterance after utterance, with no padding between them.

Knows: where each utterance starts and ends. Does not know: what is computed of the frames.

What works on single frames (linear layers, norms, activations: nine tenths of the encoder) then takes the whole batch
at once and does nothing in vain, whatever lengths are mixed; what looks along an utterance takes them one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Layout:
    """`lengths` of the utterances, in frames; packed states are (sum of lengths, width).

    `mask` (utterances, 1, 1, frames) bool is there where padding is computed like speech, as the reference does in
    front of an adapter that sees it: attention looks only at what is true. All lengths are then equal.
    """

    lengths: tuple[int, ...]
    mask: Tensor | None = None

    def along_utterances(self, function: Callable[..., Tensor], *packed: Tensor) -> Tensor:
        """What `function` makes of states of (utterances, frames, width), packed again.

        It is called once where all utterances are equally long, else for each, and keeps lengths.
        """
        if len(set(self.lengths)) == 1:
            made = function(*(states.view(len(self.lengths), self.lengths[0], -1) for states in packed))
            return made.flatten(0, 1)
        pieces = zip(*(self._split(states) for states in packed), strict=True)
        return torch.cat([function(*(piece[None] for piece in utterance))[0] for utterance in pieces])

    def padded(self, states: Tensor, frames: int) -> Tensor:
        """(sum of lengths, width) -> (utterances, frames, width), zero behind an utterance's end."""
        if set(self.lengths) == {frames}:
            return states.view(len(self.lengths), frames, -1)
        return torch.stack([F.pad(one, (0, 0, 0, frames - len(one))) for one in self._split(states)])

    def _split(self, states: Tensor) -> Sequence[Tensor]:
        pieces: Sequence[Tensor] = states.split_with_sizes(self.lengths)
        return pieces

    def packed(self, states: Tensor) -> Tensor:
        """(utterances, frames, …) -> (sum of lengths, …): what `padded` does, undone."""
        return torch.cat([one[:length] for one, length in zip(states, self.lengths, strict=True)])


def even(utterances: int, frames: int, mask: Tensor | None = None) -> Layout:
    """All equally long; `mask` (utterances, frames) bool or None as in Layout."""
    return Layout((frames,) * utterances, None if mask is None else mask[:, None, None, :])


def ragged(lengths: Sequence[int]) -> Layout:
    """Each as long as it is."""
    return Layout(tuple(lengths))
