"""A stretch of a recording, in seconds.

Knows: what a valid stretch is. Does not know: who found it, samples, files.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """From `start` to `end`, in seconds from the beginning of the recording; `0 <= start < end`, both finite.

    Raises ValueError for anything else, not-a-number included. Spans sort by start.
    """

    start: float
    end: float

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.end < math.inf:
            raise ValueError(f"a stretch from {self.start} to {self.end} s is impossible; 0 <= start < end must hold")
