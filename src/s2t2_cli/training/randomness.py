"""Random numbers as a function of where training stands, so that there is no state of them to save.

Knows: seeds. Does not know: what is drawn.

Each batch is computed from a seed of its own. A run that is killed and resumed, and a run spread over several
processes, therefore draw the same dropout, layers and masks for the same batch.
"""

from __future__ import annotations

import hashlib
import random

import numpy as np
import torch


def derived_seed(*place: int | str) -> int:
    """A 63-bit seed for a place, such as (seed, epoch, batch): equal places, equal seeds, on every machine."""
    digest = hashlib.blake2b(repr(place).encode(), digest_size=8).digest()
    return int.from_bytes(digest) >> 1


def seed_everything(*place: int | str) -> None:
    """Seed torch (all devices), numpy's and Python's global generators for a place."""
    seed = derived_seed(*place)
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)
