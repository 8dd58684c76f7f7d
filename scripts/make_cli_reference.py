"""Write docs/cli.md from what `s2t2 … --help` says; with `--check`, only tell whether it is up to date.

    python scripts/make_cli_reference.py [--check]

Knows: the order of the page. Does not know: any command; it asks the program.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from s2t2_cli.cli.app import program

PAGE = Path(__file__).parents[1] / "docs" / "cli.md"

INTRODUCTION = """\
# Command line

This page is made from `--help` by `scripts/make_cli_reference.py`; the tests check that it is up to date.
"""


def commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The words that lead to every command, groups before their members."""
    yield path
    if hasattr(group, "list_commands"):
        for name in group.list_commands(None):
            yield from commands(group.get_command(None, name), (*path, name))


def help_of(path: tuple[str, ...]) -> str:
    """What the program says of one command, as in a pipe and 80 columns wide."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        program().main([*path, "--help"], prog_name="s2t2", standalone_mode=False)
    return said.getvalue().rstrip()


def page() -> str:
    """The whole page."""
    sections = [f"## {' '.join(('s2t2', *path))}\n\n```text\n{help_of(path)}\n```\n" for path in commands(program())]
    return "\n".join([INTRODUCTION, *sections])


def main() -> int:
    parser = argparse.ArgumentParser(description="Write docs/cli.md from --help.")
    parser.add_argument("--check", action="store_true", help="write nothing; status 1 if the page is out of date")
    os.environ["COLUMNS"] = "80"
    wants_check = parser.parse_args().check
    text = page()
    if not wants_check:
        PAGE.write_text(text, encoding="utf-8")
        return 0
    if PAGE.exists() and PAGE.read_text(encoding="utf-8") == text:
        return 0
    print("docs/cli.md is out of date; run: python scripts/make_cli_reference.py", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
