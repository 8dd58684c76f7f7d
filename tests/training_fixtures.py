"""A task small enough to be checked by hand: a line is fitted to points."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from typer import Typer
from typer.main import get_command

from s2t2_cli.errors import UsageError
from s2t2_cli.training.batches import BatchPart, plan_epoch
from s2t2_cli.training.listener import Listener, Progress
from s2t2_cli.training.state import check_same_settings, load_state
from s2t2_cli.training.tasks import Losses, Task

Points = tuple[torch.Tensor, torch.Tensor]


class Line(Task[Points]):
    """y = a x + b, with dropout on x, so that random numbers matter; the worst point of all is validated."""

    unit = "points"
    best_score = "closeness"

    def __init__(self, folder: Path | None = None, *, dropout: float = 0.5) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.line = nn.Linear(3, 1)
        self.head = nn.Linear(3, 1)
        self.dropout = nn.Dropout(dropout)
        self.folder = folder
        self.begun: list[int] = []

    def forward(self, batch: Points) -> Losses:
        inputs, targets = batch
        error = (self.line(self.dropout(inputs)) - targets).square().sum()
        return Losses(error, len(inputs), {"absolute": error.detach().sqrt()}, float(len(inputs)))

    def begin_update(self, update: int) -> None:
        self.begun.append(update)

    def validate(self) -> Mapping[str, float]:
        assert not self.training
        return {"closeness": -float(self.line.weight.detach().square().sum()), "other": 1.0}

    def release(self) -> None:
        if self.folder is not None:
            (self.folder / "released.txt").write_text(f"{float(self.line.bias.detach()):.9f}")


@dataclass
class Rows:
    """Points in batches of up to four, `per_update` of them an update."""

    per_update: int = 2
    count: int = 22

    def plan(self, epoch: int) -> Sequence[Sequence[BatchPart]]:
        return plan_epoch([1.0] * self.count, budget=4, per_update=self.per_update, seed=3, epoch=epoch)

    def load(self, part: BatchPart) -> Points | None:
        points = np.random.default_rng(0).standard_normal((self.count, 4)).astype(np.float32)[list(part.rows)]
        return torch.from_numpy(points[:, :3]), torch.from_numpy(points[:, 3:])


def check_refusals_name_options(folder: Path, app: Typer, *, for_python_alone: set[str]) -> None:
    """Whatever differs from the state in `folder`, what is said of it names an option or argument of the command."""
    state = load_state(folder)
    assert state is not None
    assert for_python_alone < state.settings.keys()
    known = {"TEXT"}
    for parameter in get_command(app).params:
        known.update([*parameter.opts, *parameter.secondary_opts])
    for name in state.settings.keys() - for_python_alone:
        for value in (None, "another", True, False):
            with pytest.raises(UsageError) as refused:
                check_same_settings({name: value}, {name: object()}, folder)
            difference = str(refused.value).removeprefix(f"the training in {folder} was started with ")
            named = re.findall(r"--[a-z-]+|TEXT", difference.partition(": give it as it was")[0])
            assert named, name
            assert known.issuperset(named), name


class Diary(Listener):
    """Notes what it hears."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.updates: list[int] = []
        self.heard: list[str] = []

    def progressed(self, progress: Progress) -> None:
        self.updates.append(progress.update)
        self.losses.append(progress.means["loss"])

    def validated(self, update: int, scores: Mapping[str, float], is_best: bool) -> None:
        self.heard.append(f"validated {update}{' best' if is_best else ''}")

    def saved(self, update: int) -> None:
        self.heard.append(f"saved {update}")

    def warned(self, sentence: str) -> None:
        self.heard.append(sentence)
