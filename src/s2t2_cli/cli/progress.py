"""What standard error shows while work goes on: messages, and on a terminal one live line below them.

Knows: how far the work is and how to say it. Does not know: what the work is.
"""

from __future__ import annotations

import os
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, Self, TextIO

from s2t2_cli.cli.exits import say
from s2t2_cli.errors import S2T2Error
from s2t2_cli.escaping import readable
from s2t2_cli.inputs import Source
from s2t2_cli.records import TranslationResult

if TYPE_CHECKING:
    from rich.table import Table

_REFRESHES_PER_SECOND = 4
_WIDEST_BAR = 24  # columns
_WORTH_AN_ESTIMATE = 2.0  # seconds of work before the time left means anything


@dataclass
class Load:
    """An amount of work: sources, and the bytes of those whose size is known."""

    sources: int = 0
    sized: int = 0
    bytes: int = 0

    def add(self, source: Source) -> None:
        self.sources += 1
        if source.size is not None:
            self.sized += 1
            self.bytes += source.size

    def part_of(self, whole: Load) -> float:
        """How much of `whole` this is, from 0 to 1, by bytes; an unknown size counts as the average."""
        if not whole.bytes:
            return self.sources / whole.sources if whole.sources else 0.0
        average = whole.bytes / whole.sized
        weight = self.bytes + (self.sources - self.sized) * average
        return min(1.0, weight / (whole.bytes + (whole.sources - whole.sized) * average))


class Work(Protocol):
    """What the live line follows."""

    def live(self) -> str:
        """How far it is, in words."""

    def part_done(self) -> float | None:
        """From 0 to 1; None while the whole is not known."""


@dataclass
class Tally:
    """What has been done so far."""

    done: Load = field(default_factory=Load)
    failed: int = 0
    cut_off: int = 0
    """How many translations the length limit cut off."""
    audio_seconds: float = 0.0
    _reached: dict[str, float] = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)
    whole: Load | None = None
    """All there is to do, once it has been counted."""

    def count(self, source: Source, result: TranslationResult) -> None:
        """One more is done."""
        self.done.add(source)
        self._reached.pop(source.name, None)
        self.failed += result.error is not None or "failed_segments" in result.warnings
        self.cut_off += "length_limit" in result.warnings
        self.audio_seconds += result.duration or 0.0

    def reach(self, source: Source, seconds: float) -> None:
        """A recording that is still being worked on is translated up to here."""
        self._reached[source.name] = seconds

    def restart(self) -> None:
        """Count time from now, when the model is loaded."""
        self.started = time.monotonic()

    @property
    def elapsed(self) -> float:
        """Seconds since the work started."""
        return time.monotonic() - self.started

    def how_far(self) -> str:
        """`12 of 198 inputs`, or `12 inputs` while the whole is not known."""
        if self.whole is not None:
            return f"{self.done.sources} of {self.whole.sources} inputs"
        return f"{self.done.sources} input{'' if self.done.sources == 1 else 's'}"

    def summary(self) -> str:
        """`196 translated, 2 failed, 12 m 03 s of audio in 2 m 10 s (5.6× real time)`."""
        translated = self.done.sources - self.failed
        text = f"{translated} translated, {self.failed} failed, {spell_seconds(self.audio_seconds)} of audio"
        return f"{text} in {spell_seconds(self.elapsed)} ({self._speed()}× real time)"

    def share(self, seconds: float) -> str:
        """A part of the work that took `seconds`: `12 s of 2 m 10 s (9%)`."""
        elapsed = max(self.elapsed, 1e-9)
        return f"{spell_seconds(seconds)} of {spell_seconds(elapsed)} ({seconds / elapsed:.0%})"

    def live(self) -> str:
        """The live line: `12/198 · 1 failed · 41 s of audio · 5.6× real time · 2 m 03 s left`."""
        words = [f"{self.done.sources}/{self.whole.sources}" if self.whole else f"{self.done.sources} done"]
        if self.failed:
            words.append(f"{self.failed} failed")
        if self._heard:
            words += [f"{spell_seconds(self._heard)} of audio", f"{self._speed()}× real time"]
        else:
            words.append(f"{spell_seconds(self.elapsed)} so far")
        if (left := self.seconds_left()) is not None:
            words.append(f"{spell_seconds(left)} left")
        return " · ".join(words)

    def part_done(self) -> float | None:
        """From 0 to 1; None while the whole is not known."""
        return self.done.part_of(self.whole) if self.whole else None

    def seconds_left(self) -> float | None:
        """An estimate, once there is ground for one."""
        part = self.part_done()
        if not part or self.elapsed < _WORTH_AN_ESTIMATE:
            return None
        return self.elapsed * (1 - part) / part

    @property
    def _heard(self) -> float:
        """Seconds of audio, those of unfinished recordings among them."""
        return self.audio_seconds + sum(tuple(self._reached.values()))  # a copy: another thread shows it

    def _speed(self) -> str:
        speed = self._heard / max(self.elapsed, 1e-9)
        return f"{speed:.1f}" if speed < 99.95 else f"{speed:.0f}"


