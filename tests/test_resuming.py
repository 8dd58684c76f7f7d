"""A run that was cut short goes on where it stopped: nothing is done twice, nothing is lost, nothing is mixed."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli_run import Here
from s2t2_cli.errors import AudioDecodeError, ManifestError, UsageError
from s2t2_cli.formats import make_format
from s2t2_cli.inputs import Source
from s2t2_cli.records import TranslationResult
from s2t2_cli.resuming import ResumableWriter, look_through, remaining

Run = Callable[..., Any]


@pytest.fixture
def s2t2(capfdbinary: pytest.CaptureFixture[bytes]) -> Here:
    return Here(capfdbinary)


@pytest.fixture
def run(tmp_path: Path, clip: Path, tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch, s2t2: Here) -> Run:
    """Runs `s2t2 translate rec … -o x.jsonl` where `rec` holds four recordings, of which `b.wav` is broken."""
    monkeypatch.chdir(tmp_path)
    Path("rec").mkdir()
    for name in "abcd":
        shutil.copy(clip, f"rec/{name}.wav")
    Path("rec/b.wav").write_bytes(b"this is not audio")

    def call(*options: str, inputs: tuple[str, ...] = ("rec",)) -> Any:
        return s2t2(
            "translate", *inputs, "--model", str(tiny_checkpoint), "--format", "jsonl", "-o", "x.jsonl", *options
        )

    return call


def names() -> list[str]:
    return [Path(json.loads(line)["audio_filepath"]).stem for line in Path("x.jsonl").read_bytes().splitlines()]


class TestGoingOn:
    def test_what_is_there_is_not_done_again(self, run: Run) -> None:
        run()
        whole = Path("x.jsonl").read_bytes()
        for kept in (0, 1, 3, 4):
            Path("x.jsonl").write_bytes(b"".join(whole.splitlines(keepends=True)[:kept]))
            done = run("--resume")
            assert Path("x.jsonl").read_bytes() == whole
            assert done.status == 1  # as a run from beginning to end: b.wav failed
        assert done.messages == ["s2t2: 4 inputs done before, 1 of them failed (--retry-errors does them again)"]

    def test_a_torn_last_line_is_cut_off(self, run: Run) -> None:
        run()
        whole = Path("x.jsonl").read_bytes()
        first = whole.index(b"\n") + 1
        for torn in (first + 1, first + 40, whole.index(b"\n", first)):
            Path("x.jsonl").write_bytes(whole[:torn])
            run("--resume")
            assert Path("x.jsonl").read_bytes() == whole

    def test_without_it_the_file_starts_anew(self, run: Run) -> None:
        run()
        run(inputs=("rec/c.wav",))
        assert names() == ["c"]

    def test_the_first_run_may_say_it_too(self, run: Run) -> None:
        """So that a job that is queued again needs no other command."""
        assert run("--resume").status == 1
        assert names() == ["a", "b", "c", "d"]

    def test_new_inputs_are_added(self, run: Run, clip: Path) -> None:
        run()
        shutil.copy(clip, "rec/aa.wav")
        run("--resume")
        assert names() == ["a", "b", "c", "d", "aa"]

    def test_an_input_that_is_named_twice_has_two_results(self, run: Run) -> None:
        twice = ("rec/a.wav", "rec/c.wav", "rec/a.wav")
        run(inputs=twice)
        whole = Path("x.jsonl").read_bytes()
        Path("x.jsonl").write_bytes(b"".join(whole.splitlines(keepends=True)[:2]))
        run("--resume", inputs=twice)
        assert names() == ["a", "c", "a"]

    def test_rows_that_name_the_same_recording_are_told_apart(self, run: Run) -> None:
        rows = [{"audio_filepath": "rec/a.wav", "id": number} for number in range(3)]
        Path("list.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        run("--manifest", "list.jsonl", inputs=())
        lines = Path("x.jsonl").read_bytes().splitlines(keepends=True)
        Path("x.jsonl").write_bytes(lines[2] + lines[0])  # as of a run that was --unordered
        run("--manifest", "list.jsonl", "--resume", inputs=())
        assert [json.loads(line)["id"] for line in Path("x.jsonl").read_bytes().splitlines()] == [2, 0, 1]

    def test_results_of_other_inputs_stay_and_are_counted(self, run: Run) -> None:
        run()
        done = run("--resume", inputs=("rec/a.wav",))
        assert done.messages[1:] == [
            "s2t2: warning: 3 earlier results are of inputs that were not named this time; they stay in the file"
        ]
        assert names() == ["a", "b", "c", "d"]

    def test_a_dry_run_lists_what_is_left(self, run: Run) -> None:
        run(inputs=("rec/a.wav", "rec/c.wav"))
        before = Path("x.jsonl").read_bytes()
        assert run("--resume", "--dry-run").lines == ["rec/b.wav", "rec/d.wav"]
        assert Path("x.jsonl").read_bytes() == before

    def test_what_it_was_made_with_lies_beside_it(self, run: Run) -> None:
        run("--num-beams", "2")
        kept = json.loads(Path("x.jsonl.resume").read_bytes())
        assert kept["finished"] is True
        assert kept["settings"]["num_beams"] == 2
        assert kept["settings"]["weights"].startswith("sha256:")


class TestErrors:
    def test_they_are_done_again_when_asked_for(self, run: Run, clip: Path) -> None:
        run()
        shutil.copy(clip, "rec/b.wav")
        done = run("--resume", "--retry-errors")
        assert (done.status, done.messages) == (0, ["s2t2: 3 inputs done before"])
        assert names() == ["a", "c", "d", "b"]

    def test_one_that_fails_again_is_there_once(self, run: Run) -> None:
        run()
        for _ in range(2):
            assert run("--resume", "--retry-errors").status == 1
        assert names() == ["a", "c", "d", "b"]

    def test_a_broken_row_is_the_same_by_any_path_to_its_manifest(self, run: Run, tmp_path: Path) -> None:
        Path("list.jsonl").write_text('{"audio_filepath": "rec/a.wav"}\n{"audio": "rec/c.wav"}\n')
        run("--manifest", "list.jsonl", inputs=())
        run("--manifest", str(tmp_path / "list.jsonl"), "--resume", inputs=())
        assert len(names()) == 2


class TestRefusals:
    @pytest.mark.parametrize(
        ("options", "differing"),
        [
            (["--num-beams", "2"], "begun with no --num-beams, this run has --num-beams 2"),
            (["--no-detokenize"], "begun with --detokenize, this run has --no-detokenize"),
            (["--lang", "tr"], "begun with no --lang, this run has --lang tr"),
            (["--segmentation", "fixed"], "begun with no --segmentation, this run has --segmentation fixed"),
            (["--shard", "1/2"], "begun with no --shard, this run has --shard 1/2"),
        ],
    )
    def test_other_options(self, run: Run, options: list[str], differing: str) -> None:
        run()
        before = Path("x.jsonl").read_bytes()
        done = run("--resume", *options)
        assert done.status == 2
        assert done.messages == [f"s2t2: x.jsonl was {differing}; give the same to go on, or name another --output"]
        assert Path("x.jsonl").read_bytes() == before

    def test_other_weights_under_the_same_name(self, run: Run, tiny_checkpoint: Path) -> None:
        shutil.copytree(tiny_checkpoint, "model")
        run("--model", "model")
        weights = next(Path("model").glob("*.safetensors"))
        content = bytearray(weights.read_bytes())
        content[-1] ^= 1
        weights.write_bytes(content)
        assert "x.jsonl was begun with weights sha256:" in run("--model", "model", "--resume").err

    def test_nothing_says_what_made_it(self, run: Run) -> None:
        run()
        Path("x.jsonl.resume").unlink()
        done = run("--resume")
        assert done.status == 2
        assert "there is no x.jsonl.resume beside it" in done.err

    def test_a_file_of_something_else(self, run: Run) -> None:
        Path("x.jsonl").write_bytes(b"my notes, and no line end")
        assert run("--resume").status == 2
        assert Path("x.jsonl").read_bytes() == b"my notes, and no line end"

    @pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"settings": 1}', b"\xff", b"[" * 100_000])
    def test_a_damaged_side_file(self, run: Run, content: bytes) -> None:
        run()
        Path("x.jsonl.resume").write_bytes(content)
        done = run("--resume")
        assert done.status == 2
        assert done.messages == ["s2t2: x.jsonl.resume does not say what x.jsonl was made with; name another --output"]

    @pytest.mark.parametrize(
        "line", [b"{", b"[1]", b'{"status": "ok"}', b'{"audio_filepath": "a"}', b"\0", b"[" * 99_999]
    )
    def test_a_damaged_line_within(self, run: Run, line: bytes) -> None:
        run()
        lines = Path("x.jsonl").read_bytes().splitlines()
        Path("x.jsonl").write_bytes(b"\n".join([lines[0], line, *lines[2:]]) + b"\n")
        done = run("--resume")
        assert done.status == 2
        assert done.messages[0].startswith("s2t2: line 2 of x.jsonl is no result (")

    def test_another_process_is_writing_it(self, run: Run) -> None:
        with ResumableWriter(Path("x.jsonl"), make_format("jsonl")):
            done = run("--resume")
        assert done.status == 2
        assert done.messages == ["s2t2: x.jsonl is being written by another s2t2; wait for it, or name another file"]

    @pytest.mark.parametrize(
        "options",
        [
            ["--resume"],
            ["--resume", "--output", "x.txt"],
            ["--resume", "--output", "x.tsv", "--format", "tsv"],
            ["--resume", "--output-dir", "out", "--format", "jsonl"],
            ["--resume", "--output", "/dev/null", "--format", "jsonl"],
            ["--retry-errors", "--output", "x.jsonl", "--format", "jsonl"],
        ],
    )
    def test_where_there_is_nothing_to_go_on_with(self, s2t2: Here, run: Run, options: list[str]) -> None:
        done = s2t2("translate", "rec", "--lang", "de", *options)
        assert (done.status, len(done.messages)) == (2, 1)


def result(name: str) -> TranslationResult:
    """A result, or the error of one whose name starts with e."""
    return (
        TranslationResult(name, error=AudioDecodeError("broken"), status="error")
        if name[0] == "e"
        else (TranslationResult(name, text="ü" * 3))
    )


@given(
    asked=st.lists(st.sampled_from(["a", "b", "c", "e1", "e2"])),
    held=st.lists(st.sampled_from(["a", "b", "c", "e1", "e2", "gone"])),
    cut=st.integers(min_value=0),
    retry_errors=st.booleans(),
)
def test_what_remains_is_what_was_asked_for_less_what_is_whole(
    tmp_path_factory: pytest.TempPathFactory, asked: list[str], held: list[str], cut: int, retry_errors: bool
) -> None:
    """In any order, with inputs named more than once, whatever byte the file is cut at."""
    path = tmp_path_factory.mktemp("cut") / "x.jsonl"
    lines = [make_format("jsonl").render(result(name)).encode() for name in held]
    content = b"".join(lines)
    path.write_bytes(content[: cut % (len(content) + 1)])
    # A line that lacks nothing but its end is whole.
    whole = [name for end, name in ((len(b"".join(lines[: n + 1])) - 1, held[n]) for n in range(len(held)))
             if end <= cut % (len(content) + 1)]  # fmt: skip
    done = Counter(name for name in whole if not (retry_errors and name[0] == "e"))
    expected = []
    for name in asked:
        if done[name]:
            done[name] -= 1
        else:
            expected.append(name)
    left = remaining(path, look_through(path), [Source(name, Path(name)) for name in asked], retry_errors=retry_errors)
    assert [source.name for source in left] == expected


def test_broken_rows_are_told_apart_by_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    error = ManifestError("line 7 names no recording")
    path.write_text(TranslationResult("lists/a.jsonl:7", "error", error=error).to_json() + "\n")
    sources = [Source(name, Path(), error=error) for name in ("./lists/a.jsonl:7", "a.jsonl:8")]
    assert [source.name for source in remaining(path, look_through(path), sources)] == ["a.jsonl:8"]


def test_a_line_that_never_ends_is_no_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a file of another kind is not read into memory."""
    monkeypatch.setattr("s2t2_cli.record_lines.LONGEST_LINE", 1000)
    (tmp_path / "x.jsonl").write_bytes(b'{"audio_filepath": "' + b"a" * 5000 + b'", "status": "ok"}\n')
    with pytest.raises(UsageError, match="line 1 of"):
        look_through(tmp_path / "x.jsonl")


@pytest.mark.timeout(400)
def test_killed_at_any_moment_nothing_is_lost_and_nothing_is_there_twice(tmp_path: Path) -> None:
    """Real processes and SIGKILL; `scripts/check_resume.py` does it 20 times over 300 files."""
    script = Path(__file__).parents[1] / "scripts" / "check_resume.py"
    done = subprocess.run(
        [sys.executable, script, "--files", "30", "--kills", "3", "--work", tmp_path / "work"],
        capture_output=True,
        timeout=390,
    )
    assert (done.returncode, done.stderr) == (0, b"")
