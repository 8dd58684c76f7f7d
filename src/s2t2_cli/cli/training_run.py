"""A training on the terminal: what it shows, how Ctrl-C ends it in good order, what is said at the end.

Knows: the training loop's listener and outcome. Does not know: what is trained.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Self

import typer

from s2t2_cli.cli.exits import Interrupted, say
from s2t2_cli.cli.progress import Display, make_display, spell_seconds
from s2t2_cli.errors import UsageError
from s2t2_cli.training.listener import Listener, Progress
from s2t2_cli.training.loop import Outcome
from s2t2_cli.training.stopping import Stopper
from s2t2_cli.training.world import is_first_process

# Where there is no live line, a line of text so often.
_SECONDS_BETWEEN_LINES = 30.0


class TrainingDisplay(Listener):
    """Follows a training on standard error: a live line on a terminal, elsewhere a line of text now and then.

    Also the work that the live line asks how far it is (`cli.progress.Work`).
    """

    def __init__(self, unit: str, *, wants_progress: bool | None, quiet: bool) -> None:
        """`unit` is the task's. `after_validation` is called when a validation has been reported."""
        self._unit, self._quiet = unit, quiet
        self.after_validation: Callable[[], None] = lambda: None
        self._progress: Progress | None = None
        self._validating = False
        self._preparing = "starting"
        self._last_line = -float("inf")
        # Last, since a live line asks at once how far the work is. Of several processes one has the line.
        speaks = not quiet and is_first_process()
        self._display = make_display(self, wants_progress=wants_progress) if speaks else Display()

    def __enter__(self) -> Self:
        self._display.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._display.__exit__()

    def say(self, sentence: str) -> None:
        """A sentence that stays, unless quiet was asked for."""
        if not self._quiet:
            self._display.say(sentence)

    def show(self, words: str) -> None:
        """What is being prepared, for the live line."""
        self._preparing = words

    # What the live line shows

    def live(self) -> str:
        """`1200/250000 · loss 3.21 · 45 s of audio a second · 3 h 05 m left`."""
        if self._progress is None:
            return "validating" if self._validating else self._preparing
        return " · ".join([*_words(self._progress, self._unit), *(["validating"] if self._validating else [])])

    def part_done(self) -> float | None:
        """From 0 to 1; None before the first update."""
        return None if self._progress is None else self._progress.update / self._progress.updates

    # What the loop tells

    def began(self, update: int, updates: int) -> None:
        if 0 < update < updates:
            self.say(f"going on after update {update:,} of {updates:,}")

    def progressed(self, progress: Progress) -> None:
        self._progress = progress
        now = time.monotonic()
        if not self._display.is_live and now - self._last_line >= _SECONDS_BETWEEN_LINES:
            self._last_line = now
            self.say(f"update {', '.join(_words(progress, self._unit))}")

    def validating(self, update: int) -> None:
        self._validating = True
        self._display.refresh()

    def validated(self, update: int, scores: Mapping[str, float], is_best: bool) -> None:
        self._validating = False
        shown = ", ".join(f"{name.replace('_', ' ')} {value:.2f}" for name, value in scores.items())
        self.say(f"validation after update {update:,}: {shown}{', the best so far' if is_best else ''}")
        self.after_validation()

    def warned(self, sentence: str) -> None:
        self.say(f"warning: {sentence}")


def _words(progress: Progress, unit: str) -> list[str]:
    speed = f"{progress.speed:.1f}" if progress.speed < 100 else f"{progress.speed:,.0f}"
    return [
        f"{progress.update:,}/{progress.updates:,}",
        f"loss {progress.means['loss']:.3f}",
        f"{speed} {unit} a second",
        f"{spell_seconds(progress.seconds_left)} left",
    ]


@contextmanager
def stop_in_good_order(stopper: Stopper) -> Iterator[list[int]]:
    """Within, Ctrl-C and SIGTERM ask a running training to stop, and end whatever is not a training at once.

    Yields a list that holds the signal once there was one. A second signal ends the process on the spot.
    """
    received: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        received.append(number)
        for one in before:
            signal.signal(one, signal.SIG_DFL)
        if not stopper.is_in_use:
            raise Interrupted(number)
        stopper.request()

    before = {
        number: signal.getsignal(number)
        for number in (signal.SIGINT, signal.SIGTERM)
        if signal.getsignal(number) is not signal.SIG_IGN
    }
    for number in before:
        signal.signal(number, stop)
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if received else handler)


def run_training(work: Callable[[Stopper], Outcome], *, output: Path, say: Callable[[str], None] = say) -> Outcome:
    """Run a training to its end, say how it ended, and where the best model is.

    Raises Interrupted, when all is saved, where a signal stopped it.
    """
    stopper = Stopper()
    with stop_in_good_order(stopper) as received:
        outcome = work(stopper)
    number = received[0] if received else signal.SIGTERM  # of several processes only one may have had it
    if not is_first_process():
        raise typer.Exit(128 + number if outcome.interrupted else 0)
    if outcome.interrupted:
        raise Interrupted(
            number,
            f" after update {outcome.update:,}; all of it is saved, and the same command goes on from there",
        )
    best = "" if outcome.best is None else f"; the best, {outcome.best:.2f}, came after update {outcome.best_update:,}"
    ended = "stopped improving" if outcome.out_of_patience else "finished"
    say(f"training {ended} after update {outcome.update:,}{best}: {output}")
    return outcome


def curves_drawer(folder: Path, *, say: Callable[[str], None], score: str = "bleu") -> Callable[[], None]:
    """A function that draws the curves of a training in `folder` and, without matplotlib, says once what is missing."""
    missing = False

    def draw() -> None:
        nonlocal missing
        from s2t2_cli.training.curves import draw_curves

        if missing:
            return
        try:
            draw_curves(folder, score=score)
        except UsageError as error:
            missing = True
            say(f"warning: {error}")

    return draw
