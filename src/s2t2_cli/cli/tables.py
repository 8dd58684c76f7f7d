"""Data on standard output: a table for people on a terminal, tab-separated lines in a pipe.

Knows: streams and columns. Does not know: what the rows are about.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

from s2t2_cli.errors import OutputError
from s2t2_cli.escaping import encode, escape_cell, readable
from s2t2_cli.writers import ReaderGoneError


def is_for_people() -> bool:
    """Whether standard output is a terminal."""
    return sys.stdout.isatty()


def print_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """The rows under their header; in a pipe one line a row, cells separated by tabs."""
    if not is_for_people():
        print_text("".join("\t".join(map(escape_cell, row)) + "\n" for row in (header, *rows)))
        return
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*header, box=SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        table.add_row(*(Text(readable(cell)) for cell in row))
    Console().print(table)


def print_row(cells: Sequence[str], widths: Sequence[int]) -> None:
    """One line at once, for rows that come one by one: in columns of `widths`, or cells separated by tabs."""
    if is_for_people():
        padded = (f"{readable(cell):<{width}}" for cell, width in zip(cells, widths, strict=True))
        print_text("  ".join(padded).rstrip() + "\n")
    else:
        print_text("\t".join(map(escape_cell, cells)) + "\n")


def print_text(text: str) -> None:
    """`text` as it is, file names byte for byte. Raises ReaderGoneError (a closed pipe) or OutputError."""
    try:
        sys.stdout.buffer.write(encode(text))
        sys.stdout.buffer.flush()
    except BrokenPipeError as problem:
        raise ReaderGoneError from problem
    except OSError as problem:
        raise OutputError(f"cannot write to standard output ({problem.strerror})") from problem


def size(count: int) -> str:
    """A number of bytes: as the hub shows it on a terminal (`1.33 GB`), as it is in a pipe."""
    if not is_for_people():
        return str(count)
    amount, units = float(count), ["B", "kB", "MB", "GB"]
    while amount >= 1000 and len(units) > 1:
        amount /= 1000
        units.pop(0)
    return f"{amount:.3g} {units[0]}"
