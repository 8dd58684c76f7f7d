"""The bytes FFmpeg reads, from a file object of any kind.

Knows: how to read in small pieces, how to keep what goes wrong until FFmpeg is out of the way, how to make a pipe
seekable. Does not know: what the bytes mean.
"""

from __future__ import annotations

import errno
import io
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

from s2t2_cli.audio import limits
from s2t2_cli.audio.headers import HEAD_BYTES, TAIL_BYTES, needs_seeking
from s2t2_cli.errors import InputReadError, InvalidAudioError
from s2t2_cli.escaping import one_line

SPOOL_BYTES = 16 * 2**20
"""What is held in memory of something that has to be kept whole; more goes to a temporary file."""

_COPY_BYTES = 2**18

# More than the pictures of any sound lie between two pieces of it. FFmpeg looks for a beginning in noise without end.
_FRUITLESS_BYTES = 2**28


class Reader:
    """A binary file object made safe to hand to PyAV.

    PyAV calls `read` and `seek` from inside FFmpeg, where an exception would be printed and lost, and more bytes
    than asked for would overrun a buffer. So neither happens here: what goes wrong (Ctrl-C included) looks like
    the end of the file until `raise_pending` is called.

    Positions count from where the file object stood when it was handed over.
    """

    def __init__(self, file: IO[bytes], name: str) -> None:
        if isinstance(file, io.TextIOBase):
            raise InvalidAudioError(f"{name} was opened as text; open it in binary mode, as in open(path, 'rb')")
        self._file = file
        self._name = name
        # A buffered pipe would wait in `read` until all that was asked for is there.
        self._read: Any = file.read
        self._problem: BaseException | None = None
        self._waiting = b""
        self._start = 0
        self._position = 0
        self._end = 0
        self._fruitless = 0
        self._tail = b""
        self._seekable = False
        try:
            self._seekable = bool(file.seekable()) if hasattr(file, "seekable") else False
            if self._seekable:
                self._start = file.tell()
            elif hasattr(file, "read1"):
                self._read = file.read1
            self.head = self._first_bytes()
        except Exception as problem:  # any kind: a file object is anyone's code
            raise self._read_error(problem) from problem

    @property
    def received(self) -> int:
        """How many bytes there are up to the furthest that was read."""
        return self._end

    @property
    def tail(self) -> bytes:
        """The bytes before `received`, up to `TAIL_BYTES` of them."""
        return self._tail

    @property
    def size(self) -> int | None:
        """Bytes in all, None where only reading can tell."""
        if not self._seekable:
            return None
        try:
            size = self._file.seek(0, io.SEEK_END) - self._start
            self._file.seek(self._start + self._position)
            self._waiting = b""
        except Exception as problem:
            if _is_refusal(problem):
                return None
            raise self._read_error(problem) from problem
        return size

    def bore_fruit(self) -> None:
        """What was read so far gave samples; without that, the file ends after 256 MiB."""
        self._fruitless = 0

    def raise_pending(self) -> None:
        """Raise what went wrong in `read` or `seek` since the last call."""
        problem, self._problem = self._problem, None
        if isinstance(problem, Exception):
            raise self._read_error(problem) from problem
        if problem is not None:
            raise problem

    def read_at(self, offset: int, size: int) -> bytes:
        """Bytes from anywhere, the current position kept; none where there is no seeking, or not to there."""
        if not self._seekable:
            return b""
        try:
            self._file.seek(self._start + offset)
            found = bytes(self._file.read(size))
            self._file.seek(self._start + self._position)
            self._waiting = b""
        except Exception as problem:
            if _is_refusal(problem) or isinstance(problem, OverflowError):  # a damaged file may name any place
                return b""
            raise self._read_error(problem) from problem
        return found

    # What PyAV calls.

    def read(self, size: int) -> bytes:
        if self._problem is not None or self._fruitless > _FRUITLESS_BYTES:
            return b""
        try:
            if not self._waiting:
                self._waiting = self._more(size)
        except BaseException as problem:  # KeyboardInterrupt too: raised again by `raise_pending`
            self._problem = problem
            return b""
        piece, self._waiting = self._waiting[:size], self._waiting[size:]
        self._note(piece)
        return piece

    def seekable(self) -> bool:
        return self._seekable

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """To a place counted from the beginning or, with `SEEK_END`, from the end; FFmpeg knows no others."""
        try:
            position = self._file.seek(offset + (self._start if whence == io.SEEK_SET else 0), whence) - self._start
            if position < 0:
                self._file.seek(self._start + self._position)
                raise ValueError("before the beginning")
        except BaseException as problem:
            # To seek before the beginning is no failure: damaged files make FFmpeg try, and it takes the refusal.
            if not _is_refusal(problem):
                self._problem = problem
            return -1
        self._position = position
        self._waiting = b""
        return position

    def tell(self) -> int:
        return self._position

    def _first_bytes(self) -> bytes:
        head = b""
        while len(head) < HEAD_BYTES and (more := self._more(HEAD_BYTES - len(head))):
            head += more
        if self._seekable:
            self._file.seek(self._start)
        else:
            self._waiting = head
        return head[:HEAD_BYTES]

    def _more(self, size: int) -> bytes:
        piece = self._read(size)
        if not isinstance(piece, (bytes, bytearray, memoryview)):
            # None is what a stream in non-blocking mode answers while it has nothing.
            raise TypeError(f"it gives {type(piece).__name__} where bytes are wanted")
        return bytes(piece)

    def _note(self, piece: bytes) -> None:
        if not piece:
            return
        if self._position <= self._end < self._position + len(piece):
            self._tail = (self._tail + piece[self._end - self._position :])[-TAIL_BYTES:]
        elif self._position > self._end:
            self._tail = piece[-TAIL_BYTES:]
        self._position += len(piece)
        self._fruitless += len(piece)
        self._end = max(self._end, self._position)

    def _read_error(self, problem: Exception) -> InputReadError:
        if isinstance(problem, io.UnsupportedOperation):
            return InputReadError(f"cannot read {self._name} (it is not open for reading)")
        reason = getattr(problem, "strerror", None) or str(problem) or type(problem).__name__
        return InputReadError(f"cannot read {self._name} ({one_line(reason)})")


def _is_refusal(problem: BaseException) -> bool:
    """Whether a file object says that there is no such place in it."""
    return isinstance(problem, ValueError) or getattr(problem, "errno", None) == errno.EINVAL


@contextmanager
def open_reader(file: IO[bytes], name: str) -> Iterator[Reader]:
    """A reader of `file`, or of a temporary copy where its format needs seeking and it cannot (mp4 from a pipe)."""
    reader = Reader(file, name)
    if reader.seekable() or not needs_seeking(reader.head):
        yield reader
        return
    with tempfile.SpooledTemporaryFile(max_size=SPOOL_BYTES) as copy:
        try:
            while piece := reader.read(_COPY_BYTES):
                copy.write(piece)
                reader.bore_fruit()  # nothing is looked for yet
                if reader.received > limits.MAX_COPY_BYTES:
                    raise InputReadError(
                        f"{name} is of a kind that has to be kept whole, and larger than"
                        f" {limits.MAX_COPY_BYTES / 2**30:g} GiB; save it and name the file"
                    )
            copy.seek(0)
        except OSError as problem:
            raise InputReadError(f"cannot keep a temporary copy of {name} ({problem.strerror})") from problem
        reader.raise_pending()
        yield Reader(copy, name)
