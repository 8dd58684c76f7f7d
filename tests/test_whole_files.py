"""A file appears whole or not at all; a link stays a link, a pipe or device what it is."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cli_run import Here
from s2t2_cli.whole_files import write_whole


@pytest.fixture
def s2t2(capfdbinary: pytest.CaptureFixture[bytes]) -> Here:
    return Here(capfdbinary)


@pytest.fixture
def pipe(tmp_path: Path) -> Iterator[Path]:
    """A named pipe, which stays one."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    yield path
    assert path.is_fifo()
    assert [one.name for one in tmp_path.iterdir() if one.name.startswith((".s2t2", "pipe."))] == []


@contextmanager
def listening(pipe: Path) -> Iterator[list[bytes]]:
    """Within, somebody reads the pipe; at the end, all that was written stands in the list."""
    heard: list[bytes] = []
    reader = threading.Thread(target=lambda: heard.append(pipe.read_bytes()), daemon=True)
    reader.start()
    yield heard
    reader.join(timeout=20)


def test_a_file_gives_way_once_all_is_there(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("before")

    def blocks() -> Iterator[bytes]:
        yield b"af"
        assert path.read_text() == "before"
        yield b"ter"

    write_whole(path, blocks())
    assert path.read_text() == "after"
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_not_finished_leaves_no_trace(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("before")

    def blocks() -> Iterator[bytes]:
        yield b"half"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_whole(path, blocks())
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_stays_one(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("before")
    link.symlink_to("target")
    write_whole(link, [b"after"])
    assert link.is_symlink()
    assert target.read_text() == "after"


def test_a_pipe_is_written_to(pipe: Path) -> None:
    with listening(pipe) as heard:
        write_whole(pipe, [b"one ", b"two"])
    assert heard == [b"one two"]


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        write_whole(tmp_path, [b"x"])


def test_merge_and_report_write_into_pipes(tmp_path: Path, s2t2: Here, pipe: Path) -> None:
    part = tmp_path / "part.jsonl"
    part.write_text('{"audio_filepath": "a.wav", "status": "ok", "text": "Ja"}\n')
    with listening(pipe) as merged:
        outcome = s2t2("merge", part, "--output", pipe)
    assert outcome.status == 0, outcome.err
    assert merged == [part.read_bytes()]
    references = tmp_path / "refs.txt"
    references.write_text("Ja\n")
    with listening(pipe) as report:
        outcome = s2t2("evaluate", part, "--references", references, "--report", pipe, "--no-audio")
    assert outcome.status == 0, outcome.err
    assert report[0].lower().startswith(b"<!doctype html>")


def test_a_table_cannot_go_into_a_pipe(tmp_path: Path, s2t2: Here) -> None:
    pytest.importorskip("pyarrow")
    os.mkfifo(tmp_path / "pipe")
    outcome = s2t2("translate", "x.wav", "--format", "parquet", "--output", tmp_path / "pipe", "--model", "demo")
    assert outcome.status == 2
    assert f"--format parquet writes a table, and {tmp_path}/pipe is no file" in outcome.err
