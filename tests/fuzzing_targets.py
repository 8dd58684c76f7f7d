"""Targets with known harm in them, for the fuzzer's own tests."""

from __future__ import annotations

import ctypes
import time

_KEPT: list[bytes] = []


def harmless(data: bytes) -> str:
    return f"{len(data)} bytes"


def harmful(data: bytes) -> str:
    """What it does, the first byte says."""
    match data[:1]:
        case b"C":
            ctypes.string_at(0)
        case b"E":
            raise KeyError("not one of ours")
        case b"H":
            while True:
                pass
        case b"W":
            time.sleep(1_000)
        case b"M":
            return str(len(bytearray(b"x") * (300 << 20)))
        case b"L":
            _KEPT.append(b"x" * (1 << 20))
    return "fine"


def digits(data: bytes) -> str:
    """Fails where a number in the input becomes a large one."""
    assert not any(part.isdigit() and int(part) >= 65_535 for part in data[:200].split())
    return "fine"


def unfit(data: bytes) -> str:
    raise RuntimeError("it fails on anything")
