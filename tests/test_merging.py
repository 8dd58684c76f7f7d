"""Shards become one file, or it is said what they lack; there is never half a file."""

from __future__ import annotations

import json
import os
import random
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli_run import Here
from s2t2_cli.errors import IncompleteError, ManifestError, TranslationError
from s2t2_cli.manifests import Manifest
from s2t2_cli.merging import merge
from s2t2_cli.records import TranslationResult
from s2t2_cli.resuming import Begun, read_side_file, write_side_file


@pytest.fixture
def s2t2(capfdbinary: pytest.CaptureFixture[bytes]) -> Here:
    return Here(capfdbinary)


Shards = Callable[..., list[Path]]


@pytest.fixture
def shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shards:
    """Writes files of results in the current folder, one for each list of names; a name may be `!broken`."""
    monkeypatch.chdir(tmp_path)

    def write(*parts: list[str]) -> list[Path]:
        paths = [Path(f"part-{number}.jsonl") for number in range(1, len(parts) + 1)]
        for path, names in zip(paths, parts, strict=True):
            path.write_text("".join(record(name) for name in names))
        return paths

    return write


def record(name: str) -> str:
    error = TranslationError("it failed") if name.startswith("!") else None
    status = "ok" if error is None else "error"
    return TranslationResult(name, status, text=f"text of {name}", error=error).to_json() + "\n"


def write_manifest(names: list[str]) -> Manifest:
    Path("list.jsonl").write_text("".join(json.dumps({"audio_filepath": name}) + "\n" for name in names))
    return Manifest("list.jsonl")


def begin(path: Path, shard: str | None, *, finished: bool = True, **settings: object) -> None:
    write_side_file(path, Begun({"model": "m", "shard": shard, **settings}, finished))


def names_in(path: str) -> list[str]:
    return [json.loads(line)["audio_filepath"] for line in Path(path).read_text().splitlines()]


