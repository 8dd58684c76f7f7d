"""The program as a process: pipes that close, disks that are full, signals, terminals."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import shutil
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cli_run import COMMAND, run_here, spawn

PATIENCE = 60  # seconds until a test gives up on a process; no test passes or fails by time


@pytest.fixture
def folder(tmp_path: Path, clip: Path, tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: `a.wav` and `b.wav` (a real clip), `model`, and the pipe `never` that nobody writes to."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(clip, "a.wav")
    shutil.copy(clip, "b.wav")
    Path("model").symlink_to(tiny_checkpoint)
    os.mkfifo("never")
    return tmp_path


# Batches of a second: every clip is translated and written before the next one is waited for.
TRANSLATE = ("translate", "--model", "model", "--batch-seconds", "1")

# Waits for a manifest that does not come: a process to send signals to that needs no model.
WAIT = ("translate", "--manifest", "never", "--lang", "de", "--dry-run")


@pytest.fixture
def start(folder: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts the program in the folder; whatever still runs at the end is killed."""
    running: list[subprocess.Popen[bytes]] = []

    def call(*arguments: str, **settings: object) -> subprocess.Popen[bytes]:
        settings = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | settings
        running.append(subprocess.Popen([*COMMAND, *arguments], **settings))  # type: ignore[call-overload]
        return running[-1]

    yield call
    for process in running:
        process.kill()
        process.wait()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


@pytest.mark.skipif(sys.platform != "linux", reason="torch brings another OpenMP there")
@pytest.mark.parametrize(
    ("said", "spins"), [({}, "1000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "passive"}, "0")]
)
def test_waiting_threads_leave_the_processor_soon(
    start: Callable[..., subprocess.Popen[bytes]], said: dict[str, str], spins: str
) -> None:
    """Unless the user has said how to wait. It is the OpenMP itself that is asked."""
    inherited = {name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    process = start(*TRANSLATE, "a.wav", env=inherited | {"OMP_DISPLAY_ENV": "verbose"} | said)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    assert f"GOMP_SPINCOUNT = '{spins}'" in err.decode()


def test_head_ends_it_quietly(start: Callable[..., subprocess.Popen[bytes]]) -> None:
    """And the first line is out before the other inputs are read."""
    process = start(*TRANSLATE, *["a.wav"] * 30)
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline().startswith(b"a.wav\t")
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(PATIENCE) == 141


def test_a_closed_standard_error_ends_it_quietly_too(start: Callable[..., subprocess.Popen[bytes]]) -> None:
    process = start("translate", stderr=subprocess.STDOUT)
    assert process.stdout is not None
    process.stdout.close()
    assert process.wait(PATIENCE) == 141


@pytest.mark.parametrize(
    ("number", "status", "word"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]
)
def test_a_signal_ends_it_in_one_line(
    start: Callable[..., subprocess.Popen[bytes]], number: int, status: int, word: str
) -> None:
    process = start(*WAIT)
    with reader_of("never"):
        process.send_signal(number)
        _, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, err.decode()) == (status, f"s2t2: {word}\n")


def test_a_second_signal_shows_no_traceback(start: Callable[..., subprocess.Popen[bytes]]) -> None:
    process = start(*WAIT)
    with reader_of("never"):
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode in (130, -signal.SIGINT)
    assert err in (b"s2t2: interrupted\n", b"")


def test_an_ignored_interrupt_stays_ignored(start: Callable[..., subprocess.Popen[bytes]]) -> None:
    """As in a shell script's background jobs, and under nohup."""
    process = start(*WAIT, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))
    with reader_of("never") as never:
        process.send_signal(signal.SIGINT)
        os.write(never, b'{"audio_filepath": "a.wav"}\n')
    out, _ = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out) == (0, b"a.wav\n")


def test_a_full_disk_behind_standard_output(folder: Path) -> None:
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        settings = {"stdout": full, "stderr": subprocess.PIPE, "capture_output": False}
        done = spawn("translate", "a.wav", "--lang", "de", "--dry-run", **settings)
    assert done.returncode == 1
    assert done.stderr == b"s2t2: cannot write to standard output (No space left on device)\n"


def test_closed_streams(folder: Path) -> None:
    no_output = spawn("translate", "a.wav", "--model", "model", preexec_fn=lambda: os.close(1))
    assert no_output.returncode == 2
    assert no_output.stderr == b"s2t2: standard output is closed; name a file with --output\n"
    assert spawn("translate", preexec_fn=lambda: os.close(2)).returncode == 2


def test_standard_input_and_a_process_substitution(folder: Path) -> None:
    script = f"cat a.wav | {COMMAND[0]} -m s2t2_cli translate - <(cat a.wav) --model model"
    done = subprocess.run(["bash", "-c", script], capture_output=True, timeout=PATIENCE)
    standard_input, substitution = done.stdout.decode().splitlines()
    assert standard_input.startswith("-\t")
    assert substitution.startswith("/dev/fd/")
    assert standard_input.split("\t")[1] == substitution.split("\t")[1]
    assert (done.returncode, done.stderr) == (0, b"")


