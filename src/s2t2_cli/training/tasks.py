"""What the training loop asks of a task (what to minimise, how good it is) and of its batches.

Knows: the agreement between the two sides. Does not know: either side.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from torch import Tensor, nn

Part = TypeVar("Part")
Batch = TypeVar("Batch")
MadeBatch = TypeVar("MadeBatch", covariant=True)


@dataclass(frozen=True)
class Losses:
    """What one batch costs.

    `total` is a scalar to minimise, the sum over the batch's targets; `weight` their number. The loop sums both over
    the batches of an update and divides one by the other, so that it does not matter how targets fall into batches
    and processes.
    """

    total: Tensor
    weight: float
    parts: Mapping[str, Tensor | float] = field(default_factory=dict)
    """More sums over the same targets for the log, without gradient, by name."""
    amount: float = 0.0
    """How much was worked through, in the task's `unit`."""


class Batches(Protocol[Part, MadeBatch]):
    """Where batches come from. Both methods are pure functions: that is what makes resuming exact."""

    def plan(self, epoch: int) -> Sequence[Sequence[Part]]:
        """The updates of an epoch (counted from 0), each a list of descriptions of the batches it sums over."""

    def load(self, part: Part) -> MadeBatch | None:
        """The batch of one description; None where nothing of it can be used. Called from another thread."""


class Task(nn.Module, ABC, Generic[Batch]):
    """A model with its losses and its validation. `state_dict()` is what is saved to resume; it may hold more than
    what is released.

    A task has to define `forward`, `validate` and `release`.
    """

    unit = "batches"
    """What `Losses.amount` counts, for the log and the progress: `s of audio`, `tokens`."""
    best_score = "bleu"
    """The name of the score of `validate` that decides which model is the best."""
    higher_is_better = True

    @abstractmethod
    def forward(self, batch: Batch) -> Losses:
        """The losses of a batch, in training mode, under autocast where the settings say so."""

    @abstractmethod
    def validate(self) -> Mapping[str, float]:
        """Scores by name, `best_score` among them; called in evaluation mode without gradients, in every process.

        Every process must return the same. Nothing that is saved may change.
        """

    @abstractmethod
    def release(self) -> None:
        """Write the model as it is now where its users look for it: it is the best so far. First process only."""

    def begin_update(self, update: int) -> None:
        """Called before each update, counted from 1: the place to freeze and unfreeze parameters."""

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Groups for the optimiser; each has `params` and may have an `lr` and a `weight_decay` of its own."""
        return [{"params": list(self.parameters())}]
