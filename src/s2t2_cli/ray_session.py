"""Joining a Ray cluster and leaving it, and what Ray says meanwhile.

Knows: addresses, what Ray prints and which signals it takes over. Does not know: what is done on the cluster.
"""

from __future__ import annotations

import io
import logging
import os
import re
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress

from s2t2_cli.errors import UsageError

logger = logging.getLogger(__name__)

_OWN = "local"  # Ray's word for a cluster of its own, on this machine
_PATIENCE = 10.0  # seconds until a machine is taken to be out of reach
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


@contextmanager
def connected(address: str | None) -> Iterator[None]:
    """As a member of the cluster, or of one on this machine that lasts as long. Raises UsageError."""
    import ray

    if ray.is_initialized():  # by a program that uses this package, and that will end it itself
        yield
        return
    # Left to itself Ray joins whatever cluster was last started on this machine, which may be ending, or anyone's.
    where = address or os.environ.get("RAY_ADDRESS") or _OWN

    # Nothing is sent home by a tool that does not ask; a cluster that is there already has its own setting.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    _keep_quiet()
    with redirect_stdout(_RayWords()):
        try:
            _knock(where)
            with _own_signals():
                ray.init(
                    address=where,
                    include_dashboard=False if where == _OWN else None,
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                )
        except (OSError, ValueError, RuntimeError) as problem:
            raise UsageError(
                f"no Ray cluster answers at {where} ({_lines(problem)[0]}); start one with: ray start --head"
            ) from problem
        try:
            yield
        finally:
            with _own_signals():
                ray.shutdown()


def _knock(address: str) -> None:
    """Raise OSError if nobody listens at `HOST:PORT`: Ray would try for minutes."""
    if found := re.fullmatch(r"\[?([^/\]]+)\]?:(\d{1,5})", address):
        socket.create_connection((found[1], int(found[2])), timeout=_PATIENCE).close()


@contextmanager
def _own_signals() -> Iterator[None]:
    """Ray sets its own way of ending on SIGTERM; ours comes back."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            with suppress(ValueError):  # not in the main thread
                signal.signal(number, handler)


class _RayWords(io.TextIOBase):
    """What Ray prints, of machines that went away, say: it is no result, so it must not get among them."""

    def write(self, text: str) -> int:
        first = _COLOURS.sub("", text).strip().partition("\n")[0]
        if first:
            logger.warning("Ray says: %s", first)
        return len(text)


def _keep_quiet() -> None:
    """Leave the terminal to our own words; what Ray has to say is in its session's logs (/tmp/ray)."""
    for handler in logging.getLogger("ray.data").handlers:
        if isinstance(handler, logging.StreamHandler) and not isinstance(handler, logging.FileHandler):
            handler.setLevel(logging.CRITICAL)


def last_line(problem: Exception) -> str:
    """Of an error that was raised on another machine: the end of its traceback, which says what it was."""
    return _lines(problem)[-1]


def _lines(problem: Exception) -> list[str]:
    """What an error says, at least of which kind it is."""
    return [line.strip() for line in str(problem).splitlines() if line.strip()] or [type(problem).__name__]