class Display:
    """Messages on standard error, nothing else: the display of pipes, logs and `--quiet`."""

    is_live = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to clear away."""

    def say(self, sentence: str) -> None:
        """One line for the user."""
        say(sentence)

    def refresh(self) -> None:
        """Show at once that the work has come to something else."""

    @contextmanager
    def loading(self, name: str) -> Iterator[None]:
        """While the model `name` is being loaded."""
        yield

    @contextmanager
    def aside(self) -> Iterator[None]:
        """While something is written to standard output."""
        yield


class LiveDisplay(Display):
    """Messages, and a line at the bottom of the terminal that follows the work."""

    is_live = True

    def __init__(self, work: Work) -> None:
        from rich.console import Console
        from rich.live import Live

        self._work = work
        self._console = Console(stderr=True)
        self._live = Live(
            console=self._console,
            get_renderable=self._line,
            refresh_per_second=_REFRESHES_PER_SECOND,
            transient=True,
            redirect_stdout=False,
        )
        # Results on the same terminal would be written across the line, so it steps aside for them.
        self._shares_terminal = sys.stdout is not None and sys.stdout.isatty()

    def __enter__(self) -> Self:
        self._live.start(refresh=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def say(self, sentence: str) -> None:
        line = f"s2t2: {readable(sentence)}"
        self._console.print(line, soft_wrap=True, markup=False, highlight=False, emoji=False)

    def refresh(self) -> None:
        self._live.refresh()

    @contextmanager
    def loading(self, name: str) -> Iterator[None]:
        # Not live, since a download shows bars of its own meanwhile; the cursor waits where they and messages start.
        self._console.file.write(f"loading {readable(name)} …"[: self._console.width - 1] + "\r")
        self._console.file.flush()
        try:
            yield
        finally:
            self._console.file.write("\x1b[2K")
            self._console.file.flush()

    @contextmanager
    def aside(self) -> Iterator[None]:
        if not self._shares_terminal:
            yield
            return
        self._live.stop()
        try:
            yield
        finally:
            self._live.start(refresh=True)

    def _line(self) -> Table:
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        words = self._work.live()
        part = self._work.part_done()
        room = self._console.width - len(words) - 1
        line = Table.grid(padding=(0, 1))
        line.add_column(width=max(4, min(_WIDEST_BAR, room)))
        line.add_column(no_wrap=True)
        bar = ProgressBar(total=None if part is None else 1.0, completed=part or 0.0, pulse=part is None)
        line.add_row(bar, Text(words, overflow="ellipsis"))
        return line


def make_display(work: Work, *, wants_progress: bool | None) -> Display:
    """The live display where standard error is a terminal that can show it.

    Left to itself (None) it stays away where standard output is a pipe: what comes out at its end (`| tee`,
    `| grep`) is most often written to the same terminal, across the line.
    """
    if wants_progress is None:
        wants_progress = not _is_pipe(sys.stdout)
    return LiveDisplay(work) if wants_progress and _shows_live_lines() else Display()


@contextmanager
def status_line() -> Iterator[Callable[[str], None]]:
    """A line on the terminal for what goes on, gone at the end; elsewhere what it is told is not shown."""
    if not _shows_live_lines():
        yield lambda words: None
        return
    from rich.console import Console
    from rich.text import Text

    with Console(stderr=True).status("") as status:
        yield lambda words: status.update(Text(words))


def _shows_live_lines() -> bool:
    return sys.stderr is not None and sys.stderr.isatty() and os.environ.get("TERM") not in ("dumb", None)


def _is_pipe(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stat.S_ISFIFO(os.fstat(stream.fileno()).st_mode)
    except OSError:
        return False


def count_in_background(tally: Tally, sources: Iterable[Source]) -> None:
    """Walk through `sources` beside the work and tell `tally` how much there is in all."""

    def count() -> None:
        whole = Load()
        try:
            for source in sources:
                whole.add(source)
        except S2T2Error:
            return  # the work comes to the same place and says so; the whole stays unknown
        tally.whole = whole

    threading.Thread(target=count, name="count", daemon=True).start()


def spell_seconds(seconds: float) -> str:
    """A stretch of time for people: `4.2 s`, `41 s`, `12 m 03 s`, `3 h 05 m`."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} m {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} m"
