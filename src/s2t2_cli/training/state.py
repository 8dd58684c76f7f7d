"""What a run needs to go on where it was: written whole or not at all, so that it survives a kill at any moment.

Knows: files, what a state holds, which settings a resumed run must share. Does not know: the loop, the task.

Random numbers need no state: they are functions of the position (randomness).
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from s2t2_cli.errors import OutputError, TrainingError, UsageError
from s2t2_cli.training.settings import told_apart

STATE_NAME = "state.pt"
_LAYOUT = 1


@dataclass
class Position:
    """Where training stands: after `update` updates, before update `step` of epoch `epoch` (both from 0)."""

    update: int = 0
    epoch: int = 0
    step: int = 0
    validated: int = 0
    """The update of the last validation."""
    best: float | None = None
    best_update: int = 0
    stale: int = 0
    """Validations since the best one."""
    amount: float = 0.0
    """All that was worked through, in the task's unit."""
    sums: dict[str, float] = field(default_factory=dict)
    """What the next line of the log will be the mean of."""


@dataclass(frozen=True)
class State:
    """A saved run."""

    position: Position
    settings: dict[str, Any]
    task: dict[str, Any]
    optimizer: dict[str, Any]


def save_state(state: State, folder: Path) -> None:
    """Write the state to `folder`; what was there is replaced once all is written. Raises OutputError."""
    path = folder / STATE_NAME
    temporary = folder / f".{STATE_NAME}.tmp"
    try:
        with temporary.open("wb") as file:
            torch.save({"layout": _LAYOUT, **_as_dict(state)}, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except (OSError, RuntimeError) as error:  # torch's writer turns a full disk into a RuntimeError
        reason = getattr(error, "strerror", None) or str(error).partition("\n")[0]
        raise OutputError(f"cannot write {path}: {reason}") from error


def load_state(folder: Path) -> State | None:
    """The state in `folder`, memory-mapped; None where there is none. Nothing in the file is executed.

    Raises TrainingError where it cannot be read.
    """
    path = folder / STATE_NAME
    if not path.exists():
        return None
    try:
        values = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
        if values["layout"] != _LAYOUT:
            raise ValueError("it is of another version")
        return State(Position(**values["position"]), values["settings"], values["task"], values["optimizer"])
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, EOFError, pickle.UnpicklingError) as error:
        reason = str(error).partition("\n")[0]
        raise TrainingError(f"{path} is not a state that can be resumed ({reason}): --restart starts over") from error


def _as_dict(state: State) -> dict[str, Any]:
    return {
        "position": asdict(state.position),
        "settings": state.settings,
        "task": state.task,
        "optimizer": state.optimizer,
    }


def check_same_settings(saved: Mapping[str, Any], given: Mapping[str, Any], folder: Path) -> None:
    """Refuse to go on with settings that differ from those a run was started with. Raises UsageError, naming one."""
    for name in dict.fromkeys((*given, *saved)):
        before, now = saved.get(name), given.get(name)
        if before != now:
            raise UsageError(
                f"the training in {folder} was started with {told_apart(name, before, now)}:"
                " give it as it was, or name another folder, or start over with --restart"
            )
