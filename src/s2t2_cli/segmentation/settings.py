"""How recordings are to be cut, as it was asked for.

Knows: the methods and their limits. Does not know: how any of them works.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from s2t2_cli.errors import UsageError
from s2t2_cli.segmentation.cutting import CuttingRules
from s2t2_cli.segmentation.frames import frames_in
from s2t2_cli.segmentation.spans import Span
from s2t2_cli.segmentation.streaming import GivenSegmenter, Segmenter, SpeechSegmenter

Method = Literal["vad", "fixed", "none"]

USUAL_SECONDS = 20.0
"""The longest segment: about the longest utterance that the published checkpoints were trained on."""

LEAST_SECONDS = 5.0
"""A shorter limit would cut most sentences in the middle."""

MOST_SECONDS = 600.0
"""Attention is quadratic in length and the models stop at 200 tokens: much less than this already loses text."""


@dataclass(frozen=True)
class Segmentation:
    """`method` None leaves recordings of up to `max_seconds` whole and cuts longer ones as `vad` does.

    `vad` finds speech in every recording, `fixed` cuts without looking for speech, `none` cuts nothing. `given` names
    the stretches instead: by recording, or for all of them under the key None.

    Raises UsageError for what cannot be meant.
    """

    method: Method | None = None
    max_seconds: float = USUAL_SECONDS
    given: Mapping[str | None, Sequence[Span]] | None = None

    def __post_init__(self) -> None:
        if self.method is not None and self.method not in get_args(Method):
            raise UsageError(f"there is no segmentation {self.method!r}; choose vad, fixed or none")
        if not LEAST_SECONDS <= self.max_seconds <= MOST_SECONDS:
            raise UsageError(
                f"segments of at most {self.max_seconds:g} seconds are not possible; "
                f"from {LEAST_SECONDS:g} to {MOST_SECONDS:g} are"
            )
        if self.given is not None and self.method is not None:
            raise UsageError(f"the segments are given already; leave the segmentation {self.method} out")

    @property
    def leaves_short_ones_whole(self) -> bool:
        """Whether a recording of at most `max_seconds` is translated in one piece."""
        return self.method is None and self.given is None

    def segmenter(self, given: Sequence[Span] | None = None) -> Segmenter:
        """A new one for a recording that is to be cut, at the stretches `given` for it if there are any.

        Raises UsageError where silero-vad is missing.
        """
        if given is not None:
            return GivenSegmenter(given)
        longest = frames_in(self.max_seconds)
        if self.method == "fixed":
            return SpeechSegmenter(_all_is_speech, CuttingRules(longest, shortest_speech=1))
        from s2t2_cli.segmentation.vad import SileroDetector

        return SpeechSegmenter(SileroDetector(), CuttingRules(longest))


def _all_is_speech(frames: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.ones(len(frames), np.float32)
