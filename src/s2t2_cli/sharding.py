"""One part of the inputs for each of several processes, which never talk to each other.

Knows: how the parts are named, how inputs are dealt out. Does not know: manifests, what becomes of a part.
"""

from __future__ import annotations

import heapq
import math
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from s2t2_cli.errors import UsageError

SLURM = "slurm"

T = TypeVar("T")

_LONGEST_SECONDS = 1e7  # what is said to be longer is not believed


@dataclass(frozen=True)
class Shard:
    """Part `number` (from 1) of `count`."""

    number: int
    count: int

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    def pick(
        self,
        items: Iterable[T],
        seconds_of: Callable[[T], float | None],
        pass_over: Callable[[T], object] = lambda item: None,
    ) -> Iterator[T]:
        """Those of `items` that belong to this shard, in order; `pass_over` is told of the others, in their place.

        Every item goes to the shard that has the least audio so far, the first of equals, so that no shard ends up
        with more than one recording's length above another. `seconds_of` gives an item's length, 0 for one that
        costs nothing, None where it is not known: it then counts as the mean of those before it. All shards come to
        the same result on their own, from the same items; only one sum a shard is held.
        """
        if self.count == 1:
            yield from items
            return
        totals = [(0.0, index) for index in range(self.count)]  # sorted, and so a heap
        known_seconds, known = 0.0, 0
        for item in items:
            seconds = seconds_of(item)
            if seconds is None:
                seconds = known_seconds / known if known else 1.0
            elif seconds > 0:
                known_seconds, known = known_seconds + seconds, known + 1
            total, index = totals[0]
            if index == self.number - 1:
                yield item
            else:
                pass_over(item)
            heapq.heapreplace(totals, (total + seconds, index))


def parse_shard(text: str, environment: Mapping[str, str] = os.environ) -> Shard:
    """`2/8`, or `slurm` for what Slurm says of this task of a job array, whose tasks start at 0 or 1.

    Raises UsageError; also for an array that is not whole, as when a few of its tasks are run again: Slurm then
    counts only these, and each would take itself for another shard than before.
    """
    if text != SLURM:
        if not re.fullmatch(r"[0-9]{1,9}/[0-9]{1,9}", text):
            raise UsageError(f"a shard is written as 2/8, the second of eight, or as {SLURM}, not as {text!r}")
        number, count = map(int, text.split("/"))
        if not 1 <= number <= count:
            raise UsageError(f"there is no shard {text}; shards are numbered from 1 to their number")
        return Shard(number, count)
    task, lowest, highest, count = (_slurm(name, environment) for name in ("ID", "MIN", "MAX", "COUNT"))
    if lowest not in (0, 1) or highest - lowest + 1 != count or not lowest <= task <= highest:
        raise UsageError(
            f"the array has {count} tasks from {lowest} to {highest}, which is not a whole one that starts at 0 or 1; "
            "write out which shard of how many this is: --shard $SLURM_ARRAY_TASK_ID/8"
        )
    return Shard(task - lowest + 1, count)


def stated_seconds(fields: Mapping[str, Any]) -> float | None:
    """The `duration` that a manifest's row states, a number or (in TSV) its digits; None without one to believe."""
    value = fields.get("duration")
    try:
        seconds = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else math.nan
    except (ValueError, OverflowError):
        return None
    return seconds if 0 < seconds < _LONGEST_SECONDS else None


def _slurm(name: str, environment: Mapping[str, str]) -> int:
    value = environment.get(f"SLURM_ARRAY_TASK_{name}", "")
    if not re.fullmatch(r"[0-9]{1,9}", value):
        raise UsageError(
            f"--shard {SLURM} needs SLURM_ARRAY_TASK_{name}, which Slurm sets for the tasks of an array: "
            "sbatch --array=1-8; elsewhere write --shard 2/8"
        )
    return int(value)
