"""The entry of `s2t2` and of `python -m s2t2_cli`."""

from __future__ import annotations

import signal
import sys


def main() -> None:
    """Run the command line on `sys.argv` and exit with its status."""
    # While modules load and while the interpreter shuts down there is nothing to keep, so Ctrl-C ends the
    # process as it ends any other program; in between, `stop_on_signals` is in charge.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from s2t2_cli.cli.app import run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
