"""The learning rate at each update, as a factor of the highest.

Knows: the shapes. Does not know: the optimiser.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from s2t2_cli.training.settings import TrainingSettings

# wav2vec 2.0 (arXiv 2006.11477, appendix B): warm up for a tenth of all updates, hold for four, decay for five.
_HOLD = 0.4
# Where fairseq's tri-stage schedule and ours end.
_FINAL = 0.05


def learning_rate_factor(settings: TrainingSettings, update: int) -> float:
    """The factor, from 0 to 1, for update number `update`, counted from 1.

    All schedules warm up linearly; then `constant` stays, `linear` and `cosine` fall to 0, `inverse_sqrt` falls with
    the root of the update's number, and `tri_stage` holds and then falls linearly to a twentieth.
    """
    warmup = settings.warmup_updates
    if update <= warmup:
        return update / warmup
    left = max(1, settings.updates - warmup)
    return _AFTER_WARMUP[settings.schedule](min(1.0, (update - warmup) / left), max(1, warmup), update, settings)


def _tri_stage(part: float, warmup: int, update: int, settings: TrainingSettings) -> float:
    first = settings.warmup_updates + round(_HOLD * settings.updates)
    if update <= first:
        return 1.0
    return 1.0 - (1.0 - _FINAL) * min(1.0, (update - first) / max(1, settings.updates - first))


_AFTER_WARMUP: dict[str, Callable[[float, int, int, TrainingSettings], float]] = {
    "constant": lambda part, warmup, update, settings: 1.0,
    "linear": lambda part, warmup, update, settings: 1.0 - part,
    "cosine": lambda part, warmup, update, settings: 0.5 * (1.0 + math.cos(math.pi * part)),
    "inverse_sqrt": lambda part, warmup, update, settings: (warmup / update) ** 0.5,
    "tri_stage": _tri_stage,
}
