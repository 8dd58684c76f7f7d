"""Stopping in good order: at once where nothing is half done, else as soon as it is done.

Knows: which stretches of work must not be broken off. Does not know: signals (cli), what the work is.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class StopTraining(BaseException):
    """Ends the work at hand; the loop saves what is done."""


class Stopper:
    """Takes a request to stop, possibly from a signal handler in the middle of the work."""

    def __init__(self) -> None:
        self.requested = False
        self.is_in_use = False
        """Whether a training is running that heeds requests."""
        self._holds = 1  # outside `at_once` a request only leaves its mark

    def request(self) -> None:
        """Ask for the end. Raises StopTraining where that is possible at once."""
        self.requested = True
        self._raise_if_free()

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """A stretch that a request may break off anywhere, but for what `whole` protects."""
        self._holds -= 1
        try:
            self._raise_if_free()
            yield
        finally:
            self._holds += 1

    @contextmanager
    def whole(self) -> Iterator[None]:
        """A stretch that is always finished; a request meanwhile takes effect at its end."""
        self._holds += 1
        try:
            yield
        finally:
            self._holds -= 1
        self._raise_if_free()

    def _raise_if_free(self) -> None:
        if self.requested and not self._holds:
            raise StopTraining
