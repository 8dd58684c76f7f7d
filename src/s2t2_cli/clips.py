"""Recordings to clips: what the model hears at a time, the whole of a short recording or a segment of a long one.

Knows: audio, segmentation, when a recording counts as long, what is left of one that breaks off. Does not know: the
model, batches, text.
"""

from __future__ import annotations

import logging
import stat
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from s2t2_cli.audio import MIN_SAMPLES, SAMPLING_RATE, AudioStream, stream_audio
from s2t2_cli.audio.stream import BLOCK_SECONDS
from s2t2_cli.errors import AudioTooLongError, InputError, InputNotFoundError, TranslationError
from s2t2_cli.inputs import STDIN, Source
from s2t2_cli.segment_files import segments_of
from s2t2_cli.segmentation.settings import MOST_SECONDS, Segmentation
from s2t2_cli.segmentation.spans import Span
from s2t2_cli.segmentation.streaming import GivenSegmenter, Piece, cut

logger = logging.getLogger(__name__)

# Someone waits for every sentence that comes through a pipe, so blocks are small there.
_LIVE_BLOCK_SECONDS = 0.25

# Less than a step of a 16-bit recording around its middle: digital silence, with or without dither.
_SILENT_SWING = 2 * 2.0**-15


@dataclass(frozen=True, eq=False, slots=True)
class Clip:
    """One thing to translate: clip `number` of the input at `position`, both counted from 0."""

    source: Source
    position: int
    number: int
    piece: Piece
    is_segment: bool
    """Whether the recording was cut; otherwise the clip is all of it."""
    is_live: bool = False
    """Whether it comes from a pipe, at the end of which someone may be speaking."""

    @property
    def seconds(self) -> float:
        """How long it is."""
        return len(self.piece.samples) / SAMPLING_RATE


@dataclass(frozen=True, slots=True)
class End:
    """The input at `position` gave `clips` clips and no more."""

    source: Source
    position: int
    clips: int = 0
    was_cut: bool = False
    duration: float | None = None
    """Seconds."""
    warnings: tuple[str, ...] = ()
    error: InputError | None = None
    """Why there is nothing to translate."""


class ClipReader:
    """Reads inputs, cut as `segmentation` says; the other arguments are those of `stream_audio`.

    An input that fails before its first clip is an End with that error. One that fails later keeps the clips before and
    has the warning `truncated`; why is said in the log.
    """

    def __init__(
        self,
        segmentation: Segmentation,
        *,
        sampling_rate: int | None = None,
        pcm_rate: int | None = None,
        backend: str = "av",
    ) -> None:
        self._segmentation = segmentation
        self._sampling_rate = sampling_rate
        self._pcm_rate = pcm_rate
        self._backend = backend

    def read(self, position: int, source: Source) -> Iterator[Clip | End]:
        """The clips of an input, then its End."""
        if source.error is not None:
            yield End(source, position, error=source.error)
            return
        is_live = _is_pipe(source.media)
        recording = _Recording(source, self._open(source, is_live), self._segmentation)
        clips = 0
        try:
            with closing(recording.stream):
                for piece in recording.pieces():
                    yield Clip(source, position, clips, piece, recording.was_cut, is_live)
                    clips += 1
        except (InputError, MemoryError) as problem:
            recording.error = as_input_error(problem)
        warnings, error = recording.warnings(), recording.error
        if error is not None and clips:
            logger.warning("%s; what comes before is translated", error)
            warnings = tuple(dict.fromkeys((*warnings, "truncated")))
            error = None
        yield End(source, position, clips, recording.was_cut, recording.seconds, warnings, error)

    def _open(self, source: Source, is_live: bool) -> AudioStream:
        return stream_audio(
            source.media,
            sampling_rate=self._sampling_rate,
            pcm_rate=self._pcm_rate,
            backend=self._backend,
            name="standard input" if source.name == STDIN else source.name,
            block_seconds=_LIVE_BLOCK_SECONDS if is_live else BLOCK_SECONDS,
        )


