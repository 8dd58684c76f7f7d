"""How text of any content keeps to one line and one column.

Knows: linear TSV (\\t \\n \\r \\\\, as in the linear TSV specification), and how to show a name that holds
control characters. Does not know: where the line goes.
"""

from __future__ import annotations

import re

_TSV_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
_TSV_VALUES = {"\\\\": "\\", "\\t": "\t", "\\n": "\n", "\\r": "\r"}
_TSV_ESCAPED = re.compile(r"\\[\\tnr]")

# C0, DEL and C1: what could break a line or steer a terminal.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
_CONTROL_NAMES = {"\t": "\\t", "\n": "\\n", "\r": "\\r"}


def escape_cell(text: str) -> str:
    """`text` as one cell of a TSV file."""
    return text.translate(_TSV_ESCAPES)


def unescape_cell(cell: str) -> str:
    """The text that `escape_cell` wrote; a backslash before anything else stands for itself."""
    return _TSV_ESCAPED.sub(lambda found: _TSV_VALUES[found.group()], cell)


def one_line(text: str) -> str:
    """`text` with every control character spelled out (`\\n`, `\\x1b`), so that a line stays one line."""
    return _CONTROL.sub(lambda found: _spell(found.group()), text)


def readable(text: str) -> str:
    """`text` for a person: on one line, and bytes of a file name that are not UTF-8 spelled out (`\\xff`)."""
    return one_line(encode(text).decode("utf-8", "backslashreplace"))


def encode(text: str) -> bytes:
    """UTF-8, except that a file name's own bytes come back as they are on disk.

    Lone surrogates that stand for no byte (JSON can name them) are spelled out.
    """
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace")


def _spell(character: str) -> str:
    return _CONTROL_NAMES.get(character, f"\\x{ord(character):02x}")
