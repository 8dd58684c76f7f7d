"""One update: losses of several batches to gradients, gradients of all processes to one step of the optimiser.

Knows: accumulation, clipping, autocast, the optimiser. Does not know: how many updates there are, files.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Generic

import torch
from torch import Tensor

from s2t2_cli.training.randomness import seed_everything
from s2t2_cli.training.schedule import learning_rate_factor
from s2t2_cli.training.settings import TrainingSettings
from s2t2_cli.training.stream import Item
from s2t2_cli.training.tasks import Batch, Task
from s2t2_cli.training.world import World


@dataclass(frozen=True)
class Gradients:
    """What an update's batches came to, in all processes together; the gradients lie in the parameters."""

    item: Item[Any]
    """The last of this process's batches, for its place."""
    weight: float
    """Targets; 0 where no batch could be used."""
    amount: float
    sums: dict[str, float]
    """Losses summed over targets, `loss` first."""
    norm: float
    """The norm of the gradient of the mean loss."""
    wants_stop: bool
    """Whether any process was asked to stop."""


class Updater(Generic[Batch]):
    """The task's parameters and their optimiser."""

    def __init__(self, task: Task[Batch], settings: TrainingSettings, world: World) -> None:
        self._task, self._settings, self._world = task, settings, world
        groups = [{"lr": settings.lr, "weight_decay": settings.weight_decay} | one for one in task.parameter_groups()]
        self._parameters = [parameter for group in groups for parameter in group["params"]]
        self.device = self._parameters[0].device
        fused = self.device.type in ("cpu", "cuda")
        self.optimizer = torch.optim.AdamW(
            groups, betas=settings.betas, eps=settings.eps, fused=fused, foreach=None if fused else True
        )
        self._highest = [float(group["lr"]) for group in groups]

    def accumulate(self, update: int, items: Iterator[Item[Batch]], *, stop_requested: bool = False) -> Gradients:
        """Compute the gradients of update number `update` (from 1) from this process's next batches."""
        self._task.begin_update(update)
        self._task.train()
        self.optimizer.zero_grad(set_to_none=True)
        counts = {"weight": 0.0, "amount": 0.0, "stop": float(stop_requested)}
        sums: dict[str, Tensor | float] = {}
        for item in items:
            if item.batch is not None:
                seed_everything(self._settings.seed, update, item.number)
                with self.autocast():
                    losses = self._task(item.batch)
                losses.total.backward()
                _add(counts, {"weight": losses.weight, "amount": losses.amount})
                for name, value in {"loss": losses.total.detach(), **losses.parts}.items():
                    sums[name] = sums.get(name, 0.0) + value
            if item.is_last:
                break
        totals: dict[str, float] = {}
        for of_process in self._world.gather(counts | self._read(sums)):
            _add(totals, of_process)
        weight, amount, stop = (totals.pop(name) for name in ("weight", "amount", "stop"))
        norm = self._mean_gradients(weight) if weight else 0.0
        return Gradients(item, weight, amount, totals, norm, bool(stop))

    def step(self, update: int) -> float:
        """Take the step with the learning rate of this update, which is returned."""
        factor = learning_rate_factor(self._settings, update)
        for group, highest in zip(self.optimizer.param_groups, self._highest, strict=True):
            group["lr"] = highest * factor
        self.optimizer.step()
        return self._settings.lr * factor

    def resume(self, state: dict[str, Any]) -> None:
        """Take up a saved `optimizer.state_dict()`."""
        self.optimizer.load_state_dict(state)

    def _mean_gradients(self, weight: float) -> float:
        """Sum gradients over processes, divide by the targets, clip; the norm before clipping."""
        self._world.sum_gradients(self._parameters)
        gradients = [one.grad for one in self._parameters if one.grad is not None]
        norm = float(torch.nn.utils.get_total_norm(gradients)) / weight
        scale = 1.0 / weight
        if 0 < self._settings.clip < norm < math.inf:
            scale *= self._settings.clip / norm
        for gradient in gradients:
            gradient.mul_(scale)
        return norm

    def autocast(self) -> AbstractContextManager[Any]:
        """What forward passes run under."""
        if self._settings.dtype == "float32":
            return nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)

    def _read(self, sums: dict[str, Tensor | float]) -> dict[str, float]:
        """The values, read in one go: each that is taken from a GPU by itself waits for all that was asked of it."""
        if not sums:
            return {}
        values = [torch.as_tensor(value, dtype=torch.float32, device=self.device) for value in sums.values()]
        return dict(zip(sums, torch.stack(values).tolist(), strict=True))


def _add(totals: dict[str, float], values: Mapping[str, float]) -> None:
    for name, value in values.items():
        totals[name] = totals.get(name, 0.0) + value
