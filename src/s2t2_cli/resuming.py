"""Going on with a file of results where an earlier run stopped, however it stopped.

Knows: what a file of JSON lines holds already, what it was made with (a side file, `x.jsonl.resume`), how it is
brought back into shape. Does not know: options by themselves, how results are made.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from s2t2_cli.checkpoint import Checkpoint
from s2t2_cli.checkpoint.layout import SIDE_FILES
from s2t2_cli.errors import ManifestError, OutputError, UsageError
from s2t2_cli.formats import Format
from s2t2_cli.inputs import Source
from s2t2_cli.record_lines import LONGEST_LINE, Finder, input_key, is_record, read_lines, start_of_last_line
from s2t2_cli.records import passed_on
from s2t2_cli.whole_files import write_whole
from s2t2_cli.writers import FileWriter

# Settings that no option of that name sets.
WEIGHTS, LM_WEIGHTS = "weights", "lm_weights"


@dataclass(frozen=True)
class Held:
    """What a file of results holds already."""

    end: int = 0
    """Bytes up to the end of the last whole record."""
    records: int = 0
    errors: int = 0
    """How many of the records are errors."""
    lacks_line_end: bool = False
    """Whether the last record is whole and only its line end is missing."""


@dataclass(frozen=True)
class Begun:
    """What the side file of a file of results says."""

    settings: Mapping[str, Any]
    finished: bool
    """Whether the last run came to the end of its inputs."""


def side_file(path: Path) -> Path:
    """Where it is kept what `path` was made with."""
    return path.with_name(f"{path.name}.resume")


def read_side_file(path: Path) -> Begun | None:
    """What `path` was made with; None if nothing says so. Raises UsageError."""
    side = side_file(path)
    try:
        content = json.loads(side.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as problem:
        raise UsageError(f"cannot read {side} ({problem.strerror})") from problem
    except (ValueError, RecursionError):
        content = None
    settings = content.get("settings") if isinstance(content, dict) else None
    if not isinstance(settings, dict):
        raise UsageError(f"{side} does not say what {path.name} was made with; name another --output")
    return Begun(settings, content.get("finished") is True)


def write_side_file(path: Path, begun: Begun) -> None:
    """Keep what `path` is made with. Raises OSError."""
    content = {"settings": dict(begun.settings), "finished": begun.finished}
    write_whole(side_file(path), [json.dumps(content, indent=2).encode() + b"\n"])


def weights_identity(checkpoint: Checkpoint) -> str:
    """What tells a checkpoint from any other, wherever it lies: the hub's commit, or a checksum of all its files."""
    if checkpoint.revision is not None:
        return checkpoint.revision
    digest = hashlib.sha256()
    for path in (*filter(None, map(checkpoint.path, SIDE_FILES)), *checkpoint.weights):
        with path.open("rb") as file:
            digest.update(path.name.encode() + hashlib.file_digest(file, "sha256").digest())
    return f"sha256:{digest.hexdigest()}"


