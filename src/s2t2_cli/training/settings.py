"""What the training loop can be told.

Knows: names, defaults, which values make no sense. Does not know: what is being trained, options of the command line.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

from s2t2_cli.errors import UsageError

ScheduleName = Literal["tri_stage", "inverse_sqrt", "linear", "cosine", "constant"]
TrainingDtype = Literal["float32", "bfloat16"]

# Settings that change nothing in what is learned: a resumed run may have others than the run it goes on from.
FREE_TO_CHANGE = frozenset({"log_every", "save_every", "save_minutes", "patience", "prefetch"})


# Where the command line calls a setting otherwise.
_OPTIONS = {
    "updates": "--max-updates",
    "mask_feature_prob": "--mask-channel-prob",
    "mask_feature_length": "--mask-channel-length",
    "text": "TEXT",
    "config": "--config",
    "configuration": "another model, --model or --decoder:",
}

# How the command line spells the two values of a switch.
_SWITCHES = {
    "freeze_feature_encoder": ("--freeze-convolutions", "--train-convolutions"),
    "tokenize": ("--tokenize", "--no-tokenize"),
    "new_decoder": ("--new-decoder", "no --new-decoder"),
}


def told_apart(setting: str, before: Any, now: Any) -> str:
    """How two values of a setting differ, as the command line spells them: `--lr 0.01, not 0.02`."""
    if setting in _SWITCHES:
        yes, no = _SWITCHES[setting]
        return f"{yes if before else no}, not {yes if now else no}"
    return f"{_option(setting)} {_shown(before)}, not {_shown(now)}"


def _option(setting: str) -> str:
    return _OPTIONS.get(setting, f"--{setting.replace('_', '-')}")


def _shown(value: Any) -> str:
    if value is None:
        return "unset"
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """How to train. An update is one step of the optimiser, whatever the number of batches it sums over."""

    updates: int
    """When to end."""
    lr: float = 5e-5
    """The highest learning rate, which the schedule scales. A parameter group with an `lr` of its own keeps that."""
    betas: tuple[float, float] = (0.9, 0.98)
    """Adam's decay rates; these are fairseq's for wav2vec 2.0, as is `eps`."""
    eps: float = 1e-8
    weight_decay: float = 0.0
    """Decoupled from the gradient (AdamW); 0 is plain Adam."""
    schedule: ScheduleName = "tri_stage"
    warmup: int | None = None
    """Updates of linear warm-up; None is a tenth of `updates`."""
    clip: float = 10.0
    """Largest norm of the gradient of the mean loss; 0 does not clip."""
    seed: int = 1
    dtype: TrainingDtype = "float32"
    """bfloat16 computes under autocast; weights, gradients and the optimiser stay float32."""
    validate_every: int = 1000
    """Updates between validations; there is always one at the end. 0: none."""
    save_every: int = 1000
    """Updates between saved states; one is also saved at the end, and where training is stopped."""
    save_minutes: float = 10.0
    """A state is saved, too, where so many minutes have passed since the last."""
    log_every: int = 100
    """Updates that a line of the log is the mean of."""
    patience: int | None = None
    """Stop after so many validations in a row without a better score; None goes on to the end."""
    prefetch: int = 2
    """Batches that a thread prepares ahead; 0 prepares each when it is needed."""

    def __post_init__(self) -> None:
        """Raises UsageError for a value that cannot be honoured."""
        for name in ("updates", "save_every", "log_every"):
            self._require(name, getattr(self, name) >= 1, "must be at least 1")
        for name in ("validate_every", "save_minutes", "prefetch", "weight_decay", "clip"):
            self._require(name, getattr(self, name) >= 0, "must not be negative")
        self._require("lr", 0 < self.lr < math.inf, "must be above 0")
        self._require("betas", all(0 <= beta < 1 for beta in self.betas), "must be from 0 to below 1")
        self._require("eps", self.eps > 0, "must be above 0")
        self._require("warmup", self.warmup is None or 0 <= self.warmup <= self.updates, "must be within the updates")
        self._require("patience", self.patience is None or self.patience >= 1, "must be at least 1")
        for name, choices in (("schedule", ScheduleName), ("dtype", TrainingDtype)):
            known = get_args(choices)
            self._require(name, getattr(self, name) in known, f"is not one of {', '.join(known)}")

    def _require(self, name: str, holds: bool, rule: str) -> None:
        if not holds:
            raise UsageError(f"{_option(name)} {getattr(self, name)} {rule}")

    @property
    def warmup_updates(self) -> int:
        """`warmup`, or a tenth of the updates."""
        return self.updates // 10 if self.warmup is None else self.warmup

    @property
    def depends_on_updates(self) -> bool:
        """Whether the number of updates shapes the whole curve, so that a run cannot simply be made longer."""
        return self.warmup is None or self.schedule not in ("inverse_sqrt", "constant")
