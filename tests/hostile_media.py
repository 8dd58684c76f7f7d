"""Media files made to do harm, built byte by byte: no encoder would write them."""

from __future__ import annotations

import struct
import zlib

Box = bytes


def box(kind: bytes, *contents: bytes) -> Box:
    content = b"".join(contents)
    return struct.pack(">I", len(content) + 8) + kind + content


def full_box(kind: bytes, *contents: bytes, flags: int = 0) -> Box:
    return box(kind, struct.pack(">I", flags), *contents)


def track(samples: int, *, ticks: int = 2, chunk: int | None = None, number: int = 1, reordered: bool = False) -> Box:
    """A track that says in four bytes how many samples of one byte it has."""
    entry = box(b"mp4a", bytes(6), b"\0\1", bytes(8), struct.pack(">HHHHI", 1, 16, 0, 0, 16_000 << 16))
    tables = [
        full_box(b"stsd", struct.pack(">I", 1), entry),
        full_box(b"stts", struct.pack(">III", 1, samples, ticks)),
        full_box(b"stsc", struct.pack(">IIII", 1, 1, samples if chunk is None else chunk, 1)),
        full_box(b"stsz", struct.pack(">II", 1, samples)),
        full_box(b"stco", struct.pack(">II", 1, 40)),
    ]
    if reordered:
        tables.append(full_box(b"ctts", struct.pack(">III", 1, samples, 5)))
    header = full_box(b"tkhd", struct.pack(">IIIII", 0, 0, number, 0, 1_000), bytes(60))
    media_header = full_box(b"mdhd", struct.pack(">IIIIHH", 0, 0, 16_000, 16_000, 0x55C4, 0))
    handler = full_box(b"hdlr", bytes(4), b"soun", bytes(13))
    reference = box(b"dinf", full_box(b"dref", struct.pack(">I", 1), full_box(b"url ", flags=1)))
    information = box(b"minf", full_box(b"smhd", bytes(4)), reference, box(b"stbl", *tables))
    return box(b"trak", header, box(b"mdia", media_header, handler, information))


def mp4(*tracks: Box, fragments: bytes = b"") -> bytes:
    header = full_box(b"mvhd", struct.pack(">IIIIIH", 0, 0, 1_000, 1_000, 0x10000, 0x100), bytes(70), b"\0\0\0\2")
    return box(b"ftyp", b"isom\0\0\0\0isom") + box(b"moov", header, *tracks) + fragments + box(b"mdat", bytes(1_000))


def fragmented(samples: int, tracks: int) -> bytes:
    """An MP4 of one fragment whose runs say how many samples of a size given elsewhere they have."""
    extends = [full_box(b"trex", struct.pack(">IIIII", number + 1, 1, 2, 1, 0)) for number in range(tracks)]
    empty = [track(0, number=number + 1) for number in range(tracks)]
    runs = [
        box(
            b"traf",
            full_box(b"tfhd", struct.pack(">I", number + 1), flags=0x20000),
            full_box(b"trun", struct.pack(">I", samples)),
        )
        for number in range(tracks)
    ]
    moof = box(b"moof", full_box(b"mfhd", b"\0\0\0\1"), *runs)
    return mp4(*empty, box(b"mvex", *extends), fragments=moof)


def compressed_index(megabytes: int) -> bytes:
    """A QuickTime file whose index is zlib's, a thousandth of its size."""
    packed = zlib.compress(bytes(megabytes << 20), 9)
    index = box(b"cmov", box(b"dcom", b"zlib"), box(b"cmvd", struct.pack(">I", megabytes << 20), packed))
    return box(b"ftyp", b"qt  \0\0\0\0qt  ") + box(b"moov", index) + box(b"mdat", bytes(1_000))


def compressed_tag(recording: bytes, megabytes: int) -> bytes:
    """An MP3 behind an ID3 tag with a title of so many megabytes, a thousandth of that in the file."""
    packed = _in_seven_bits(2**28 - 1) + zlib.compress(bytes(megabytes << 20), 9)
    frame = b"TIT2" + _in_seven_bits(len(packed)) + b"\0\x09" + packed
    return b"ID3\x04\0\0" + _in_seven_bits(len(frame)) + frame + recording


def endless_silence(frames: int) -> bytes:
    """A FLAC of so many times 65 s in 17 bytes each: frames of 65,535 equal samples, 1,000 a second (RFC 9639)."""
    information = (
        struct.pack(">HH", 65_535, 65_535) + bytes(6) + ((1_000 << 44) | (15 << 36)).to_bytes(8, "big") + bytes(16)
    )
    content = b"fLaC\x80" + len(information).to_bytes(3, "big") + information
    for number in range(frames):
        header = b"\xff\xf8\x7c\x08" + chr(number).encode() + b"\xff\xfe\x01"
        header += bytes([_remainder(header, 0x07, 8)])
        frame = header + b"\0" + struct.pack(">h", 1_000 if number % 2 else -1_000)
        content += frame + _remainder(frame, 0x8005, 16).to_bytes(2, "big")
    return content


def _in_seven_bits(number: int) -> bytes:
    return bytes((number >> shift) & 127 for shift in (21, 14, 7, 0))


def _remainder(content: bytes, polynomial: int, bits: int) -> int:
    """The cyclic redundancy check of FLAC's headers (8 bits) and frames (16)."""
    rest = 0
    for byte in content:
        rest ^= byte << (bits - 8)
        for _ in range(8):
            rest = (rest << 1) ^ (polynomial if rest >> (bits - 1) else 0)
            rest &= (1 << bits) - 1
    return rest
