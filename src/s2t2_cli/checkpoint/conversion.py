"""A pickled checkpoint is converted once to safetensors, which is kept in a cache and read from then on.

Knows: where the converted copy lies, when it is out of date, that other processes may be at it too.
Does not know: how either format is read or written (pickled, safetensor_files).

The copy lies in the asset cache of huggingface_hub (`HF_ASSETS_CACHE`), in a folder for the file it was made
of, under a name that changes with that file's content. What a killed conversion leaves, the next one removes.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import zipfile
from pathlib import Path

from filelock import FileLock
from huggingface_hub import cached_assets_path

from s2t2_cli.checkpoint.safetensor_files import read_header, write_safetensors
from s2t2_cli.errors import CheckpointError

logger = logging.getLogger(__name__)

_LOCK_NAME = ".lock"

# Seconds to wait for another process that converts the same file; a slow disk writes 1.3 GB in less.
_LOCK_TIMEOUT = 300


def converted(path: Path) -> Path | None:
    """The safetensors copy of the pickled checkpoint at `path`, made if need be; None where none can be kept.

    Why none can be kept (a full disk, a cache that is read-only) is logged as a warning.
    Raises CheckpointError where the pickle cannot be read.
    """
    try:
        target = _place(path)
        if not _is_usable(target):
            _convert(path, target)
    except OSError as error:
        reason = error.strerror or str(error).rstrip(".")
        logger.warning("cannot keep a safetensors copy of %s (%s): it is read as it is", path, reason)
        return None
    return target


def already_converted(path: Path) -> Path | None:
    """The safetensors copy of the pickled checkpoint at `path` if there is one; never makes it."""
    try:
        target = _place(path)
    except OSError:
        return None
    return target if _is_usable(target) else None


def _place(path: Path) -> Path:
    """Where the copy belongs; its folder is made. Raises OSError."""
    source = path.resolve(strict=True)
    try:
        folder = cached_assets_path("s2t2", namespace="converted", subfolder=_location(source))
    except ValueError as error:  # how huggingface_hub says that a file is in the folder's place
        raise OSError(str(error)) from error
    return folder / f"{_fingerprint(source)}.safetensors"


def _location(source: Path) -> str:
    """Names the folder for copies of this file. A blob of the hub keeps its name wherever the cache lies."""
    if source.parent.name == "blobs":
        return source.name
    return hashlib.sha256(str(source).encode(errors="surrogateescape")).hexdigest()[:32]


def _fingerprint(source: Path) -> str:
    """Changes with the content, without reading it: size, date and the checksums in torch's zip format.

    The date in whole seconds, because finer ones get lost where a cache is part of a container image.
    """
    status = source.stat()
    digest = hashlib.sha256(f"{status.st_size} {int(status.st_mtime)}".encode())
    try:
        with zipfile.ZipFile(source) as archive:
            for record in archive.infolist():
                digest.update(f"{record.filename} {record.file_size} {record.CRC}\n".encode(errors="replace"))
    except Exception:  # an older format, or a directory so damaged that zipfile may raise anything: the reader will say
        digest.update(str(status.st_mtime_ns).encode())
    return digest.hexdigest()[:32]


def _is_usable(target: Path) -> bool:
    try:
        read_header(target)
    except CheckpointError:
        return False
    return True


def _convert(path: Path, target: Path) -> None:
    from s2t2_cli.checkpoint.pickled import read_pickled  # torch: not needed where the copy exists

    with FileLock(target.parent / _LOCK_NAME, timeout=_LOCK_TIMEOUT):
        if _is_usable(target):  # another process was faster
            return
        for leftover in target.parent.iterdir():  # killed conversions, and copies of what the file held before
            if leftover.name != _LOCK_NAME:
                with contextlib.suppress(OSError):  # on Windows a copy in use cannot be removed
                    leftover.unlink()
        logger.info("converting %s to safetensors, once", path)
        write_safetensors(read_pickled(path), target)
