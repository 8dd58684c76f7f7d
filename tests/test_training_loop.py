"""The loop: what an update is, going on exactly where it was, stopping, keeping the best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from s2t2_cli.errors import OutputError, TrainingError, UsageError
from s2t2_cli.training.batches import BatchPart
from s2t2_cli.training.listener import Progress
from s2t2_cli.training.log import read_log
from s2t2_cli.training.loop import Outcome, train
from s2t2_cli.training.settings import TrainingSettings
from s2t2_cli.training.state import STATE_NAME
from s2t2_cli.training.stopping import Stopper
from s2t2_cli.training.tasks import Losses
from training_fixtures import Diary, Line, Points, Rows

SETTINGS = TrainingSettings(
    updates=12, lr=0.05, schedule="cosine", warmup=2, validate_every=4, save_every=5, log_every=3, clip=1.0
)


def curve(folder: Path) -> dict[int, float]:
    return {line["update"]: line["loss"] for line in read_log(folder) if "loss" in line}


@pytest.fixture
def whole(tmp_path: Path) -> tuple[Line, Diary, Path]:
    """A run from beginning to end."""
    folder = tmp_path / "whole"
    task, diary = Line(tmp_path), Diary()
    outcome = train(task, Rows(), SETTINGS, folder, listener=diary)
    assert outcome == Outcome(12, outcome.best, outcome.best_update)
    return task, diary, folder


def test_a_run_validates_saves_and_logs_when_it_should(whole: tuple[Line, Diary, Path]) -> None:
    task, diary, folder = whole
    assert diary.updates == list(range(1, 13))
    assert task.begun == list(range(1, 13))
    assert [note.removesuffix(" best") for note in diary.heard] == [
        "validated 4", "saved 5", "validated 8", "saved 10", "validated 12", "saved 12",
    ]  # fmt: skip
    lines = read_log(folder)
    assert [line["update"] for line in lines] == [3, 4, 6, 8, 9, 12, 12]
    assert lines[0].keys() == {
        "update", "epoch", "loss", "absolute", "lr", "grad_norm", "amount", "speed", "time",
    }  # fmt: skip
    assert lines[1]["valid"].keys() == {"closeness", "other"}
    assert lines[1]["best"] is True


def test_it_learns(whole: tuple[Line, Diary, Path]) -> None:
    _, diary, _ = whole
    assert sum(diary.losses[-6:]) < sum(diary.losses[:6])


@pytest.mark.parametrize("stop_after", [1, 4, 5, 11])
def test_going_on_gives_the_same_losses_and_weights(
    tmp_path: Path, whole: tuple[Line, Diary, Path], stop_after: int
) -> None:
    class StopLater(Diary):
        def progressed(self, progress: Progress) -> None:
            super().progressed(progress)
            if progress.update == stop_after:
                stopper.request()

    task, diary, folder = whole
    stopper, first = Stopper(), StopLater()
    outcome = train(Line(), Rows(), SETTINGS, tmp_path / "parts", listener=first, stopper=stopper)
    assert outcome.interrupted
    assert outcome.update == stop_after
    second, resumed = Diary(), Line()
    train(resumed, Rows(), SETTINGS, tmp_path / "parts", listener=second)
    assert first.losses + second.losses == diary.losses
    assert second.updates[0] == stop_after + 1
    assert curve(tmp_path / "parts") == curve(folder)
    for one, other in zip(task.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(one, other)


def test_what_a_killed_run_wrote_beyond_its_state_comes_again(tmp_path: Path, whole: tuple[Line, Diary, Path]) -> None:
    """The state is of update 5, as if the process had died after update 9, in the middle of a line of the log."""
    _, _, folder = whole

    class Kill(Diary):
        def saved(self, update: int) -> None:
            super().saved(update)
            if update == 5:
                (tmp_path / "kept").write_bytes((tmp_path / "killed" / STATE_NAME).read_bytes())

    killed = tmp_path / "killed"
    train(Line(), Rows(), SETTINGS, killed, listener=Kill())
    (tmp_path / "kept").replace(killed / STATE_NAME)
    log = killed / "log.jsonl"
    log.write_text("".join(log.read_text().splitlines(keepends=True)[:-3]) + '{"update": 9, "lo')
    (killed / f".{STATE_NAME}.tmp").write_bytes(b"half of a state")
    train(Line(), Rows(), SETTINGS, killed)
    assert curve(killed) == curve(folder)
    assert [line["update"] for line in read_log(killed)] == [line["update"] for line in read_log(folder)]


def test_a_finished_run_has_nothing_left_to_do(whole: tuple[Line, Diary, Path]) -> None:
    _, _, folder = whole
    diary = Diary()
    assert train(Line(), Rows(), SETTINGS, folder, listener=diary).update == 12
    assert diary.updates == []


def test_settings_that_differ_are_named(whole: tuple[Line, Diary, Path]) -> None:
    _, _, folder = whole
    with pytest.raises(UsageError, match=r"started with --lr 0\.05, not 0\.1: .*--restart"):
        train(Line(), Rows(), replace(SETTINGS, lr=0.1), folder)
    with pytest.raises(UsageError, match="started with --max-updates 12, not 24"):
        train(Line(), Rows(), replace(SETTINGS, updates=24), folder)
    with pytest.raises(UsageError, match="started with --data unset, not rows"):
        train(Line(), Rows(), SETTINGS, folder, also_fixed={"data": "rows"})


def test_how_often_to_log_and_save_may_change(whole: tuple[Line, Diary, Path]) -> None:
    _, _, folder = whole
    train(Line(), Rows(), replace(SETTINGS, log_every=1, save_every=2, save_minutes=1, prefetch=0), folder)


def test_a_schedule_without_an_end_can_be_made_longer(tmp_path: Path) -> None:
    settings = replace(SETTINGS, schedule="inverse_sqrt")
    train(Line(), Rows(), settings, tmp_path)
    assert train(Line(), Rows(), replace(settings, updates=15), tmp_path).update == 15


def test_accumulating_is_the_same_as_a_larger_batch(tmp_path: Path) -> None:
    class Together(Rows):
        """Both batches of an update as one."""

        def plan(self, epoch: int) -> Sequence[Sequence[BatchPart]]:
            plan = Rows(self.per_update, self.count).plan(epoch)
            return [[BatchPart(epoch, n, sum((one.rows for one in update), ()))] for n, update in enumerate(plan)]

    apart, together = Diary(), Diary()
    train(Line(dropout=0.0), Rows(), SETTINGS, tmp_path / "apart", listener=apart)
    train(Line(dropout=0.0), Together(), SETTINGS, tmp_path / "together", listener=together)
    assert together.losses == pytest.approx(apart.losses, abs=1e-6)


def test_preparing_ahead_changes_nothing(tmp_path: Path, whole: tuple[Line, Diary, Path]) -> None:
    _, diary, _ = whole
    other = Diary()
    train(Line(), Rows(), replace(SETTINGS, prefetch=0), tmp_path / "other", listener=other)
    assert other.losses == diary.losses


def test_the_first_step_is_adams_with_the_gradient_clipped(tmp_path: Path) -> None:
    settings = replace(SETTINGS, updates=1, warmup=0, schedule="constant", clip=0.01, weight_decay=0.0)
    task = Line(dropout=0.0)
    inputs, targets = (torch.cat(parts) for parts in zip(*map(Rows().load, Rows().plan(0)[0]), strict=True))  # type: ignore[arg-type]
    twin = Line(dropout=0.0)
    loss = (twin.line(inputs) - targets).square().mean()
    loss.backward()
    norm = torch.nn.utils.clip_grad_norm_(twin.parameters(), 0.01)
    optimizer = torch.optim.Adam(twin.parameters(), lr=settings.lr, betas=settings.betas, eps=settings.eps)
    optimizer.step()
    train(task, Rows(), settings, tmp_path)
    assert torch.allclose(task.line.weight, twin.line.weight, atol=1e-6)
    assert read_log(tmp_path)[0]["grad_norm"] == pytest.approx(float(norm), rel=1e-5)
    assert torch.equal(task.head.weight, twin.head.weight)


def test_the_best_model_is_released_and_impatience_ends_the_run(tmp_path: Path) -> None:
    scores = iter([1.0, 3.0, 2.0, 3.0, 9.0])

    class Scored(Line):
        def validate(self) -> Mapping[str, float]:
            return {"closeness": next(scores)}

    settings = replace(SETTINGS, validate_every=1, patience=2)
    task = Scored(tmp_path)
    diary = Diary()
    outcome = train(task, Rows(), settings, tmp_path, listener=diary)
    assert outcome == Outcome(4, 3.0, 2, out_of_patience=True)
    assert [note for note in diary.heard if "best" in note] == ["validated 1 best", "validated 2 best"]
    again = train(Scored(tmp_path), Rows(), settings, tmp_path)
    assert again == outcome


def test_a_lower_score_may_be_better(tmp_path: Path) -> None:
    class Perplexity(Line):
        higher_is_better = False
        values = iter([5.0, 4.0, 6.0])

        def validate(self) -> Mapping[str, float]:
            return {"closeness": next(self.values)}

    assert train(Perplexity(), Rows(), SETTINGS, tmp_path).best == 4.0


def test_without_validation_the_last_model_is_released(tmp_path: Path) -> None:
    task = Line(tmp_path)
    train(task, Rows(), replace(SETTINGS, validate_every=0), tmp_path)
    assert (tmp_path / "released.txt").read_text() == f"{float(task.line.bias.detach()):.9f}"


def test_batches_that_cannot_be_used_are_passed_over(tmp_path: Path) -> None:
    class Holes(Rows):
        def load(self, part: BatchPart) -> Points | None:
            return None if part.number % 3 == 0 else super().load(part)

    assert train(Line(), Holes(), SETTINGS, tmp_path).update == 12


@pytest.mark.parametrize("prefetch", [0, 2])
def test_nothing_usable_at_all(tmp_path: Path, prefetch: int) -> None:
    class Nothing(Rows):
        def load(self, part: BatchPart) -> Points | None:
            return None

    with pytest.raises(UsageError, match="no row of the data could be used"):
        train(Line(), Nothing(), replace(SETTINGS, prefetch=prefetch), tmp_path)


def test_one_gradient_that_is_not_finite_is_skipped_with_a_warning(tmp_path: Path) -> None:
    class Spike(Rows):
        def load(self, part: BatchPart) -> Points | None:
            points = super().load(part)
            assert points is not None
            return (points[0] * torch.inf, points[1]) if (part.epoch, part.number) == (0, 2) else points

    diary = Diary()
    task = Line(dropout=0.0)
    train(task, Spike(), SETTINGS, tmp_path, listener=diary)
    assert "no finite gradient for update 2: its batches are skipped" in diary.heard
    assert all(torch.isfinite(one).all() for one in task.parameters())


def test_training_that_diverges_is_given_up(tmp_path: Path) -> None:
    class Hopeless(Line):
        def forward(self, batch: Points) -> Losses:
            losses = super().forward(batch)
            return Losses(losses.total * torch.nan, losses.weight)

    with pytest.raises(TrainingError, match=r"diverges: .*lower --lr"):
        train(Hopeless(), Rows(), SETTINGS, tmp_path)


def test_a_state_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / STATE_NAME).write_bytes(b"no state at all")
    with pytest.raises(TrainingError, match=r"state\.pt is not a state that can be resumed.*--restart"):
        train(Line(), Rows(), SETTINGS, tmp_path)


def test_a_state_with_code_in_it_is_not_run(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return (Path(tmp_path / "pwned").touch, ())

    torch.save({"layout": 1, "position": Evil()}, tmp_path / STATE_NAME)
    with pytest.raises(TrainingError, match="is not a state that can be resumed"):
        train(Line(), Rows(), SETTINGS, tmp_path)
    assert not (tmp_path / "pwned").exists()


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot make the folder"):
        train(Line(), Rows(), SETTINGS, tmp_path / "file" / "below")


def test_a_request_during_validation_is_heeded_and_the_validation_comes_again(
    tmp_path: Path, whole: tuple[Line, Diary, Path]
) -> None:
    stopper = Stopper()

    class Slow(Line):
        def validate(self) -> Mapping[str, float]:
            stopper.request()
            raise AssertionError("the request ends the validation")

    outcome = train(Slow(), Rows(), SETTINGS, tmp_path / "slow", stopper=stopper)
    assert outcome.interrupted
    assert outcome.update == 4
    diary = Diary()
    train(Line(), Rows(), SETTINGS, tmp_path / "slow", listener=diary)
    assert diary.heard[0].startswith("validated 4")
    assert curve(tmp_path / "slow") == curve(whole[2])


@given(
    schedule=st.sampled_from(["tri_stage", "inverse_sqrt", "linear", "cosine", "constant"]),
    updates=st.integers(1, 300),
    data=st.data(),
)
def test_schedules_warm_up_and_never_leave_their_bounds(schedule: Any, updates: int, data: st.DataObject) -> None:
    from s2t2_cli.training.schedule import learning_rate_factor

    warmup = data.draw(st.none() | st.integers(0, updates))
    settings = TrainingSettings(updates=updates, schedule=schedule, warmup=warmup)
    factors = [learning_rate_factor(settings, update) for update in range(1, updates + 1)]
    assert all(0 <= factor <= 1 for factor in factors)
    rising = factors[: settings.warmup_updates]
    assert rising == [(place + 1) / len(rising) for place in range(len(rising))]
    falling = factors[settings.warmup_updates :]
    assert falling == sorted(falling, reverse=True)


def test_tri_stage_holds_for_four_tenths_and_ends_at_a_twentieth() -> None:
    from s2t2_cli.training.schedule import learning_rate_factor

    settings = TrainingSettings(updates=100)
    factors = {update: learning_rate_factor(settings, update) for update in range(1, 101)}
    assert factors[1] == 0.1
    assert factors[10] == factors[50] == 1.0
    assert factors[75] == pytest.approx(0.525)
    assert factors[100] == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"updates": 0}, "max-updates 0 must be at least 1"),
        ({"lr": 0.0}, "lr 0.0 must be above 0"),
        ({"warmup": 99}, "warmup 99 must be within the updates"),
        ({"schedule": "steps"}, "schedule steps is not one of tri_stage"),
        ({"patience": 0}, "patience 0 must be at least 1"),
        ({"clip": -1.0}, "clip -1.0 must not be negative"),
    ],
)
def test_settings_that_make_no_sense(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        replace(SETTINGS, **wrong)
