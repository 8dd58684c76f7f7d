"""Long recordings as Python and the shell see them: segments, early lines, open pipes, and nothing lost on the way."""

from __future__ import annotations

import fcntl
import io
import json
import os
import signal
import subprocess
import sys
import termios
import threading
import time
from array import array as array_of
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from audio_fixtures import encode, int16, wav
from cli_run import COMMAND, Here
from s2t2_cli import TranslationResult, Translator
from s2t2_cli.audio import load_audio, stream_audio
from s2t2_cli.errors import AudioTooLongError, InputNotFoundError, InvalidAudioError, UsageError
from s2t2_cli.inputs import Source
from s2t2_cli.records import Segment
from s2t2_cli.segmentation.settings import Segmentation
from s2t2_cli.segmentation.spans import Span
from s2t2_cli.segmentation.streaming import cut

Samples = NDArray[np.float32]

RATE = 16_000
STARTS = [1.0, 5.0, 9.0, 13.0, 17.0, 21.0]
"""Where in `recording` the sentence begins, in seconds; it is spoken from 0.3 to 2.4 s after that."""


@pytest.fixture(scope="module")
def translator(tiny_checkpoint: Path) -> Translator:
    return Translator.from_pretrained(tiny_checkpoint, lang="de")


@pytest.fixture(scope="module")
def sentence(clip: Path) -> Samples:
    return load_audio(clip).samples


@pytest.fixture(scope="module")
def recording(sentence: Samples) -> Samples:
    """25 s, the sentence at each of STARTS."""
    samples = np.zeros(25 * RATE, np.float32)
    for start in STARTS:
        samples[round(start * RATE) :][: len(sentence)] += sentence
    return samples


@pytest.fixture
def s2t2(capfdbinary: pytest.CaptureFixture[bytes]) -> Here:
    return Here(capfdbinary)


def one(results: Iterator[TranslationResult]) -> TranslationResult:
    (result,) = results
    return result


def array(samples: Samples) -> dict[str, Any]:
    return {"raw": samples, "sampling_rate": RATE}


