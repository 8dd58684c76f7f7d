"""The largest few of very many numbers.

Knows: that all of them lie in the blocks whose own largest numbers are largest. Does not know: what is compared.
"""

from __future__ import annotations

import torch
from torch import Tensor

_BLOCK = 64


def largest(values: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The `count` largest of each row of `values` (rows, size), in order, and their places: (rows, count) both.

    As `values.topk(count)`, which looks at the numbers one by one, where maxima of blocks are found many at once.
    """
    rows, size = values.shape
    blocks = size // _BLOCK
    if blocks <= count:
        found = values.topk(count)
        return found.values, found.indices
    maxima = values[:, : blocks * _BLOCK].reshape(rows, blocks, _BLOCK).amax(-1)
    starts = maxima.topk(count, sorted=False).indices * _BLOCK
    inside = torch.arange(_BLOCK, device=values.device)
    rest = torch.arange(blocks * _BLOCK, size, device=values.device).expand(rows, -1)
    places = torch.cat([(starts[:, :, None] + inside).flatten(1), rest], dim=1)
    best, at = values.gather(1, places).topk(count)
    return best, places.gather(1, at)
