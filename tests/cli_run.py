"""Running `s2t2` in tests: in this process, which is quick, or as a process of its own, which is real."""

from __future__ import annotations

import contextlib
import os
import pty
import signal
import subprocess
import sys
import termios
from dataclasses import dataclass
from os import PathLike
from typing import Any

import pytest

from s2t2_cli.cli.app import run

COMMAND = [sys.executable, "-m", "s2t2_cli"]


@dataclass(frozen=True)
class Outcome:
    """What a run left behind."""

    status: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()

    @property
    def messages(self) -> list[str]:
        return self.err.splitlines()


class Here:
    """Runs the program in this process."""

    def __init__(self, capture: pytest.CaptureFixture[bytes]) -> None:
        self._capture = capture

    def __call__(self, *arguments: str | PathLike[str]) -> Outcome:
        status = run_here(*arguments)
        captured = self._capture.readouterr()
        return Outcome(
            status, captured.out.decode("utf-8", "surrogateescape"), captured.err.decode("utf-8", "backslashreplace")
        )


def spawn(*arguments: str | PathLike[str], **settings: Any) -> subprocess.CompletedProcess[bytes]:
    """Runs the program as a process of its own, to its end."""
    settings = {"capture_output": True, "timeout": 100} | settings
    return subprocess.run([*COMMAND, *arguments], **settings)


def run_here(*arguments: str | PathLike[str]) -> int:
    """Runs the program in this process, leaves signals as they were, and returns the exit status."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        return run([str(one) for one in arguments])
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def run_on_terminal(command: list[str], stream: str, environment: dict[str, str]) -> tuple[int, str, str]:
    """Run with one of the two output streams on a pseudo-terminal: exit status, standard output, standard error."""
    leader, follower = pty.openpty()
    termios.tcsetwinsize(follower, (24, 100))
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, stream: follower}
    process = subprocess.Popen(
        command, stdout=streams["stdout"], stderr=streams["stderr"], env={**os.environ, **environment}
    )
    os.close(follower)
    shown = b""
    with contextlib.suppress(OSError):  # how Linux says that the other side is closed
        while block := os.read(leader, 65536):
            shown += block
    os.close(leader)
    out, err = process.communicate(timeout=60)
    return process.returncode, (out or shown).decode(), (err if err is not None else shown).decode()
