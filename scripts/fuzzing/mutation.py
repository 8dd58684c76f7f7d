"""One hostile input out of well-meant ones.

Knows: how files are built in general: numbers of every width, tags, pieces, digits, brackets. Does not know: any
format, what becomes of an input.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence

MOST_BYTES = 2**18

_DIGITS = re.compile(rb"-?\d+(?:\.\d+)?")
_EDGES = (0, 1, 2, 3, 4, 7, 8, 15, 16, 31, 32, 63, 64, 127, 128, 255, 256, 1_000, 4_096, 65_535, 65_536, 2**24 - 1,
          2**31 - 1, 2**31, 2**32 - 2, 2**32 - 1, 2**40, 2**62, 2**63 - 1, 2**63, 2**64 - 1)  # fmt: skip
_NUMBERS = (b"0", b"-1", b"1e400", b"-0.0", b"NaN", b"Infinity", b"1.5", b"9" * 30, b"9" * 5_000, b"4294967296", b"1e9")
_WORDS = (b"null", b"true", b"{}", b"[]", b'""', b"[" * 300, b'{"a":' * 300, b'"\\ud800"', b'"\\u0000"', b"\0", b"\xff",
          b"\xef\xbb\xbf", b"\r", b"\n", b"\t", b"\\", b"../", b"/dev/zero", b"..\\", b"\xe2\x80\xa8", b'"', b",",
          b"-->", b"\xc3\xbc", b"<unk>", b"@@ ")  # fmt: skip

Mutation = Callable[[bytearray, Sequence[bytes], random.Random], None]


def mutate(content: bytes, others: Sequence[bytes], chance: random.Random) -> bytes:
    """`content` after a few changes, `others` lending pieces; at most `MOST_BYTES` long."""
    changed = bytearray(content)
    for _ in range(chance.choice((1, 1, 1, 2, 3, 5, 12))):
        chance.choice(_MUTATIONS)(changed, others, chance)
    return bytes(changed[:MOST_BYTES])


def _place(content: bytearray, chance: random.Random) -> int:
    """Somewhere, rather at the beginning: that is where a file says what it is."""
    reach = chance.choice((32, 128, 1_024, len(content)))
    return chance.randrange(max(1, min(len(content), reach)))


def _flip(content: bytearray, others: Sequence[bytes], chance: random.Random) -> None:
    if content:
        content[_place(content, chance)] ^= 1 << chance.randrange(8)


def _noise(content: bytearray, others: Sequence[bytes], chance: random.Random) -> None:
    at, size = _place(content, chance), chance.choice((1, 2, 4, 16, 64))
    content[at : at + size] = chance.randbytes(size)


def _number(content: bytearray, others: Sequence[bytes], chance: random.Random) -> None:
    """A binary number at the edge of something, of any width, either way round."""
    width, order = chance.choice((1, 2, 2, 3, 4, 4, 4, 8)), chance.choice(("little", "big"))
    at = _place(content, chance)
    if chance.random() < 0.3:  # a little more or less than what is there
        value = int.from_bytes(content[at : at + width], order) + chance.choice((-2, -1, 1, 2))  # type: ignore[arg-type]
    else:
        value = chance.choice(_EDGES)
    content[at : at + width] = (value % 256**width).to_bytes(width, order)  # type: ignore[arg-type]


def _digits(content: bytearray, others: Sequence[bytes], chance: random.Random) -> None:
    """A written number."""
    found = list(_DIGITS.finditer(content[: 2**14]))
    if found:
        one = chance.choice(found)
        content[one.start() : one.end()] = chance.choice((*_NUMBERS, str(chance.choice(_EDGES)).encode()))


def _word(content: bytearray, others: Sequence[bytes], chance: random.Random) -> None:
    at = _place(content, chance)
    content[at : at + chance.choice((0, 0, 1, 4))] = chance.choice(_WORDS)


def _drop(content: bytearray, others: Sequence[bytes], chance: random.Random) -> None:
    at = _place(content, chance)
    del content[at : at + chance.choice((1, 2, 4, 8, 64, 512))]


def _cut(content: bytearray, others: Sequence[bytes], chance: random.Random) -> None:
    del content[chance.randrange(len(content) + 1) :]


def _repeat(content: bytearray, others: Sequence[bytes], chance: random.Random) -> None:
    at, size = _place(content, chance), chance.choice((1, 4, 8, 32, 256, 2_048))
    piece = content[at : at + size]
    content[at:at] = piece * chance.choice((1, 2, 8, 100))


def _borrow(content: bytearray, others: Sequence[bytes], chance: random.Random) -> None:
    other = chance.choice(others)
    start, size = chance.randrange(len(other) + 1), chance.choice((4, 16, 128, 1_024))
    at = _place(content, chance)
    content[at : at + chance.choice((0, size))] = other[start : start + size]


def _splice(content: bytearray, others: Sequence[bytes], chance: random.Random) -> None:
    other = chance.choice(others)
    content[chance.randrange(len(content) + 1) :] = other[chance.randrange(len(other) + 1) :]


_MUTATIONS: tuple[Mutation, ...] = (
    _flip, _noise, _number, _number, _number, _digits, _digits, _word, _drop, _cut, _repeat, _borrow, _splice,
)  # fmt: skip
