"""`doctor`: what is wrong with this system, part by part, and what to do about it."""

from dataclasses import asdict

import typer
from rich.table import Column, Table

from engine.cli.output import Json, console, show
from engine.config.settings import Settings

MARKS = {"ok": "[green]ok[/]", "warning": "[yellow]warning[/]", "failed": "[red]failed[/]"}


def doctor(as_json: Json = False) -> None:
    """Look at each part of the system, running or not, and say what is wrong and what to do. Changes nothing.

    Exit status 1 if a part has failed.
    """
    from engine.local.doctor import Verdict, examine  # noqa: PLC0415  other commands start faster without it

    findings = examine(Settings())
    if as_json:
        show([asdict(finding) for finding in findings], as_json=True)
    else:
        table = Table("part", "", Column("what", overflow="fold"), Column("what to do", overflow="fold"))
        for finding in findings:
            table.add_row(finding.part, MARKS[finding.verdict], finding.what, finding.fix)
        console.print(table)
    if any(finding.verdict is Verdict.FAILED for finding in findings):
        raise typer.Exit(1)