class TestWithAManifest:
    def test_its_order_comes_back(self, shards: Shards, s2t2: Here) -> None:
        parts = shards(["a", "c", "!e"], ["b", "d"])
        write_manifest(["a", "b", "c", "d", "!e"])
        done = s2t2("merge", *parts, "--output", "all.jsonl", "--manifest", "list.jsonl")
        assert (done.status, done.messages) == (0, ["s2t2: all.jsonl holds 5 records, 1 of them errors"])
        assert names_in("all.jsonl") == ["a", "b", "c", "d", "!e"]

    @given(
        st.lists(st.sampled_from("abcdef")), st.integers(min_value=1, max_value=4), st.randoms(use_true_random=False)
    )
    def test_in_whatever_order_the_shards_are(
        self, tmp_path_factory: pytest.TempPathFactory, names: list[str], count: int, chance: random.Random
    ) -> None:
        """As after `--unordered` or `--retry-errors`; a row that is there twice has two records."""
        os.chdir(tmp_path_factory.mktemp("shards"))
        parts: list[list[str]] = [[] for _ in range(count)]
        for name in chance.sample(names, len(names)):
            chance.choice(parts).append(name)
        paths = [Path(f"{number}.jsonl") for number in range(count)]
        for path, part in zip(paths, parts, strict=True):
            path.write_text("".join(map(record, part)))
        merged = merge(paths, Path("all.jsonl"), write_manifest(names))
        assert names_in("all.jsonl") == names
        assert merged.records == len(names)

    @pytest.mark.parametrize(
        ("parts", "words"),
        [
            ([["a"], ["b"]], "1 record missing (c), make them with --resume"),
            ([["b"], []], "2 records missing (a, c)"),
            ([["a", "b"], ["c", "b"]], "1 record there once too often (b)"),
            ([["a", "b"], ["c", "x"]], "1 record of no row of it (x)"),
            (
                [["a", "a"], ["x"]],
                "2 records missing (b, c), make them with --resume; 1 record there once too often (a); ",
            ),
        ],
    )
    def test_what_is_wrong_is_named_and_nothing_is_written(
        self, shards: Shards, s2t2: Here, parts: list[list[str]], words: str
    ) -> None:
        paths = shards(*parts)
        write_manifest(["a", "b", "c"])
        before = sorted(Path().iterdir())
        done = s2t2("merge", *paths, "-o", "all.jsonl", "--manifest", "list.jsonl")
        assert (done.status, len(done.messages)) == (1, 1)
        assert words in done.err
        assert sorted(Path().iterdir()) == before

    def test_of_many_that_are_missing_some_are_named(self, shards: Shards) -> None:
        paths = shards([])
        with pytest.raises(IncompleteError, match=r"9 records missing \(0, 1, 2, 3, 4 …\)"):
            merge(paths, Path("all.jsonl"), write_manifest([str(number) for number in range(9)]))

    def test_rows_that_name_the_same_recording_keep_their_fields(self, shards: Shards) -> None:
        """Whatever else a row says tells it from the others, whichever shard it is in."""
        rows: list[dict[str, Any]] = [
            {"id": 0},
            {"id": 1, "text": "x", "duration": 3},
            {},
            {"id": 1.5, "t": ["ü", None]},
        ]
        Path("list.jsonl").write_text("".join(json.dumps({"audio_filepath": "a"} | row) + "\n" for row in rows))
        paths = shards([], [])
        lines = [TranslationResult("a", duration=2.0, fields=row).to_json() + "\n" for row in rows]
        paths[0].write_text(lines[3] + lines[0])
        paths[1].write_text(lines[2] + lines[1])
        merge(paths, Path("all.jsonl"), Manifest("list.jsonl"))
        assert Path("all.jsonl").read_text() == "".join(lines)

    def test_broken_rows_are_found_by_their_line(self, shards: Shards) -> None:
        """Their records are called after the manifest as it was typed when they were made."""
        Path("list.jsonl").write_text('{"audio_filepath": "a"}\n{"audio": "b"}\n')
        (path,) = shards(["a"])
        error = ManifestError("line 2 names no recording")
        with path.open("a") as file:
            file.write(TranslationResult("some/where/list.jsonl:2", "error", error=error).to_json() + "\n")
        assert merge([path], Path("all.jsonl"), Manifest("list.jsonl")).records == 2

    def test_a_manifest_from_a_pipe_cannot_be_read_again(self, shards: Shards, s2t2: Here) -> None:
        paths = shards(["a"])
        assert s2t2("merge", *paths, "-o", "all.jsonl", "--manifest", "/dev/null").status == 2


