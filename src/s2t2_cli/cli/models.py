"""`s2t2 models`: list, download, inspect, verify and convert checkpoints.

Knows: options and columns. Does not know: how a checkpoint is found, read or written (checkpoint).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from s2t2_cli.checkpoint.bundled import ABOUT, BUNDLED
from s2t2_cli.checkpoint.published import PUBLISHED
from s2t2_cli.cli.exits import say
from s2t2_cli.cli.help import Command, Group
from s2t2_cli.cli.options import CacheDirOption, OfflineOption, RevisionOption
from s2t2_cli.cli.tables import is_for_people, print_row, print_table, print_text, size
from s2t2_cli.errors import UsageError

app = typer.Typer(
    cls=Group,
    rich_markup_mode=None,
    add_completion=False,
    no_args_is_help=True,
    help="List, download, inspect, verify and convert checkpoints.",
)

ModelArgument = Annotated[str, typer.Argument(metavar="MODEL", show_default=False, help="A hub id or a folder.")]


@app.command("list", cls=Command)
def list_models(cache_dir: CacheDirOption = None) -> None:
    """List the bundled and the published checkpoints, and others in the cache, with what is here of each.

    BLEU is that of the model cards, on CoVoST 2. Never uses the network.
    """
    from s2t2_cli.checkpoint.inventory import list_checkpoints, size_of_folder

    rows = [
        (one.name, one.lang, one.language, "", one.licence, "bundled", size(size_of_folder(one.folder)))
        for one in BUNDLED.values()
    ]
    for entry in list_checkpoints(cache_dir):
        one = entry.published
        card = (one.lang, one.language, str(one.bleu), one.licence) if one else ("", "", "", "")
        rows.append((entry.model_id, *card, entry.cached, size(entry.size) if entry.size else ""))
    print_table(("model", "lang", "language", "BLEU", "licence", "cached", "size"), rows)


@app.command("download", cls=Command)
def download(
    model: Annotated[
        str | None,
        typer.Argument(metavar="MODEL", show_default=False, help="A hub id such as organisation/name."),
    ] = None,
    lang: Annotated[
        str | None,
        typer.Option("--lang", metavar="|".join(PUBLISHED), help="The published checkpoint for this language."),
    ] = None,
    revision: RevisionOption = None,
    cache_dir: CacheDirOption = None,
    offline: OfflineOption = False,
) -> None:
    """Download a checkpoint into the cache and print its folder.

    Files that are there already are not fetched again.
    """
    from s2t2_cli.checkpoint import resolve_checkpoint

    if (model is None) == (lang is None):
        raise UsageError("give a model or a language: `s2t2 models download --lang de`")
    if lang is not None and lang not in PUBLISHED:
        raise UsageError(f"there is no published checkpoint for {lang!r}: --lang takes {', '.join(PUBLISHED)}")
    name = PUBLISHED[lang].model_id if lang is not None else model or ""
    checkpoint = resolve_checkpoint(name, revision=revision, cache_dir=cache_dir, local_files_only=offline)
    print_text(f"{checkpoint.folder}\n")


@app.command("info", cls=Command)
def info(
    model: ModelArgument,
    as_json: Annotated[bool, typer.Option("--json", help="Give the facts as one JSON object.")] = False,
    revision: RevisionOption = None,
    cache_dir: CacheDirOption = None,
    offline: OfflineOption = False,
) -> None:
    """Show sizes, vocabulary, search defaults and files of a checkpoint.

    Of a hub checkpoint that is not in the cache only the small files are fetched.
    """
    from s2t2_cli.checkpoint.description import describe

    description = describe(model, revision=revision, cache_dir=cache_dir, local_files_only=offline)
    facts = description.to_dict()
    if description.model in BUNDLED:
        facts = {"model": facts.pop("model"), "about": ABOUT} | facts
    if as_json:
        print_text(json.dumps(facts, indent=2) + "\n")
        return
    rows: list[tuple[str, str]] = []
    for name, value in facts.items():
        if isinstance(value, dict):
            shown = size if name == "files" else _shown
            rows += [(f"{name}.{key}", shown(item)) for key, item in value.items()]
        else:
            rows.append((name, _shown(value)))
    print_table(("fact", "value"), rows)


def _shown(value: object) -> str:
    """A fact for the second column: JSON's words, without quotes, nothing for null."""
    if value is None:
        return ""
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    if isinstance(value, int) and not isinstance(value, bool) and is_for_people():
        return f"{value:,}"
    return value if isinstance(value, str) else json.dumps(value)


@app.command("verify", cls=Command)
def verify(
    model: ModelArgument,
    revision: RevisionOption = None,
    cache_dir: CacheDirOption = None,
    offline: OfflineOption = False,
) -> None:
    """Check that a checkpoint is whole and sound, one line a check.

    Exit status: 0 all is well, 1 a check failed, 2 no such model.
    """
    from s2t2_cli.checkpoint import resolve_checkpoint
    from s2t2_cli.checkpoint.verification import verify_checkpoint

    checkpoint = resolve_checkpoint(model, revision=revision, cache_dir=cache_dir, local_files_only=offline)
    failed = 0
    for finding in verify_checkpoint(checkpoint):
        failed += not finding.ok
        print_row(("ok" if finding.ok else "FAILED", finding.check, finding.detail), widths=(6, 14, 0))
    if failed:
        say(f"{model}: {failed} check{'s' if failed > 1 else ''} failed")
        raise typer.Exit(1)


@app.command("convert", cls=Command)
def convert(
    source: Annotated[str, typer.Argument(metavar="MODEL", show_default=False, help="A hub id or a folder.")],
    destination: Annotated[Path, typer.Argument(metavar="FOLDER", show_default=False, help="Where to write it.")],
    dtype: Annotated[
        Literal["float32", "float16", "bfloat16"] | None,
        typer.Option("--dtype", help="Convert the weights to this type; otherwise they stay as they are."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the files of a folder that is not empty.")] = False,
    revision: RevisionOption = None,
    cache_dir: CacheDirOption = None,
    offline: OfflineOption = False,
) -> None:
    """Write a checkpoint to a folder in the published layout, with safetensors weights.

    The folder is printed.
    """
    from s2t2_cli.checkpoint import resolve_checkpoint
    from s2t2_cli.checkpoint.export import export_checkpoint

    checkpoint = resolve_checkpoint(source, revision=revision, cache_dir=cache_dir, local_files_only=offline)
    print_text(f"{export_checkpoint(checkpoint, destination, dtype=dtype, overwrite=force)}\n")
