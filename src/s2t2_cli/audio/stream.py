"""One input from its opening to checked blocks of samples, and what is to be said about them.

Knows: the order of the steps, and what samples the model can take. Does not know: how any step is done
(sources, decoding, resampling).
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from itertools import chain

import numpy as np
from av import AudioFrame
from numpy.typing import NDArray

from s2t2_cli.audio.decoding import Defects, decode_frames
from s2t2_cli.audio.fetching import without_credentials
from s2t2_cli.audio.pcm import check_pcm_rate, pcm_frames
from s2t2_cli.audio.resampling import SAMPLING_RATE, Resampler, check_backend, frames_of, resample_with_torchaudio
from s2t2_cli.audio.sources import AudioInput, Waveform, name_of, open_source
from s2t2_cli.errors import AudioTooShortError, InvalidAudioError
from s2t2_cli.escaping import one_line

MIN_SAMPLES = 400
"""What one frame of the encoder sees: 25 ms at 16 kHz."""

BLOCK_SECONDS = 1.0
"""Small beside the model, large beside the cost of a block."""

_QUIETEST_STEP = 2.0**-15  # what a 16-bit recording can tell apart
# 2**32 is beyond full scale even of 32-bit integers left unscaled; the squares of louder samples overflow float32
# when an utterance is normalised.
_LOUDEST = 2.0**32


@dataclass(frozen=True, eq=False)
class Audio:
    """A whole recording: `samples` is float32, shape (n,), mono at 16 kHz, full scale at -1 and 1.

    `warnings` holds any of `truncated` (it broke off before its end), `decode_errors` (stretches of it are
    missing) and `silent` (no sample is further than one 16-bit step from the mean).
    """

    samples: NDArray[np.float32]
    warnings: tuple[str, ...] = ()

    @property
    def duration(self) -> float:
        """Seconds."""
        return len(self.samples) / SAMPLING_RATE


def load_audio(
    source: AudioInput, *, sampling_rate: int | None = None, backend: str = "av", name: str | None = None
) -> Audio:
    """The whole of `source` in memory.

    `sampling_rate` belongs to a bare array or tensor (16 kHz if not given, as in the reference); files and
    dictionaries state their own. `backend` is `av` (libswresample) or `torchaudio`, which resamples as the
    reference does for arrays. `name` is what messages call the input.

    Raises `UsageError` for a backend that is not there, and otherwise what the table of the package says.
    """
    stream = stream_audio(source, sampling_rate=sampling_rate, backend=backend, name=name)
    samples = np.concatenate(list(stream))
    return Audio(samples, stream.warnings)


def stream_audio(
    source: AudioInput,
    *,
    sampling_rate: int | None = None,
    backend: str = "av",
    name: str | None = None,
    pcm_rate: int | None = None,
    block_seconds: float = BLOCK_SECONDS,
) -> AudioStream:
    """`source` as blocks of about `block_seconds`, each float32 of shape (n,), in memory that does not grow with it.

    Arguments and errors as for `load_audio`; errors come when the stream reaches them. With `pcm_rate`, files and
    streams are bare samples of that rate: 16-bit signed integers, little-endian, one channel. Nothing is opened before
    the first block is asked for. With the torchaudio backend the whole input is held in memory, because that
    resampler takes nothing less.
    """
    check_backend(backend)
    if pcm_rate is not None:
        check_pcm_rate(pcm_rate)
    return AudioStream(source, sampling_rate, backend, name, pcm_rate, round(block_seconds * SAMPLING_RATE))


class AudioStream(Iterator[NDArray[np.float32]]):
    """The blocks of one input; `warnings` (see `Audio`) is complete once they are used up."""

    def __init__(
        self,
        source: AudioInput,
        sampling_rate: int | None,
        backend: str,
        name: str | None,
        pcm_rate: int | None = None,
        block_samples: int = SAMPLING_RATE,
    ) -> None:
        self.name = one_line(without_credentials(name_of(source) if name is None else name))
        self._defects = Defects()
        self._checks = _Checks(self.name)
        self._pcm_rate = pcm_rate
        self._block_samples = block_samples
        self._blocks = self._run(source, sampling_rate, backend)

    def __next__(self) -> NDArray[np.float32]:
        return next(self._blocks)

    def close(self) -> None:
        """Give up the rest: closes what is open. A stream that was read to its end is closed already."""
        self._blocks.close()

    @property
    def claimed_seconds(self) -> float | None:
        """How long the recording is by its own account, known with the first block; None where it does not say."""
        return self._defects.claimed_seconds

    @property
    def warnings(self) -> tuple[str, ...]:
        found = {
            "truncated": self._defects.truncated,
            "decode_errors": self._defects.decode_errors,
            "silent": self._checks.silent,
        }
        return tuple(warning for warning, applies in found.items() if applies)

    def _run(
        self, source: AudioInput, sampling_rate: int | None, backend: str
    ) -> Generator[NDArray[np.float32], None, None]:
        with open_source(source, sampling_rate, self.name) as opened:
            if isinstance(opened, Waveform):
                self._defects.claimed_seconds = len(opened.samples) / opened.sampling_rate
                frames = frames_of(opened.samples, opened.sampling_rate)
            elif self._pcm_rate is not None:
                frames = pcm_frames(opened, self._pcm_rate, self._defects)
            else:
                frames = decode_frames(opened, self.name, self._defects)
            convert = _resampled if backend == "av" else _resampled_with_torchaudio
            for block in _regrouped(convert(frames, self.name), self._block_samples):
                self._checks.add(block)
                yield block
            self._checks.finish()


class _Checks:
    """Whether the samples that pass by are any a model can take."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._count = 0
        self._sum = 0.0
        self._lowest = np.inf
        self._highest = -np.inf

    def add(self, block: NDArray[np.float32]) -> None:
        lowest, highest = float(block.min()), float(block.max())
        if not (lowest >= -_LOUDEST and highest <= _LOUDEST):  # no comparison holds for NaN
            raise self._impossible(block)
        self._lowest = min(self._lowest, lowest)
        self._highest = max(self._highest, highest)
        self._sum += float(block.sum(dtype=np.float64))
        self._count += len(block)
        if self._count < MIN_SAMPLES:  # a block this short is the only one
            self.finish()

    def finish(self) -> None:
        if self._count < MIN_SAMPLES:
            raise AudioTooShortError(
                f"{self._name} is too short: it lasts {self._count / 16:.1f} ms, and the model needs 25 ms"
            )

    @property
    def silent(self) -> bool:
        if not self._count:
            return False
        # The mean is taken to the nearest step, so that the dither of a quiet 16-bit recording counts as silence
        # whichever side of zero its mean falls on.
        mean = round(self._sum / self._count / _QUIETEST_STEP) * _QUIETEST_STEP
        return self._highest - mean <= _QUIETEST_STEP and mean - self._lowest <= _QUIETEST_STEP

    def _impossible(self, block: NDArray[np.float32]) -> InvalidAudioError:
        wrong = ~(np.abs(block) <= _LOUDEST)
        seconds = (self._count + int(wrong.argmax())) / SAMPLING_RATE
        if np.isfinite(block).all():
            what = "samples more than 2**32 times full scale"
        else:
            what = "samples that are not a number (NaN) or infinite"
        return InvalidAudioError(f"{self._name} holds {what}, the first at {seconds:.3f} s; check what made it")


