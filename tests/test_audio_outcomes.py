"""What becomes of recordings that are broken, empty, silent, or none at all."""

from __future__ import annotations

import gzip
import io
import os
import random
import subprocess
import sys
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audio_fixtures import EXACT, LOSSY, OneWay, Samples, encode, encode_kind, image, int16, speech, tone, video, wav
from s2t2_cli.audio import Audio, AudioInput, load_audio, stream_audio
from s2t2_cli.errors import (
    AudioDecodeError,
    AudioTooShortError,
    InputError,
    InputReadError,
    InvalidAudioError,
    NoAudioStreamError,
)

SECOND = int16(tone(440, 1, 16_000))


def outcome(source: AudioInput) -> str:
    """The warnings, or the error and its sentence."""
    try:
        audio = load_audio(source, name="talk")
    except InputError as error:
        return f"{type(error).__name__}: {error}"
    assert np.isfinite(audio.samples).all()
    return " ".join(audio.warnings) or "fine"


def zipped() -> bytes:
    out = BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("talk.wav", wav(SECOND))
    return out.getvalue()


NOT_AUDIO = "AudioDecodeError: talk is not audio, or not in a format that can be read here"
UNDECODABLE = "AudioDecodeError: talk holds audio of a kind that cannot be decoded here; convert it to FLAC"
PLAYLIST = "AudioDecodeError: talk is a playlist, which is not followed; name the recordings themselves"
NOISE = random.Random(7).randbytes(60_000)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param(b"", "AudioDecodeError: talk is empty", id="empty"),
        pytest.param(b"R", NOT_AUDIO, id="one byte"),
        pytest.param(b"RIFF", NOT_AUDIO, id="the first four bytes of a wav"),
        pytest.param(wav(SECOND)[:30], NOT_AUDIO, id="half a header"),
        pytest.param(b"Dear all,\nplease find attached...\n" * 99, NOT_AUDIO, id="text"),
        pytest.param(b"<!DOCTYPE html><title>404</title>" * 9, NOT_AUDIO, id="html"),
        pytest.param(b"1\n00:00:01,000 --> 00:00:02,000\nHello.\n\n", NOT_AUDIO, id="subtitles"),
        pytest.param(NOISE, NOT_AUDIO, id="noise"),
        pytest.param(bytes(100_000), NOT_AUDIO, id="zeros"),
        pytest.param(b"\xff" * 100_000, NOT_AUDIO, id="ones"),
        pytest.param(zipped(), NOT_AUDIO, id="zip"),
        pytest.param(gzip.compress(wav(SECOND)), NOT_AUDIO, id="gzip"),
        pytest.param(b"%PDF-1.7\n" + NOISE, NOT_AUDIO, id="pdf"),
        pytest.param(b"fLaC" + NOISE, NOT_AUDIO, id="noise called flac"),
        pytest.param(b"OggS" + NOISE, NOT_AUDIO, id="noise called ogg"),
        pytest.param(b"ID3\x03\0\0\0\0\x0f\x76" + NOISE, NOT_AUDIO, id="noise called mp3"),
        pytest.param(b"\x1a\x45\xdf\xa3" + NOISE, NOT_AUDIO, id="noise called matroska"),
        pytest.param(wav(SECOND, rate=0), NOT_AUDIO, id="rate 0"),
        pytest.param(wav(SECOND, rate=2**32 - 1), NOT_AUDIO, id="rate -1"),
        pytest.param(wav(SECOND, channels=0), UNDECODABLE, id="no channels"),
        pytest.param(wav(SECOND, channels=65_535), UNDECODABLE, id="65,535 channels"),
        pytest.param(wav(SECOND, bits=0), UNDECODABLE, id="0 bits"),
        pytest.param(wav(SECOND, bits=128), UNDECODABLE, id="128 bits"),
        pytest.param(wav(SECOND, code=0xFFFF), UNDECODABLE, id="unknown codec"),
        pytest.param(b"#EXTM3U\n#EXTINF:9,\nhttp://127.0.0.1:9/a.ts\n", PLAYLIST, id="m3u8"),
        pytest.param(b"[playlist]\nFile1=a.mp3\n", PLAYLIST, id="pls"),
        pytest.param(image("png"), "NoAudioStreamError: talk is an image, not a recording", id="png"),
        pytest.param(image("mjpeg"), "NoAudioStreamError: talk is an image, not a recording", id="jpeg"),
        pytest.param(
            video(None), "NoAudioStreamError: talk has no audio track (its format is QuickTime / MOV)", id="silent film"
        ),
        pytest.param(
            wav(b""),
            "AudioTooShortError: talk is too short: it lasts 0.0 ms, and the model needs 25 ms",
            id="0 samples",
        ),
        pytest.param(
            wav(SECOND[:798]),
            "AudioTooShortError: talk is too short: it lasts 24.9 ms, and the model needs 25 ms",
            id="399 samples",
        ),
        pytest.param(wav(SECOND[:800]), "fine", id="400 samples"),
        pytest.param(wav(SECOND, stated=0), "fine", id="a wav from a pipe that says 0 bytes"),
        pytest.param(wav(SECOND, stated=0x7FFF_F000), "fine", id="a wav from a pipe that says 2 GiB"),
        pytest.param(wav(SECOND, stated=2**32 - 1), "fine", id="a wav from a pipe that says 4 GiB"),
        pytest.param(wav(SECOND, stated=64_000), "truncated", id="half of a wav"),
        pytest.param(wav(SECOND) + NOISE, "fine", id="noise after the end of a wav"),
        pytest.param(wav(bytes(32_000)), "silent", id="zeros in a wav"),
        pytest.param(wav(b"\x80" * 16_000, bits=8), "silent", id="silence of 8 bits"),
        pytest.param(wav(b"\x34\x12" * 16_000), "silent", id="direct current"),
        pytest.param(wav(b"\1\0\0\0\xff\xff" * 5_000 + b"\1\0" * 9), "silent", id="dither of one step"),
        pytest.param(wav(b"\2\0\0\0\xfe\xff" * 5_000), "fine", id="two steps are a sound"),
        pytest.param(
            wav(SECOND, rate=1),
            "InvalidAudioError: talk claims 1 samples a second; rates from 1000 to 3072000 Hz can be read",
            id="1 Hz",
        ),
        pytest.param(
            wav(SECOND, rate=2**31 - 1),
            "InvalidAudioError: talk claims 2147483647 samples a second; rates from 1000 to 3072000 Hz can be read",
            id="2 GHz",
        ),
        pytest.param(
            wav(SECOND * 255, channels=255),
            "InvalidAudioError: talk has 255 channels in an arrangement that cannot be mixed to one (at most 64 can);"
            " extract the channel to translate",
            id="255 channels",
        ),
    ],
)  # fmt: skip
def test_outcome_of(content: bytes, expected: str) -> None:
    assert outcome(content) == expected


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(("dtype", "rate"), [("<f4", 16_000), ("<f8", 16_000), ("<f4", 8_000)])
def test_one_sample_that_is_no_number_spoils_a_recording(value: float, dtype: str, rate: int) -> None:
    samples = tone(440, 2, rate).astype(dtype)
    samples[rate] = value
    content = wav(samples.tobytes(), rate=rate, code=3, bits=8 * samples.itemsize)
    with pytest.raises(InvalidAudioError, match=r"not a number \(NaN\) or infinite, the first at (0\.99|1\.00)"):
        load_audio(content)


