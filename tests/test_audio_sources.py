"""What can be handed to `load_audio`, and under which names."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch

from audio_fixtures import OneWay, Samples, encode, encode_kind, int16, speech, tone, wav
from s2t2_cli.audio import AudioStream, load_audio, stream_audio
from s2t2_cli.errors import (
    AudioDecodeError,
    InputError,
    InputNotFoundError,
    InputReadError,
    InvalidAudioError,
    UsageError,
)

TONE = tone(440, 1, 16_000)
WAV = wav(int16(TONE))


@pytest.mark.parametrize(
    "name",
    [b"a b.wav", b"a\nb.wav", b"-x", b"\xff\xfe.wav", b"http:talk.wav", b"concat:a|b", b"pipe:0", b"file:talk.wav",
     b"data:audio,x", b"img%03d.png", b"talk.m3u8", b"talk.sdp", b"crypto:talk", b"subfile,,start,0,end,9,,:x"],
)  # fmt: skip
def test_a_name_is_only_a_name(name: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path(os.fsdecode(name)).write_bytes(WAV)
    assert len(load_audio(os.fsdecode(name)).samples) == 16_000
    assert len(load_audio(Path(os.fsdecode(name))).samples) == 16_000


@pytest.mark.parametrize(
    "text",
    ["ffconcat version 1.0\nfile {}\n", "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{}\n#EXT-X-ENDLIST\n",
     "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=-\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 0\n",
     '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"'
     ' profiles="urn:mpeg:dash:profile:isoff-on-demand:2011"><Period><AdaptationSet><Representation>'
     "<BaseURL>{}</BaseURL></Representation></AdaptationSet></Period></MPD>"],
    ids=["concat", "hls", "sdp", "dash"],
)  # fmt: skip
def test_content_opens_no_other_file(text: str, tmp_path: Path) -> None:
    other = tmp_path / "other.flac"
    other.write_bytes(encode(TONE, 16_000, "flac", "flac"))
    (tmp_path / "list.wav").write_text(text.format(other))
    with pytest.raises(AudioDecodeError):
        load_audio(tmp_path / "list.wav")


@pytest.mark.parametrize(
    ("name", "error", "sentence"),
    [
        ("missing.wav", InputNotFoundError, "there is no file missing.wav"),
        ("a\tb\x1b[31m.wav", InputNotFoundError, "there is no file a\\tb\\x1b[31m.wav"),
        ("", InputNotFoundError, "the name of an input is empty; name a file"),
        ("a\0b", InputNotFoundError, "no file can be called a\\x00b (embedded null byte)"),
        (
            "ftp://host/a.wav",
            InputNotFoundError,
            "ftp://host/a.wav cannot be fetched; only http:// and https:// addresses and files can",
        ),
        ("x" * 300, InputReadError, f"cannot read {'x' * 300} (File name too long)"),
    ],
)
def test_names_that_lead_nowhere(
    name: str, error: type[InputError], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error) as caught:
        load_audio(name)
    assert str(caught.value) == sentence


def test_the_caller_may_name_an_input() -> None:
    with pytest.raises(AudioDecodeError, match=r"^standard input is empty$"):
        load_audio(io.BytesIO(), name="standard input")


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, io.BytesIO, OneWay])
def test_bytes_and_streams(kind: Any) -> None:
    assert len(load_audio(kind(WAV)).samples) == 16_000


def test_a_file_object_is_read_from_where_it_stands_and_stays_open(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"something else" + WAV)
    with (tmp_path / "x").open("rb") as file:
        file.seek(14)
        assert len(load_audio(file).samples) == 16_000
        assert not file.closed


class Peculiar:
    """A file object of the least kind: it has `read` and nothing else."""

    def __init__(self, *answers: Any) -> None:
        self._answers = list(answers)

    def read(self, size: int = -1) -> Any:
        answer = self._answers.pop(0) if self._answers else b""
        if isinstance(answer, BaseException):
            raise answer
        return answer


@pytest.mark.parametrize(
    ("file", "sentence"),
    [
        (Peculiar(WAV[:9_000], OSError(5, "Input/output error")), "cannot read the stream (Input/output error)"),
        (Peculiar(WAV[:9_000], RuntimeError("lost\nit")), "cannot read the stream (lost\\nit)"),
        (Peculiar("text"), "cannot read the stream (it gives str where bytes are wanted)"),
        (Peculiar(None), "cannot read the stream (it gives NoneType where bytes are wanted)"),
        (io.StringIO(), "the stream was opened as text; open it in binary mode, as in open(path, 'rb')"),
    ],
)
def test_file_objects_that_fail(file: Any, sentence: str) -> None:
    with pytest.raises((InputReadError, InvalidAudioError)) as caught:
        load_audio(file)
    assert str(caught.value) == sentence


def test_file_objects_that_are_closed_or_for_writing(tmp_path: Path) -> None:
    closed = io.BytesIO(WAV)
    closed.close()
    with pytest.raises(InputReadError, match=r"I/O operation on closed file"):
        load_audio(closed)
    with (tmp_path / "new.wav").open("wb") as file, pytest.raises(InputReadError, match="it is not open for reading"):
        load_audio(file)


def test_a_file_object_that_ignores_the_size_asked_for() -> None:
    assert len(load_audio(Peculiar(WAV)).samples) == 16_000


def test_ctrl_c_while_reading_arrives() -> None:
    with pytest.raises(KeyboardInterrupt):
        load_audio(Peculiar(WAV[:9_000], KeyboardInterrupt()))


def test_blocks_come_out_while_the_pipe_is_still_being_written(clip: Path) -> None:
    whole = np.tile(speech(clip), 8)
    content = encode(whole, 16_000, "flac", "flac")
    heard, written = threading.Event(), threading.Event()
    reading, writing = os.pipe()

    def write() -> None:
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(content[: len(content) // 2])
            pipe.flush()
            assert heard.wait(60)
            written.set()
            pipe.write(content[len(content) // 2 :])

    writer = threading.Thread(target=write)
    writer.start()
    with os.fdopen(reading, "rb") as pipe:
        stream = stream_audio(pipe)
        blocks = [next(stream)]
        assert not written.is_set()
        heard.set()
        blocks.extend(stream)
    writer.join()
    assert np.allclose(np.concatenate(blocks), whole, atol=2**-15)
    assert stream.warnings == ()


def test_a_named_pipe_with_an_mp4_whose_index_is_at_the_end(tmp_path: Path, clip: Path) -> None:
    content = encode_kind(speech(clip, 44_100), "m4a")
    assert content.find(b"moov") > content.find(b"mdat")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=[content])
    writer.start()
    audio = load_audio(pipe)
    writer.join()
    assert np.array_equal(audio.samples, load_audio(content).samples)


def test_a_full_disk_while_a_pipe_is_kept(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = Path("/dev/full").open("wb", buffering=0)  # noqa: SIM115 - closed by those who think it is theirs
    monkeypatch.setattr(tempfile, "SpooledTemporaryFile", lambda max_size: full)
    with pytest.raises(InputReadError, match=r"cannot keep a temporary copy of talk \(No space left on device\)"):
        load_audio(OneWay(encode(speech(clip), 16_000, "ipod", "aac")), name="talk")


class FailingSeek(io.BytesIO):
    """A file that can be read from front to back once, and forgets how to seek after the first time."""

    def __init__(self, content: bytes, problem: BaseException) -> None:
        super().__init__(content)
        self._seeks = 0
        self._problem = problem

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._seeks += 1
        if self._seeks > 1:
            raise self._problem
        return super().seek(offset, whence)


def test_a_seek_that_fails(clip: Path) -> None:
    content = encode(np.tile(speech(clip), 8), 16_000, "ipod", "aac")
    with pytest.raises(InputReadError, match=r"cannot read the stream \(Illegal seek\)"):
        load_audio(FailingSeek(content, OSError(29, "Illegal seek")))
    with pytest.raises(AudioDecodeError, match="damaged or cut off"):
        load_audio(FailingSeek(content, ValueError("negative seek value")))
    with pytest.raises(KeyboardInterrupt):
        load_audio(FailingSeek(content, KeyboardInterrupt()))


class TwentyMinutes:
    """Twenty minutes of a WAV, made while it is read."""

    def __init__(self) -> None:
        self._left = 1_200 * 32_000
        self._next = wav(b"", stated=self._left)

    def read(self, size: int) -> bytes:
        piece, self._next = self._next[:size], self._next[size:] or bytes(range(256)) * 128
        self._left -= len(piece)
        return piece if self._left > 0 else b""


def test_a_long_recording_streams_through_little_memory() -> None:
    process, seconds, highest = psutil.Process(), 0.0, 0
    stream = stream_audio(TwentyMinutes())
    next(stream)
    before = process.memory_info().rss
    for number, block in enumerate(stream):
        seconds += len(block) / 16_000
        if number % 200 == 0:
            highest = max(highest, process.memory_info().rss)
    assert seconds > 1_190
    assert highest - before < 10_000_000  # the samples alone are 77 MB


def test_giving_up_early_closes_the_file(clip: Path) -> None:
    before = psutil.Process().num_fds()
    stream = stream_audio(clip)
    assert len(next(stream)) >= 16_000
    stream.close()
    assert psutil.Process().num_fds() == before
    assert list(stream) == []


def test_nothing_is_opened_before_it_is_asked_for() -> None:
    stream = stream_audio("missing.wav")
    assert isinstance(stream, AudioStream)
    with pytest.raises(InputNotFoundError):
        next(stream)


# Arrays and tensors


@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f8", "g"])
def test_floats_are_taken_as_they_are(dtype: str) -> None:
    assert np.array_equal(load_audio(TONE.astype(dtype)).samples, TONE)


@pytest.mark.parametrize(
    ("dtype", "full", "middle"), [("<i2", 2**15, 0), (">i2", 2**15, 0), ("i4", 2**31, 0), ("u1", 128, 128)]
)
def test_integers_are_scaled_to_one(dtype: str, full: int, middle: int) -> None:
    array = (TONE.astype(np.float64) * (full - 1) + middle).astype(dtype)
    expected = (array.astype(np.float64) - middle) / full
    assert np.allclose(load_audio(array).samples, expected, atol=1e-7)


def test_half_precision_and_bfloat16() -> None:
    assert np.allclose(load_audio(TONE.astype(np.float16)).samples, TONE, atol=1e-3)
    assert np.allclose(load_audio(torch.from_numpy(TONE).bfloat16()).samples, TONE, atol=4e-3)


@pytest.mark.parametrize("shape", [(-1,), (1, -1), (-1, 1)])
def test_one_channel_whichever_way_round(shape: tuple[int, ...]) -> None:
    assert np.array_equal(load_audio(TONE.reshape(shape)).samples, TONE)
    assert np.array_equal(load_audio(torch.from_numpy(TONE).reshape(shape).requires_grad_()).samples, TONE)


def test_an_array_is_not_changed_and_not_shared() -> None:
    given = TONE.copy()
    given.flags.writeable = False
    samples = load_audio(given).samples
    assert not np.shares_memory(samples, given)
    assert samples.flags.writeable


def test_an_array_at_another_rate_is_resampled() -> None:
    audio = load_audio(tone(440, 1, 44_100), sampling_rate=44_100)
    assert len(audio.samples) == 16_000
    assert np.allclose(audio.samples[200:-200], TONE[200:-200], atol=1e-3)


@pytest.mark.parametrize(
    ("array", "sentence"),
    [
        (np.zeros((2, 16_000)), "the array has the shape (2, 16000); one channel of shape (n,) is wanted:"),
        (np.zeros((16_000, 2)), "the array has the shape (16000, 2); one channel"),
        (np.zeros((1, 1, 16_000)), "the array has the shape (1, 1, 16000); one channel"),
        (np.zeros(()), "the array has the shape (); one channel"),
        (np.zeros(16_000, np.int64), "the array has samples of type int64; floats with full scale at 1 are wanted"),
        (np.zeros(16_000, np.complex64), "the array has samples of type complex64;"),
        (np.zeros(16_000, bool), "the array has samples of type bool;"),
        (np.array(["a"] * 500), "the array has samples of type <U1;"),
        (np.full(16_000, np.nan), "the array holds samples that are not a number (NaN) or infinite"),
        (TONE.astype(np.float64) * 1e300, "the array holds samples that are not a number (NaN) or infinite"),
        (torch.zeros(2, 16_000), "the array has the shape (2, 16000); one channel"),
        (torch.zeros(16_000, device="meta"), "the array is a torch.strided tensor on meta without plain samples"),
        (torch.zeros(16_000).to_sparse(), "the array is a torch.sparse_coo tensor on cpu without plain samples"),
        ([0.0] * 16_000, "cannot take audio from an object of type list; give a path, an address, bytes,"),
        (None, "cannot take audio from an object of type NoneType;"),
        ({}, 'the dictionary has the keys []; give "array" or "raw" and "sampling_rate"'),
        ({"array": TONE}, "the dictionary has samples but no sampling_rate; add it, in samples per second"),
        ({"path": None, "bytes": None}, "the dictionary has the keys ['bytes', 'path']; give"),
        ({"array": [[1.0, 2.0], [3.0]], "sampling_rate": 8_000}, "the dictionary has samples that are not an array;"),
        ({"array": "tone", "sampling_rate": 8_000}, "the dictionary has the shape ();"),
    ],
)
def test_what_is_no_recording_is_refused(array: Any, sentence: str) -> None:
    with pytest.raises(InvalidAudioError) as caught:
        load_audio(array)
    assert str(caught.value).startswith(sentence)


@pytest.mark.parametrize("rate", [0, -1, 1, 10**30, 44_100.5, float("nan"), "16000", True, [16_000]])
def test_impossible_rates_are_refused(rate: Any) -> None:
    with pytest.raises(InvalidAudioError, match="a whole number from 1000 to 3072000 is wanted"):
        load_audio(TONE, sampling_rate=rate)
    with pytest.raises(InvalidAudioError, match="the dictionary has the sampling rate"):
        load_audio({"array": TONE, "sampling_rate": rate})


@pytest.mark.parametrize("rate", [8_000, 8_000.0, np.int64(8_000), np.float32(8_000), torch.tensor(8_000)])
def test_a_rate_of_any_integral_type(rate: Any) -> None:
    assert len(load_audio(TONE, sampling_rate=rate).samples) == 32_000


@pytest.mark.parametrize("key", ["array", "raw"])
def test_dictionaries_as_the_reference_takes_them(key: str) -> None:
    row = {"path": "where/it/was.wav", key: TONE, "sampling_rate": 8_000, "more": 1}
    assert len(load_audio(row).samples) == 32_000
    assert len(load_audio(row, sampling_rate=16_000).samples) == 32_000  # the dictionary knows better
    assert len(load_audio({key: TONE.tolist(), "sampling_rate": 8_000}).samples) == 32_000


def test_rows_of_a_data_set_that_are_not_decoded(tmp_path: Path) -> None:
    (tmp_path / "talk.wav").write_bytes(WAV)
    assert len(load_audio({"bytes": WAV, "path": "talk.wav"}).samples) == 16_000
    assert len(load_audio({"bytes": None, "path": str(tmp_path / "talk.wav")}).samples) == 16_000


def test_torch_is_not_imported_for_those_who_have_no_tensors(clip: Path) -> None:
    program = f"import sys, s2t2_cli.audio; s2t2_cli.audio.load_audio({str(clip)!r}); print('torch' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout == "False\n"


def test_a_backend_must_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="there is no audio backend 'sox'; choose av or torchaudio"):
        stream_audio(TONE, backend="sox")
    monkeypatch.setitem(sys.modules, "torchaudio", None)
    monkeypatch.delitem(sys.modules, "torchaudio.functional", raising=False)
    with pytest.raises(UsageError, match=r"pip install 's2t2-cli\[torchaudio\]', or use the backend av"):
        stream_audio(TONE, backend="torchaudio")


def test_samples_of_a_real_recording(clip: Path) -> None:
    samples: Samples = load_audio(clip).samples
    assert samples.shape == (44_580,)
    assert np.array_equal(samples, speech(clip))
