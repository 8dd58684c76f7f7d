"""How the program ends: signals, and what is said with which exit status for each kind of end.

    0    all went well                      70   a fault in s2t2 itself
    1    an input failed, or its result     130  interrupted (Ctrl-C)
         could not be written               141  whoever read the output closed it
    2    wrong usage, or no model           143  terminated

Knows: exit statuses and the one line on standard error. Does not know: any command.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from s2t2_cli.escaping import readable
from s2t2_cli.writers import ReaderGoneError

INTERNAL_ERROR = 70
READER_GONE = 141  # as a process that SIGPIPE ended

_STOPPING_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(BaseException):
    """A signal asked the program to stop; what is done stays.

    Not a `KeyboardInterrupt`, which Typer would turn into an exit of its own, whatever the signal was.
    """

    def __init__(self, number: int, how_far: str = "") -> None:
        super().__init__(("interrupted" if number == signal.SIGINT else "terminated") + how_far)
        self.number = number
        self.exit_status = 128 + number


def stop_on_signals() -> None:
    """Turn Ctrl-C and SIGTERM into `Interrupted`, unless whoever started the program has them ignored."""
    for number in _STOPPING_SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)


@contextmanager
def finishing_on_signals(finish: Callable[[], None] | None) -> Iterator[None]:
    """Within, Ctrl-C or SIGTERM calls `finish`, so that the work comes to its end in good order, a second one ends the
    process on the spot; only then `Interrupted` is raised. Without `finish` nothing is different.
    """
    caught: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        caught.append(number)
        for one in ours:
            signal.signal(one, signal.SIG_DFL)
        if finish is not None:
            finish()

    ours = [one for one in _STOPPING_SIGNALS if finish is not None and signal.getsignal(one) is _interrupt]
    for number in ours:
        signal.signal(number, note)
    try:
        yield
    finally:
        for number in ours if not caught else ():
            signal.signal(number, _interrupt)
    if caught:
        raise Interrupted(caught[0])


def end_on_signals() -> None:
    """From here on Ctrl-C and SIGTERM end the process on the spot."""
    for number in _STOPPING_SIGNALS:
        if signal.getsignal(number) is _interrupt:
            signal.signal(number, signal.SIG_DFL)


def _interrupt(number: int, frame: FrameType | None) -> None:
    end_on_signals()  # for the second Ctrl-C: tidying up after the first must never print a traceback
    raise Interrupted(number)


def say(sentence: str) -> None:
    """One line for the user on standard error."""
    if sys.stderr is None:
        return
    try:
        print(f"s2t2: {readable(sentence)}", file=sys.stderr, flush=True)
    except BrokenPipeError as problem:
        raise ReaderGoneError from problem
    except OSError:
        # Standard error itself is a full disk: nobody is left to be told, the exit status still says it.
        return


def is_debugging() -> bool:
    """Whether S2T2_DEBUG asks for tracebacks."""
    return os.environ.get("S2T2_DEBUG", "") not in ("", "0")


def show_traceback(error: BaseException) -> None:
    """Where `error` came from, if S2T2_DEBUG asks for it."""
    if is_debugging() and sys.stderr is not None:
        traceback.print_exception(error)


def show_log(*, quiet: bool = False) -> None:
    """Show what the package logs as warnings, in the manner of `say`, and keep other packages' warnings away."""
    import logging
    import warnings

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            say(f"warning: {record.getMessage()}")

    logging.getLogger("s2t2_cli").handlers = [Handler(logging.ERROR if quiet else logging.WARNING)]
    if not sys.warnoptions and not is_debugging():
        warnings.simplefilter("ignore")
