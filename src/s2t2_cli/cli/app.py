"""The program `s2t2`: its commands, and the way every one of them ends.

Knows: which commands there are. Does not know: what they do; each is imported when it is asked for.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from s2t2_cli import __version__
from s2t2_cli.cli.exits import (
    INTERNAL_ERROR,
    READER_GONE,
    Interrupted,
    end_on_signals,
    say,
    show_log,
    show_traceback,
    stop_on_signals,
)
from s2t2_cli.cli.help import Group
from s2t2_cli.errors import S2T2Error
from s2t2_cli.writers import ReaderGoneError

# Each is a module of this package with an `app`. What they say of themselves stands here too, so that the list
# of commands needs none of them.
COMMANDS = {
    "translate": "Translate recorded English speech to text.",
    "merge": "Join the shards of a run, and check that nothing is missing or there twice.",
    "models": "List, download and check checkpoints.",
    "evaluate": "Score translations against references.",
    "finetune": "Train a model on recordings with translations.",
    "train-lm": "Train a language model on target text.",
    "learn-bpe": "Learn sub-words from target text.",
    "doctor": "Check that everything a translation needs is here.",
}


class Commands(Group):
    """The commands of `s2t2`, imported one by one."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        # The names alone: Typer guesses from them what a mistyped command was meant to be.
        names: dict[str, Any] = dict.fromkeys(COMMANDS)
        self.commands = names

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            return None
        return typer.main.get_command(importlib.import_module(f"s2t2_cli.cli.{cmd_name.replace('-', '_')}").app)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        self.write_section(formatter, "Commands", list(COMMANDS.items()))


# Typer leaves its own flags at None, and loads pydantic (0.1 s) only to find that None is None.
_UNSET_FLAGS = dict.fromkeys(("help", "install_completion", "show_completion"), False)

app = typer.Typer(
    cls=Commands, rich_markup_mode=None, no_args_is_help=True, context_settings={"default_map": _UNSET_FLAGS}
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"s2t2 {__version__}")
        raise typer.Exit


@app.callback()
def s2t2(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Translate recorded English speech to German, Turkish, Catalan or Arabic text.

    Start with: s2t2 translate talk.mp3 --lang de
    """
    show_log()


def program() -> Any:
    """The group of commands as Typer runs it."""
    return typer.main.get_command(app)


def run(arguments: Sequence[str]) -> int:
    """Run `s2t2 ARGUMENTS…` and return its exit status; every error ends here, as one line."""
    try:
        stop_on_signals()
        try:
            status = program().main(list(arguments), prog_name="s2t2", standalone_mode=False)
            return status if isinstance(status, int) else 0
        except (Interrupted, Exception) as error:
            end_on_signals()
            return _explain(error)
    except ReaderGoneError:
        return READER_GONE
    finally:
        end_on_signals()


def _explain(error: BaseException) -> int:
    if isinstance(error, ReaderGoneError):
        return READER_GONE
    show_traceback(error)
    if isinstance(error, S2T2Error):
        say(str(error))
        return error.exit_status
    if isinstance(error, typer.TyperException):
        # Pydantic, which checks values for Typer, puts its own words in front of ours.
        say(error.format_message().replace(": Value error, ", ": "))
        if (context := getattr(error, "ctx", None)) is not None:
            say(f"see '{context.command_path} --help'")
        return error.exit_code
    if isinstance(error, Interrupted):
        say(str(error))
        return error.exit_status
    hint = "s2t2 doctor tells what is missing" if isinstance(error, ImportError) else "S2T2_DEBUG=1 shows the traceback"
    say(f"internal error: {type(error).__name__}: {error} ({hint})")
    return INTERNAL_ERROR
