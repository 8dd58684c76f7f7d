"""The options that say how recordings are cut, and what comes without a header.

Knows: names, help sentences and limits; which options rule each other out. Does not know: segmentation itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from s2t2_cli.cli.options import INPUT_PANEL
from s2t2_cli.errors import UsageError

if TYPE_CHECKING:
    from s2t2_cli.segment_files import Segments

Segmentation = Literal["vad", "fixed", "none"]

SegmentationOption = Annotated[
    Segmentation | None,
    typer.Option(
        "--segmentation",
        metavar="vad|fixed|none",
        help="Cut where nobody speaks (vad), without listening for speech (fixed), or not at all (none). Otherwise "
        "recordings longer than a segment are cut as by vad, and shorter ones are translated whole.",
        rich_help_panel=INPUT_PANEL,
    ),
]
MaxSegmentSecondsOption = Annotated[
    float,
    typer.Option(
        "--max-segment-seconds",
        min=5,
        max=600,
        metavar="S",
        help="Longest segment; the published checkpoints know sentences of up to about 20 seconds.",
        rich_help_panel=INPUT_PANEL,
    ),
]
SegmentsOption = Annotated[
    str | None,
    typer.Option(
        "--segments",
        metavar="FILE",
        help="Translate the stretches that FILE names: RTTM, TSV with start and end in seconds, or the times of "
        "SRT or WebVTT.",
        rich_help_panel=INPUT_PANEL,
    ),
]
PcmOption = Annotated[
    int | None,
    typer.Option(
        "--pcm",
        min=1_000,
        max=3_072_000,
        metavar="RATE",
        help="Inputs are bare samples without a header, RATE a second: 16 bits, signed, little-endian, one channel.",
        rich_help_panel=INPUT_PANEL,
    ),
]


@dataclass(frozen=True)
class Cutting:
    """What these options ask for.

    Raises UsageError where two of them contradict each other, or the file of segments cannot be read.
    """

    arguments: Mapping[str, Any]
    """For `Translator.translate`."""
    identity: Mapping[str, Any]
    """The same in few words: results of other settings are other results."""

    @classmethod
    def of(
        cls,
        segmentation: Segmentation | None,
        max_segment_seconds: float,
        segments: str | None,
        pcm: int | None,
        *,
        may_be_several: bool,
    ) -> Cutting:
        """From the values of the options, for one recording or what may be several."""
        if segments is not None and segmentation is not None:
            raise UsageError(f"--segments says where to cut; leave out --segmentation {segmentation}")
        given = None
        if segments is not None:
            from s2t2_cli.segment_files import read_segments

            given = read_segments(segments)
            if may_be_several and None in given:
                raise UsageError(
                    f"{segments} does not say which recording its times belong to; name a single one, or use RTTM or a "
                    "TSV with a column `file`"
                )
        shared = {"segmentation": segmentation, "max_segment_seconds": max_segment_seconds}
        return cls(
            {**shared, "segments": given, "pcm_rate": pcm},
            {**shared, "segments": None if given is None else _digest(given), "pcm": pcm},
        )


def _digest(segments: Segments) -> str:
    rows = sorted((name or "", one.start, one.end) for name, spans in segments.items() for one in spans)
    return hashlib.sha256(repr(rows).encode("utf-8", "surrogateescape")).hexdigest()[:16]
