"""The program as a process: pipes that close, disks that are full, signals, terminals."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cli_run import COMMAND, spawn

PATIENCE = 60  # seconds until a test gives up on a process; no test passes or fails by time


@pytest.fixture
def folder(tmp_path: Path, clip: Path, tiny_checkpoint: Path) -> Path:
    """`a.wav`, `b.wav`, `c.wav` (a real clip), `model`, and the pipe `never` that nobody writes to."""
    for name in ("a.wav", "b.wav", "c.wav"):
        shutil.copy(clip, tmp_path / name)
    (tmp_path / "model").symlink_to(tiny_checkpoint)
    os.mkfifo(tmp_path / "never")
    return tmp_path


# Batches of a second: every clip is translated and written before the next one is waited for.
TRANSLATE = ("translate", "--model", "model", "--batch-seconds", "1")


@pytest.fixture
def start(folder: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts the program in the folder; whatever still runs at the end is killed."""
    running: list[subprocess.Popen[bytes]] = []

    def call(*arguments: str, **settings: object) -> subprocess.Popen[bytes]:
        settings = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "cwd": folder} | settings
        running.append(subprocess.Popen([*COMMAND, *arguments], **settings))  # type: ignore[call-overload]
        return running[-1]

    yield call
    for process in running:
        process.kill()
        process.communicate()


def test_a_line_is_out_before_the_next_input_is_read(start: Callable[..., subprocess.Popen[bytes]]) -> None:
    process = start(*TRANSLATE, "a.wav", "b.wav", "c.wav", "never")
    assert process.stdout is not None
    assert process.stdout.readline().startswith(b"a.wav\t")


def test_head_ends_it_quietly(start: Callable[..., subprocess.Popen[bytes]]) -> None:
    process = start(*TRANSLATE, *["a.wav"] * 30)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(PATIENCE) == 141


def test_a_closed_standard_error_ends_it_quietly_too(start: Callable[..., subprocess.Popen[bytes]]) -> None:
    process = start(*TRANSLATE, *["no.wav"] * 30, stderr=subprocess.STDOUT)
    assert process.stdout is not None
    process.stdout.close()
    assert process.wait(PATIENCE) == 141


@pytest.mark.parametrize(
    ("number", "status", "word"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]
)
def test_a_signal_keeps_what_is_done_and_says_how_far_it_got(
    start: Callable[..., subprocess.Popen[bytes]], folder: Path, number: int, status: int, word: str
) -> None:
    process = start(*TRANSLATE, "a.wav", "never", "--output", "out.txt", "--output", "out.txt")
    wait_for(lambda: (folder / "out.txt").exists() and (folder / "out.txt").read_bytes().count(b"\n") == 1)
    process.send_signal(number)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == status
    assert err.decode() == f"s2t2: {word} after 1 input; what is done is in out.txt\n"
    assert (folder / "out.txt").read_bytes().startswith(b"a.wav\t")


def test_signals_at_any_moment_never_show_a_traceback(start: Callable[..., subprocess.Popen[bytes]]) -> None:
    """While modules load, while the model loads, while it works, and twice in a row."""
    for delay in (0.02, 0.2, 0.8):
        process = start(*TRANSLATE, "a.wav", "never")
        time.sleep(delay)
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=PATIENCE)
        assert process.returncode in (130, -signal.SIGINT)
        assert b"Traceback" not in err
        assert b"Exception ignored" not in err


