"""What a training shows, tries out and says; the terminal's part of it."""

from __future__ import annotations

import os
import pty
import signal
import sys
from pathlib import Path

import pytest
import torch

from s2t2_cli.cli.exits import Interrupted
from s2t2_cli.cli.training_run import TrainingDisplay, curves_drawer, run_training, stop_in_good_order
from s2t2_cli.errors import UsageError
from s2t2_cli.training.curves import draw_curves
from s2t2_cli.training.listener import Progress
from s2t2_cli.training.log import TrainingLog
from s2t2_cli.training.loop import Outcome
from s2t2_cli.training.rehearsal import rehearse
from s2t2_cli.training.settings import TrainingSettings
from s2t2_cli.training.stopping import Stopper, StopTraining
from s2t2_cli.training.tasks import Losses
from training_fixtures import Line, Points, Rows

PROGRESS = Progress(1200, 250_000, 0, {"loss": 3.2146, "nll": 3.0}, 1e-5, 2.0, 45.21, 11_100.0)


@pytest.fixture
def display() -> TrainingDisplay:
    return TrainingDisplay("s of audio", wants_progress=False, quiet=False)


def test_the_live_line(display: TrainingDisplay) -> None:
    assert (display.live(), display.part_done()) == ("starting", None)
    display.show("train.jsonl: 100 rows read")
    assert display.live() == "train.jsonl: 100 rows read"
    display.progressed(PROGRESS)
    assert display.live() == "1,200/250,000 · loss 3.215 · 45.2 s of audio a second · 3 h 05 m left"
    assert display.part_done() == 0.0048
    display.validating(1200)
    assert display.live().endswith("left · validating")


def test_of_several_processes_only_the_first_has_a_live_line(monkeypatch: pytest.MonkeyPatch) -> None:
    leader, follower = pty.openpty()
    monkeypatch.setenv("TERM", "xterm")
    with os.fdopen(leader, "rb"), os.fdopen(follower, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        for rank, shown in (("0", True), ("1", False)):
            monkeypatch.setenv("RANK", rank)
            made = TrainingDisplay("s of audio", wants_progress=True, quiet=False)
            assert made._display.is_live is shown


def test_without_a_terminal_a_line_now_and_then(display: TrainingDisplay, capfd: pytest.CaptureFixture[str]) -> None:
    with display:
        for _ in range(5):
            display.progressed(PROGRESS)
    line = "s2t2: update 1,200/250,000, loss 3.215, 45.2 s of audio a second, 3 h 05 m left"
    assert capfd.readouterr().err.splitlines() == [line]


def test_validations_are_told_and_the_curves_drawn(display: TrainingDisplay, capfd: pytest.CaptureFixture[str]) -> None:
    drawn: list[bool] = []
    display.after_validation = lambda: drawn.append(True)
    display.validated(1200, {"bleu": 23.456, "loss": 1.9}, True)
    display.validated(1300, {"bleu": 23.4, "loss": 1.9}, False)
    assert drawn == [True, True]
    assert capfd.readouterr().err.splitlines() == [
        "s2t2: validation after update 1,200: bleu 23.46, loss 1.90, the best so far",
        "s2t2: validation after update 1,300: bleu 23.40, loss 1.90",
    ]


# Ends


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (Outcome(500, None, 0), "training finished after update 500: out"),
        (Outcome(500, 23.4, 400), "training finished after update 500; the best, 23.40, came after update 400: out"),
        (
            Outcome(900, 23.4, 400, out_of_patience=True),
            "training stopped improving after update 900; the best, 23.40, came after update 400: out",
        ),
    ],
)
def test_how_it_ended(outcome: Outcome, words: str) -> None:
    said: list[str] = []
    run_training(lambda stopper: outcome, output=Path("out"), say=said.append)
    assert said == [words]


def test_of_several_processes_only_the_first_speaks(monkeypatch: pytest.MonkeyPatch) -> None:
    import typer

    monkeypatch.setenv("RANK", "1")
    said: list[str] = []
    with pytest.raises(typer.Exit) as ended:
        run_training(lambda stopper: Outcome(5, None, 0, interrupted=True), output=Path("out"), say=said.append)
    assert (ended.value.exit_code, said) == (143, [])


def test_a_signal_before_training_ends_the_program() -> None:
    with pytest.raises(Interrupted) as stopped, stop_in_good_order(Stopper()):
        signal.raise_signal(signal.SIGTERM)
    assert stopped.value.exit_status == 143


def test_a_signal_during_training_is_a_request() -> None:
    stopper = Stopper()
    stopper.is_in_use = True
    before = signal.getsignal(signal.SIGINT)
    try:
        with stop_in_good_order(stopper) as received:
            signal.raise_signal(signal.SIGINT)
            # A second one ends the process on the spot.
            assert signal.getsignal(signal.SIGINT) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGINT, before)
    assert received == [signal.SIGINT]
    assert stopper.requested


def test_what_must_be_whole_is_finished_first() -> None:
    stopper = Stopper()
    done: list[str] = []

    def work() -> None:
        with stopper.at_once():
            with stopper.whole():
                stopper.request()
                done.append("whole")
            done.append("never")

    with pytest.raises(StopTraining):
        work()
    assert done == ["whole"]


# Curves


def test_curves_of_an_unfinished_log(tmp_path: Path) -> None:
    log = TrainingLog(tmp_path, until=0)
    for update in (1, 2, 3):
        log.write({"update": update, "loss": 3.0 / update, "nll": 2.5 / update})
    log.write({"update": 3, "valid": {"bleu": 12.0, "loss": 1.5}, "best": True})
    assert draw_curves(tmp_path).read_bytes().startswith(b"\x89PNG")


def test_without_matplotlib_it_is_said_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    said: list[str] = []
    draw = curves_drawer(tmp_path, say=said.append)
    draw()
    draw()
    assert said == ["warning: drawing curves needs matplotlib; run: pip install 's2t2-cli[train]'"]


# The rehearsal


def test_a_rehearsal_changes_nothing() -> None:
    task = Line()
    before = {name: one.clone() for name, one in task.state_dict().items()}
    rehearse(task, Rows().load(Rows().plan(0)[0][0]), TrainingSettings(updates=7))
    assert task.begun == [7, 1]
    assert all(one.grad is None for one in task.parameters())
    assert all(torch.equal(one, before[name]) for name, one in task.state_dict().items())


def test_too_little_memory_is_noticed_before_training() -> None:
    class Greedy(Line):
        def forward(self, batch: Points) -> Losses:
            raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(UsageError, match="too little memory for the largest batch: give a smaller --batch-seconds"):
        rehearse(Greedy(), Rows().load(Rows().plan(0)[0][0]), TrainingSettings(updates=7))
