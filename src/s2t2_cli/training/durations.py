"""How long the recordings of a manifest are: as it says, else as their containers say, remembered for the next time.

Knows: a file of lengths, several recordings at once. Does not know: what the lengths are for.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

from s2t2_cli.audio import audio_seconds
from s2t2_cli.errors import InputError, OutputError
from s2t2_cli.inputs import Source
from s2t2_cli.whole_files import write_whole

DURATIONS_NAME = "durations.json"

# Recordings that are opened together: most of that time goes to waiting for the disk.
_THREADS = 8
_AT_ONCE = 512


class Durations:
    """Finds out lengths; those it had to open a recording for are kept in `durations.json` of a folder."""

    def __init__(self, folder: Path | None) -> None:
        """Take up what the folder holds already. What is not such a file counts for nothing and is written anew."""
        self._path = None if folder is None else folder / DURATIONS_NAME
        self._known = {} if self._path is None else _read(self._path)
        self._is_new = False

    def measure(self, candidates: Iterable[tuple[Source, str]]) -> Iterator[tuple[Source, str, float | InputError]]:
        """Each source with its text and its length in seconds, or what went wrong in opening it; in order."""
        waiting = iter(candidates)
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="s2t2-durations") as pool:
            while block := list(islice(waiting, _AT_ONCE)):
                for (source, text), seconds in zip(block, pool.map(self._seconds, block), strict=True):
                    yield source, text, seconds

    def save(self) -> None:
        """Write what was found out. Raises OutputError."""
        if self._path is None or not self._is_new:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self._path, [json.dumps(self._known).encode()])
        except OSError as error:
            raise OutputError(f"cannot write {self._path}: {error.strerror}") from error

    def _seconds(self, candidate: tuple[Source, str]) -> float | InputError:
        source = candidate[0]
        stated = stated_duration(source.fields)
        if stated is not None:
            return stated
        key = f"{source.media} {source.size}"
        if source.size is not None and key in self._known:
            return self._known[key]
        try:
            seconds = audio_seconds(source.media, name=source.name)
        except InputError as error:
            return error
        if source.size is not None:
            self._known[key] = seconds
            self._is_new = True
        return seconds


def stated_duration(fields: Mapping[str, Any]) -> float | None:
    """The seconds a row states in `duration`; TSV states them as text."""
    try:
        seconds = float(fields.get("duration") or "nan")
    except (TypeError, ValueError):
        return None
    return seconds if math.isfinite(seconds) and seconds > 0 else None


def _read(path: Path) -> dict[str, float]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(values, dict):
        return {}
    return {key: float(value) for key, value in values.items() if isinstance(value, int | float)}
