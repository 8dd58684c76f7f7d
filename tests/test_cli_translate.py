"""Recordings in, translations out: the whole way, with the miniature checkpoint and a real clip."""

from __future__ import annotations

import json
import os
import shutil
import sys
import wave
from pathlib import Path

import pytest

from cli_run import Here
from s2t2_cli import Translator


@pytest.fixture
def s2t2(capfdbinary: pytest.CaptureFixture[bytes]) -> Here:
    return Here(capfdbinary)


@pytest.fixture
def folder(tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: `rec/a.wav`, `rec/b.wav` and `rec/deep/c.wav`, all the same real clip."""
    monkeypatch.chdir(tmp_path)
    Path("rec/deep").mkdir(parents=True)
    for name in ("a.wav", "b.wav", "deep/c.wav"):
        shutil.copy(clip, Path("rec") / name)
    return tmp_path


@pytest.fixture(scope="session")
def text(tiny_checkpoint: Path, clip: Path) -> str:
    """What the miniature checkpoint says about the clip."""
    (result,) = Translator.from_pretrained(tiny_checkpoint).translate(clip)
    assert result.text
    return result.text


def write_wav(path: Path, frames: bytes, *, width: int = 2) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(width)
        file.setframerate(16_000)
        file.writeframes(frames)


class TestText:
    def test_one_input_gives_its_translation_alone(
        self, s2t2: Here, folder: Path, tiny_checkpoint: Path, text: str
    ) -> None:
        outcome = s2t2("translate", "rec/a.wav", "--model", tiny_checkpoint)
        assert (outcome.status, outcome.out, outcome.err) == (0, f"{text}\n", "")

    def test_several_come_in_order_with_their_names(
        self, s2t2: Here, folder: Path, tiny_checkpoint: Path, text: str
    ) -> None:
        outcome = s2t2("translate", "rec/deep", "rec/a.wav", "--model", tiny_checkpoint)
        assert outcome.lines == [f"rec/deep/c.wav\t{text}", f"rec/a.wav\t{text}"]
        assert outcome.err == "", "a pipeline hears nothing where nothing is wrong"

    @pytest.mark.parametrize("flag", ["-h", "--no-filename"])
    def test_names_can_be_left_out(self, s2t2: Here, folder: Path, tiny_checkpoint: Path, text: str, flag: str) -> None:
        assert s2t2("translate", "rec", flag, "--model", tiny_checkpoint).lines == [text] * 3

    @pytest.mark.parametrize("flag", ["-H", "--with-filename"])
    def test_names_can_be_asked_for(
        self, s2t2: Here, folder: Path, tiny_checkpoint: Path, text: str, flag: str
    ) -> None:
        assert s2t2("translate", "rec/a.wav", flag, "--model", tiny_checkpoint).lines == [f"rec/a.wav\t{text}"]

    def test_n_best_gives_scored_lines_best_first(
        self, s2t2: Here, folder: Path, tiny_checkpoint: Path, text: str
    ) -> None:
        outcome = s2t2("translate", "rec/a.wav", "--n-best", "3", "--model", tiny_checkpoint)
        scores, texts = zip(*(line.split("\t") for line in outcome.lines), strict=True)
        assert texts[0] == text
        assert sorted(map(float, scores), reverse=True) == list(map(float, scores))

    def test_unordered_gives_the_same_lines(self, s2t2: Here, folder: Path, tiny_checkpoint: Path, text: str) -> None:
        outcome = s2t2("translate", "rec", "--unordered", "--model", tiny_checkpoint)
        assert sorted(outcome.lines) == [f"rec/{name}\t{text}" for name in ("a.wav", "b.wav", "deep/c.wav")]


class TestRecords:
    def test_jsonl_has_a_record_for_every_input(
        self, s2t2: Here, folder: Path, tiny_checkpoint: Path, text: str
    ) -> None:
        options = ("--format", "jsonl", "--tokens", "--lang", "de", "--model", tiny_checkpoint)
        outcome = s2t2("translate", "rec/a.wav", "no.wav", *options)
        good, bad = map(json.loads, outcome.lines)
        assert list(good) == [
            "audio_filepath", "status", "lang", "model", "duration", "text", "raw_text", "score", "tokens",
        ]  # fmt: skip
        assert (good["text"], good["lang"], good["model"]) == (text, "de", str(tiny_checkpoint))
        assert bad == {
            "audio_filepath": "no.wav",
            "status": "error",
            "error": {"type": "InputNotFoundError", "message": "there is no file no.wav"},
        }
        assert outcome.status == 1

    def test_tsv_has_a_header_and_a_row_for_every_input(self, s2t2: Here, folder: Path, tiny_checkpoint: Path) -> None:
        outcome = s2t2("translate", "rec/a.wav", "no.wav", "--format", "tsv", "--model", tiny_checkpoint)
        assert [line.split("\t")[:2] for line in outcome.lines] == [
            ["audio_filepath", "status"],
            ["rec/a.wav", "ok"],
            ["no.wav", "error"],
        ]

    def test_a_manifest_s_fields_pass_through(self, s2t2: Here, folder: Path, tiny_checkpoint: Path) -> None:
        Path("list.jsonl").write_text(
            '{"audio_filepath": "rec/a.wav", "id": 7, "text": "reference", "duration": 1}\n'
            "nonsense\n"
            '{"audio_filepath": "rec/no.wav", "id": 8}\n'
        )
        outcome = s2t2("translate", "--manifest", "list.jsonl", "--format", "jsonl", "--model", tiny_checkpoint)
        records = [json.loads(line) for line in outcome.lines]
        assert [record["status"] for record in records] == ["ok", "error", "error"]
        assert (records[0]["id"], records[0]["input_text"]) == (7, "reference")
        assert (records[1]["audio_filepath"], records[1]["error"]["type"]) == ("list.jsonl:2", "ManifestError")
        assert (records[2]["id"], records[2]["error"]["type"]) == (8, "InputNotFoundError")
        assert outcome.messages[-1].startswith("s2t2: 1 translated, 2 failed, 2.8 s of audio in ")

    def test_settings_of_the_search_reach_it(self, s2t2: Here, folder: Path, tiny_checkpoint: Path) -> None:
        options = (
            "--num-beams 2 --length-penalty 0.5 --max-new-tokens 4 --no-repeat-ngram-size 2 --early-stopping never"
        )
        outcome = s2t2(
            "translate", "rec/a.wav", "--format", "jsonl", "--tokens", "--model", tiny_checkpoint, *options.split()
        )  # fmt: skip
        found = json.loads(outcome.out)
        (expected,) = Translator.from_pretrained(tiny_checkpoint).translate(
            "rec/a.wav",
            num_beams=2,
            length_penalty=0.5,
            max_new_tokens=4,
            no_repeat_ngram_size=2,
            early_stopping="never",
        )
        assert found["tokens"] == list(expected.tokens)
        assert found["score"] == pytest.approx(expected.score, abs=1e-6)


class TestFiles:
    def test_one_file(self, s2t2: Here, folder: Path, tiny_checkpoint: Path, text: str) -> None:
        Path("out.txt").write_text("from an earlier run\n" * 100)
        outcome = s2t2("translate", "rec/a.wav", "rec/b.wav", "-o", "out.txt", "--model", tiny_checkpoint)
        assert (outcome.status, outcome.out) == (0, "")
        assert Path("out.txt").read_text() == f"rec/a.wav\t{text}\nrec/b.wav\t{text}\n"

    def test_a_file_for_each_input(
        self, s2t2: Here, folder: Path, tiny_checkpoint: Path, text: str, clip: Path
    ) -> None:
        shutil.copy(clip, "a.wav")
        outcome = s2t2("translate", "rec", "a.wav", "no.wav", "--output-dir", "out", "--model", tiny_checkpoint)
        assert (outcome.status, outcome.out) == (1, "")
        written = {str(path.relative_to("out")): path.read_text() for path in Path("out").rglob("*.*")}
        assert written == dict.fromkeys(("a.wav.txt", "a.wav.2.txt", "b.wav.txt", "deep/c.wav.txt"), f"{text}\n")

    def test_results_may_lie_beside_the_recordings(self, s2t2: Here, folder: Path, tiny_checkpoint: Path) -> None:
        for _ in range(2):
            assert s2t2("translate", "rec", "--output-dir", "rec", "--model", tiny_checkpoint).status == 0
        assert len(list(Path("rec").rglob("*.txt"))) == 3

    def test_a_full_disk_says_how_far_the_work_had_got(self, s2t2: Here, folder: Path, tiny_checkpoint: Path) -> None:
        outcome = s2t2("translate", "rec", "--output", "/dev/full", "--model", tiny_checkpoint)
        assert outcome.status == 1
        assert outcome.messages == [
            "s2t2: cannot write to /dev/full (No space left on device); 0 inputs had been written before"
        ]


class TestTrouble:
    def test_bad_inputs_never_stop_the_others(
        self, s2t2: Here, folder: Path, tiny_checkpoint: Path, clip: Path
    ) -> None:
        """Bad files of many kinds among good ones: each has its record and its sentence, the rest is translated."""
        bad = Path("rec/bad")
        bad.mkdir()
        (bad / "empty.wav").touch()
        (bad / "text.mp3").write_text("this is not sound\n" * 100)
        (bad / "random.flac").write_bytes(bytes(range(256)) * 40)
        (bad / "header.wav").write_bytes(clip.read_bytes()[:20])
        (bad / "link.ogg").symlink_to("nowhere.ogg")
        (bad / "circle.wav").symlink_to("circle.wav")
        write_wav(bad / "short.wav", b"\1\0" * 100)
        write_wav(bad / "nothing.wav", b"")
        good = [f"rec/good{number}.wav" for number in range(10)]
        for name in good:
            shutil.copy(clip, name)

        outcome = s2t2("translate", "rec", "missing.wav", "/dev/null", "--format", "jsonl", "--model", tiny_checkpoint)

        records = [json.loads(line) for line in outcome.lines]
        failed = [record for record in records if record["status"] == "error"]
        assert outcome.status == 1
        assert len(records) == 13 + 10
        assert {Path(record["audio_filepath"]).name for record in failed} == {
            "empty.wav", "text.mp3", "random.flac", "header.wav", "link.ogg", "circle.wav", "short.wav", "nothing.wav",
            "missing.wav", "null",
        }  # fmt: skip
        assert len(outcome.messages) == len(failed) + 1
        for record, message in zip(failed, outcome.messages, strict=False):
            assert record["audio_filepath"] in message
            assert record["error"]["message"] in message
        assert outcome.messages[-1].startswith("s2t2: 13 translated, 10 failed, ")

    def test_quiet_keeps_errors_and_drops_the_rest(self, s2t2: Here, folder: Path, tiny_checkpoint: Path) -> None:
        write_wav(Path("still.wav"), bytes(32_000))
        arguments = ("translate", "rec", "still.wav", "no.wav", "--model", tiny_checkpoint)
        assert s2t2(*arguments, "--quiet").messages == ["s2t2: there is no file no.wav"]
        loud = s2t2(*arguments).messages
        assert "s2t2: still.wav: warning: no speech was found in it" in loud
        assert loud[-1].startswith("s2t2: 4 translated, 1 failed")

    def test_an_empty_folder_beside_others_is_mentioned(self, s2t2: Here, folder: Path, tiny_checkpoint: Path) -> None:
        Path("empty").mkdir()
        outcome = s2t2("translate", "empty", "rec/a.wav", "--model", tiny_checkpoint)
        assert (outcome.status, outcome.err) == (0, "s2t2: warning: no audio or video files in empty\n")

    def test_names_of_any_bytes(self, s2t2: Here, folder: Path, tiny_checkpoint: Path, text: str, clip: Path) -> None:
        strange = os.fsdecode(b"rec/caf\xe9 \n\x1b[31m.wav")
        shutil.copy(clip, strange)
        shown = os.fsdecode(b"rec/caf\xe9 \\n\\x1b[31m.wav")
        assert f"{shown}\t{text}" in s2t2("translate", "rec", "--model", tiny_checkpoint).out.split("\n")
        records = s2t2("translate", "rec", "--format", "jsonl", "--model", tiny_checkpoint).lines
        assert strange in [json.loads(line)["audio_filepath"] for line in records]
        s2t2("translate", "rec", "--output-dir", "out", "--model", tiny_checkpoint)
        assert os.path.exists(b"out/caf\xe9 \n\x1b[31m.wav.txt")  # noqa: PTH110 - a path of bytes

    def test_an_address_s_password_is_not_shown(self, s2t2: Here, tiny_checkpoint: Path) -> None:
        nobody = "http://user:secret@127.0.0.1:9/talk.mp3"
        outcome = s2t2("translate", nobody, "--model", tiny_checkpoint)
        assert outcome.status == 1
        assert "secret" not in outcome.err
        assert outcome.err.count("http://127.0.0.1:9/talk.mp3") == 1

    def test_debugging_shows_where_an_input_s_error_came_from(
        self, s2t2: Here, folder: Path, tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        Path("text.mp3").write_text("this is not sound\n" * 100)
        monkeypatch.setenv("S2T2_DEBUG", "1")
        outcome = s2t2("translate", "text.mp3", "--model", tiny_checkpoint)
        assert "Traceback (most recent call last)" in outcome.err
        assert "AudioDecodeError" in outcome.err


class TestStandardInput:
    def test_audio(
        self, s2t2: Here, tiny_checkpoint: Path, clip: Path, text: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with clip.open() as stdin:
            monkeypatch.setattr(sys, "stdin", stdin)
            outcome = s2t2("translate", "-", "-H", "--model", tiny_checkpoint)
        assert (outcome.status, outcome.out) == (0, f"-\t{text}\n")

    def test_a_manifest(
        self, s2t2: Here, folder: Path, tiny_checkpoint: Path, text: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        Path("list.tsv").write_text("audio_filepath\nrec/a.wav\n")
        with Path("list.tsv").open() as stdin:
            monkeypatch.setattr(sys, "stdin", stdin)
            outcome = s2t2("translate", "--manifest", "-", "--model", tiny_checkpoint)
        assert outcome.out == f"rec/a.wav\t{text}\n"


def test_of_translations_cut_off_one_is_named_and_all_are_counted(
    s2t2: Here, folder: Path, tiny_checkpoint: Path
) -> None:
    outcome = s2t2(
        "translate", "rec/a.wav", "rec/b.wav", "rec/a.wav", "--max-new-tokens", "2", "--model", tiny_checkpoint
    )
    assert outcome.status == 0
    assert [line.split(": ", 1)[1] for line in outcome.messages[:2]] == [
        "rec/a.wav: warning: the translation was cut off at the length limit; cut the recording into sentences",
        "warning: 3 translations in all were cut off at the length limit",
    ]
