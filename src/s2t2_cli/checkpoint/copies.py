"""Copies of weights in another form, made once, kept in a cache and read from then on.

Knows: where a copy lies, when it is out of date, that other processes may be at it too.
Does not know: what the copies hold or how they are made.

Copies lie in the asset cache of huggingface_hub (`HF_ASSETS_CACHE`), in a folder for the file they were made of,
under a name that changes with that file's content. What a killed run leaves, the next one removes.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock
from huggingface_hub import cached_assets_path

from s2t2_cli.checkpoint.safetensor_files import read_header, write_safetensors
from s2t2_cli.errors import CheckpointError

if TYPE_CHECKING:
    import torch

logger = logging.getLogger(__name__)

_LOCK_NAME = ".lock"

# Seconds to wait for another process that is making the same copy; a slow disk writes 1.3 GB in less.
_LOCK_TIMEOUT = 300


def kept_copy(kind: str, paths: Sequence[Path], make: Callable[[], Mapping[str, torch.Tensor]]) -> Path | None:
    """The copy of this `kind` of the files at `paths`, made if need be; None where none can be kept.

    Why none can be kept (a full disk, a cache that is read-only) is logged as a warning. Raises what `make` raises.
    """
    try:
        target = _place(kind, paths)
        if not _is_usable(target):
            _make(kind, paths, target, make)
    except OSError as error:
        reason = error.strerror or str(error).rstrip(".")
        logger.warning("cannot keep a %s copy of %s (%s): it is made anew each time", kind, paths[0], reason)
        return None
    return target


def copy_there_is(kind: str, paths: Sequence[Path]) -> Path | None:
    """The copy of this `kind` of the files at `paths` if there is one; never makes it."""
    try:
        target = _place(kind, paths)
    except OSError:
        return None
    return target if _is_usable(target) else None


def _place(kind: str, paths: Sequence[Path]) -> Path:
    """Where the copy belongs; its folder is made. Raises OSError."""
    sources = [path.resolve(strict=True) for path in paths]
    try:
        folder = cached_assets_path("s2t2", namespace=kind, subfolder=_location(sources[0]))
    except ValueError as error:  # how huggingface_hub says that a file is in the folder's place
        raise OSError(str(error)) from error
    return folder / f"{_fingerprint(sources)}.safetensors"


def _location(source: Path) -> str:
    """Names the folder for copies of this file. A blob of the hub keeps its name wherever the cache lies."""
    if source.parent.name == "blobs":
        return source.name
    return hashlib.sha256(str(source).encode(errors="surrogateescape")).hexdigest()[:32]


def _fingerprint(sources: Sequence[Path]) -> str:
    """Changes with the content, without reading it: size, date and the checksums in torch's zip format.

    The date in whole seconds, because finer ones get lost where a cache is part of a container image.
    """
    digest = hashlib.sha256()
    for source in sources:
        status = source.stat()
        digest.update(f"{status.st_size} {int(status.st_mtime)}".encode())
        try:
            with zipfile.ZipFile(source) as archive:
                for record in archive.infolist():
                    digest.update(f"{record.filename} {record.file_size} {record.CRC}\n".encode(errors="replace"))
        except Exception:  # another format, or a directory so damaged that zipfile raises anything: the reader will say
            digest.update(str(status.st_mtime_ns).encode())
    return digest.hexdigest()[:32]


def _is_usable(target: Path) -> bool:
    try:
        read_header(target)
    except CheckpointError:
        return False
    return True


def _make(kind: str, paths: Sequence[Path], target: Path, make: Callable[[], Mapping[str, torch.Tensor]]) -> None:
    with FileLock(target.parent / _LOCK_NAME, timeout=_LOCK_TIMEOUT):
        if _is_usable(target):  # another process was faster
            return
        for leftover in target.parent.iterdir():  # of killed runs, and copies of what the file held before
            if leftover.name != _LOCK_NAME:
                with contextlib.suppress(OSError):  # on Windows a copy in use cannot be removed
                    leftover.unlink()
        logger.info("making a %s copy of %s, once", kind, paths[0])
        write_safetensors(make(), target)
