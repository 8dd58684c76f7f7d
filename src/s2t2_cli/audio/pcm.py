"""Bare samples without a header, as recorders and network tools pass them on.

Knows: 16-bit signed integers, little-endian, one channel (`s16le` to ffmpeg, `S16_LE` to arecord). Does not know: their
rate, which nothing in them tells.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from av import AudioFrame

from s2t2_cli.audio.decoding import Defects
from s2t2_cli.audio.reading import Reader
from s2t2_cli.audio.resampling import MAX_RATE, MIN_RATE, frames_of
from s2t2_cli.errors import UsageError

_SAMPLE_BYTES = 2
_FULL_SCALE = 2.0**15
_READ_BYTES = 2**15  # a pipe gives what it has: this is no wait, only a bound


def check_pcm_rate(rate: int) -> None:
    """Raise UsageError for a rate that no recording has."""
    if not MIN_RATE <= rate <= MAX_RATE:
        raise UsageError(f"{rate} samples a second cannot be; rates from {MIN_RATE} to {MAX_RATE} Hz can be read")


def pcm_frames(reader: Reader, rate: int, defects: Defects) -> Iterator[AudioFrame]:
    """The samples of `reader` as they arrive, in frames; half a sample at the end is missing its other half."""
    rest = b""
    while data := reader.read(_READ_BYTES):
        reader.bore_fruit()
        data = rest + data
        whole = len(data) // _SAMPLE_BYTES * _SAMPLE_BYTES
        rest = data[whole:]
        yield from frames_of(np.frombuffer(data[:whole], "<i2").astype(np.float32) / _FULL_SCALE, rate)
    reader.raise_pending()
    defects.truncated = bool(rest)
