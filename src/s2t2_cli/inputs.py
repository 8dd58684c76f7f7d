"""What the user named (files, folders, URLs, `-`) as an ordered stream of sources.

Knows: what kind of thing a name is, how folders are walked, which endings are audio or video, where a result
belongs below an output folder. Does not know: manifests, decoding, or what becomes of a source.
"""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit

from s2t2_cli.errors import DownloadError, InputError, InputNotFoundError, InputReadError, UsageError

STDIN = "-"

# What a walk through a folder picks up; a file named on the command line is always tried. `.ts` is left out:
# far more files of that name are TypeScript than MPEG transport streams.
# fmt: off
AUDIO_ENDINGS = frozenset((
    ".wav", ".wave", ".flac", ".mp3", ".mp2", ".m4a", ".m4b", ".aac", ".ogg", ".oga", ".opus", ".spx", ".wma",
    ".aif", ".aiff", ".aifc", ".au", ".snd", ".caf", ".w64", ".amr", ".ac3", ".eac3", ".dts", ".ape", ".wv",
    ".tta", ".mka", ".weba",
))
VIDEO_ENDINGS = frozenset((
    ".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".vob", ".mts", ".m2ts", ".flv", ".wmv",
    ".asf", ".ogv", ".3gp", ".3g2", ".mxf",
))
# fmt: on

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)


class PublicUrl(str):
    """An address that may lead to public hosts alone, redirects included: `fetch` refuses what leads elsewhere.

    The permission is part of the address, so that it is kept wherever a source goes.
    """

    __slots__ = ()


@dataclass(frozen=True)
class Source:
    """One thing to translate."""

    name: str
    """As the user or the manifest wrote it; `-` for standard input."""
    media: Path | str | BinaryIO
    """What audio opens: a path, an http(s) URL (`PublicUrl` if it may not be private), or a binary stream."""
    size: int | None = None
    """Bytes, where known without reading; weighs the progress."""
    fields: Mapping[str, Any] = field(default_factory=dict)
    """What a manifest said besides `audio_filepath`."""
    error: InputError | None = None
    """Already known to be bad: it becomes an error record, and the others go on."""
    place: str = ""
    """Where its result belongs below an output folder, without the ending of the format."""


def check_named(named: Sequence[str], *, stdin_is_taken: bool = False) -> None:
    """Refuse what can only be a mistake, before anything is loaded.

    Raises `UsageError` for standard input named twice, closed, or being a terminal.
    """
    if (wanted := named.count(STDIN)) == 0:
        return
    if wanted > 1 or stdin_is_taken:
        raise UsageError("standard input can be read only once; name - a single time")
    if sys.stdin is None or sys.stdin.closed:
        raise UsageError("standard input is closed; pipe a recording into s2t2 or name a file")
    if sys.stdin.isatty():
        raise UsageError("standard input is a terminal; pipe a recording into it: s2t2 translate - < talk.mp3")


def may_be_several(named: Sequence[str]) -> bool:
    """Whether more than one source may come of these names (a folder counts, as for `grep -r`)."""
    return len(named) > 1 or any(_is_folder(name) for name in named)


def is_url(name: str) -> bool:
    """Whether `name` is an address that audio fetches (`http:talk.wav` is a file)."""
    return name.lower().startswith(("http://", "https://"))


def named_sources(
    named: Sequence[str], *, recursive: bool = True, note_empty: Callable[[str], None] = lambda folder: None
) -> Iterator[Source]:
    """The sources behind `named`, in the order typed, folders walked in sorted order.

    A name that leads nowhere becomes a source with its `error` set. A folder without recordings yields
    nothing; its name goes to `note_empty`.
    """
    for name, place in zip(named, _places(named), strict=True):
        if name == STDIN:
            yield Source(name, sys.stdin.buffer, _stream_size(sys.stdin.buffer), place=place)
        elif is_url(name):
            yield url_source(name, place=place)
        elif _is_folder(name):
            empty = True
            for source in _walk(name, place, recursive):
                empty = False
                yield source
            if empty:
                note_empty(name)
        else:
            yield file_source(name, Path(name), place=place)


def url_source(
    url: str, *, place: str | None = None, fields: Mapping[str, Any] | None = None, public_only: bool = False
) -> Source:
    """The source for an http(s) address, which `public_only` keeps from leading to private hosts."""
    error = None
    try:
        if not urlsplit(url).hostname:
            error = DownloadError(f"{url} names no host; write it as https://host/path")
    except ValueError as problem:
        error = DownloadError(f"{url} is not a valid address ({problem})")
    media = PublicUrl(url) if public_only else url
    return Source(url, media, None, fields or {}, error, place or url_place(url))


def url_place(url: str) -> str:
    """Where the result of an address belongs below an output folder."""
    return "/".join(_url_parts(url))


def file_source(name: str, path: Path, *, place: str, fields: Mapping[str, Any] | None = None) -> Source:
    """The source for a single file: `name` as it was written, `path` where it is.

    Named pipes are welcome (`<(sox …)`); folders, sockets and devices are errors.
    """
    size, error = None, None
    try:
        status = os.stat(path if name else name)  # noqa: PTH116 - Path("") is the current folder
    except (OSError, ValueError) as problem:
        error = _no_such_input(name, path, problem)
    else:
        if stat.S_ISREG(status.st_mode):
            size = status.st_size
        elif kind := _unreadable_kind(status.st_mode):
            error = InputReadError(f"{name} is a {kind}, not a recording")
        if error is None and not os.access(path, os.R_OK):
            error = InputReadError(f"no permission to read {name}")
    return Source(name, path, size, fields or {}, error, place)


def _is_folder(name: str) -> bool:
    return name not in (STDIN, "") and not is_url(name) and _is_dir(Path(name))


