"""`s2t2 translate --format srt|vtt`: what a person types, what is written where, what is refused."""

from __future__ import annotations

import shutil
import subprocess
import wave
from pathlib import Path

import av
import pytest

from cli_run import Here


@pytest.fixture
def s2t2(capfdbinary: pytest.CaptureFixture[bytes]) -> Here:
    return Here(capfdbinary)


@pytest.fixture
def folder(tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: a real clip of 2.8 s twice, silence, and a file that is no audio."""
    monkeypatch.chdir(tmp_path)
    Path("rec").mkdir()
    shutil.copy(clip, "rec/a.wav")
    shutil.copy(clip, "rec/b.wav")
    return tmp_path


def test_one_recording_goes_to_standard_output(s2t2: Here, folder: Path, tiny_checkpoint: Path) -> None:
    text = s2t2("translate", "rec/a.wav", "--model", tiny_checkpoint).out.strip()
    srt = s2t2("translate", "rec/a.wav", "--format", "srt", "--model", tiny_checkpoint)
    assert (srt.status, srt.err) == (0, "")
    assert srt.out == f"1\n00:00:00,000 --> 00:00:02,786\n{text}\n\n"
    vtt = s2t2("translate", "rec/a.wav", "--format", "vtt", "--model", tiny_checkpoint)
    assert vtt.out == f"WEBVTT\n\n1\n00:00:00.000 --> 00:00:02.786\n{text}\n\n"


def test_or_into_a_file_that_players_read(s2t2: Here, folder: Path, tiny_checkpoint: Path) -> None:
    assert s2t2("translate", "rec/a.wav", "--format", "srt", "-o", "a.srt", "--model", tiny_checkpoint).status == 0
    with av.open("a.srt") as opened:
        assert opened.format.name == "srt"
        assert [packet.pts for packet in opened.demux(subtitles=0) if packet.size] == [0]


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs the ffmpeg program")
def test_the_ffmpeg_program_makes_one_format_of_the_other(s2t2: Here, folder: Path, tiny_checkpoint: Path) -> None:
    srt, vtt = (
        s2t2("translate", "rec/a.wav", "--format", name, "--model", tiny_checkpoint).out for name in ("srt", "vtt")
    )
    command = ["ffmpeg", "-v", "warning", "-f", "webvtt", "-i", "-", "-f", "srt", "-"]
    done = subprocess.run(command, input=vtt.encode(), capture_output=True, check=True)
    assert (done.stdout.decode(), done.stderr) == (srt, b"")


def test_several_have_a_file_each(s2t2: Here, folder: Path, tiny_checkpoint: Path) -> None:
    outcome = s2t2("translate", "rec", "--format", "srt", "--output-dir", "out", "--model", tiny_checkpoint)
    assert (outcome.status, outcome.out, outcome.err) == (0, "", "")
    one, other = sorted(Path("out").iterdir())
    assert (one.name, other.name) == ("a.wav.srt", "b.wav.srt")
    assert one.read_text() == other.read_text() != ""


def test_a_failure_has_no_file_and_silence_one_without_cues(s2t2: Here, folder: Path, tiny_checkpoint: Path) -> None:
    Path("bad.wav").write_text("no audio")
    with wave.open("still.wav", "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(bytes(32_000))
    outcome = s2t2(
        "translate", "bad.wav", "still.wav", "--format", "srt", "--output-dir", "out", "--model", tiny_checkpoint
    )
    assert outcome.status == 1
    assert [(one.name, one.read_text()) for one in Path("out").iterdir()] == [("still.wav.srt", "")]
    failure, warning, _ = outcome.messages
    assert failure == "s2t2: bad.wav is not audio, or not in a format that can be read here"
    assert warning.startswith("s2t2: still.wav: warning: ")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["rec", "--format", "srt"], "subtitles need a file for each recording; give --output-dir DIR to write them"),
        (["rec/a.wav", "rec/b.wav", "--format", "vtt", "-o", "x.vtt"], "subtitles need a file for each recording;"),
        (["rec/a.wav", "--format", "srt", "--n-best", "2"], "srt holds one translation; leave out --n-best, or use"),
        (["rec/a.wav", "-o", "x.srt"], "x.srt is named like subtitles; add --format srt, or name another file"),
        (["rec/a.wav", "-o", "x.vtt", "--format", "srt"], "x.vtt is named like subtitles; add --format vtt, or name"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused_before_any_work(
    s2t2: Here, folder: Path, tiny_checkpoint: Path, arguments: list[str], sentence: str
) -> None:
    outcome = s2t2("translate", *arguments, "--model", tiny_checkpoint)
    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.err.startswith(f"s2t2: {sentence}")
    assert not Path(arguments[-1]).is_file()