class _Recording:
    """One recording on its way to pieces; what there is to say of it is complete once they are used up."""

    def __init__(self, source: Source, stream: AudioStream, plan: Segmentation) -> None:
        self.source = source
        self.stream = stream
        self.was_cut = False
        self.error: InputError | None = None
        self._plan = plan
        self._samples = 0
        self._missed = 0

    @property
    def seconds(self) -> float:
        """What was read so far."""
        return self._samples / SAMPLING_RATE

    def pieces(self) -> Iterator[Piece]:
        """All of it as one piece, or what its segmentation makes of it."""
        blocks = self._blocks()
        read: deque[NDArray[np.float32]] = deque()
        if self._is_whole(blocks, read):
            if "silent" not in self.stream.warnings:
                yield Piece(0, np.concatenate(read))
            return
        self.was_cut = True
        segmenter = self._plan.segmenter(self._given())
        for piece in cut(chain(_emptying(read), blocks), segmenter):
            # Without anyone listening for speech, silence would go to the model, which hears words in anything.
            if self._plan.method != "fixed" or has_sound(piece.samples):
                yield piece
        self._missed = segmenter.missed if isinstance(segmenter, GivenSegmenter) else 0

    def warnings(self) -> tuple[str, ...]:
        """What the user should know of it."""
        found = [one for one in self.stream.warnings if one != "silent"]  # whether there are words says more
        if self._missed:
            found.append("segments_beyond_end")
        return tuple(found)

    def _blocks(self) -> Iterator[NDArray[np.float32]]:
        try:
            for block in self.stream:
                self._samples += len(block)
                yield block
        except InputError as problem:
            if not self.was_cut:
                raise
            self.error = problem  # what was said before it ends here

    def _is_whole(self, blocks: Iterator[NDArray[np.float32]], read: deque[NDArray[np.float32]]) -> bool:
        """Whether to translate it in one piece; `read` takes what had to be read to find that out."""
        if self._plan.method == "none":
            for block in blocks:
                read.append(block)
                if self.seconds > MOST_SECONDS:  # before it fills the memory
                    raise AudioTooLongError(
                        f"{self.stream.name} is longer than {MOST_SECONDS / 60:.0f} minutes; the model reads "
                        "sentences, so let it be cut into segments"
                    )
            return True
        if not self._plan.leaves_short_ones_whole:
            return False
        for block in blocks:
            read.append(block)
            if max(self.seconds, self.stream.claimed_seconds or 0.0) > self._plan.max_seconds:
                return False
        return True

    def _given(self) -> Sequence[Span] | None:
        if self._plan.given is None:
            return None
        spans = segments_of(self.source.name, self._plan.given)
        if not spans:
            raise InputNotFoundError(f"the given segments have none for {self.source.name}; add some, or leave it out")
        longest = max(spans, key=lambda one: one.end - one.start)
        if longest.end - longest.start > MOST_SECONDS:
            raise AudioTooLongError(
                f"the segment of {self.source.name} from {longest.start:g} to {longest.end:g} s is longer than "
                f"{MOST_SECONDS / 60:.0f} minutes; the model reads sentences, so give shorter ones"
            )
        return spans


def _emptying(blocks: deque[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
    while blocks:
        yield blocks.popleft()


def has_sound(samples: NDArray[np.float32]) -> bool:
    """Whether there is anything for the model to hear: more than silence, for at least one frame of the encoder."""
    return len(samples) >= MIN_SAMPLES and float(np.ptp(samples)) > _SILENT_SWING


def as_input_error(error: Exception) -> InputError:
    """What went wrong with one input, as the error that its result carries."""
    if isinstance(error, InputError):
        return error
    if isinstance(error, MemoryError) or "memory" in str(error):
        return TranslationError("there is not enough memory to translate this recording; cut it into shorter pieces")
    return TranslationError(f"the model failed on this recording: {first_line(error)}")


def first_line(error: Exception) -> str:
    """The message of an error, as much as fits into a sentence."""
    return str(error).partition("\n")[0] or type(error).__name__


def _is_pipe(media: object) -> bool:
    if isinstance(media, Path):
        try:
            return stat.S_ISFIFO(media.stat().st_mode)
        except (OSError, ValueError):
            return False
    seekable = getattr(media, "seekable", None)
    return hasattr(media, "read") and seekable is not None and not seekable()
