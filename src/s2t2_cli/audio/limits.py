"""How much a recording may claim, or make of a few bytes, before it is refused.

Knows: the numbers, FFmpeg's own bound on a single allocation. Does not know: containers, decoding, messages.

The numbers are generous to any recording that somebody made and small beside the memory of a machine; docs/security.md
lists them.
"""

from __future__ import annotations

import contextlib
import ctypes
from functools import cache
from importlib import import_module
from pathlib import Path

MAX_ALLOCATION = 2**27
"""The most FFmpeg allocates at once, in bytes. The index of 30 hours of AAC in an MP4 needs half of it."""

MAX_STREAMS = 128
"""Tracks of a container: a disc with every dubbing has some forty."""

FREE_INDEX_ENTRIES = 2**22
"""Samples that a container may claim by a mere number, 100 MB of index; more of them need a file of as many bytes."""

MIN_BYTES_PER_SECOND = 16
"""Silence as FLAC has some 25 at 8 kHz, the leanest codecs of speech 56."""

MAX_COPY_BYTES = 16 * 2**30
"""Of a download, or of a pipe that has to be kept: more than a day of CD audio is a mistake, or malice."""

FREE_SECONDS = 3_600
"""From here on, sound has to be worth its bytes."""


def is_plausible(seconds: float, size: int) -> bool:
    """Whether so long a recording fits into so many bytes."""
    return 0 <= seconds <= max(FREE_SECONDS, size / MIN_BYTES_PER_SECOND)


@cache
def bound_allocations() -> None:
    """Make FFmpeg refuse to allocate more than `MAX_ALLOCATION` bytes at once, where it would allow 2 GiB.

    It holds for the whole process. PyAV has no name for this function of libavutil, so it is looked up in the library
    that PyAV brought; where it cannot be found, FFmpeg's own bound stays.
    """
    for library in _libraries():
        with contextlib.suppress(OSError, AttributeError):
            function = ctypes.CDLL(str(library)).av_max_alloc
            function.argtypes, function.restype = [ctypes.c_size_t], None
            function(MAX_ALLOCATION)
            return


def _libraries() -> list[Path]:
    """Where the function may be: symbols of the libraries it needs are found through PyAV's own, except on Windows."""
    core = Path(str(import_module("av._core").__file__))
    return [core, *sorted(core.parent.parent.glob("av.libs/avutil-*.dll"))]
