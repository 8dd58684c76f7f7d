"""Time and channel masking of wav2vec 2.0 (arXiv 2006.11477, section 3.1 and appendix B): which positions are hidden.

Knows: lengths, spans, torch's generator on the CPU. Does not know: what stands at the positions, when masking is on.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def span_mask(lengths: Sequence[int], width: int, *, prob: float, span: int, least: int) -> Tensor:
    """(rows, width) bool on the CPU, True where row i is masked, never at or beyond `lengths[i]`.

    As in the reference: a row of n positions gets floor(prob * n / span + u) spans, u from [0, 1) shared by all
    rows, and at least `least`, but no more than fit; starts are drawn without replacement, so spans may overlap,
    and about prob of a row is masked. (Of a row without spans the reference hides the last position of the batch,
    padding mostly; here nothing.)
    """
    mask = torch.zeros((len(lengths), width), dtype=torch.bool)
    rounding = float(torch.rand(()))
    for row, length in enumerate(lengths):
        starts = length - span + 1
        count = min(max(int(prob * length / span + rounding), least), width // span, starts)
        if count > 0:
            first = torch.randperm(starts)[:count]
            mask[row, (first[:, None] + torch.arange(span)).flatten()] = True
    return mask
