"""Each of several processes takes its part of the inputs, and none of them asks the others."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli_run import Here
from s2t2_cli.errors import UsageError
from s2t2_cli.sharding import Shard, parse_shard, stated_seconds


@pytest.fixture
def s2t2(capfdbinary: pytest.CaptureFixture[bytes]) -> Here:
    return Here(capfdbinary)


def shards_of(seconds: list[float | None], count: int) -> list[list[int]]:
    """The positions that each shard takes."""
    positions = range(len(seconds))
    return [list(Shard(number, count).pick(positions, lambda one: seconds[one])) for number in range(1, count + 1)]


@given(st.lists(st.none() | st.floats(min_value=0, max_value=100)), st.integers(min_value=1, max_value=9))
def test_every_item_is_in_exactly_one_shard_and_shards_keep_the_order(seconds: list[float | None], count: int) -> None:
    shards = shards_of(seconds, count)
    assert sorted(position for shard in shards for position in shard) == list(range(len(seconds)))
    assert all(shard == sorted(shard) for shard in shards)


@given(st.lists(st.floats(min_value=0.1, max_value=100), min_size=1), st.integers(min_value=2, max_value=9))
def test_shards_differ_by_no_more_than_a_recording(seconds: list[float], count: int) -> None:
    totals = [sum(seconds[position] for position in shard) for shard in shards_of(list(seconds), count)]
    assert max(totals) - min(totals) <= max(seconds) + 1e-6


def test_without_durations_they_take_turns() -> None:
    assert shards_of([None] * 7, 3) == [[0, 3, 6], [1, 4], [2, 5]]


def test_an_unknown_duration_counts_as_the_mean_of_those_before() -> None:
    """One item of 10 s, then one of unknown length: about 10 s; the third finds both shards alike."""
    assert shards_of([10.0, None, 4.0, 4.0], 2) == [[0, 2], [1, 3]]


def test_what_costs_nothing_does_not_tip_the_scales() -> None:
    assert shards_of([5.0, 0.0, 0.0, 5.0], 2) == [[0], [1, 2, 3]]


class TestNames:
    @pytest.mark.parametrize(("text", "shard"), [("1/1", Shard(1, 1)), ("2/8", Shard(2, 8)), ("08/8", Shard(8, 8))])
    def test_written_out(self, text: str, shard: Shard) -> None:
        assert parse_shard(text, {}) == shard

    @pytest.mark.parametrize(
        "text", ["", "1", "/", "1/", "0/4", "5/4", "-1/4", "1/4/2", "1.5/4", "a/4", "1/٤", "slurm/4"]
    )
    def test_what_is_no_shard(self, text: str) -> None:
        with pytest.raises(UsageError):
            parse_shard(text, {})

    @pytest.mark.parametrize(
        ("task", "lowest", "highest", "count", "shard"),
        [(1, 1, 8, 8, "1/8"), (8, 1, 8, 8, "8/8"), (0, 0, 7, 8, "1/8"), (7, 0, 7, 8, "8/8"), (1, 1, 1, 1, "1/1")],
    )
    def test_a_job_array(self, task: int, lowest: int, highest: int, count: int, shard: str) -> None:
        assert str(parse_shard("slurm", array(task, lowest, highest, count))) == shard

    @pytest.mark.parametrize(("task", "lowest", "highest", "count"), [(3, 3, 7, 2), (5, 5, 5, 1), (2, 0, 14, 8)])
    def test_a_part_of_an_array_would_mean_other_shards(self, task: int, lowest: int, highest: int, count: int) -> None:
        """`--array=3,7` to run two tasks again: Slurm then speaks of two tasks, not of eight."""
        with pytest.raises(UsageError, match=r"write out which shard of how many this is: --shard \$SLURM_ARRAY"):
            parse_shard("slurm", array(task, lowest, highest, count))

    @pytest.mark.parametrize("environment", [{}, {"SLURM_ARRAY_TASK_ID": "1"}, {"SLURM_ARRAY_TASK_ID": "x"}])
    def test_outside_of_an_array(self, environment: dict[str, str]) -> None:
        with pytest.raises(UsageError, match="which Slurm sets for the tasks of an array"):
            parse_shard("slurm", environment)


def array(task: int, lowest: int, highest: int, count: int) -> dict[str, str]:
    values = {"ID": task, "MIN": lowest, "MAX": highest, "COUNT": count}
    return {f"SLURM_ARRAY_TASK_{name}": str(value) for name, value in values.items()}


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (3, 3.0), (2.5, 2.5), ("2.5", 2.5),
        (0, None), (-1, None), (True, None), (None, None), ("", None), ("long", None), ("nan", None), ("inf", None),
        (10**400, None), (1e300, None), ([1], None),
    ],
)  # fmt: skip
def test_durations_that_can_be_believed(value: object, seconds: float | None) -> None:
    assert stated_seconds({"duration": value}) == seconds


class TestTranslate:
    def test_the_shards_of_a_manifest_are_the_manifest(self, s2t2: Here, clip: Path, tmp_path: Path) -> None:
        """Broken rows and missing files included, each in one shard; by the durations stated, not by rows."""
        shutil.copy(clip, tmp_path / "clip.wav")
        chance = random.Random(5)
        rows = []
        for number in range(200):
            row = {"audio_filepath": "clip.wav", "id": number, "duration": chance.choice([1, 5, 30])}
            rows.append("{broken" if number % 50 == 7 else json.dumps(row))
        manifest = tmp_path / "list.jsonl"
        manifest.write_text("\n".join(rows) + "\nnot JSON either\n")
        options = ("translate", "--manifest", str(manifest), "--lang", "de", "--dry-run")
        whole = s2t2(*options)
        parts = [s2t2(*options, "--shard", f"{number}/3") for number in (1, 2, 3)]
        assert sorted(line for part in parts for line in part.lines) == sorted(whole.lines)
        assert len(whole.lines) == 201
        assert {part.status for part in parts} <= {0, 1}

    def test_the_shards_of_a_folder(self, s2t2: Here, clip: Path, tmp_path: Path) -> None:
        for name in "abcde":
            shutil.copy(clip, tmp_path / f"{name}.wav")
        parts = [s2t2("translate", tmp_path, "--lang", "de", "--dry-run", "--shard", f"{n}/2").lines for n in (1, 2)]
        assert [[Path(line).stem for line in part] for part in parts] == [["a", "c", "e"], ["b", "d"]]

    def test_an_empty_shard_is_an_empty_file(
        self, s2t2: Here, clip: Path, tiny_checkpoint: Path, tmp_path: Path
    ) -> None:
        output = tmp_path / "part.jsonl"
        done = s2t2("translate", clip, "--model", tiny_checkpoint, "--shard", "2/2", "--format", "jsonl", "-o", output)
        assert (done.status, done.err, output.read_bytes()) == (0, "", b"")

    def test_results_in_one_folder_never_share_a_file(self, s2t2: Here, clip: Path, tmp_path: Path) -> None:
        """Each has the place it would have without shards, numbers included."""
        rows = [str(clip), str(clip), "https://example.org/a.mp3", str(clip), "", "https://example.org/a.mp3"]
        manifest = tmp_path / "list.jsonl"
        manifest.write_text("".join(json.dumps({"audio_filepath": path}) + "\n" for path in rows))
        options = ("translate", "--manifest", str(manifest), clip, "--lang", "de", "--dry-run", "--output-dir", "out")
        whole = s2t2(*options).lines
        parts = [line for number in (1, 2, 3) for line in s2t2(*options, "--shard", f"{number}/3").lines]
        assert sorted(parts) == sorted(whole)
        places = [line.split("\t")[1] for line in whole if "error" not in line]
        assert len(set(places)) == len(places) == 6

    def test_a_mistake(self, s2t2: Here, clip: Path) -> None:
        done = s2t2("translate", clip, "--lang", "de", "--shard", "3/2")
        assert (done.status, done.messages) == (
            2, ["s2t2: there is no shard 3/2; shards are numbered from 1 to their number"],
        )  # fmt: skip
