"""The record of a run: `log.jsonl`, a line a stretch of updates and a line a validation.

Knows: the file and its lines. Does not know: what the figures mean, how they are drawn (curves).

    {"update": 200, "epoch": 0, "loss": 4.31, …, "lr": 1e-05, "grad_norm": 2.4, "seconds": 81.2, "amount": 80123.5}
    {"update": 1000, "valid": {"bleu": 12.3, "loss": 3.1}, "best": true}
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from s2t2_cli.errors import OutputError
from s2t2_cli.whole_files import write_whole

LOG_NAME = "log.jsonl"


def read_log(folder: Path) -> list[dict[str, Any]]:
    """All whole lines of the log in `folder`; a last one that a kill has cut is left out."""
    path = folder / LOG_NAME
    if not path.exists():
        return []
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        if line.endswith("\n"):
            lines.append(json.loads(line))
    return lines


class TrainingLog:
    """Appends lines to `log.jsonl` in `folder`. Raises OutputError."""

    def __init__(self, folder: Path, *, until: int) -> None:
        """Keep what the log says of updates up to `until`; what a killed run wrote beyond is about to come again."""
        self._path = folder / LOG_NAME
        kept = [line for line in read_log(folder) if line["update"] <= until]
        try:
            write_whole(self._path, [_line(one).encode() for one in kept])
        except OSError as error:
            raise OutputError(f"cannot write {self._path}: {error.strerror}") from error

    def write(self, values: Mapping[str, Any]) -> None:
        """Add a line."""
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(_line(values))
        except OSError as error:
            raise OutputError(f"cannot write {self._path}: {error.strerror}") from error


def _line(values: Mapping[str, Any]) -> str:
    return json.dumps(values, ensure_ascii=False) + "\n"
