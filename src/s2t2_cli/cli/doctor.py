"""`s2t2 doctor`: is everything here that a translation needs?

Knows: how findings are shown. Does not know: how they are made (diagnosis).
"""

from __future__ import annotations

import dataclasses
import json
from typing import Annotated

import typer

from s2t2_cli.cli.help import Command
from s2t2_cli.escaping import readable

_MARKS = {"ok": "ok", "failed": "FAILED", "absent": "-"}


app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command("doctor", cls=Command)
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Give the findings as one JSON object.")] = False,
) -> None:
    """Check that everything a translation needs is here.

    Looks at packages, decoders, devices and the cache, and translates a small clip as a self-test. Never uses
    the network. Exit status: 0 all is well, 1 something a translation needs is missing.
    """
    from s2t2_cli.diagnosis import examine

    findings = []
    section = ""
    for finding in examine():
        findings.append(finding)
        if as_json:
            continue
        if finding.section != section:
            section = finding.section
            typer.echo(section)
        typer.echo(f"  {_MARKS[finding.status]:<6} {finding.name:<16}  {readable(finding.detail)}")
        if finding.status == "failed":
            typer.echo(f"         way out: {readable(finding.way_out)}")
    failed = sum(finding.status == "failed" for finding in findings)
    if as_json:
        report = {"ok": not failed, "findings": [dataclasses.asdict(finding) for finding in findings]}
        typer.echo(json.dumps(report, indent=2))
    else:
        typer.echo("all is well" if not failed else f"{failed} of {len(findings)} failed")
    if failed:
        raise typer.Exit(1)