def _resampled(frames: Iterator[AudioFrame], name: str) -> Iterator[NDArray[np.float32]]:
    resampler = Resampler(SAMPLING_RATE, name)
    for frame in frames:
        yield from resampler.push(frame)
    yield from resampler.flush()


def _resampled_with_torchaudio(frames: Iterator[AudioFrame], name: str) -> Iterator[NDArray[np.float32]]:
    first = next(frames, None)
    if first is None:
        return
    native = Resampler(first.sample_rate, name)  # mixes to mono; resamples only if the rate changes on the way
    pieces = [piece for frame in chain([first], frames) for piece in native.push(frame)]
    pieces += native.flush()
    if pieces:
        yield resample_with_torchaudio(np.concatenate(pieces), first.sample_rate, SAMPLING_RATE)


def _regrouped(pieces: Iterator[NDArray[np.float32]], block_samples: int) -> Iterator[NDArray[np.float32]]:
    """The same samples in blocks of at least `block_samples`, except the last; never an empty one."""
    waiting: list[NDArray[np.float32]] = []
    count = 0
    for piece in pieces:
        waiting.append(piece)
        count += len(piece)
        if count >= block_samples:
            yield np.concatenate(waiting)
            waiting, count = [], 0
    if count:
        yield np.concatenate(waiting)