def _is_dir(path: Path) -> bool:
    return (status := _status(path)) is not None and stat.S_ISDIR(status.st_mode)


def _status(path: Path) -> os.stat_result | None:
    """None where there is nothing, or nothing to be known: too long a name, a folder that may not be entered."""
    try:
        return path.stat()
    except (OSError, ValueError):
        return None


def _no_such_input(name: str, path: Path, problem: OSError | ValueError) -> InputError:
    if not name:
        return InputNotFoundError("an input is named by the empty string; perhaps a shell variable is not set")
    if _SCHEME.match(name):
        return InputNotFoundError(f"{name} cannot be fetched; only files and http:// or https:// addresses can")
    if isinstance(problem, FileNotFoundError) and path.is_symlink():
        return InputNotFoundError(f"{name} is a broken link to {path.readlink()}")
    if isinstance(problem, (FileNotFoundError, NotADirectoryError)):
        return InputNotFoundError(f"there is no file {name}")
    if isinstance(problem, OSError):
        return InputReadError(f"cannot read {name} ({problem.strerror})")
    return InputNotFoundError(f"no file can be called {name} ({problem})")


def _unreadable_kind(mode: int) -> str | None:
    if stat.S_ISDIR(mode):
        return "folder"
    if stat.S_ISSOCK(mode):
        return "socket"
    if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
        return "device"
    return None


def _walk(top: str, place: str, recursive: bool) -> Iterator[Source]:
    """The recordings below `top`, sorted name by name at each level, hidden ones skipped.

    Links to folders are followed, but no folder is entered twice, so that links in a circle end. A folder
    that cannot be listed becomes a source with an error. A stack and no recursion: trees may be deep.
    """
    entered: set[tuple[int, int]] = set()
    pending = [(top, place)]  # what is typed stays as it is typed: ./a does not become a
    while pending:
        name, place = pending.pop()
        path = Path(name)
        if not _may_enter(path, entered):
            if (source := _walked_file(name, path, place)) is not None:
                yield source
            continue
        try:
            below = sorted(entry.name for entry in path.iterdir() if not entry.name.startswith("."))
        except OSError as problem:
            error = InputReadError(f"cannot list the folder {name} ({problem.strerror})")
            yield Source(name, path, error=error, place=place or path.name)
            continue
        start = name if name.endswith("/") else f"{name}/"
        for entry in reversed(below):
            if recursive or not _is_dir(path / entry):
                pending.append((start + entry, f"{place}/{entry}" if place else entry))


def _may_enter(path: Path, entered: set[tuple[int, int]]) -> bool:
    """Whether `path` is a folder that was not entered before; it counts as entered from now on."""
    status = _status(path)
    if status is None or not stat.S_ISDIR(status.st_mode) or (status.st_dev, status.st_ino) in entered:
        return False
    entered.add((status.st_dev, status.st_ino))
    return True


def _walked_file(name: str, path: Path, place: str) -> Source | None:
    if path.suffix.lower() not in AUDIO_ENDINGS and path.suffix.lower() not in VIDEO_ENDINGS:
        return None
    source = file_source(name, path, place=place)
    # In a folder only files count: a pipe could wait for ever, and a socket or a device is no one's recording.
    return source if source.size is not None or _status(path) is None else None


def _stream_size(stream: BinaryIO) -> int | None:
    try:
        status = os.fstat(stream.fileno())
    except OSError:
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def _places(named: Sequence[str]) -> list[str]:
    """Where the results of each name belong below an output folder.

    A file keeps its own name and a folder's content lies directly below; only where that would mix up several
    files or folders do they keep as much of their paths as tells them apart.
    """
    files: dict[str, tuple[str, ...]] = {}
    folders: dict[str, tuple[str, ...]] = {}
    for name in named:
        if is_url(name):
            files[name] = _url_parts(name)
        elif name != STDIN:
            group = folders if _is_folder(name) else files
            group[name] = tuple(part for part in os.path.abspath(name).split("/") if part) or ("root",)  # noqa: PTH100
    places = _apart(files) | (dict.fromkeys(folders, "") if len(folders) == 1 else _apart(folders))
    return [places.get(name, "stdin") for name in named]


def _apart(paths: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    if len({parts[-1] for parts in paths.values()}) == len(paths):
        return {name: parts[-1] for name, parts in paths.items()}
    levels = zip(*(parts[:-1] for parts in paths.values()), strict=False)
    common = sum(1 for _ in takewhile(lambda level: len(set(level)) == 1, levels))
    return {name: "/".join(parts[common:]) for name, parts in paths.items()}


def _url_parts(url: str) -> tuple[str, ...]:
    """Host and path, without what is secret (user and password) or no part of the file (the fragment)."""
    address, _, query = url.partition("://")[2].partition("#")[0].partition("?")
    host, _, path = address.partition("/")
    parts = [part for part in (host.rpartition("@")[2], *path.split("/")) if part not in ("", ".", "..")]
    parts = parts or ["download"]
    if query:
        parts[-1] += "?" + query.replace("/", "_")
    return tuple(parts)


def open_text(name: str, kind: str) -> BinaryIO:
    """The bytes of a file with text, or of standard input for `-`; `kind` names in errors what is read: `manifest`.

    Raises UsageError.
    """
    if name == STDIN:
        if sys.stdin is None or sys.stdin.closed:
            raise UsageError(f"standard input is closed; pipe a {kind} into s2t2 or name a file")
        return sys.stdin.buffer
    try:
        return Path(name).open("rb")
    except FileNotFoundError as problem:
        raise UsageError(f"there is no {kind} {name}") from problem
    except (OSError, ValueError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) else problem
        raise UsageError(f"cannot read the {kind} {name} ({reason})") from problem
