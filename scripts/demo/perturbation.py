"""Other rooms, other microphones, other lines: a clip of synthetic speech is heard differently each time.

Knows: tempo, room, colour, band, noise, line code, silence around the words. Does not know: words, models, files.

The samples are mono float32 at 16 kHz; everything is a function of the random generator that is passed in.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float32]
Random = np.random.Generator
SAMPLING_RATE = 16_000
# How often a clip keeps the sound of the synthesizer: words are learnt sooner from what is easy to hear.
CLEAN = 0.4


def perturbed(clip: Samples, random: Random, other: Callable[[], Samples]) -> Samples:
    """The clip as somebody else's recording; `other()` gives a clip to be heard in the background."""
    samples = _tempo(clip, random)
    samples = _silence(samples, random)
    if random.random() < CLEAN:
        return samples.astype(np.float32)
    samples = _filtered(samples, random)
    level = _level(samples)
    if random.random() < 0.7:
        samples = samples + _noise(len(samples), random, level * _ratio(random.uniform(-35, -6)))
    if random.random() < 0.12:
        samples = samples + _background(other(), len(samples), random, level * _ratio(random.uniform(-28, -10)))
    if random.random() < 0.15:
        samples = _line_coded(samples, random)
    return samples.astype(np.float32)


def _tempo(samples: Samples, random: Random) -> Samples:
    """Faster and higher, or slower and lower, by up to an eighth."""
    factor = random.uniform(0.88, 1.14) if random.random() < 0.7 else 1.0
    positions = np.arange(0, len(samples) - 1, factor)
    return np.interp(positions, np.arange(len(samples)), samples).astype(np.float32)


def _silence(samples: Samples, random: Random) -> Samples:
    """The silence before and after the words cut short, or made longer."""
    if random.random() < 0.5:
        loud = np.flatnonzero(np.abs(samples) > 0.03 * np.abs(samples).max(initial=1e-5))
        if len(loud):
            margin = int(random.uniform(0.0, 0.08) * SAMPLING_RATE)
            samples = samples[max(0, loud[0] - margin) : loud[-1] + margin]
    before, after = (int(max(0.0, random.uniform(-0.1, 0.3)) * SAMPLING_RATE) for _ in range(2))
    return np.pad(samples, (before, after))


def _filtered(samples: Samples, random: Random) -> Samples:
    """A room, the colour of a microphone and the band of a line, in one multiplication of the spectrum."""
    room = _room(random) if random.random() < 0.35 else None
    length = len(samples) + (len(room) if room is not None else 0)
    size = 1 << (length - 1).bit_length()
    spectrum = np.fft.rfft(samples, size)
    frequencies = np.linspace(0.0, SAMPLING_RATE / 2, len(spectrum))
    if room is not None:
        spectrum *= np.fft.rfft(room, size)
    if random.random() < 0.6:
        spectrum *= _colour(frequencies, random)
    if random.random() < 0.45:
        spectrum *= _band(frequencies, random)
    filtered: Samples = np.fft.irfft(spectrum, size)[: len(samples)].astype(np.float32)
    return filtered


def _room(random: Random) -> npt.NDArray[np.float64]:
    """A direct sound and a tail of noise that falls by 60 dB within 0.1 to 0.7 s."""
    length = int(random.uniform(0.1, 0.7) * SAMPLING_RATE)
    tail = random.standard_normal(length) * 10 ** (-3 * np.arange(length) / length)
    tail *= _ratio(random.uniform(-18, -2)) / np.sqrt((tail**2).sum())
    tail[0] = 1.0
    return tail


def _colour(frequencies: npt.NDArray[np.float64], random: Random) -> npt.NDArray[np.float64]:
    """A smooth response, some decibels up and down over the octaves."""
    octaves = np.log2(np.maximum(frequencies, 60.0) / 60.0)
    decibels = random.uniform(-1.5, 1.5) * (octaves - 3.5)
    for _ in range(3):
        decibels = decibels + random.normal(0, 2.5) * np.sin(
            random.uniform(0.5, 2.5) * octaves + random.uniform(0, 6.3)
        )
    curve: npt.NDArray[np.float64] = _ratio(decibels)
    return curve


def _band(frequencies: npt.NDArray[np.float64], random: Random) -> npt.NDArray[np.float64]:
    """What a telephone or a small loudspeaker leaves: slopes of 24 to 72 dB an octave at both ends."""
    high = random.uniform(3000, 4000) if random.random() < 0.6 else random.uniform(3500, 7500)
    low = random.uniform(20, 350)
    order = random.uniform(4, 12)
    falling = 1 / np.sqrt(1 + (frequencies / high) ** (2 * order))
    rising = 1 / np.sqrt(1 + (low / np.maximum(frequencies, 1.0)) ** 8)
    band: npt.NDArray[np.float64] = falling * rising
    return band


def _noise(length: int, random: Random, level: float) -> npt.NDArray[np.float64]:
    """Noise whose power falls with frequency by 0 to 9 dB an octave; sometimes with the mains' hum."""
    size = 1 << (length - 1).bit_length()
    spectrum = np.fft.rfft(random.standard_normal(size))
    spectrum /= np.maximum(np.arange(len(spectrum)), 60.0 * size / SAMPLING_RATE) ** random.uniform(0, 1.5)
    noise = np.fft.irfft(spectrum, size)[:length]
    noise *= level / (noise.std() + 1e-12)
    if random.random() < 0.15:
        time = np.arange(length) / SAMPLING_RATE
        noise += level * np.sin(2 * np.pi * random.choice((50, 60, 100, 120)) * time)
    return noise


def _background(other: Samples, length: int, random: Random, level: float) -> npt.NDArray[np.float64]:
    """Somebody else speaking at `level`, from anywhere within the clip on."""
    start = int(random.integers(0, max(1, length // 2)))
    heard = np.zeros(length)
    part = other[: length - start]
    heard[start : start + len(part)] = part * (level / (_level(other) + 1e-9))
    return heard


def _line_coded(samples: npt.NDArray[np.floating], random: Random) -> npt.NDArray[np.floating]:
    """Eight bits a sample on a logarithmic scale, as telephony has it, or an overdriven input."""
    peak = float(np.abs(samples).max(initial=1e-6))
    scaled = samples / peak
    if random.random() < 0.6:
        compressed = np.sign(scaled) * np.log1p(255 * np.abs(scaled)) / np.log(256)
        rounded = np.round(compressed * 127) / 127
        return np.sign(rounded) * np.expm1(np.abs(rounded) * np.log(256)) / 255
    limit = random.uniform(0.2, 0.7)
    return np.clip(scaled, -limit, limit)


def _level(samples: npt.NDArray[np.floating]) -> float:
    """Root mean square of the louder half, that is of the words rather than of the pauses."""
    energy = np.sort(samples.astype(np.float64) ** 2)
    return float(np.sqrt(energy[len(energy) // 2 :].mean())) if len(energy) else 0.0


def _ratio(decibels: float | npt.NDArray[np.float64]) -> float | npt.NDArray[np.float64]:
    return 10 ** (decibels / 20)
