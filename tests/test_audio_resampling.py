"""The resampler: as the ffmpeg program resamples, and how good that is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from audio_fixtures import Samples, tone, wav
from s2t2_cli.audio import load_audio

GOLDEN = Path(__file__).parent / "golden" / "audio.npz"


@pytest.mark.parametrize(
    "case", ["8000_1", "11025_2", "16000_2", "22050_1", "44100_2", "48000_6"], ids="{} Hz and channels".format
)
def test_files_are_what_the_reference_reads(case: str) -> None:
    """Recorded from `ffmpeg -i FILE -ac 1 -ar 16000 -f f32le -` (scripts/make_golden_audio.py)."""
    with np.load(GOLDEN) as golden:
        given, expected = golden[f"given_{case}"], golden[f"expected_{case}"]
    rate, channels = map(int, case.split("_"))
    samples = load_audio(wav(given.tobytes(), rate=rate, channels=channels)).samples
    assert samples.shape == expected.shape
    assert np.abs(samples - expected).max() < 1e-6


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100])
def test_arrays_are_resampled_like_files(rate: int) -> None:
    samples = (tone(440, 1, rate) * 32_767).astype(np.int16)
    assert np.array_equal(
        load_audio(samples, sampling_rate=rate).samples, load_audio(wav(samples.tobytes(), rate=rate)).samples
    )


# The sweep: tones one by one, half of full scale, two seconds each. Levels in dB against the tone that went in.


def passed(rate: int, hertz: float) -> tuple[float, float]:
    """The level of the tone itself, and of everything else that came out (images, aliases, noise)."""
    samples = middle(rate, hertz)
    time = np.arange(len(samples)) / 16_000
    waves = np.stack([np.sin(2 * np.pi * hertz * time), np.cos(2 * np.pi * hertz * time)], axis=1)
    parts = np.linalg.lstsq(waves, samples)[0]
    return decibel(float(np.hypot(*parts)) / np.sqrt(2)), decibel(rms(samples - waves @ parts))


def folded(rate: int, hertz: float) -> float:
    """The level of what a tone above 8 kHz leaves behind."""
    return decibel(rms(middle(rate, hertz)))


def middle(rate: int, hertz: float) -> Samples:
    samples: Samples = load_audio(tone(hertz, 2, rate), sampling_rate=rate).samples[4_000:-4_000]
    return samples


def rms(samples: Samples) -> float:
    return float(np.sqrt(np.mean(samples.astype(np.float64) ** 2)))


def decibel(level: float) -> float:
    return 20 * float(np.log10(level / (0.5 / np.sqrt(2)) + 1e-12))


@pytest.mark.parametrize(
    ("rate", "highest", "ripple", "residue"),
    [
        (8_000, 3_400, 0.03, -50.0),  # the telephone band; images of what is near 4 kHz are the weak point
        (44_100, 6_800, 0.13, -100.0),
        (48_000, 6_800, 0.13, -100.0),
    ],
)
def test_the_pass_band_is_flat_and_clean(rate: int, highest: float, ripple: float, residue: float) -> None:
    measured = [passed(rate, hertz) for hertz in np.linspace(60, highest, 30)]
    levels, rest = zip(*measured, strict=True)
    print(
        f"{rate} to 16000 Hz, up to {highest} Hz: {min(levels):+.4f} to {max(levels):+.4f} dB, rest {max(rest):.1f} dB"
    )
    assert max(map(abs, levels)) < ripple
    assert max(rest) < residue


@pytest.mark.parametrize("rate", [44_100, 48_000])
def test_what_is_above_8_khz_does_not_fold_back(rate: int) -> None:
    near = max(folded(rate, hertz) for hertz in np.linspace(9_000, 9_600, 10))
    far = max(folded(rate, hertz) for hertz in np.linspace(9_600, 0.99 * rate / 2, 30))
    print(f"{rate} to 16000 Hz: aliases {near:.1f} dB from 9.0 kHz, {far:.1f} dB from 9.6 kHz")
    assert near < -60
    assert far < -90
