"""Writes docs/cli.md from the Typer application."""

from collections.abc import Iterator
from dataclasses import dataclass

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from docs.generate.markdown import anchor, code, document, table
from engine.cli import app

PROGRAM = "rented-numbers"
# Typer's own options, the same for every command.
COMMON = ("--help", "--install-completion", "--show-completion")


@dataclass(frozen=True, slots=True)
class _Entry:
    name: str
    command: TyperCommand | TyperGroup
    context: typer.Context


INTRODUCTION = f"""\
`{PROGRAM}` is the operator's command line; in a checkout it is `.venv/bin/{PROGRAM}`. [Operations](operations.md) has
examples of the common tasks.

Exit status: 0 for success, 1 for a refusal (with the reason on standard error), 2 for wrong usage. Every command has
`--help`. `{PROGRAM} --install-completion` makes your shell complete commands, options, accounts and rented
numbers; `{PROGRAM} --version` shows the version. All commands read the same [settings](configuration.md) as the
engine, so give them the same environment and working directory."""


def render() -> str:
    """The text of docs/cli.md."""
    root = get_command(app)
    assert isinstance(root, TyperGroup)  # noqa: S101  the application has many commands
    entries = list(_walk(root, typer.Context(root, info_name=PROGRAM), PROGRAM))[1:]
    overview = table(
        ["command", "what it does"],
        [
            (f"[`{each.name.removeprefix(PROGRAM).strip()}`](#{anchor(each.name)})", _first_paragraph(each.command))
            for each in entries
            if not isinstance(each.command, TyperGroup)
        ],
    )
    return document("Command line", INTRODUCTION, [overview, *(_section(each) for each in entries)])


def names() -> list[str]:
    """Full names of all commands and groups, without the program's name."""
    root = get_command(app)
    assert isinstance(root, TyperGroup)  # noqa: S101  as above
    walked = _walk(root, typer.Context(root, info_name=PROGRAM), PROGRAM)
    return [each.name.removeprefix(PROGRAM).strip() for each in walked][1:]


def _walk(command: TyperCommand | TyperGroup, context: typer.Context, name: str) -> Iterator[_Entry]:
    """The command and everything below it, in the order in which the program lists them."""
    yield _Entry(name, command, context)
    if not isinstance(command, TyperGroup):
        return
    for word in command.list_commands(context):
        inner = command.get_command(context, word)
        if isinstance(inner, TyperCommand | TyperGroup) and not inner.hidden:
            yield from _walk(inner, typer.Context(inner, parent=context, info_name=word), f"{name} {word}")


def _first_paragraph(command: TyperCommand | TyperGroup) -> str:
    return (command.help or "").partition("\n\n")[0]


def _section(entry: _Entry) -> str:
    level = "#" * (1 + len(entry.name.removeprefix(PROGRAM).split()))
    parts = [f"{level} {entry.name}", entry.command.help or ""]
    if not isinstance(entry.command, TyperGroup):
        usage = " ".join([entry.name, *entry.command.collect_usage_pieces(entry.context)])
        parts.append(f"```text\n{usage}\n```")
    if rows := list(_parameters(entry)):
        parts.append(table(["argument or option", "meaning"], rows))
    return "\n\n".join(parts)


def _parameters(entry: _Entry) -> Iterator[tuple[str, str]]:
    for parameter in entry.command.get_params(entry.context):
        record = parameter.get_help_record(entry.context)
        if record is not None and not record[0].startswith(COMMON):
            yield code(record[0].replace("|", "/")), record[1].replace("  ", " ")
