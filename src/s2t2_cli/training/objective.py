"""What is minimised: label-smoothed cross-entropy of target tokens, and CTC of a transcript on encoder states.

Knows: logits and ids. Does not know: which model made them, how sums are averaged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

IGNORED = -100
"""The label that counts for nothing: padding."""


@dataclass(frozen=True)
class TokenLoss:
    """Sums over the labels that count: `smoothed` to minimise, `nll` without smoothing, how many are `correct`."""

    smoothed: Tensor
    nll: Tensor
    correct: Tensor


def smoothed_cross_entropy(logits: Tensor, labels: Tensor, epsilon: float) -> TokenLoss:
    """Cross-entropy in nats, summed, of logits (rows, length, vocabulary) against labels (rows, length).

    fairseq's definition: the label keeps 1 - epsilon of the probability, and each of the others gets
    epsilon / (V - 1) of it (torch's own spreads epsilon / V over all V, the label too). With epsilon 0 it is the
    reference's loss times the number of labels. Computed in float32 whatever the logits are.
    """
    counted = labels.ne(IGNORED)
    flat = logits[counted].float()
    targets = labels[counted]
    log_probs = flat.log_softmax(-1)
    nll = -log_probs.gather(-1, targets[:, None]).sum()
    smoothed = nll
    if epsilon:
        share = epsilon / (logits.shape[-1] - 1)
        smoothed = (1 - epsilon - share) * nll - share * log_probs.sum()
    correct = (log_probs.detach().argmax(-1) == targets).sum()
    return TokenLoss(smoothed, nll.detach(), correct)


def ctc_loss(logits: Tensor, frames: Sequence[int], targets: Sequence[Sequence[int]]) -> Tensor:
    """Negative log-likelihood in nats, summed over rows, of `targets` under logits (rows, frames, 1 + units).

    Unit 0 is the blank; row i has `frames[i]` real frames. A target too long for its frames counts for nothing.
    """
    log_probs = logits.float().log_softmax(-1).transpose(0, 1)
    lengths = [len(target) for target in targets]
    flat = torch.tensor([unit for target in targets for unit in target], dtype=torch.long, device=logits.device)
    return F.ctc_loss(log_probs, flat, torch.tensor(frames), torch.tensor(lengths), reduction="sum", zero_infinity=True)
