"""The training loop: from update to update to a best model, exactly resumable.

Knows: when to validate, log, save and end. Does not know: how an update is made (updates), what is trained, the
terminal.

Killed at any moment and started again with the same arguments, a run goes on from its last saved state to the same
losses: batches are functions of their place, random numbers functions of the update and batch, and the state file is
replaced whole. Spread over processes, it computes the same up to the order of float32 sums.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Generic

import torch

from s2t2_cli.errors import OutputError, TrainingError, UsageError
from s2t2_cli.training.listener import Listener, Progress
from s2t2_cli.training.log import TrainingLog
from s2t2_cli.training.settings import FREE_TO_CHANGE, TrainingSettings, told_apart
from s2t2_cli.training.state import Position, State, check_same_settings, load_state, save_state
from s2t2_cli.training.stopping import Stopper, StopTraining
from s2t2_cli.training.stream import Item, stream_batches
from s2t2_cli.training.tasks import Batch, Batches, Part, Task
from s2t2_cli.training.updates import Gradients, Updater
from s2t2_cli.training.world import World

# Updates in a row without a finite gradient before training is given up.
_HOPELESS = 20


@dataclass(frozen=True)
class Outcome:
    """How training ended: asked to stop (`interrupted`), `out_of_patience`, or finished."""

    update: int
    best: float | None
    best_update: int
    interrupted: bool = False
    out_of_patience: bool = False


def train(
    task: Task[Batch],
    batches: Batches[Part, Batch],
    settings: TrainingSettings,
    folder: Path,
    *,
    world: World | None = None,
    listener: Listener | None = None,
    stopper: Stopper | None = None,
    also_fixed: Mapping[str, Any] | None = None,
) -> Outcome:
    """Train `task` until `settings.updates`, going on from what `folder` holds: `state.pt` and `log.jsonl` lie there.

    `also_fixed` are values of JSON types, by option name, that a resumed run must share beside the settings.
    `stopper` lets a signal handler end training in good order: what is done is saved.

    Raises UsageError (the run was started with other settings, there is no usable batch), TrainingError (training
    diverges, the state cannot be read), OutputError.
    """
    run = _Run(task, batches, settings, folder, world or World(), listener or Listener(), stopper or Stopper())
    run.resume(dict(also_fixed or {}))
    return run.go()


class _Run(Generic[Part, Batch]):
    """One process's share of a run."""

    def __init__(
        self, task: Task[Batch], batches: Batches[Part, Batch], settings: TrainingSettings, folder: Path,
        world: World, listener: Listener, stopper: Stopper,
    ) -> None:  # fmt: skip
        self._task, self._batches, self._settings, self._folder = task, batches, settings, folder
        self._world, self._stopper = world, stopper
        self._listener = listener if world.is_first else Listener()
        self._updater = Updater(task, settings, world)
        self._position = Position()
        self._fixed: dict[str, Any] = {}
        self._log: TrainingLog | None = None
        self._hopeless = self._unusable = 0
        self._saved = (-1, -1)

    def resume(self, also_fixed: dict[str, Any]) -> None:
        """Take up the saved state, if there is one, and open the log."""
        self._fixed = _fixed_settings(self._settings) | also_fixed
        state = load_state(self._folder)
        self._agree(None if state is None else asdict(state.position))
        if state is not None:
            check_same_settings(state.settings, self._fixed, self._folder)
            self._task.load_state_dict(state.task)
            self._updater.resume(state.optimizer)
            self._position = state.position
        if self._world.is_first:
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise OutputError(f"cannot make the folder {self._folder}: {error.strerror}") from error
            self._log = TrainingLog(self._folder, until=self._position.update)

    def _agree(self, position: dict[str, Any] | None) -> None:
        """Raise UsageError, in all processes, where they would not train the same: each has read the files itself."""
        (settings, start), *others = self._world.gather((self._fixed, position))
        for its_settings, its_start in others:
            for name, value in its_settings.items():
                if value != settings.get(name):
                    difference = told_apart(name, value, settings.get(name))
                    raise UsageError(f"the processes would not train the same: one has {difference}")
            if its_start != start:
                raise UsageError(
                    f"the processes would not go on from the same state; {self._folder} must be a folder they share"
                )

    def go(self) -> Outcome:
        """Train to the end."""
        position = self._position
        self._began = self._saved_at = time.monotonic()
        self._update_before, self._amount_before = position.update, position.amount
        self._listener.began(position.update, self._settings.updates)
        interrupted = False
        # Several processes have to stop after the same update: there a request waits until all know of it.
        at_once = self._stopper.at_once() if self._world.size == 1 else nullcontext()
        stream = stream_batches(
            self._batches, epoch=position.epoch, step=position.step, world=self._world,
            prefetch=self._settings.prefetch,
        )  # fmt: skip
        self._stopper.is_in_use = True
        with closing(stream):
            try:
                with at_once:
                    self._updates(stream)
            except StopTraining:
                interrupted = True
        self._save()
        self._stopper.is_in_use = False
        out_of_patience = not interrupted and position.update < self._settings.updates
        return Outcome(position.update, position.best, position.best_update, interrupted, out_of_patience)

    def _updates(self, stream: Iterator[Item[Batch]]) -> None:
        settings, position = self._settings, self._position
        while True:
            finished = position.update >= settings.updates
            if self._is_due(settings.validate_every, finished) and position.validated < position.update:
                if self._world.size > 1:
                    # A request waits for the end of it, and torchrun kills who has not ended after 30 s.
                    self._save()
                self._validate()
            if self._save_is_due():
                self._save()
            if finished or (settings.patience is not None and position.stale >= settings.patience):
                return
            number = position.update + 1
            gradients = self._updater.accumulate(number, stream, stop_requested=self._stopper.requested)
            if self._is_usable(gradients):
                with self._stopper.whole():
                    lr = self._updater.step(number)
                    self._advance(gradients, update=number)
                    self._record(gradients, lr)
            else:
                self._advance(gradients, update=position.update)
            if gradients.wants_stop:
                raise StopTraining

    def _is_due(self, every: int, finished: bool) -> bool:
        return every > 0 and (finished or self._position.update % every == 0)

    def _save_is_due(self) -> bool:
        update = self._position.update
        late = time.monotonic() - self._saved_at > 60 * self._settings.save_minutes
        is_new = update > max(self._update_before, self._saved[0])
        return is_new and (late or update % self._settings.save_every == 0)

    def _is_usable(self, gradients: Gradients) -> bool:
        """Whether there is a step to take. Raises UsageError, TrainingError where there will be none."""
        if not gradients.weight:
            self._unusable += 1
            if self._unusable >= gradients.item.steps:
                raise UsageError("there is nothing to train on: no row of the data could be used")
            return False
        self._unusable = 0
        if not math.isfinite(gradients.norm):
            self._hopeless += 1
            self._listener.warned(f"no finite gradient for update {self._position.update + 1}: its batches are skipped")
            if self._hopeless >= _HOPELESS:
                raise TrainingError(f"training diverges: {_HOPELESS} updates without a finite gradient; lower --lr")
            return False
        self._hopeless = 0
        return True

    def _advance(self, gradients: Gradients, update: int) -> None:
        position, item = self._position, gradients.item
        position.update = update
        position.epoch, position.step = item.epoch, item.step + 1
        if position.step == item.steps:
            position.epoch, position.step = item.epoch + 1, 0

    # What is told and kept

    def _record(self, gradients: Gradients, lr: float) -> None:
        """Count the update in; every so many updates, a line for the log."""
        position, settings = self._position, self._settings
        position.amount += gradients.amount
        for name, value in {**gradients.sums, "weight": gradients.weight}.items():
            position.sums[name] = position.sums.get(name, 0.0) + value
        elapsed = time.monotonic() - self._began
        done = position.update - self._update_before
        means = {name: value / gradients.weight for name, value in gradients.sums.items()}
        speed = (position.amount - self._amount_before) / elapsed
        left = (settings.updates - position.update) * elapsed / done
        progress = Progress(
            position.update, settings.updates, gradients.item.epoch, means, lr, gradients.norm, speed, left
        )
        self._listener.progressed(progress)
        if self._log is not None and self._is_due(settings.log_every, position.update == settings.updates):
            sums = position.sums
            weight = sums.pop("weight")
            self._log.write(
                {"update": position.update, "epoch": gradients.item.epoch}
                | {name: value / weight for name, value in sums.items()}
                | {"lr": lr, "grad_norm": gradients.norm, "amount": round(position.amount, 3)}
                | {"speed": round(speed, 3), "time": round(time.time(), 3)}
            )
            sums.clear()

    def _validate(self) -> None:
        position = self._position
        self._listener.validating(position.update)
        self._task.eval()
        with torch.no_grad(), self._updater.autocast():
            scores = dict(self._task.validate())
        score = scores[self._task.best_score]
        sign = 1 if self._task.higher_is_better else -1
        better = position.best is None or sign * score > sign * position.best
        with self._stopper.whole():
            if better and self._world.is_first:
                self._task.release()
            if better:
                position.best, position.best_update, position.stale = score, position.update, 0
            else:
                position.stale += 1
            position.validated = position.update
            if self._log is not None:
                self._log.write({"update": position.update, "valid": scores, "best": better})
        self._listener.validated(position.update, scores, better)

    def _save(self) -> None:
        place = (self._position.update, self._position.validated)
        if not self._world.is_first or self._saved == place:
            return
        with self._stopper.whole():
            if self._settings.validate_every == 0:
                self._task.release()
            state = State(self._position, self._fixed, self._task.state_dict(), self._updater.optimizer.state_dict())
            save_state(state, self._folder)
        self._saved, self._saved_at = place, time.monotonic()
        self._listener.saved(self._position.update)


def _fixed_settings(settings: TrainingSettings) -> dict[str, Any]:
    """The settings that a resumed run must share, as JSON holds them."""
    values = {name: value for name, value in asdict(settings).items() if name not in FREE_TO_CHANGE}
    if not settings.depends_on_updates:
        del values["updates"]
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