class TestSegments:
    def test_lie_where_somebody_speaks(self, translator: Translator, recording: Samples) -> None:
        result = one(translator.translate(array(recording)))
        assert [part.start for part in result.segments] == pytest.approx([start + 0.3 for start in STARTS], abs=0.3)
        assert [part.end for part in result.segments] == pytest.approx([start + 2.4 for start in STARTS], abs=0.3)
        assert result.duration == 25.0

    def test_are_translated_as_if_they_were_alone(self, translator: Translator, recording: Samples) -> None:
        # So short that nothing runs away, which would be tried again in a segment alone.
        result = one(translator.translate(array(recording), batch_seconds=10.0, max_new_tokens=6))
        pieces = list(cut([recording], Segmentation("vad").segmenter()))
        assert [(piece.span.start, piece.span.end) for piece in pieces] == [
            (part.start, part.end) for part in result.segments
        ]
        alone = [one(translator.translate(array(piece.samples), max_new_tokens=6)) for piece in pieces]
        assert [part.text for part in result.segments] == [each.text for each in alone]
        assert result.text == " ".join(each.text for each in alone)
        assert result.raw_text == " ".join(each.raw_text for each in alone)
        assert result.tokens == tuple(token for each in alone for token in each.tokens)
        scores = [(each.score or 0.0, len(each.tokens) + 1) for each in alone]
        mean = sum(score * weight for score, weight in scores) / sum(weight for _, weight in scores)
        assert result.score == pytest.approx(mean, abs=1e-4)

    def test_keep_their_own_alternatives(self, translator: Translator, recording: Samples) -> None:
        result = one(translator.translate(array(recording), n_best=2))
        assert len(result.alternatives) == 1
        assert len(result.segments) == len(STARTS)

    def test_are_told_one_by_one_in_order_before_the_result(self, translator: Translator, recording: Samples) -> None:
        told: list[tuple[str, Segment]] = []
        results = translator.translate(
            [Source("talk", array(recording)), Source("short", array(recording[: 4 * RATE]))],  # type: ignore[arg-type]
            on_segment=lambda source, segment: told.append((source.name, segment)),
        )
        assert told == []
        first = next(results)
        assert told == [("talk", segment) for segment in first.segments]
        assert next(results).segments == ()

    def test_are_no_matter_for_short_recordings_unless_asked_for(
        self, translator: Translator, recording: Samples
    ) -> None:
        short = array(recording[: 8 * RATE])
        whole = one(translator.translate(short, segmentation="none"))
        assert one(translator.translate(short)) == whole
        assert whole.segments == ()
        assert len(one(translator.translate(short, segmentation="vad")).segments) == 2
        assert len(one(translator.translate(short, max_segment_seconds=5.0)).segments) == 2

    def test_may_be_all_of_the_recording(self, translator: Translator, recording: Samples) -> None:
        parts = one(translator.translate(array(recording), segmentation="fixed", max_segment_seconds=7.0)).segments
        assert (parts[0].start, parts[-1].end) == (0.0, 25.0)
        assert [part.end for part in parts[:-1]] == [part.start for part in parts[1:]]
        assert all(part.end - part.start <= 7.0 for part in parts)

    def test_may_be_given(self, translator: Translator, recording: Samples) -> None:
        spans = [Span(1.0, 4.0), Span(4.1, 4.9), Span(5.0, 8.0), Span(24.5, 30.0), Span(40.0, 50.0)]
        result = one(translator.translate(Source("a/talk.wav", array(recording)), segments={"talk": spans}))  # type: ignore[arg-type]
        assert [(part.start, part.end) for part in result.segments] == [(1, 4), (4.1, 4.9), (5, 8), (24.5, 25)]
        assert result.segments[1].text == result.segments[3].text == ""  # nothing but silence
        assert result.segments[0].text == result.segments[2].text != ""
        assert result.warnings == ("segments_beyond_end",)

    def test_given_where_nobody_speaks_hold_no_words(self, translator: Translator, recording: Samples) -> None:
        result = one(translator.translate(array(recording), segments={None: [Span(4.1, 4.9)]}))
        assert (result.status, result.text, len(result.segments), result.warnings) == ("ok", "", 1, ("no_speech",))

    def test_given_for_other_recordings_are_missed(self, translator: Translator, recording: Samples) -> None:
        result = one(translator.translate(Source("b.wav", array(recording)), segments={"a": [Span(0, 1)]}))  # type: ignore[arg-type]
        assert isinstance(result.error, InputNotFoundError)
        assert "the given segments have none for b.wav" in str(result.error)

    def test_given_without_end_are_refused(self, translator: Translator, recording: Samples) -> None:
        result = one(translator.translate(array(recording), segments={None: [Span(0, 3600)]}))
        assert isinstance(result.error, AudioTooLongError)
        assert "from 0 to 3600 s is longer than 10 minutes" in str(result.error)


class TestSilence:
    @pytest.mark.parametrize("segmentation", [None, "vad"])
    def test_of_a_room_gives_no_words(self, translator: Translator, segmentation: Any) -> None:
        room = np.random.default_rng(0).standard_normal(30 * RATE).astype(np.float32) * np.float32(3e-3)
        result = one(translator.translate(array(room), segmentation=segmentation))
        assert (result.status, result.text, result.score, result.segments) == ("ok", "", None, ())
        assert result.warnings == ("no_speech",)

    def test_in_fixed_segments_gives_no_words(self, translator: Translator, sentence: Samples) -> None:
        samples = np.concatenate([np.zeros(30 * RATE, np.float32), sentence])
        result = one(translator.translate(array(samples), segmentation="fixed", max_segment_seconds=5.0))
        assert result.segments[0].start > 25.0


