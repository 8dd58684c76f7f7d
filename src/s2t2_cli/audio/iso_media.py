"""What the index of an MP4, QuickTime or 3GP file would unfold to, told before FFmpeg unfolds it.

Knows: boxes, and which of them state a count where others list (ISO/IEC 14496-12, 8.7 and 8.8). Does not know: what a
count may be (limits), decoding.

Where all samples have one size, four bytes say how many there are, and FFmpeg makes 24 or more of each: nine kilobytes
of MP4 became seven gigabytes of index. Where sizes differ, each takes up bytes of the file, and all is well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

ReadAt = Callable[[int, int], bytes]
"""`read_at(offset, size)` gives bytes of the file, fewer where it ends."""

# What FFmpeg looks for boxes in, wherever it lies.
# fmt: off
_CONTAINERS = frozenset((
    b"moov", b"mvex", b"trak", b"mdia", b"minf", b"stbl", b"moof", b"traf",
    b"edts", b"tref", b"udta", b"sinf", b"schi", b"wave",
))
# fmt: on
_DEEPEST = 12

# The flags of `trun` that say that something of each sample follows.
_LISTS_SAMPLES = 0x0F00

# Of plain PCM, FFmpeg puts so many samples in one entry.
_SAMPLES_AN_ENTRY = 1_024

# A day of fragments of two seconds has some 400,000. What comes behind so many boxes is not looked at.
_MOST_BOXES = 2_000_000
_MOST_TABLE_BYTES = 2**20


def unfolded_entries(read_at: ReadAt) -> int:
    """How many entries FFmpeg would make, at most, of counts that no bytes of the file stand behind."""
    total = same_size = largest_chunk = chunks = 0
    for number, (kind, start, size) in enumerate(_boxes(read_at, 0, None, 0)):
        if number > _MOST_BOXES:
            break
        if kind == b"trak":
            total += max(same_size, chunks * largest_chunk // _SAMPLES_AN_ENTRY)
            same_size = largest_chunk = chunks = 0
        elif kind == b"trun":
            flags, count = _words(read_at(start, 8), 2)
            total += 0 if flags & _LISTS_SAMPLES else count
        elif kind == b"stsz":
            sample_size, count = _words(read_at(start + 4, 8), 2)
            same_size = count if sample_size else 0
        elif kind == b"stsc":
            table = read_at(start + 8, min(size - 8, _MOST_TABLE_BYTES)) if size > 8 else b""
            largest_chunk = max(_words(table, len(table) // 4)[1::3], default=0)
        elif kind in (b"stco", b"co64"):
            (chunks,) = _words(read_at(start + 4, 4), 1)
    return total + max(same_size, chunks * largest_chunk // _SAMPLES_AN_ENTRY)


def _boxes(read_at: ReadAt, offset: int, end: int | None, depth: int) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start and size of the contents of each box, a container before the boxes in it."""
    while end is None or offset + 8 <= end:
        header = read_at(offset, 16)
        if len(header) < 8:
            return
        size, kind, start = int.from_bytes(header[:4], "big"), header[4:8], offset + 8
        if size == 1:
            size, start = int.from_bytes(header[8:], "big"), offset + 16
        # As FFmpeg reads it: none is up to the end, too little is no box, too much ends with what it lies in.
        box_end = end if size == 0 else offset + size
        if box_end is not None:
            if box_end < start:
                return
            box_end = box_end if end is None else min(box_end, end)
        yield kind, start, _MOST_TABLE_BYTES if box_end is None else box_end - start
        if kind in _CONTAINERS and depth < _DEEPEST:
            yield from _boxes(read_at, start, box_end, depth + 1)
        if box_end is None:
            return
        offset = box_end


def _words(content: bytes, count: int) -> tuple[int, ...]:
    """`count` numbers of four bytes, 0 where the file ends before."""
    content = content.ljust(4 * count, b"\0")
    return tuple(int.from_bytes(content[at : at + 4], "big") for at in range(0, 4 * count, 4))
