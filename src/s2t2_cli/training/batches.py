"""Which clips share a batch and which batches an update, as a function of lengths, seed and epoch.

Knows: lengths, budgets, random order. Does not know: what the lengths are of (seconds, tokens).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from s2t2_cli.training.randomness import derived_seed

# Lengths that differ by less than this factor fall into one bucket, within which order is random: what padding costs
# at most, against how much the company of a clip varies from epoch to epoch.
_BUCKET_RATIO = 1.1


@dataclass(frozen=True)
class BatchPart:
    """A batch to load: which rows, and its place, for whatever is drawn at random in loading it."""

    epoch: int
    number: int
    """Of the batch in its epoch."""
    rows: tuple[int, ...]


def plan_epoch(
    lengths: Sequence[float] | NDArray[np.floating],
    *,
    budget: float,
    per_update: int,
    seed: int,
    epoch: int,
    weights: Sequence[float] | NDArray[np.floating] | None = None,
) -> list[list[BatchPart]]:
    """The updates of an epoch, each a list of up to `per_update` batches.

    A batch's longest length times its rows stays within `budget` (a longer row goes alone). A row comes once, or
    `weights[row]` times: the whole part of it, and once more with the probability of the rest. The same arguments
    give the same plan.
    """
    values = np.asarray(lengths, dtype=np.float64)
    draw = np.random.default_rng(derived_seed(seed, epoch, "plan"))
    rows = np.arange(len(values))
    if weights is not None:
        factors = np.asarray(weights, dtype=np.float64)
        rows = np.repeat(rows, np.floor(factors + draw.random(len(factors))).astype(np.int64))
    rows = draw.permutation(rows)
    buckets = np.floor(np.log(np.maximum(values[rows], 1e-3)) / np.log(_BUCKET_RATIO))
    rows = rows[np.argsort(buckets, kind="stable")]
    batches = _cut(rows.tolist(), values, budget)
    order = draw.permutation(len(batches)).tolist()
    parts = [BatchPart(epoch, number, tuple(batches[place])) for number, place in enumerate(order)]
    return [parts[first : first + per_update] for first in range(0, len(parts), per_update)]


def _cut(rows: list[int], lengths: NDArray[np.float64], budget: float) -> list[list[int]]:
    batches: list[list[int]] = []
    longest = 0.0
    for row in rows:
        length = float(lengths[row])
        if batches and max(longest, length) * (len(batches[-1]) + 1) <= budget:
            batches[-1].append(row)
            longest = max(longest, length)
        else:
            batches.append([row])
            longest = length
    return batches
