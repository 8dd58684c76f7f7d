"""Every kind of file comes out as mono float32 at 16 kHz."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from audio_fixtures import (
    EXACT,
    LOSSY,
    OneWay,
    Samples,
    encode,
    encode_kind,
    int16,
    likeness,
    speech,
    tone,
    two_tracks,
    video,
    wav,
)
from s2t2_cli.audio import load_audio, stream_audio


@pytest.fixture(scope="module")
def original(request: pytest.FixtureRequest) -> Samples:
    return speech(request.getfixturevalue("clip"))


@pytest.mark.parametrize("kind", EXACT)
def test_lossless_files_give_back_their_samples(kind: str, original: Samples) -> None:
    audio = load_audio(encode_kind(original, kind))
    # FFmpeg's encoders of the other two choose 8 bits, too.
    step = 2**-7 if kind in ("wav, 8 bit", "wavpack", "tta") else 2**-15
    assert audio.samples.dtype == np.float32
    assert audio.samples.shape == original.shape
    assert np.abs(audio.samples - original).max() <= step
    assert audio.warnings == ()
    assert audio.duration == len(original) / 16_000


@pytest.mark.parametrize("kind", LOSSY)
def test_lossy_files_sound_like_the_original(kind: str, clip: Path, original: Samples) -> None:
    audio = load_audio(encode_kind(speech(clip, LOSSY[kind][2]), kind))
    # ADPCM, AC-3 and the like add a frame of silence; narrow-band codecs lose what is above 4 kHz.
    assert audio.duration == pytest.approx(len(original) / 16_000, abs=0.15)
    assert likeness(audio.samples, original) > 0.93
    assert audio.warnings == ()


def test_vorbis(clip: Path, original: Samples) -> None:
    # FFmpeg's own Vorbis encoder takes stereo only and calls itself experimental.
    both = np.tile(speech(clip, 44_100), (2, 1))
    audio = load_audio(encode(both, 44_100, "ogg", "vorbis", layout="stereo", options={"strict": "experimental"}))
    assert likeness(audio.samples, original) > 0.93
    assert audio.warnings == ()


@pytest.mark.parametrize("container", ["mp4", "matroska", "avi", "mov"])
def test_the_sound_of_a_video(container: str, original: Samples) -> None:
    audio = load_audio(video(original, container))
    assert likeness(audio.samples, original) > 0.95
    assert audio.warnings == ()


@pytest.mark.parametrize("kind", [kind for kind in EXACT | LOSSY if not kind.startswith("mp3")])
def test_a_pipe_gives_what_the_file_gives(kind: str, clip: Path) -> None:
    content = encode_kind(speech(clip, (EXACT | LOSSY)[kind][2]), kind)
    from_file, from_pipe = load_audio(content), load_audio(OneWay(content))
    assert np.array_equal(from_pipe.samples, from_file.samples)
    assert from_pipe.warnings == from_file.warnings


def test_an_mp3_from_a_pipe_keeps_the_padding_of_its_last_frame(clip: Path) -> None:
    # As with the ffmpeg program: how much of the end is padding counts from a length that only a file has.
    content = encode_kind(speech(clip, 44_100), "mp3")
    from_file, from_pipe = load_audio(content).samples, load_audio(OneWay(content)).samples
    assert np.array_equal(from_pipe[: len(from_file) - 50], from_file[:-50])
    assert 0 <= len(from_pipe) - len(from_file) < 1_000


@pytest.mark.parametrize("rate", [1_000, 4_000, 8_000, 11_025, 12_345, 22_050, 44_100, 48_000, 192_000, 384_000])
def test_any_rate(rate: int) -> None:
    audio = load_audio(wav(int16(tone(300, 1, rate)), rate=rate))
    assert len(audio.samples) == pytest.approx(16_000, abs=2)
    spectrum = np.abs(np.fft.rfft(audio.samples[:16_000]))
    assert np.argmax(spectrum) == pytest.approx(300, abs=1)


@pytest.mark.parametrize(
    ("layout", "channels"), [("stereo", 2), ("2.1", 3), ("4.0", 4), ("5.0", 5), ("5.1", 6), ("6.1", 7), ("7.1", 8)]
)
def test_any_layout_is_mixed_to_one_channel(layout: str, channels: int, original: Samples) -> None:
    audio = load_audio(encode(np.tile(original, (channels, 1)), 16_000, "wav", "pcm_s16le", layout=layout))
    assert likeness(audio.samples, original) > 0.999


@pytest.mark.parametrize("channels", [9, 11, 32, 64])
def test_channels_without_a_layout_are_averaged(channels: int) -> None:
    every = np.arange(channels * 8_000, dtype=np.int16).reshape(8_000, channels)
    audio = load_audio(wav(every.tobytes(), channels=channels))
    assert np.allclose(audio.samples, every.mean(axis=1) / 32_768, atol=1e-6)


def test_two_tracks_the_first_counts_unless_another_is_the_default() -> None:
    low, high = tone(300, 1, 16_000), tone(1_000, 1, 16_000)
    first = load_audio(two_tracks(low, high, default=0)).samples
    second = load_audio(two_tracks(low, high, default=1)).samples
    assert np.allclose(first, low, atol=2**-14)
    assert np.allclose(second, high, atol=2**-14)


def test_rate_and_layout_may_change_on_the_way(original: Samples) -> None:
    # Two MPEG streams one after the other are one valid MPEG stream.
    mono = encode(speech_at(original, 48_000), 48_000, "mp2", "mp2")
    stereo = encode(np.tile(speech_at(original, 32_000), (2, 1)), 32_000, "mp2", "mp2", layout="stereo")
    audio = load_audio(mono + stereo)
    assert audio.duration == pytest.approx(2 * len(original) / 16_000, abs=0.2)
    assert likeness(audio.samples[: len(original)], original) > 0.95
    assert likeness(audio.samples[-len(original) :], original) > 0.95


def speech_at(samples: Samples, rate: int) -> Samples:
    positions = np.arange(0, len(samples) - 1, 16_000 / rate)
    return np.interp(positions, np.arange(len(samples)), samples).astype(np.float32)


def test_tags_in_another_encoding_do_no_harm(original: Samples) -> None:
    content = encode(original, 16_000, "mp3", "libmp3lame", tags={"title": "PLACEHOLDER"})
    # ID3v2.4 marks text as UTF-8 (3); a writer that does not care puts Latin-1 there.
    assert b"PLACEHOLDER" in content
    assert load_audio(content.replace(b"PLACEHOLDER", b"Gr\xfc\xdfe\xe9\xe8 \xff\xfe!")).warnings == ()


def test_a_cover_picture_is_not_the_recording(original: Samples) -> None:
    picture = b"\x00image/png\x00\x03\x00" + bytes(range(256)) * 300
    frame = b"APIC" + len(picture).to_bytes(4, "big") + b"\0\0" + picture
    size = bytes(len(frame) >> shift & 0x7F for shift in (21, 14, 7, 0))
    content = b"ID3\x03\0\0" + size + frame + encode(original, 16_000, "mp3", "libmp3lame")
    assert likeness(load_audio(content).samples, original) > 0.95


def test_blocks_are_the_whole_recording_in_order(clip: Path, original: Samples) -> None:
    blocks = list(stream_audio(clip))
    assert len(blocks) > 1
    assert all(len(block) >= 16_000 for block in blocks[:-1])
    assert np.array_equal(np.concatenate(blocks), load_audio(clip).samples)
    assert all(block.dtype == np.float32 and block.flags.writeable for block in blocks)
