"""The entry of `s2t2` and of `python -m s2t2_cli`."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import sys
import threading


def main() -> None:
    """Run the command line on `sys.argv` and exit with its status."""
    # While modules load there is nothing to keep, so Ctrl-C ends the process as it ends any other program; after
    # that, `stop_on_signals` is in charge.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    _wait_without_spinning()
    from s2t2_cli.cli.app import run

    status = run(sys.argv[1:])
    if threading.active_count() == 1 and "TORCHELASTIC_RUN_ID" not in os.environ:
        atexit._run_exitfuncs()
    # What the interpreter would do now is take itself apart, object by object: 0.2 s with torch in it. And a thread
    # that reads ahead may sit inside FFmpeg or wait for a pipe for ever, and torch.distributed has threads of its own;
    # around them it can abort the process. Results are written unbuffered, so nothing is lost.
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
    os._exit(status)


def _wait_without_spinning() -> None:
    """Let a thread that waits for torch's others sleep after microseconds, not milliseconds.

    Beside another program the one it waits for may be the one whose core it keeps: two translations of 150 short clips
    at once on two cores took 33 to 56 s, and take 21. Alone, 13 s, makes no difference that could be measured. libgomp,
    the OpenMP of torch on Linux, reads this when torch is loaded; who has said how to wait keeps that.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")


if __name__ == "__main__":
    main()