def test_samples_beyond_all_measure_are_refused() -> None:
    content = wav((tone(440, 1, 16_000) * 1e30).tobytes(), code=3, bits=32)
    with pytest.raises(InvalidAudioError, match="2\\*\\*32 times full scale"):
        load_audio(content)


def test_integers_in_a_float_file_are_loud_and_welcome() -> None:
    assert outcome(wav((tone(440, 1, 16_000) * 32_768).tobytes(), code=3, bits=32)) == "fine"


# A header or a last page that says how long the whole is, or a last frame that is cut, gives a missing end away.
# MPEG-TS and headerless frames (AAC, AC-3) say nothing, and an index at the end is gone with it.
SAYS_ITS_LENGTH = [
    "wav, 16 bit",
    "wav, float32",
    "wav, mu-law",
    "wav, adpcm",
    "flac",
    "flac in ogg",
    "flac in matroska",
]
SAYS_ITS_LENGTH += ["aiff", "au", "caf", "wave64", "tta", "mp3", "opus", "opus in webm"]


@pytest.mark.parametrize("kind", SAYS_ITS_LENGTH)
def test_what_is_there_of_a_truncated_file_is_used(kind: str, clip: Path) -> None:
    content = encode_kind(speech(clip, (EXACT | LOSSY)[kind][2]), kind)
    whole, part = load_audio(content), load_audio(content[: len(content) * 7 // 10])
    assert part.warnings == ("truncated",)
    assert 0.3 < part.duration / whole.duration < 0.8
    assert np.allclose(part.samples[:8_000], whole.samples[:8_000], atol=1e-4)


def test_a_truncated_video_by_the_length_of_its_audio_track(clip: Path) -> None:
    content = video(speech(clip), "matroska", seconds=4)  # the pictures go on after the sound: no sign of anything
    assert load_audio(content).warnings == ()
    assert load_audio(content[: len(content) * 6 // 10]).warnings == ("truncated",)


def test_a_container_that_breaks_off_with_an_error(clip: Path) -> None:
    content = encode_kind(np.tile(speech(clip), 3), "wavpack")
    part = load_audio(content[: len(content) * 8 // 10])
    assert part.warnings == ("truncated",)
    with pytest.raises(AudioDecodeError, match="nothing of the audio in the input can be decoded; it is damaged"):
        load_audio(content[: len(content) // 20])


def test_a_fragmented_mp4_needs_no_end(clip: Path) -> None:
    options = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
    content = encode_movie(speech(clip), options)
    part = load_audio(content[: len(content) // 2])
    assert part.warnings == ("truncated",)


def encode_movie(samples: Samples, options: dict[str, str]) -> bytes:
    import av

    out = BytesIO()
    with av.open(out, "w", format="mp4", options=options) as file:
        stream = file.add_stream("aac", rate=16_000, layout="mono")
        for start in range(0, len(samples), 1_024):
            frame = av.AudioFrame.from_ndarray(samples[None, start : start + 1_024].copy(), format="flt", layout="mono")
            frame.sample_rate, frame.pts = 16_000, start
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return out.getvalue()


@pytest.mark.parametrize("kind", ["m4a", "mp4", "alac"])
def test_an_mp4_that_lost_its_index_is_named_as_that(kind: str, clip: Path) -> None:
    content = encode_kind(speech(clip, (EXACT | LOSSY)[kind][2]), kind)
    sentence = "is an MP4 or QuickTime file that is damaged or cut off before its index"
    for source in (content[: len(content) // 2], OneWay(content[: len(content) // 2])):
        with pytest.raises(AudioDecodeError, match=sentence):
            load_audio(source)


@pytest.mark.parametrize("kind", ["flac", "flac in ogg", "flac in matroska", "mp3", "m4a", "alac", "opus"])
def test_damage_in_the_middle_costs_the_damaged_part(kind: str, clip: Path) -> None:
    content = bytearray(encode_kind(speech(clip, (EXACT | LOSSY)[kind][2]), kind))
    whole = load_audio(bytes(content))
    middle, damage = len(content) // 2, len(content) // 10
    content[middle : middle + damage] = random.Random(3).randbytes(damage)
    part = load_audio(bytes(content))
    assert part.duration > 0.25 * whole.duration
    # A short Matroska has one cluster, and what is behind the damage is lost with it.
    assert part.warnings == (("truncated",) if kind == "flac in matroska" else ("decode_errors",))


def test_an_unreadable_file_and_a_folder(tmp_path: Path) -> None:
    secret = tmp_path / "secret.wav"
    secret.write_bytes(wav(SECOND))
    secret.chmod(0)
    with pytest.raises(InputReadError, match="talk is a folder, not a recording"):
        load_audio(tmp_path, name="talk")
    if os.access(secret, os.R_OK):
        pytest.skip("this user may read everything")
    with pytest.raises(InputReadError, match=r"no permission to read .*secret\.wav"):
        load_audio(secret)


@pytest.mark.parametrize("error", [AudioDecodeError, NoAudioStreamError, AudioTooShortError])
def test_nothing_is_yielded_before_such_an_error(error: type[InputError]) -> None:
    content = {AudioDecodeError: NOISE, NoAudioStreamError: image("png"), AudioTooShortError: wav(SECOND[:100])}[error]
    with pytest.raises(error):
        next(stream_audio(content))


def test_ffmpeg_says_nothing_of_its_own(tmp_path: Path, clip: Path) -> None:
    damaged = bytearray(encode(speech(clip), 16_000, "mp3", "libmp3lame"))
    damaged[5_000:6_000] = NOISE[:1_000]
    (tmp_path / "damaged.mp3").write_bytes(damaged)
    (tmp_path / "noise.flac").write_bytes(b"fLaC" + NOISE)
    program = (
        "from s2t2_cli.audio import load_audio\n"
        "from s2t2_cli.errors import AudioDecodeError\n"
        "print(load_audio('damaged.mp3').warnings)\n"
        "try: load_audio('noise.flac')\n"
        "except AudioDecodeError as error: print(error)\n"
    )
    run = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert run.stderr == ""
    assert run.stdout.splitlines() == ["('decode_errors',)", NOT_AUDIO[18:].replace("talk", "noise.flac")]


def test_any_mutation_has_an_outcome(clip: Path) -> None:
    """Damage of all kinds, anywhere, to small files of all kinds: samples or one of our errors, never anything else."""
    chance = random.Random(20_260_101)
    short = speech(clip)[:12_000]
    files = [encode(short, 16_000, container, codec) for container, codec, _ in (*EXACT.values(), *LOSSY.values())
             if codec not in ("libopus", "wmav2", "ac3")]  # fmt: skip
    for _ in range(400):
        content = bytearray(chance.choice(files))
        for _ in range(chance.choice([1, 2, 5, 20])):
            if len(content) < 64:
                break
            at = chance.randrange(min(len(content), chance.choice([64, 512, len(content)])))
            size = chance.choice([1, 4, 64])
            match chance.randrange(4):
                case 0:
                    content[at : at + size] = chance.randbytes(size)
                case 1:
                    content[at : at + size] = chance.choice([b"\xff", b"\0"]) * size
                case 2:
                    del content[at : at + size]
                case 3:
                    content = content[: max(at, 16)]
        assert outcome(bytes(content)).split(":")[0] in {
            "fine", "silent", "truncated", "decode_errors", "truncated decode_errors", "truncated silent",
            "decode_errors silent", "truncated decode_errors silent",
            "AudioDecodeError", "NoAudioStreamError", "AudioTooShortError", "InvalidAudioError",
        }  # fmt: skip


def test_audio_is_a_value() -> None:
    audio = Audio(np.zeros(8_000, np.float32), ("silent",))
    assert audio.duration == 0.5
    assert audio.warnings == ("silent",)


def test_noise_without_end_is_given_up() -> None:
    """FFmpeg would look for the beginning of an MP3 in it for ever."""

    class Noise(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            buffer[:] = (RAMP * (len(buffer) // len(RAMP) + 1))[: len(buffer)]
            return len(buffer)

    with pytest.raises(AudioDecodeError, match="is not audio"):
        load_audio(Noise())


RAMP = bytes(range(256))
