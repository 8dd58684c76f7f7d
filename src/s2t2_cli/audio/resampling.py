"""Frames of any format, layout and rate to mono float32 at one rate.

Knows: libswresample (through PyAV's filter graph, as the ffmpeg program uses it), how several channels become one,
and torchaudio's resampler where it is asked for. Does not know: where frames come from.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from importlib import import_module

import numpy as np
from av import AudioFrame, AudioResampler
from av.error import FFmpegError
from numpy.typing import NDArray

from s2t2_cli.errors import InvalidAudioError, UsageError
from s2t2_cli.escaping import one_line

SAMPLING_RATE = 16_000
"""Samples per second of everything that leaves this package: what the model was trained on."""

# Below the first nothing of speech is left, and a few kilobytes could unfold to hours; the second is eight times
# the highest rate of sound cards, beyond which the resampler's filter grows without bound.
MIN_RATE = 1_000
MAX_RATE = 8 * 384_000

MAX_CHANNELS = 64  # libswresample's own limit

_ARRAY_FRAME_SAMPLES = 16_384  # what an array is cut into on its way to the resampler


class Resampler:
    """Mono float32 at `rate`, frame by frame; the input may change its format, layout and rate on the way.

    Channels are mixed by FFmpeg's matrix for their layout; where it has none (nine channels, say) they are
    averaged. Raises `InvalidAudioError` for rates and numbers of channels that cannot be.
    """

    def __init__(self, rate: int, name: str) -> None:
        self._rate = rate
        self._name = name
        self._source: tuple[str, str, int] | None = None
        self._resampler = self._new_resampler()
        self._average: _Average | None = None

    def push(self, frame: AudioFrame) -> list[NDArray[np.float32]]:
        """What comes out after one more frame: possibly nothing yet."""
        # Samples are counted, not timed: the timestamps of a damaged file must not steer the filter graph.
        frame.pts = None
        frame.time_base = Fraction(1, self._checked_rate(frame))
        source = (frame.format.name, frame.layout.name, frame.sample_rate)
        if source == self._source:
            return self._resample(frame)
        rest = self.flush()
        self._source = source
        try:
            return rest + self._resample(frame)
        except FFmpegError:
            return rest + self._averaged_from_here(frame)

    def flush(self) -> list[NDArray[np.float32]]:
        """What the filter still holds; afterwards another stream may begin."""
        rest = _samples(self._resampler.resample(None))
        self._resampler = self._new_resampler()
        self._average = None
        self._source = None
        return rest

    def _resample(self, frame: AudioFrame) -> list[NDArray[np.float32]]:
        return _samples(self._resampler.resample(self._average(frame) if self._average else frame))

    def _averaged_from_here(self, frame: AudioFrame) -> list[NDArray[np.float32]]:
        channels = frame.layout.nb_channels
        self._resampler = self._new_resampler()
        self._average = _Average()
        try:
            return self._resample(frame)
        except FFmpegError as problem:
            raise InvalidAudioError(
                f"{self._name} has {channels} channels in an arrangement that cannot be mixed to one"
                f" (at most {MAX_CHANNELS} can); extract the channel to translate"
            ) from problem

    def _new_resampler(self) -> AudioResampler:
        return AudioResampler(format="flt", layout="mono", rate=self._rate)

    def _checked_rate(self, frame: AudioFrame) -> int:
        if MIN_RATE <= frame.sample_rate <= MAX_RATE:
            return frame.sample_rate
        raise InvalidAudioError(
            f"{self._name} claims {frame.sample_rate} samples a second;"
            f" rates from {MIN_RATE} to {MAX_RATE} Hz can be read"
        )


class _Average:
    """Frames of many channels to their plain mean."""

    def __init__(self) -> None:
        self._to_float = AudioResampler(format="flt")

    def __call__(self, frame: AudioFrame) -> AudioFrame:
        (packed,) = self._to_float.resample(frame)
        channels = packed.layout.nb_channels
        return _frame(packed.to_ndarray().reshape(-1, channels).mean(axis=1, keepdims=True).T, packed.sample_rate)


def frames_of(samples: NDArray[np.float32], rate: int) -> Iterator[AudioFrame]:
    """A mono array, shape (n,), as the frames a decoder would give."""
    for start in range(0, len(samples), _ARRAY_FRAME_SAMPLES):
        yield _frame(samples[np.newaxis, start : start + _ARRAY_FRAME_SAMPLES], rate)


def check_backend(backend: str) -> None:
    """Raise `UsageError` unless `backend` is `av`, or `torchaudio` and torchaudio can be imported."""
    if backend == "av":
        return
    if backend != "torchaudio":
        raise UsageError(f"there is no audio backend {backend!r}; choose av or torchaudio")
    try:
        import_module("torchaudio.functional")
    except (ImportError, OSError) as problem:  # OSError: built for another torch
        if isinstance(problem, ModuleNotFoundError) and problem.name == "torchaudio":
            why = "is not installed"
        else:
            why = f"does not work beside this torch ({one_line(str(problem))})"
        raise UsageError(
            f"the audio backend torchaudio {why}; run: pip install 's2t2-cli[torchaudio]', or use the backend av"
        ) from problem


def resample_with_torchaudio(samples: NDArray[np.float32], rate: int, new_rate: int) -> NDArray[np.float32]:
    """`torchaudio.functional.resample` with its defaults, as the reference pipeline resamples arrays; shape (n,)."""
    if rate == new_rate:
        return samples
    import torch
    import torchaudio.functional

    resampled: NDArray[np.float32] = torchaudio.functional.resample(torch.from_numpy(samples), rate, new_rate).numpy()
    return resampled


def _frame(samples: NDArray[np.float32], rate: int) -> AudioFrame:
    frame = AudioFrame.from_ndarray(np.ascontiguousarray(samples), format="flt", layout="mono")
    frame.sample_rate = rate
    return frame


def _samples(frames: list[AudioFrame]) -> list[NDArray[np.float32]]:
    return [frame.to_ndarray()[0] for frame in frames if frame.samples]
