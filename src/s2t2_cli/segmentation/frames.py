"""The clock of segmentation: frames of 32 ms, and how loud each is.

Knows: samples. Does not know: what is done with frames.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SAMPLING_RATE = 16_000
"""Samples per second of all that is segmented."""

FRAME_SAMPLES = 512
"""Samples in a frame: what silero-vad judges at a time."""


def frames_in(seconds: float) -> int:
    """The number of whole frames in a stretch of time."""
    return int(seconds * SAMPLING_RATE) // FRAME_SAMPLES


def powers_of(frames: NDArray[np.float32]) -> NDArray[np.float64]:
    """The power of each frame, shape (n, FRAME_SAMPLES) to (n,); a constant offset does not count."""
    return np.asarray(frames.var(axis=1, dtype=np.float64))
