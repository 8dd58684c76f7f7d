"""Files that appear whole or not at all.

Knows: how a file gives way to a new one, and what cannot give way. Does not know: what is written.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Where to write what shall be `path`: a new file beside it, which becomes `path` when all went well.

    A link stays one, and the file it leads to gives way. What is there and no file (a pipe, a device) is written as
    it is, for another process waits at its other end. Raises OSError.
    """
    if path.exists() and not path.is_file():
        yield path
        return
    target = path.resolve()
    passing = target.with_name(f".s2t2-{secrets.token_hex(8)}.tmp")
    try:
        yield passing
        passing.replace(target)
    except BaseException:
        with contextlib.suppress(OSError):
            passing.unlink()
        raise


def write_whole(path: Path, blocks: Iterable[bytes]) -> None:
    """Write a file that appears whole or not at all. Raises OSError."""
    with replacing(path) as passing, passing.open("wb") as file:
        file.writelines(blocks)
