"""The look of `--help`: a section a panel, 80 columns, bold headings on a terminal, plain text in a pipe.

Typer's own boxes leave half as much room for words, and importing them takes longer than all else in `--help`.
Knows: how options are listed. Does not know: any option.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

_WIDEST_NAME = 26


class Command(TyperCommand):
    """A command whose options are listed under the panels they name."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        _write_panels(self, ctx, formatter)


class Group(TyperGroup):
    """A command of commands; alone it shows its help."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args and self.no_args_is_help and not ctx.resilient_parsing:
            # Typer would call it an error, say it on standard error and end with status 2.
            typer.echo(ctx.get_help())
            raise typer.Exit
        return super().parse_args(ctx, args)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        self.format_commands(ctx, formatter)
        _write_panels(self, ctx, formatter)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows = [(name, command.get_short_help_str(limit=200)) for name, command in commands if command is not None]
        self.write_section(formatter, "Commands", rows)

    @staticmethod
    def write_section(formatter: Any, title: str, rows: Sequence[tuple[str, str]]) -> None:
        """A heading and a row for each name, explanations below each other across all sections."""
        with formatter.section(_heading(title)):
            formatter.write_dl([(name.ljust(_WIDEST_NAME), text) for name, text in rows], col_max=_WIDEST_NAME)


def _write_panels(command: Command | Group, ctx: Any, formatter: Any) -> None:
    panels: dict[str, list[tuple[str, str]]] = {}
    for parameter in command.get_params(ctx):
        # Arguments stand in the usage line and the text; a row of their own would say it a third time.
        if parameter.param_type_name == "option" and (row := parameter.get_help_record(ctx)) is not None:
            panels.setdefault(getattr(parameter, "rich_help_panel", None) or "Options", []).append(row)
    for title, rows in panels.items():
        Group.write_section(formatter, title, rows)


def _heading(title: str) -> str:
    wants_style = sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return typer.style(title, bold=True) if wants_style else title
