"""A process of its own that runs a target on one input after the other, watched from outside.

Knows: how a process dies, hangs, swells. Does not know: what is run, where inputs come from.

Native code may take the whole process with it, and then the input that did it must be known: so the input is sent to
the process, and the answer is waited for.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import re
import resource
import signal
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Literal, Self

import psutil

Kind = Literal["fine", "error", "crash", "hang", "memory", "leak"]

MEGABYTE = 2**20
# So much address space is left to a case that the machine survives one that wants all there is.
_ADDRESS_SPACE = 6 * 2**30


@dataclass(frozen=True)
class Limits:
    """What one case may take."""

    cpu_seconds: float = 10.0
    wall_seconds: float = 300.0
    """The machine may be busy with other things."""
    megabytes: int = 600


@dataclass(frozen=True)
class Report:
    """What became of one input."""

    kind: Kind
    outcome: str
    """What the target said of it; of a finding, what tells it from others."""
    detail: str = ""
    cpu_seconds: float = 0.0
    peak: int = 0
    """Bytes of memory it took on top of what was there."""
    kept: int = 0
    """Bytes of it that were not given back."""


class Worker:
    """A process that runs the function `module:name` on what it is sent."""

    def __init__(self, target: str, limits: Limits) -> None:
        self.limits = limits
        self.cpu_seconds = 0.0
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(target, theirs), daemon=True)
        self._process.start()
        theirs.close()
        self.is_alive = True
        try:
            self._connection.recv()
        except EOFError:
            self._process.join()
            raise RuntimeError(f"{target} fails on nothing at all, or cannot be imported") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def run(self, data: bytes) -> Report:
        """What becomes of `data`. After a crash, a hang or too much memory the process is gone (`is_alive`)."""
        started = time.monotonic()
        try:
            before = _cpu_seconds(self._process.pid)
            self._connection.send_bytes(data)
            while not self._connection.poll(0.2):
                used = _cpu_seconds(self._process.pid) - before
                if used > self.limits.cpu_seconds or time.monotonic() - started > self.limits.wall_seconds:
                    return self._end(Report("hang", "hang", f"it went on after {used:.1f} s", used))
            report: Report = self._connection.recv()
        except (EOFError, OSError, psutil.NoSuchProcess):
            self._process.join()
            number = -(self._process.exitcode or 0)
            name = signal.Signals(number).name if number in set(signal.Signals) else f"exit status {-number}"
            return self._end(Report("crash", f"crash {name}", f"the process died by {name}"))
        self.cpu_seconds += report.cpu_seconds
        if report.kind == "fine" and report.peak > self.limits.megabytes * MEGABYTE:
            text = f"it took {report.peak // MEGABYTE} MB"
            return self._end(Report("memory", f"memory {report.outcome}", text, report.cpu_seconds))
        return report

    def resident(self) -> int:
        """Bytes of memory the process holds."""
        return int(psutil.Process(self._process.pid).memory_info().rss)

    def close(self) -> None:
        if self._process.is_alive():
            self._process.kill()
        self._process.join()
        self._connection.close()
        self.is_alive = False

    def _end(self, report: Report) -> Report:
        self.cpu_seconds += report.cpu_seconds
        self.close()
        return report


def _cpu_seconds(pid: int | None) -> float:
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def _serve(target: str, connection: Connection) -> None:
    """The other process: answers each input with a report, until nobody sends any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    module, _, name = target.partition(":")
    function: Callable[[bytes], str] = getattr(importlib.import_module(module), name)
    function(b"")  # what is imported and kept once must not look like growth
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    resource.setrlimit(resource.RLIMIT_AS, (_memory("VmSize") + _ADDRESS_SPACE, resource.RLIM_INFINITY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    connection.send("ready")
    while True:
        try:
            data = connection.recv_bytes()
        except EOFError:
            return
        Path("/proc/self/clear_refs").write_text("5")  # the peak is that of this case
        before, started = _memory("VmRSS"), time.process_time()
        kind: Kind = "fine"
        detail = ""
        try:
            outcome = function(data)
        except BaseException as error:
            kind, outcome, detail = "error", _signature(error), traceback.format_exc()
        used = time.process_time() - started
        del data
        connection.send(Report(kind, outcome, detail, used, _memory("VmHWM") - before, _memory("VmRSS") - before))


def _memory(field: str) -> int:
    return int(re.findall(rf"{field}:\s+(\d+) kB", Path("/proc/self/status").read_text())[0]) * 1024


def _signature(error: BaseException) -> str:
    """What is raised and where: the same of two inputs that found the same."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = next((frame for frame in reversed(frames) if "s2t2_cli" in frame.filename), frames[-1])
    return f"{type(error).__name__} in {Path(ours.filename).name}:{ours.name}"


def leaks(target: str, data: bytes, limits: Limits, *, times: int = 40) -> int:
    """Bytes that each further run of `data` keeps; 0 if it keeps none, or if it does not come that far."""
    with Worker(target, limits) as worker:
        halves = []
        for number in range(times):
            if worker.run(data).kind != "fine":
                return 0
            if number + 1 in (times // 2, times):
                halves.append(worker.resident())
    return max(0, halves[1] - halves[0]) // (times - times // 2)