def test_an_ignored_interrupt_stays_ignored(start: Callable[..., subprocess.Popen[bytes]]) -> None:
    """As in a shell script's background jobs, and under nohup."""
    process = start(*TRANSLATE, "a.wav", "b.wav", preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    assert out.count(b"\n") == 2


def test_a_full_disk_behind_standard_output(folder: Path) -> None:
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        done = spawn(*TRANSLATE, "a.wav", cwd=folder, stdout=full, stderr=subprocess.PIPE, capture_output=False)
    assert done.returncode == 1
    assert done.stderr.decode() == (
        "s2t2: cannot write to standard output (No space left on device); 0 inputs had been written before\n"
    )


def test_closed_streams(folder: Path) -> None:
    no_output = spawn("translate", "a.wav", "--model", "no", cwd=folder, preexec_fn=lambda: os.close(1))
    assert no_output.returncode == 2
    assert no_output.stderr == b"s2t2: standard output is closed; name a file with --output\n"
    no_error = spawn("translate", cwd=folder, preexec_fn=lambda: os.close(2))
    assert no_error.returncode == 2


def test_standard_input_from_a_pipe(folder: Path) -> None:
    audio = (folder / "a.wav").read_bytes()
    done = spawn("translate", "-", "--model", "model", "--format", "jsonl", cwd=folder, input=audio)
    assert done.returncode == 0
    assert done.stdout.startswith(b'{"audio_filepath": "-", "status": "ok"')


def test_a_process_substitution(folder: Path) -> None:
    script = f"{COMMAND[0]} -m s2t2_cli translate <(cat a.wav) --model model"
    done = subprocess.run(["bash", "-c", script], cwd=folder, capture_output=True, timeout=PATIENCE)
    assert (done.returncode, done.stdout.count(b"\n"), done.stderr) == (0, 1, b"")


class Terminal:
    """A real terminal of 80 columns with the program in it."""

    def __init__(self, folder: Path, *arguments: str, redirect: str = "", **environment: str) -> None:
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        command = " ".join([*COMMAND, *arguments]) + redirect
        self.process = subprocess.Popen(
            ["sh", "-c", f"exec {command}"],
            cwd=folder,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=os.environ | {"TERM": "xterm", "COLUMNS": "80"} | environment,
            start_new_session=True,
        )
        os.close(slave)
        self.seen = ""

    def read_until(self, text: str) -> str:
        """All that was shown until `text` came, or the end."""
        deadline = time.monotonic() + PATIENCE
        while text not in self.seen:
            assert time.monotonic() < deadline, self.seen
            if select.select([self.master], [], [], 1)[0]:
                try:
                    chunk = os.read(self.master, 65536)
                except OSError:  # the program has ended and its terminal with it
                    break
                if not chunk:
                    break
                self.seen += chunk.decode()
        return self.seen

    def end(self) -> str:
        """All that was shown, and the terminal is closed."""
        self.read_until("\0 never shown")
        self.process.wait(PATIENCE)
        os.close(self.master)
        return self.seen


def screen(shown: str) -> list[str]:
    """The lines a person ends up seeing: what was erased is gone."""
    lines = [""]
    for piece in re.split(r"(\x1b\[[0-9;?]*[A-Za-z]|\r\n|\r|\n)", shown):
        if piece in ("\n", "\r\n"):
            lines.append("")
        elif piece == "\x1b[1A":
            lines.pop()
        elif piece in ("\x1b[2K", "\x1b[K"):
            lines[-1] = ""
        elif not piece.startswith(("\x1b", "\r")):
            lines[-1] += piece
    return [line.rstrip() for line in lines if line.strip()]


def test_on_a_terminal_the_live_line_leaves_results_and_messages_alone(folder: Path) -> None:
    terminal = Terminal(folder, *TRANSLATE, "a.wav", "no.wav", "b.wav")
    shown = terminal.end()
    assert "loading model …" in shown
    assert "1/3" in shown or "2/3" in shown or "done" in shown
    lines = screen(shown)
    assert lines[0].startswith("a.wav\t")
    assert lines[1] == "s2t2: there is no file no.wav"
    assert lines[2].startswith("b.wav\t")
    assert re.fullmatch(r"s2t2: 2 translated, 1 failed, 5\.6 s of audio in .* s \(.*× real time\)", lines[3])
    assert len(lines) == 4
    assert shown.count("\x1b[?25l") == shown.count("\x1b[?25h"), "the cursor is there again"


def test_ctrl_c_on_a_terminal(folder: Path) -> None:
    terminal = Terminal(folder, *TRANSLATE, "a.wav", "never")
    terminal.read_until("a.wav\t")
    os.killpg(terminal.process.pid, signal.SIGINT)
    lines = screen(terminal.end())
    assert lines[-1].startswith("s2t2: interrupted after ")
    assert terminal.process.returncode == 130
    assert terminal.seen.count("\x1b[?25l") == terminal.seen.count("\x1b[?25h")


def test_results_into_a_file_leave_the_live_line_on_the_terminal(folder: Path) -> None:
    shown = Terminal(folder, *TRANSLATE, "a.wav", "b.wav", redirect=" > out.txt").end()
    assert (folder / "out.txt").read_bytes().count(b"\n") == 2
    assert "real time" in shown
    (line,) = screen(shown)
    assert line.startswith("s2t2: 2 translated, 0 failed, ")


@pytest.mark.parametrize(
    ("options", "environment"), [(("--quiet",), {}), (("--no-progress",), {}), ((), {"TERM": "dumb"})]
)
def test_no_live_line_where_it_is_not_wanted(
    folder: Path, options: tuple[str, ...], environment: dict[str, str]
) -> None:
    shown = Terminal(folder, *TRANSLATE, "a.wav", *options, **environment).end()
    assert "\x1b" not in shown
    assert len(shown.splitlines()) == 1


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
