"""Fuzzing of one target for a while, on top of what earlier runs found.

Knows: what is kept on disk, which inputs to breed from, when a process has grown suspiciously. Does not know: what a
target does, how a process is watched (worker), how an input is changed (mutation).

In the folder of the target:

    corpus/          inputs that became something no input before became
    findings/        inputs that did harm, with what they did beside them as JSON
    state.json       how much was run in all, and the seed that the next run goes on from
"""

from __future__ import annotations

import hashlib
import heapq
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from fuzzing.mutation import mutate
from fuzzing.worker import MEGABYTE, Limits, Report, Worker, leaks

# After so much a process is looked at for growth and replaced.
_CASES_A_PROCESS = 20_000
_SECONDS_A_PROCESS = 120
# At first inputs as they are, valid ones among them: what a process loads once is no growth.
_WARM_UP = 200
_SUSPICIOUS_GROWTH = 64 * MEGABYTE
_SUSPECTS = 12
_LEAK_BYTES = 50_000
_MOST_KEPT = 3_000


@dataclass
class State:
    """What all runs so far came to."""

    cases: int = 0
    cpu_seconds: float = 0.0
    findings: dict[str, str] = field(default_factory=dict)
    """By what tells them apart: the file with the input."""


class Campaign:
    """The fuzzing of one target, `module:name`, from `seeds`, with its memory in `folder`."""

    def __init__(self, target: str, seeds: Sequence[bytes], folder: Path, *, limits: Limits, seed: int = 0) -> None:
        self._target, self._limits, self._folder = target, limits, folder
        for name in ("corpus", "findings"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        kept = folder / "state.json"
        self.state = State(**json.loads(kept.read_text())) if kept.exists() else State()
        self._inputs = [*seeds, *(path.read_bytes() for path in sorted((folder / "corpus").iterdir()))]
        if not self._inputs:
            raise ValueError(f"there is nothing to start from for {target}")
        self._known: set[str] = set()
        self._chance = random.Random(f"{seed} {self.state.cases}")
        self._suspects: list[tuple[int, bytes]] = []

    def run(self, seconds: float, tell: Callable[[str], None] = lambda line: None) -> None:
        """Go on for so many seconds of processor time, and keep what was found."""
        goal = self.state.cpu_seconds + seconds
        waiting = list(self._inputs)
        try:
            while self.state.cpu_seconds < goal:
                self._run_process(goal, waiting, tell)
        finally:
            self._keep_state()

    def _run_process(self, goal: float, waiting: list[bytes], tell: Callable[[str], None]) -> None:
        """One process, until it dies, has done enough, or the time is up."""
        self._suspects.clear()
        warm = 0
        with Worker(self._target, self._limits) as worker:
            for number in range(_CASES_A_PROCESS):
                first_time = bool(waiting)
                data = waiting.pop() if first_time else self._chance.choice(self._inputs)
                if not first_time and number > _WARM_UP:
                    data = mutate(data, self._inputs, self._chance)
                used = worker.cpu_seconds
                report = worker.run(data)
                self.state.cases += 1
                self.state.cpu_seconds += worker.cpu_seconds - used
                self._judge(data, report, is_new=not first_time, tell=tell)
                if not worker.is_alive:
                    return
                if self.state.cpu_seconds >= goal or worker.cpu_seconds > _SECONDS_A_PROCESS:
                    break
                if number == _WARM_UP:
                    warm = worker.resident()
                elif number > _WARM_UP and report.kept > 0:
                    heapq.heappush(self._suspects, (report.kept, data))
                    if len(self._suspects) > _SUSPECTS:
                        heapq.heappop(self._suspects)
            grown = worker.resident() - warm if warm else 0
        if grown > _SUSPICIOUS_GROWTH:
            tell(f"{grown // MEGABYTE} MB more after {number + 1} cases: looking for a leak")
            self._look_for_leaks(tell)

    def _judge(self, data: bytes, report: Report, *, is_new: bool, tell: Callable[[str], None]) -> None:
        if report.kind != "fine":
            self._keep_finding(data, report, tell)
        elif report.outcome not in self._known:
            self._known.add(report.outcome)
            if is_new and len(self._inputs) < _MOST_KEPT:
                self._inputs.append(data)
                (self._folder / "corpus" / _name(data)).write_bytes(data)

    def _look_for_leaks(self, tell: Callable[[str], None]) -> None:
        for _, data in heapq.nlargest(_SUSPECTS, self._suspects):
            each = leaks(self._target, data, self._limits)
            if each > _LEAK_BYTES:
                self._keep_finding(data, Report("leak", f"leak {each} bytes", "every run keeps more memory"), tell)

    def _keep_finding(self, data: bytes, report: Report, tell: Callable[[str], None]) -> None:
        if report.outcome in self.state.findings:
            return
        path = self._folder / "findings" / f"{report.kind}-{_name(data)}"
        path.write_bytes(data)
        path.with_suffix(".json").write_text(json.dumps(asdict(report), indent=2) + "\n")
        self.state.findings[report.outcome] = path.name
        self._keep_state()
        tell(f"{report.outcome}: {path}")

    def _keep_state(self) -> None:
        temporary = self._folder / "state.json.new"
        temporary.write_text(json.dumps(asdict(self.state), indent=2) + "\n")
        temporary.replace(self._folder / "state.json")


def _name(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]
