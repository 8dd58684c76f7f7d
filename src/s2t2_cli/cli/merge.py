"""`s2t2 merge`: the shards of a run become one file.

Knows: options and what is said. Does not know: what makes shards whole (merging).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from s2t2_cli.cli.exits import say
from s2t2_cli.cli.help import Command
from s2t2_cli.errors import UsageError

EXAMPLES = """\b
Examples:
  s2t2 merge part-*.jsonl --output all.jsonl
  s2t2 merge part-*.jsonl --output all.jsonl --manifest clips.jsonl

\b
Exit status: 0 complete, 1 something is missing or there twice, 2 wrong usage.
"""

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command("merge", cls=Command, epilog=EXAMPLES)
def merge(
    shards: Annotated[list[Path] | None, typer.Argument(metavar="SHARDS", show_default=False)] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="The whole; it appears when it is complete."),
    ] = None,
    manifest: Annotated[
        str | None,
        typer.Option(
            "--manifest",
            metavar="FILE",
            help="What the shards were made from: every row must have its record, and they come in its order.",
        ),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing on standard error but errors.")] = False,
) -> None:
    """Join the shards of a run, and check that nothing is missing or there twice.

    SHARDS are what s2t2 translate --shard wrote as --format jsonl. Without --manifest they come one after the
    other, and what lies beside each of them (x.jsonl.resume) tells whether they are all and finished.
    """
    if not shards:
        raise UsageError("name the shards: s2t2 merge part-*.jsonl --output all.jsonl")
    if output is None:
        raise UsageError("say where the whole goes: --output FILE")
    from s2t2_cli.manifests import Manifest
    from s2t2_cli.merging import merge as merge_shards
    from s2t2_cli.writers import refuse_to_overwrite

    refuse_to_overwrite("--output", output, [*map(str, shards), *([manifest] if manifest else [])])
    rows = None if manifest is None else Manifest(manifest)
    if rows is not None and not rows.repeatable:
        raise UsageError(f"the manifest {manifest} is read more than once; name a file")
    merged = merge_shards(shards, output, rows)
    if not quiet:
        failed = f", {merged.errors:,} of them errors" if merged.errors else ""
        say(f"{output} holds {merged.records:,} records{failed}")
