"""Who hears how training goes.

Knows: what there is to tell. Does not know: how it is shown (cli).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """How far training is, after an update."""

    update: int
    updates: int
    epoch: int
    means: Mapping[str, float]
    """This update's losses a target, by name, `loss` first."""
    lr: float
    grad_norm: float
    speed: float
    """Amount a second since this process began, in the task's unit; validations count as time."""
    seconds_left: float


class Listener:
    """Hears what goes on, in the first process only. Does nothing itself; what shows progress overrides it."""

    def began(self, update: int, updates: int) -> None:
        """Training starts, or goes on after `update` updates."""

    def progressed(self, progress: Progress) -> None:
        """Another update is done."""

    def validating(self, update: int) -> None:
        """A validation begins."""

    def validated(self, update: int, scores: Mapping[str, float], is_best: bool) -> None:
        """A validation has ended."""

    def saved(self, update: int) -> None:
        """The state is on disk."""

    def warned(self, sentence: str) -> None:
        """Something the user should know."""
