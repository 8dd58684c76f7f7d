"""Where results go: standard output, a file, or a file for each input.

Knows: when bytes leave the process, how no two results share a file.
Does not know: how a result is laid out (formats), or what is said to the user.
"""

from __future__ import annotations

import hashlib
import os
import select
import stat
import sys
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Self

from s2t2_cli.errors import OutputError, UsageError
from s2t2_cli.escaping import encode
from s2t2_cli.formats import Format
from s2t2_cli.records import TranslationResult
from s2t2_cli.whole_files import write_whole

# What is left of a path for what comes below the folder of the results.
_LONGEST_PLACE = 2_000
_LONGEST_FILE_NAME = 255  # bytes, on every file system in common use
_ROOM_FOR_NUMBER = 12
_CASE_IS_IGNORED = sys.platform in ("darwin", "win32")


class ReaderGoneError(Exception):
    """Whoever read the output has closed it (`| head -1`): no failure, but there is nothing left to do.

    Not a `BrokenPipeError`, which could come from anywhere and which Typer takes for its own.
    """


class Writer(ABC):
    """Takes results, one after the other.

    Making a writer already finds out whether it can write (`UsageError` if not), so that it is made before a
    model is loaded; `begin` is called when work really starts, and only then is anything overwritten.
    """

    kept: str = ""
    """Where results stay when work is cut short, as the end of a sentence; empty for a stream."""

    @abstractmethod
    def begin(self) -> None:
        """Work starts: what an earlier run left gives way."""

    @abstractmethod
    def write(self, result: TranslationResult, place: str) -> None:
        """Write all of `result`, to the place claimed for it where there is a file for each.

        Raises `ReaderGoneError` where a pipe was closed, `OutputError` for anything else.
        """

    def finish(self) -> None:  # noqa: B027 - most writers have nothing left to do
        """Every input has its result."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:  # noqa: B027 - most writers hold nothing
        """Let go of what is open."""


class StreamWriter(Writer):
    """All results on one open descriptor, unbuffered: what was written has left this process."""

    def __init__(self, descriptor: int, name: str, layout: Format) -> None:
        self._descriptor = descriptor
        self._name = name
        self._layout = layout

    def begin(self) -> None:
        self.write_text(self._layout.header)

    def write(self, result: TranslationResult, place: str) -> None:
        self.write_text(self._layout.render(result))

    def write_text(self, text: str) -> None:
        """Write `text` as it is."""
        rest = memoryview(encode(text))
        try:
            while rest:
                try:
                    rest = rest[os.write(self._descriptor, rest) :]
                except BlockingIOError:  # whoever shares the pipe may have made it non-blocking, as node does
                    select.select([], [self._descriptor], [])
        except BrokenPipeError as problem:
            raise ReaderGoneError from problem
        except OSError as problem:
            raise OutputError(f"cannot write to {self._name} ({problem.strerror})") from problem


def stdout_writer(layout: Format) -> StreamWriter:
    """The writer for standard output."""
    if sys.stdout is None or sys.stdout.closed:
        raise UsageError("standard output is closed; name a file with --output")
    return StreamWriter(sys.stdout.fileno(), "standard output", layout)


class FileWriter(StreamWriter):
    """All results in one file, line by line; the file keeps its content until work starts."""

    def __init__(self, path: Path, layout: Format) -> None:
        self._path = path
        self._is_new = not path.exists()
        self._has_begun = False
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o666)
        except (OSError, ValueError) as problem:
            raise UsageError(_cannot_write(path, problem)) from problem
        super().__init__(descriptor, str(path), layout)
        self.kept = f"; what is done is in {path}"

    def begin(self) -> None:
        if stat.S_ISREG(os.fstat(self._descriptor).st_mode):
            os.ftruncate(self._descriptor, 0)
        self._has_begun = True
        super().begin()

    def close(self) -> None:
        os.close(self._descriptor)
        if self._is_new and not self._has_begun:
            self._path.unlink(missing_ok=True)


class FolderWriter(Writer):
    """A file for each result below a folder; each appears whole or not at all."""

    def __init__(self, folder: Path, layout: Format) -> None:
        self.kept = f"; what is done is in {folder}"
        self._folder = folder
        self._layout = layout
        try:
            folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=folder).close()
        except (OSError, ValueError) as problem:
            raise UsageError(_cannot_write(folder, problem)) from problem

    def begin(self) -> None:
        """Nothing to do: files give way one by one."""

    def write(self, result: TranslationResult, place: str) -> None:
        lines = self._layout.render(result)
        if lines or result.error is None:
            path = self._folder / place
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                write_whole(path, [encode(self._layout.header + lines)])
            except OSError as problem:
                raise OutputError(f"cannot write {path} ({problem.strerror})") from problem


class Places:
    """Hands out the file below an output folder for each source, never the same twice.

    A source's `place` keeps its full name and gets the ending of the format; where that is taken, a number
    comes between: `a.mp3.txt`, `a.mp3.2.txt`. What no file can be called is made fit, and a folder that would be
    called as a file is gets a `~`: no name in a manifest can stop the others from being written.
    """

    def __init__(self, ending: str) -> None:
        self._ending = ending
        self._taken: dict[str, int] = {}
        self._folders: set[str] = set()

    def claim(self, place: str) -> str:
        readable = encode(place.replace("\0", "")).decode("utf-8", "surrogateescape")
        parts = [self._fit(part) for part in PurePosixPath(readable).parts if part not in ("/", "//", "..")]
        if len(encode(readable)) > _LONGEST_PLACE:
            parts = [self._fit(f"{parts[-1]}~{hashlib.sha256(encode(readable)).hexdigest()[:8]}")]
        for depth in range(len(parts) - 1):
            while self._is_file("/".join(parts[: depth + 1])):
                parts[depth] += "~"
        base = "/".join(parts) or "input"
        number = self._taken.get(self._key(base), 0) + 1
        candidate = base if number == 1 else f"{base}.{number}"
        while self._key(candidate) in self._taken or self._key(candidate + self._ending) in self._folders:
            number += 1
            candidate = f"{base}.{number}"
        self._taken[self._key(base)] = number
        self._taken.setdefault(self._key(candidate), 1)
        self._folders.update(self._key(str(parent)) for parent in PurePosixPath(candidate).parents)
        return candidate + self._ending

    def _is_file(self, path: str) -> bool:
        return path.endswith(self._ending) and self._key(path.removesuffix(self._ending)) in self._taken

    def _fit(self, part: str) -> str:
        data = encode(part)
        room = _LONGEST_FILE_NAME - len(self._ending) - _ROOM_FOR_NUMBER
        if len(data) <= room:
            return part
        digest = hashlib.sha256(data).hexdigest()[:8]
        return data[: room - 9].decode("utf-8", "ignore") + "~" + digest

    @staticmethod
    def _key(place: str) -> str:
        return place.casefold() if _CASE_IS_IGNORED else place


def refuse_to_overwrite(option: str, output: Path, inputs: Iterable[str]) -> None:
    """Raise UsageError if `output`, which `option` names, is one of the files called `inputs`."""
    for name in inputs:
        try:
            is_same = output.is_file() and output.samefile(name)
        except (OSError, ValueError):  # one of them is not there
            continue
        if is_same:
            raise UsageError(f"{option} {output} would overwrite the input {name}; name another file")


def _cannot_write(path: Path, problem: OSError | ValueError) -> str:
    if isinstance(problem, FileNotFoundError):
        return f"cannot write {path}, there is no folder {path.parent}; make it first: mkdir -p {path.parent}"
    reason = problem.strerror if isinstance(problem, OSError) else str(problem)
    return f"cannot write {path} ({reason}); name another place"
