"""The torchaudio backend, where torchaudio can be imported: `make test-torchaudio` builds a place for it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from audio_fixtures import encode, likeness, speech, tone, wav
from s2t2_cli.audio import check_backend, load_audio, stream_audio
from s2t2_cli.errors import AudioTooShortError, InvalidAudioError, UsageError

try:
    check_backend("torchaudio")
except UsageError as error:
    pytest.skip(f"{error}", allow_module_level=True)

resample = pytest.importorskip("torchaudio.functional").resample


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 44_100, 48_000])
def test_arrays_are_resampled_as_the_reference_does(rate: int) -> None:
    """The reference pipeline: `torchaudio.functional.resample` with its defaults on the whole array."""
    samples = tone(440, 2, rate)
    expected = resample(torch.from_numpy(samples), rate, 16_000).numpy()
    for source in (samples, torch.from_numpy(samples), {"raw": samples, "sampling_rate": rate}):
        audio = load_audio(source, sampling_rate=rate, backend="torchaudio")
        assert np.array_equal(audio.samples, expected)


def test_files_are_decoded_at_their_own_rate_and_then_resampled() -> None:
    samples = (tone(440, 2, 44_100) * 32_767).astype(np.int16)
    expected = resample(torch.from_numpy(samples / np.float32(32_768)), 44_100, 16_000).numpy()
    audio = load_audio(wav(samples.tobytes(), rate=44_100), backend="torchaudio")
    assert np.abs(audio.samples - expected).max() < 1e-6


def test_both_backends_sound_alike(clip: Path) -> None:
    content = encode(np.tile(speech(clip, 44_100), (2, 1)), 44_100, "flac", "flac", layout="stereo")
    one, other = load_audio(content), load_audio(content, backend="torchaudio")
    assert len(one.samples) == pytest.approx(len(other.samples), abs=2)
    assert likeness(one.samples, other.samples) > 0.999


def test_nothing_happens_at_16_khz(clip: Path) -> None:
    assert np.array_equal(load_audio(clip, backend="torchaudio").samples, load_audio(clip).samples)


def test_warnings_and_errors_are_those_of_the_other_backend(clip: Path) -> None:
    content = encode(speech(clip), 16_000, "flac", "flac")
    assert load_audio(content[: len(content) // 2], backend="torchaudio").warnings == ("truncated",)
    with pytest.raises(AudioTooShortError):
        load_audio(tone(440, 0.02, 8_000), sampling_rate=8_000, backend="torchaudio")
    with pytest.raises(AudioTooShortError):
        load_audio(wav(b""), backend="torchaudio")
    with pytest.raises(InvalidAudioError, match="NaN"):
        load_audio(np.full(8_000, np.nan), sampling_rate=8_000, backend="torchaudio")


def test_a_stream_is_the_whole_of_it(clip: Path) -> None:
    content = encode(speech(clip, 44_100), 44_100, "flac", "flac")
    blocks = list(stream_audio(content, backend="torchaudio"))
    assert np.array_equal(np.concatenate(blocks), load_audio(content, backend="torchaudio").samples)
