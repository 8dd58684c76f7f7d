"""A long recording while it is being translated: its segments as lines, and Ctrl-C as the end of what was said.

Knows: standard input as a pipe, the order of lines. Does not know: segmentation, formats.
"""

from __future__ import annotations

import io
import os
import select
import stat
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, BinaryIO, cast

from s2t2_cli.cli.progress import Display
from s2t2_cli.formats import Format
from s2t2_cli.inputs import STDIN, Source
from s2t2_cli.records import Segment, TranslationResult
from s2t2_cli.writers import StreamWriter, Writer


class SegmentLines(Writer):
    """Writes a single recording segment by segment, as `layout` lays out its parts.

    A recording of which no segment was told comes whole, as everything does where `writer` is no stream, where there
    may be several recordings, and in formats that have no parts.
    """

    def __init__(self, writer: Writer, layout: Format, display: Display, *, is_single: bool) -> None:
        self._writer = writer
        self._display = display
        self._stream = writer if is_single and isinstance(writer, StreamWriter) else None
        self._parts = layout.by_segments() if self._stream is not None else None
        self._has_begun_parts = False
        self.kept = writer.kept

    def begin(self) -> None:
        self._writer.begin()

    def write_segment(self, source: Source, segment: Segment) -> None:
        """One more segment of the recording at hand."""
        if self._stream is not None and self._parts is not None:
            self._has_begun_parts = True
            if text := self._parts.add(source.name, segment):
                with self._display.aside():
                    self._stream.write_text(text)

    def write(self, result: TranslationResult, place: str) -> None:
        if self._stream is not None and self._parts is not None and self._has_begun_parts:
            self._stream.write_text(self._parts.finish(result))
        else:
            self._writer.write(result, place)

    def finish(self) -> None:
        self._writer.finish()

    def close(self) -> None:
        self._writer.close()


class OpenPipe(io.RawIOBase):
    """A pipe that can be told from another thread, or from a signal, to be at its end."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._wake, self._waker = os.pipe()
        self._ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._ended:
            ready, _, _ = select.select([self._descriptor, self._wake], [], [])
            self._ended = self._wake in ready
        if self._ended:
            return 0
        data = os.read(self._descriptor, len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def end(self) -> None:
        """No more is read."""
        os.write(self._waker, b".")

    def close(self) -> None:
        if not self.closed:
            os.close(self._wake)
            os.close(self._waker)
        super().close()


def open_pipe() -> OpenPipe | None:
    """Standard input where it is a pipe that may stay open for long; None where it is a file."""
    if sys.platform == "win32":  # select knows only sockets there
        return None
    try:
        descriptor = sys.stdin.buffer.fileno()
        is_file = stat.S_ISREG(os.fstat(descriptor).st_mode)
    except (AttributeError, OSError):
        return None
    return None if is_file else OpenPipe(descriptor)


def through(pipe: OpenPipe, sources: Iterable[Source]) -> Iterator[Source]:
    """`sources`, with standard input read by way of `pipe`."""
    for source in sources:
        yield replace(source, media=cast(BinaryIO, pipe)) if source.name == STDIN else source
