"""What the first and the last bytes of a file say that FFmpeg does not pass on.

Knows: which containers need seeking, which headers state or leave open how long the recording is, how an Ogg stream
ends. Does not know: decoding.
"""

from __future__ import annotations

from collections.abc import Callable

HEAD_BYTES = 12
"""How much of the beginning the functions here want to see."""

TAIL_BYTES = 65_536
"""How much of the end: an Ogg page has at most 65,307 bytes."""

_MOST_TAGS = 4  # ID3 tags in a row: one is usual, two happen

_ISO_BOXES = frozenset({b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"styp"})


def is_playlist(head: bytes) -> bool:
    """Whether this is a text that names recordings."""
    return head.startswith((b"#EXTM3U", b"ffconcat", b"[playlist]"))


def is_iso_media(head: bytes) -> bool:
    """Whether this is the beginning of an mp4, m4a, mov or 3gp."""
    return head[4:8] in _ISO_BOXES


def needs_seeking(head: bytes) -> bool:
    """Whether a file that begins like this may not be readable from front to back.

    ISO media may keep their index behind the sound, Core Audio its packet table, WavPack its tags.
    """
    return is_iso_media(head) or head[:4] in (b"caff", b"wvpk")


def leaves_length_open(head: bytes) -> bool:
    """Whether this is the header of a WAV written to a pipe.

    Such a header says 0 or about 2 or 4 GiB (ffmpeg, sox and arecord differ), so that it is no sign of anything
    missing if the data end before.
    """
    if head[:4] not in (b"RIFF", b"RIFX") or len(head) < HEAD_BYTES:
        return False
    size = int.from_bytes(head[4:8], "little" if head[:4] == b"RIFF" else "big")
    return size <= 36 or size >= 0x7FFF_0000


def mp3_states_length(read_at: Callable[[int, int], bytes]) -> bool:
    """Whether an MP3 has a Xing, Info or VBRI header; without one its length is a guess by its first bit rate.

    `read_at(offset, size)` gives bytes of the file.
    """
    offset = 0
    for _ in range(_MOST_TAGS):
        tag = read_at(offset, 10)
        if tag[:3] != b"ID3" or len(tag) < 10:
            break
        # The size of an ID3v2 tag is in 7-bit bytes; a flag says that a footer as long as the header follows.
        size = sum((byte & 0x7F) << shift for byte, shift in zip(tag[6:10], (21, 14, 7, 0), strict=True))
        offset += 10 + size + (10 if tag[5] & 0x10 else 0)
    first_frame = read_at(offset, 2048)
    return any(mark in first_frame for mark in (b"Xing", b"Info", b"VBRI"))


def ogg_is_complete(tail: bytes) -> bool:
    """Whether a file that ends with `tail` has a whole last page, marked as the end of a stream (RFC 3533)."""
    page = tail[max(tail.rfind(b"OggS"), 0) :]
    if len(page) < 27 or len(page) < 27 + page[26]:
        return False
    segments = page[27 : 27 + page[26]]
    return bool(page[5] & 0x04) and len(page) >= 27 + len(segments) + sum(segments)