class TestAWordThatRunsAway:
    """Made to say 60 tokens in two seconds, the miniature falls into a loop, as large models do on music."""

    def test_is_tried_again_without_repetitions(self, translator: Translator, sentence: Samples) -> None:
        result = one(translator.translate(array(sentence), segmentation="vad", min_length=60, max_new_tokens=100))
        assert "repetition" in result.warnings
        trigrams = [result.tokens[start : start + 3] for start in range(len(result.tokens) - 2)]
        assert len(set(trigrams)) == len(trigrams)

    def test_is_only_marked_where_the_recording_was_not_cut(self, translator: Translator, sentence: Samples) -> None:
        result = one(translator.translate(array(sentence), min_length=60, max_new_tokens=100))
        assert "repetition" in result.warnings
        trigrams = [result.tokens[start : start + 3] for start in range(len(result.tokens) - 2)]
        assert len(set(trigrams)) < len(trigrams) / 2


class TestAFailureInTheMiddle:
    def test_of_the_samples_keeps_what_was_before(
        self, translator: Translator, recording: Samples, caplog: pytest.LogCaptureFixture
    ) -> None:
        samples = recording.copy()
        samples[15 * RATE] = np.nan
        result = one(translator.translate(Source("talk", array(samples))))  # type: ignore[arg-type]
        assert result.status == "ok"
        assert [round(part.start) for part in result.segments] == [1, 5, 9, 13]
        assert result.segments[-1].end <= 15.0
        assert "truncated" in result.warnings
        assert "talk holds samples that are not a number (NaN) or infinite, the first at 15.000 s" in caplog.text

    def test_of_a_short_recording_is_an_error(self, translator: Translator, recording: Samples) -> None:
        samples = recording[: 10 * RATE].copy()
        samples[5 * RATE] = np.nan
        assert isinstance(one(translator.translate(array(samples))).error, InvalidAudioError)

    def test_of_the_file_keeps_what_was_before(self, translator: Translator, recording: Samples) -> None:
        whole = wav(int16(recording))
        result = one(translator.translate(whole[: 41 * RATE]))
        assert [round(part.start) for part in result.segments] == [1, 5, 9, 13, 17]
        assert "truncated" in result.warnings

    def test_of_one_segment_keeps_the_others(
        self, tiny_checkpoint: Path, recording: Samples, caplog: pytest.LogCaptureFixture
    ) -> None:
        translator = Translator.from_pretrained(tiny_checkpoint)

        def limited(module: torch.nn.Module, arguments: tuple[Any, ...]) -> None:
            if arguments[0].shape[1] > 2.5 * RATE:
                raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

        translator.model.encoder.register_forward_pre_hook(limited)
        spans = [Span(1, 3), Span(5, 8), Span(9, 11)]
        result = one(translator.translate(array(recording), segments={None: spans}))
        assert [(part.start, part.end) for part in result.segments] == [(1, 3), (9, 11)]
        assert "failed_segments" in result.warnings
        assert one(translator.translate(array(recording), segments={None: [Span(5, 8)]})).status == "error"


class Doled(io.RawIOBase):
    """A pipe that gives so many bytes, and the rest only when told to go on."""

    def __init__(self, data: bytes, at_first: int) -> None:
        self._data = io.BytesIO(data)
        self._at_first = at_first
        self.go_on = threading.Event()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self._data.tell() >= self._at_first:
            assert self.go_on.wait(60)
        piece = self._data.read(min(len(buffer), 4_096))
        buffer[: len(piece)] = piece
        return len(piece)


def test_the_first_segment_of_a_pipe_comes_as_soon_as_it_is_over(translator: Translator, recording: Samples) -> None:
    pipe = Doled(wav(int16(recording), stated=0xFFFF_FFFF), 5 * RATE * 2)
    results = translator.translate(
        pipe,  # type: ignore[arg-type]
        segmentation="vad",
        on_segment=lambda source, segment: pipe.go_on.set(),
    )
    assert len(one(results).segments) == len(STARTS)