class Terminal:
    """A real terminal of 80 columns; `seen` is all that it was given to show."""

    def __init__(self) -> None:
        self._master, self.slave = pty.openpty()
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.seen = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                chunk = os.read(self._master, 65536)
            except OSError:  # nobody has it open any more
                return
            self.seen += chunk.decode()

    def close(self) -> str:
        """All that was shown."""
        os.close(self.slave)
        self._reader.join(PATIENCE)
        os.close(self._master)
        return self.seen

    @property
    def screen(self) -> list[str]:
        """The lines a person ends up seeing: what was erased is gone."""
        lines = [""]
        for piece in re.split(r"(\x1b\[[0-9;?]*[A-Za-z]|\r\n|\r|\n)", self.seen):
            if piece in ("\n", "\r\n"):
                lines.append("")
            elif piece == "\x1b[1A":
                lines.pop()
            elif piece in ("\x1b[2K", "\x1b[K"):
                lines[-1] = ""
            elif not piece.startswith(("\x1b", "\r")):
                lines[-1] += piece
        return [line.rstrip() for line in lines if line.strip()]

    @property
    def has_its_cursor(self) -> bool:
        return self.seen.count("\x1b[?25l") == self.seen.count("\x1b[?25h")


def test_ctrl_c_keeps_what_is_done_and_says_how_far_it_got(folder: Path) -> None:
    terminal = Terminal()
    process = subprocess.Popen(
        [*COMMAND, *TRANSLATE, "a.wav", "never", "--output", "out.txt"],
        stdin=terminal.slave,
        stdout=terminal.slave,
        stderr=terminal.slave,
        env=os.environ | {"TERM": "xterm"},
    )
    wait_for(lambda: Path("out.txt").exists() and Path("out.txt").read_bytes().count(b"\n") == 1)
    process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE) == 130
    terminal.close()
    (line,) = terminal.screen
    assert re.fullmatch("s2t2: interrupted after (1 of 2 inputs|1 input); what is done is in out.txt", line)
    assert terminal.has_its_cursor
    assert Path("out.txt").read_bytes().startswith(b"a.wav\t")


class TestTerminal:
    """In this process, with standard output and standard error on a real terminal."""

    @pytest.fixture
    def terminal(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Terminal:
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.delenv("NO_COLOR", raising=False)
        return Terminal()

    @staticmethod
    def run(terminal: Terminal, *arguments: str, stdout: int | None = None) -> int:
        with (
            os.fdopen(os.dup(terminal.slave) if stdout is None else stdout, "w") as out,
            os.fdopen(os.dup(terminal.slave), "w") as err,
            pytest.MonkeyPatch.context() as patch,
        ):
            patch.setattr(sys, "stdout", out)
            patch.setattr(sys, "stderr", err)
            status = run_here(*arguments)
        terminal.close()
        return status

    def test_the_live_line_leaves_results_and_messages_alone(self, terminal: Terminal) -> None:
        assert self.run(terminal, *TRANSLATE, "a.wav", "no.wav", "b.wav") == 1
        assert "loading model …" in terminal.seen
        assert re.search(r"[012](/3| done) ", terminal.seen)
        first, message, second, summary = terminal.screen
        assert first.startswith("a.wav")
        assert message == "s2t2: there is no file no.wav"
        assert second.startswith("b.wav")
        assert re.fullmatch(r"s2t2: 2 translated, 1 failed, 5\.6 s of audio in .* s \(.*× real time\)", summary)
        assert terminal.has_its_cursor

    def test_results_in_a_file_leave_the_live_line_on_the_terminal(self, terminal: Terminal) -> None:
        assert self.run(terminal, *TRANSLATE, "a.wav", "b.wav", "-o", "out.txt") == 0
        (summary,) = terminal.screen
        assert summary.startswith("s2t2: 2 translated, 0 failed, ")

    @pytest.mark.parametrize(("option", "term"), [("--quiet", "xterm"), ("--no-progress", "xterm"), ("-H", "dumb")])
    def test_no_live_line_where_it_is_not_wanted(
        self,
        terminal: Terminal,
        monkeypatch: pytest.MonkeyPatch,
        option: str,
        term: str,
    ) -> None:
        monkeypatch.setenv("TERM", term)
        assert self.run(terminal, *TRANSLATE, "a.wav", "b.wav", option) == 0
        assert "\x1b" not in terminal.seen
        assert len(terminal.seen.splitlines()) == 2

    @pytest.mark.parametrize(("options", "is_live"), [((), False), (("--progress",), True)])
    def test_a_pipe_keeps_the_live_line_away_unless_it_is_asked_for(
        self, terminal: Terminal, options: tuple[str, ...], is_live: bool
    ) -> None:
        """What comes out at the end of the pipe may be written to the same terminal: `| tee`, `| grep`."""
        reading, writing = os.pipe()
        assert self.run(terminal, *TRANSLATE, "a.wav", "b.wav", *options, stdout=writing) == 0
        assert ("\x1b" in terminal.seen) is is_live
        with os.fdopen(reading) as pipe:
            assert len(pipe.readlines()) == 2

    def test_headings_of_the_help_stand_out(self, terminal: Terminal) -> None:
        self.run(terminal, "translate", "--help")
        assert "\x1b[1mSearch\x1b[0m:" in terminal.seen


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@contextmanager
def reader_of(pipe: str) -> Iterator[int]:
    """Waits until a process reads `pipe`, and keeps it waiting for more."""
    opened: list[int] = []

    def is_read() -> bool:
        try:
            opened.append(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))
            # A signal between opening and reading is noticed only after the read, which never ends here.
            time.sleep(0.3)
        except OSError:  # ENXIO: nobody reads it yet
            return False
        return True

    wait_for(is_read)
    yield opened[0]
    os.close(opened[0])