def difference(earlier: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[str, str] | None:
    """The first setting that is not the same, as it was and as it is now, spelled as options; None if all are."""
    for name in dict.fromkeys((*now, *earlier)):
        before, after = earlier.get(name), now.get(name)
        if before != after:
            return _spelled(name, before), _spelled(name, after)
    return None


def look_through(path: Path) -> Held:
    """What `path` holds; every line of it but a torn last one must be a record. Raises UsageError."""
    with path.open("rb") as stream:
        end = start_of_last_line(stream)
        stream.seek(end)
        last = stream.read(LONGEST_LINE)
    # Whole but for its line end, as an editor leaves it: that is a result like the others.
    is_whole = bool(last.strip()) and is_record(last)
    end += len(last) if is_whole else 0
    records = errors = 0
    for line in read_lines(path, end=end):
        records += 1
        errors += line.is_error
    return Held(end, records, errors, is_whole)


def remaining(
    path: Path,
    held: Held,
    sources: Iterable[Source],
    *,
    retry_errors: bool = False,
    note_others: Callable[[int], object] = lambda others: None,
) -> Iterator[Source]:
    """Those of `sources` that `path` has no result of; an input that is named twice needs two.

    With `retry_errors` an error is no result. At the end `note_others` is told how many results are of other inputs.
    """
    if not held.records:
        yield from sources
        return
    finder = Finder([path], [held.end])
    for source in sources:
        is_bad_row = isinstance(source.error, ManifestError)
        key = input_key(source.name, passed_on(source.fields), is_bad_row=is_bad_row)
        line = finder.take(key)
        while line is not None and line.is_error and retry_errors:
            line = finder.take(key)
        if line is None:
            yield source
    others = sum(1 for line in finder.rest() if not (line.is_error and retry_errors))
    note_others(others)


class ResumableWriter(FileWriter):
    """All results in one file of JSON lines that a later run can go on with.

    What it is made with is kept beside it, always: who needs to resume seldom knew before. Nobody else writes the
    file meanwhile. Every line is written at once, so that whatever ends this process, what was reported done is in
    the file; a line that is only begun is cut off by the run that resumes. With `resume` nothing is overwritten;
    with `retry_errors`, too, records of errors are taken out, and their inputs are done again.

    Raises UsageError for a file that cannot be written or that another process is writing.
    """

    def __init__(self, path: Path, layout: Format, *, resume: bool = False, retry_errors: bool = False) -> None:
        super().__init__(path, layout)
        self.kept += "; --resume goes on from there"
        self._resume = resume
        self._retry_errors = retry_errors
        self._settings: Mapping[str, Any] = {}
        self._held = Held()
        try:
            if not stat.S_ISREG(os.fstat(self._descriptor).st_mode):
                raise UsageError(f"{path} is no file that one can go on with; leave out --resume")
            _lock(self._descriptor, path)
        except UsageError:
            self.close()
            raise

    def check(self, settings: Mapping[str, Any]) -> Held:
        """Look at what is there, and whether it was made with the same `settings`, JSON-ready values by option.

        A setting that is None, or that only one of the runs knows of, is one that was not given. Raises UsageError
        where an earlier run had others, where nothing says what it had, and for lines that are no results.
        """
        self._settings = settings
        if not self._resume:
            return self._held
        begun = read_side_file(self._path)
        held = look_through(self._path)
        if begun is None and self._path.stat().st_size:
            raise UsageError(
                f"nothing says what {self._path} was made with: there is no {side_file(self._path).name} beside it; "
                "name another --output"
            )
        if held.records and begun is not None and (differing := difference(begun.settings, settings)) is not None:
            raise UsageError(
                f"{self._path} was begun with {differing[0]}, this run has {differing[1]}; give the same to go on, "
                "or name another --output"
            )
        self._held = held
        return held

    def remaining(
        self, sources: Iterable[Source], note_others: Callable[[int], object] = lambda others: None
    ) -> Iterator[Source]:
        """As the function of that name, for this file."""
        return remaining(self._path, self._held, sources, retry_errors=self._retry_errors, note_others=note_others)

    def begin(self) -> None:
        try:
            if self._held.records:
                self._repair()
            else:
                # In this order, so that what an earlier run left is never taken for this one's.
                side_file(self._path).unlink(missing_ok=True)
                super().begin()
            self._has_begun = True
            write_side_file(self._path, Begun(self._settings, False))
        except OSError as problem:
            raise OutputError(f"cannot write {self._path} ({problem.strerror})") from problem

    def finish(self) -> None:
        try:
            write_side_file(self._path, Begun(self._settings, True))
        except OSError as problem:
            raise OutputError(f"cannot write {side_file(self._path)} ({problem.strerror})") from problem

    def _repair(self) -> None:
        """Bring the file into the shape that new lines can be added to."""
        held = self._held
        if self._retry_errors and held.errors:
            self._take_out_errors()
        else:
            os.ftruncate(self._descriptor, held.end)
        os.lseek(self._descriptor, 0, os.SEEK_END)
        if held.lacks_line_end:
            self.write_text("\n")

    def _take_out_errors(self) -> None:
        target = self._path.resolve()
        mode = stat.S_IMODE(os.fstat(self._descriptor).st_mode)
        held = self._held
        with target.open("rb") as old:

            def good_lines() -> Iterator[bytes]:
                for line in read_lines(target, end=held.end):
                    if not line.is_error:
                        old.seek(line.start)
                        yield old.read(line.length)

            write_whole(target, good_lines())
        target.chmod(mode)
        descriptor = os.open(target, os.O_WRONLY | getattr(os, "O_CLOEXEC", 0))
        _lock(descriptor, target)
        os.close(self._descriptor)
        self._descriptor = descriptor
        self._held = look_through(target)


def _lock(descriptor: int, path: Path) -> None:
    """Keep other processes from writing the file; the lock ends with this process, however that ends."""
    try:
        import fcntl
    except ImportError:  # Windows
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as problem:
        if problem.errno in (errno.EWOULDBLOCK, errno.EACCES):
            raise UsageError(f"{path} is being written by another s2t2; wait for it, or name another file") from problem
        # Some network file systems have no locks; then it is up to the user.


def _spelled(name: str, value: Any) -> str:
    """A setting as it is given on the command line."""
    if name in (WEIGHTS, LM_WEIGHTS):
        return f"{name.replace('_', ' ')} {value}" if value else f"no {name.replace('_', ' ')}"
    option = name.replace("_", "-")
    if value is None:
        return f"no --{option}"
    if isinstance(value, bool):
        return f"--{option}" if value else f"--no-{option}"
    return f"--{option} {value}"
