"""Results as a table: the same records, whole or not at all, and resumable though a table is not."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cli_run import Here
from s2t2_cli.errors import OutputError, TranslationError
from s2t2_cli.parquet import read_parquet, write_parquet
from s2t2_cli.records import Alternative, Segment, TranslationResult

Run = Callable[..., Any]


@pytest.fixture(autouse=True)
def _pyarrow() -> None:
    pytest.importorskip("pyarrow", reason="PyArrow is not installed: pip install 's2t2-cli[ray]'")


@pytest.fixture
def run(
    tmp_path: Path, clip: Path, tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch,
    capfdbinary: pytest.CaptureFixture[bytes],
) -> Run:  # fmt: skip
    """Runs `s2t2 translate … --format parquet` over `list.jsonl`, two rows for a recording and one for none."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(clip, "a.wav")
    rows = [{"audio_filepath": "a.wav", "id": 1}, {"audio_filepath": "none.wav"}, {"audio_filepath": "a.wav", "id": 3}]
    Path("list.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    here = Here(capfdbinary)

    def call(*options: str) -> Any:
        return here(
            "translate", "--manifest", "list.jsonl", "--model", tiny_checkpoint, "--format", "parquet", *options
        )

    return call


def test_the_table_holds_the_records(run: Run) -> None:
    assert run("--output", "x.parquet", "--n-best", "2", "--tokens").status == 1
    lines = [json.loads(line) for line in Path("x.parquet.jsonl").read_text().splitlines()]
    for record in lines:  # the model that was asked for speaks no language we know
        record.pop("lang", None)
    assert list(read_parquet(Path("x.parquet"))) == lines
    assert [record.get("id") for record in lines] == [1, None, 3]


def test_a_run_that_was_cut_short_goes_on(run: Run) -> None:
    run("--output", "x.parquet")
    whole = list(read_parquet(Path("x.parquet")))
    Path("x.parquet").unlink()
    lines = Path("x.parquet.jsonl").read_bytes().splitlines(keepends=True)
    Path("x.parquet.jsonl").write_bytes(lines[0] + lines[1][:30])
    done = run("--output", "x.parquet", "--resume")
    assert (done.status, done.messages[0]) == (1, "s2t2: 1 input done before")
    assert list(read_parquet(Path("x.parquet"))) == whole


def test_every_kind_of_record_and_any_name(tmp_path: Path) -> None:
    segment = Segment(0.5, 1.25, "t", "r", None)
    results = [
        TranslationResult("a\udcff.wav", lang="de", duration=2.0, text="Ü", tokens=(1, 2), segments=(segment,)),
        TranslationResult("b", alternatives=(Alternative("t", "r", -1.5, (7,)),), warnings=("no_speech",)),
        TranslationResult(
            "c", "error", error=TranslationError("no"), fields={"text": "what it means", "id": {"x": [1]}}
        ),
    ]
    (tmp_path / "x.jsonl").write_text("".join(one.to_json(tokens=True) + "\n" for one in results), encoding="utf-8")
    write_parquet(tmp_path / "x.jsonl", tmp_path / "x.parquet")
    first, second, third = read_parquet(tmp_path / "x.parquet")
    assert first["audio_filepath"] == "a\\udcff.wav"
    assert first["segments"] == [{"start": 0.5, "end": 1.25, "text": "t", "raw_text": "r", "score": None}]
    assert second["alternatives"] == [{"text": "t", "raw_text": "r", "score": -1.5, "tokens": [7]}]
    assert third["error"] == {"type": "TranslationError", "message": "no"}
    assert (third["input_text"], third["id"]) == ("what it means", {"x": [1]})


def test_a_table_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text(TranslationResult("a").to_json() + "\n")
    (tmp_path / "x.parquet").mkdir()
    with pytest.raises(OutputError, match=r"cannot write .*x\.parquet"):
        write_parquet(tmp_path / "x.jsonl", tmp_path / "x.parquet")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.jsonl", "x.parquet"]


def test_a_table_is_one_file(run: Run) -> None:
    for options in ([], ["--output-dir", "out"]):
        done = run(*options)
        assert (done.status, done.messages) == (2, ["s2t2: --format parquet is one table; give --output FILE"])


def test_without_pyarrow_it_says_what_to_install(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.delitem(sys.modules, "pyarrow.parquet", raising=False)
    done = run("--output", "x.parquet")
    assert (done.status, done.messages) == (
        2, ["s2t2: --format parquet needs PyArrow: pip install 's2t2-cli[ray]'"],
    )  # fmt: skip