class TestWithoutAManifest:
    def test_shards_come_by_their_numbers(self, shards: Shards, s2t2: Here) -> None:
        first, second, third = shards(["e"], ["a", "b"], ["c", "d"])
        for path, number in ((first, 3), (second, 1), (third, 2)):
            begin(path, f"{number}/3")
        assert s2t2("merge", first, second, third, "-o", "all.jsonl").status == 0
        assert names_in("all.jsonl") == ["a", "b", "c", "d", "e"]

    def test_the_whole_can_be_resumed_as_if_it_had_been_made_at_once(self, shards: Shards) -> None:
        paths = shards(["a"], ["b"])
        for number, path in enumerate(paths, 1):
            begin(path, f"{number}/2", num_beams=3)
        merge(paths, Path("all.jsonl"))
        assert read_side_file(Path("all.jsonl")) == Begun({"model": "m", "num_beams": 3}, True)

    def test_inputs_named_twice_are_no_mistake_where_the_shards_are_known(self, shards: Shards) -> None:
        paths = shards(["a"], ["a"])
        for number, path in enumerate(paths, 1):
            begin(path, f"{number}/2")
        assert merge(paths, Path("all.jsonl")).records == 2

    def test_a_shard_is_missing(self, shards: Shards, s2t2: Here) -> None:
        paths = shards(["a"], ["b"])
        for number, path in enumerate(paths, 2):
            begin(path, f"{number}/4")
        done = s2t2("merge", *paths, "-o", "all.jsonl")
        assert (done.status, done.messages) == (1, ["s2t2: 2 shards missing (1/4, 4/4); name all of them"])
        assert not Path("all.jsonl").exists()

    def test_a_shard_is_there_twice(self, shards: Shards, s2t2: Here) -> None:
        paths = shards(["a"], ["a"])
        for path in paths:
            begin(path, "1/2")
        done = s2t2("merge", *paths, "-o", "all.jsonl")
        assert (done.status, done.messages) == (
            1, ["s2t2: part-1.jsonl and part-2.jsonl are both shard 1/2; name one of them"],
        )  # fmt: skip

    def test_a_shard_is_not_finished(self, shards: Shards, s2t2: Here) -> None:
        paths = shards(["a"], ["b"])
        for number, path in enumerate(paths, 1):
            begin(path, f"{number}/2", finished=number == 1)
        done = s2t2("merge", *paths, "-o", "all.jsonl")
        assert (done.status, done.messages) == (
            1, ["s2t2: part-2.jsonl is not finished; go on with it with --resume"],
        )  # fmt: skip

    def test_shards_of_other_options(self, shards: Shards, s2t2: Here) -> None:
        paths = shards(["a"], ["b"])
        for number, path in enumerate(paths, 1):
            begin(path, f"{number}/2", num_beams=number)
        done = s2t2("merge", *paths, "-o", "all.jsonl")
        assert done.status == 1
        assert "part-1.jsonl was made with --num-beams 1, part-2.jsonl with --num-beams 2" in done.err

    def test_where_nothing_is_known_no_input_may_be_there_twice(self, shards: Shards, s2t2: Here) -> None:
        assert s2t2("merge", *shards(["a"], ["b"]), "-o", "all.jsonl").status == 0
        done = s2t2("merge", *shards(["a", "b"], ["b"]), "-o", "all.jsonl")
        assert done.status == 1
        assert "1 record of inputs that have one already (b)" in done.err
        assert names_in("all.jsonl") == ["a", "b"]  # of the first time


class TestMistakes:
    def test_a_shard_that_ends_within_a_line(self, shards: Shards, s2t2: Here) -> None:
        paths = shards(["a"], ["b"])
        paths[1].write_text(record("b") + record("c")[:20])
        done = s2t2("merge", *paths, "-o", "all.jsonl")
        assert (done.status, done.messages) == (
            1, ["s2t2: part-2.jsonl ends within a line; finish that shard first, with --resume"],
        )  # fmt: skip

    def test_a_line_that_is_no_result(self, shards: Shards, s2t2: Here) -> None:
        paths = shards(["a"])
        paths[0].write_text(record("a") + "{}\n")
        done = s2t2("merge", *paths, "-o", "all.jsonl")
        assert done.status == 2
        assert done.messages[0].startswith("s2t2: line 2 of part-1.jsonl is no result (")
        assert not Path("all.jsonl").exists()

    def test_the_whole_does_not_replace_a_shard(self, shards: Shards, s2t2: Here) -> None:
        paths = shards(["a"], ["b"])
        assert s2t2("merge", *paths, "-o", paths[0]).status == 2
        assert names_in("part-1.jsonl") == ["a"]

    @pytest.mark.parametrize(
        "arguments", [[], ["part-1.jsonl"], ["none.jsonl", "-o", "all.jsonl"], ["part-1.jsonl", "-o", "no/all.jsonl"]]
    )
    def test_nothing_to_work_with(self, shards: Shards, s2t2: Here, arguments: list[str]) -> None:
        shards(["a"])
        done = s2t2("merge", *arguments)
        assert (done.status, len(done.messages)) in ((2, 1), (1, 1))
        assert (done.status == 1) == (arguments[-1:] == ["no/all.jsonl"])


def test_more_shards_than_files_may_be_open(shards: Shards) -> None:
    """A job array may have thousands of tasks; a process may open some hundred files until it asks for more."""
    names = [f"{number:03d}" for number in range(300)]
    paths = shards(*([name] for name in names))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, hard))
    try:
        assert merge(paths, Path("all.jsonl"), write_manifest(names)).records == 300
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