def test_a_file_that_says_how_long_it_is_is_cut_from_its_start(translator: Translator, recording: Samples) -> None:
    data = encode(recording, RATE, "flac", "flac")
    pipe = Doled(data, len(data) * 3 // 5)  # less than the 20 s that are heard before any other is cut
    results = translator.translate(pipe, on_segment=lambda source, segment: pipe.go_on.set())  # type: ignore[arg-type]
    assert len(one(results).segments) == len(STARTS)


class TestBareSamples:
    @pytest.mark.parametrize("rate", [16_000, 44_100])
    def test_are_read_as_the_same_in_a_file(self, recording: Samples, rate: int) -> None:
        data = int16(recording[: 4 * RATE])
        bare = np.concatenate(list(stream_audio(io.BytesIO(data), pcm_rate=rate)))
        filed = load_audio(wav(data, rate=rate)).samples
        assert np.array_equal(bare, filed)

    def test_that_end_in_half_a_one_are_truncated(self, recording: Samples) -> None:
        stream = stream_audio(io.BytesIO(int16(recording[RATE : 2 * RATE]) + b"\0"), pcm_rate=RATE)
        assert sum(map(len, stream)) == RATE
        assert stream.warnings == ("truncated",)

    @pytest.mark.parametrize("rate", [0, 999, 10_000_000])
    def test_of_a_rate_that_cannot_be_are_refused(self, translator: Translator, rate: int) -> None:
        with pytest.raises(UsageError, match=f"{rate} samples a second cannot be"):
            translator.translate("never-opened", pcm_rate=rate)


class TestTheShell:
    @pytest.fixture
    def folder(self, tmp_path: Path, recording: Samples, monkeypatch: pytest.MonkeyPatch) -> Path:
        (tmp_path / "talk.wav").write_bytes(wav(int16(recording)))
        (tmp_path / "talk.raw").write_bytes(int16(recording))
        monkeypatch.chdir(tmp_path)
        return tmp_path

    @pytest.fixture
    def lines(self, translator: Translator, folder: Path) -> list[str]:
        return [part.text for part in one(translator.translate(folder / "talk.wav")).segments]

    def test_prints_a_line_for_each_segment_of_one_recording(
        self, s2t2: Here, folder: Path, tiny_checkpoint: Path, lines: list[str]
    ) -> None:
        outcome = s2t2("translate", "talk.wav", "--lang", "de", "--model", tiny_checkpoint)
        assert (outcome.status, outcome.lines) == (0, lines)
        named = s2t2("translate", "talk.wav", "-H", "--lang", "de", "--model", tiny_checkpoint)
        assert named.lines == [f"talk.wav\t{line}" for line in lines]

    def test_prints_a_line_for_each_of_several_recordings(
        self, s2t2: Here, folder: Path, tiny_checkpoint: Path, lines: list[str]
    ) -> None:
        outcome = s2t2("translate", "talk.wav", "talk.wav", "--lang", "de", "--model", tiny_checkpoint)
        assert outcome.lines == [f"talk.wav\t{' '.join(lines)}"] * 2

    def test_reads_bare_samples(self, s2t2: Here, folder: Path, tiny_checkpoint: Path, lines: list[str]) -> None:
        outcome = s2t2("translate", "talk.raw", "--pcm", "16000", "--lang", "de", "--model", tiny_checkpoint)
        assert outcome.lines == lines

    def test_translates_the_stretches_of_a_file(self, s2t2: Here, folder: Path, tiny_checkpoint: Path) -> None:
        (folder / "talk.rttm").write_text("SPEAKER talk 1 5.0 3.0 <NA> <NA> dhd <NA> <NA>\n")
        outcome = s2t2(
            "translate", "talk.wav", "--segments", "talk.rttm", "--format", "jsonl", "--model", tiny_checkpoint
        )
        (part,) = json.loads(outcome.out)["segments"]
        assert (part["start"], part["end"]) == (5.0, 8.0)

    def test_refuses_two_answers_to_where_to_cut(self, s2t2: Here, folder: Path, tiny_checkpoint: Path) -> None:
        outcome = s2t2("translate", "talk.wav", "--segments", "x.rttm", "--segmentation", "vad", "--lang", "de")
        assert (outcome.status, outcome.messages) == (
            2, ["s2t2: --segments says where to cut; leave out --segmentation vad"]
        )  # fmt: skip

    def test_refuses_times_without_a_name_for_several_recordings(self, s2t2: Here, folder: Path) -> None:
        (folder / "talk.srt").write_text("1\n00:00:05,000 --> 00:00:08,000\n\n")
        outcome = s2t2("translate", "talk.wav", "talk.raw", "--segments", "talk.srt", "--lang", "de")
        assert (outcome.status, outcome.messages) == (
            2,
            [
                "s2t2: talk.srt does not say which recording its times belong to; name a single one, or use RTTM or a "
                "TSV with a column `file`"
            ],
        )

    def test_reads_standard_input_for_one_thing_only(
        self, s2t2: Here, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with (folder / "talk.wav").open() as stdin:
            monkeypatch.setattr(sys, "stdin", stdin)
            outcome = s2t2("translate", "-", "--segments", "-", "--lang", "de")
        assert outcome.status == 2
        assert outcome.messages == ["s2t2: standard input can be read only once; name a file for --segments"]

    def test_says_that_nobody_speaks(self, s2t2: Here, folder: Path, tiny_checkpoint: Path) -> None:
        (folder / "room.wav").write_bytes(wav(bytes(2 * 30 * RATE)))
        outcome = s2t2("translate", "room.wav", "--model", tiny_checkpoint)
        assert (outcome.status, outcome.out) == (0, "\n")
        assert outcome.messages == ["s2t2: room.wav: warning: no speech was found in it"]


class TestALivePipe:
    """A process of its own whose standard input stays open, as behind a microphone."""

    @pytest.fixture
    def start(self, tiny_checkpoint: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
        started: list[subprocess.Popen[bytes]] = []

        def run(*options: str) -> subprocess.Popen[bytes]:
            command = [*COMMAND, "translate", "-", "--segmentation", "vad", "--model", os.fspath(tiny_checkpoint)]
            process = subprocess.Popen(
                [*command, *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
            started.append(process)
            return process

        yield run
        for process in started:
            process.kill()
            process.communicate()

    def test_prints_each_sentence_as_it_ends_and_the_last_at_ctrl_c(
        self, start: Callable[..., subprocess.Popen[bytes]], sentence: Samples, recording: Samples
    ) -> None:
        process = start("--pcm", "16000")
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(int16(recording[: 5 * RATE]))
        process.stdin.flush()
        first = process.stdout.readline()
        assert first.strip()

        process.stdin.write(int16(sentence))  # the speaker is cut off: nothing tells that the sentence is over
        process.stdin.flush()
        _wait_until_read(process)
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=60)
        assert process.returncode == 130
        assert len(rest.splitlines()) == 1
        assert errors.decode().splitlines()[-1] == "s2t2: interrupted"

    def test_shows_a_subtitle_when_the_next_sentence_is_over(
        self, start: Callable[..., subprocess.Popen[bytes]], recording: Samples
    ) -> None:
        process = start("--pcm", "16000", "--format", "vtt")
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(int16(recording[: 9 * RATE]))
        process.stdin.flush()
        first = [process.stdout.readline().decode() for _ in range(4)]
        assert first[:3] == ["WEBVTT\n", "\n", "1\n"]
        assert first[3].startswith("00:00:0")
        rest, _ = process.communicate(timeout=60)  # closes the pipe
        assert process.returncode == 0
        assert b"2\n00:00:0" in rest  # what of the first came after its times may have been read with them

    def test_keeps_the_record_of_what_was_heard(
        self, start: Callable[..., subprocess.Popen[bytes]], recording: Samples
    ) -> None:
        process = start("--format", "jsonl")
        assert process.stdin is not None
        process.stdin.write(wav(int16(recording[: 9 * RATE]), stated=0xFFFF_FFFF))
        process.stdin.flush()
        _wait_until_read(process)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
        assert process.returncode == 130
        assert [round(part["start"]) for part in json.loads(out)["segments"]] == [1, 5]


def _wait_until_read(process: subprocess.Popen[bytes]) -> None:
    """Until the pipe to the process is empty."""
    assert process.stdin is not None
    left = array_of("i", [1])
    while left[0]:
        fcntl.ioctl(process.stdin.fileno(), termios.FIONREAD, left)
        time.sleep(0.05)
