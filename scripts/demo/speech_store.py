"""An append-only store of spoken clips: one file of 16-bit samples and one index line a clip.

Knows: where a clip's samples lie, and how to go on after a run was killed between the two files.
Does not know: who speaks, what is said, what the clips are for.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

SAMPLING_RATE = 16_000
SAMPLE_BYTES = 2
INDEX, SAMPLES = "index.jsonl", "samples.s16"


@dataclass(frozen=True)
class Clip:
    """One spoken sentence: `row` is its id in the corpus, `start` and `length` count samples in the store."""

    name: str
    row: str
    engine: str
    start: int
    length: int
    speaker: dict[str, Any] = field(default_factory=dict)
    phonemes: str = ""

    @property
    def seconds(self) -> float:
        return self.length / SAMPLING_RATE


class ClipStore:
    """Clips of one folder: read through a memory map, or grow it by `append`.

    An index line is written after its samples; what lies beyond the last line is cut off when the store is opened for
    writing, so that killing the writer at any moment loses at most the clip in hand.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clips: list[Clip] = list(_read_index(folder / INDEX)) if folder.is_dir() else []
        self._writing: tuple[BinaryIO, BinaryIO] | None = None

    def __enter__(self) -> ClipStore:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends writing; reading goes on."""
        for file in self._writing or ():
            file.close()
        self._writing = None

    @property
    def seconds(self) -> float:
        return sum(clip.seconds for clip in self.clips)

    def samples(self) -> npt.NDArray[np.int16]:
        """All samples, memory-mapped: clip c is `samples()[c.start : c.start + c.length]`."""
        if not self.clips:
            return np.zeros(0, np.int16)
        return np.memmap(self.folder / SAMPLES, np.int16, mode="r", shape=(self._end,))

    @property
    def _end(self) -> int:
        return self.clips[-1].start + self.clips[-1].length if self.clips else 0

    def append(
        self, name: str, row: str, engine: str, audio: npt.NDArray[np.float32], speaker: dict[str, Any], phonemes: str
    ) -> Clip:
        """Adds a clip of float samples in -1…1 at 16 kHz."""
        samples_file, index_file = self._writing or self._open()
        pcm = (np.clip(audio, -1.0, 1.0) * 32767).astype("<i2")
        clip = Clip(name, row, engine, self._end, len(pcm), speaker, phonemes)
        samples_file.write(pcm.tobytes())
        samples_file.flush()
        index_file.write(json.dumps(asdict(clip), ensure_ascii=False).encode() + b"\n")
        index_file.flush()
        self.clips.append(clip)
        return clip

    def _open(self) -> tuple[BinaryIO, BinaryIO]:
        self.folder.mkdir(parents=True, exist_ok=True)
        _truncate(self.folder / SAMPLES, self._end * SAMPLE_BYTES)
        _cut_torn_line(self.folder / INDEX)
        self._writing = ((self.folder / SAMPLES).open("ab"), (self.folder / INDEX).open("ab"))
        return self._writing


def _read_index(path: Path) -> Iterator[Clip]:
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            if line.endswith("\n"):
                yield Clip(**json.loads(line))


def _truncate(path: Path, size: int) -> None:
    with path.open("ab") as file:
        file.truncate(size)


def _cut_torn_line(path: Path) -> None:
    if path.exists():
        whole, newline, _ = path.read_bytes().rpartition(b"\n")
        _truncate(path, len(whole) + len(newline))
