"""Every command has help for itself and its arguments, and can print JSON."""

from collections.abc import Iterator
from typing import Any

import pytest
import typer

from engine.cli import app
from engine.cli.tree import BOOKINGS, ENTRIES, Entry

# They set up or run a system and print no data.
WITHOUT_DATA = {"run", "setup", "serve", "clean", "asterisk-config", "kamailio-config", "trunks password"}


def leaves(command: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    for name, each in getattr(command, "commands", {}).items():
        place = f"{path} {name}".strip()
        yield from leaves(each, place) if hasattr(each, "commands") else [(place, each)]


TREE = typer.main.get_command(app)
COMMANDS = dict(leaves(TREE))
GROUPS = {name: group for name, group in TREE.commands.items() if hasattr(group, "commands")}  # type: ignore[attr-defined]


def options(command: Any) -> set[str]:
    return {name for parameter in command.params for name in parameter.opts}


def test_every_listed_exception_is_a_command() -> None:
    assert set(COMMANDS) >= WITHOUT_DATA


@pytest.mark.parametrize("name", COMMANDS)
def test_every_commands_help_is_whole_sentences(name: str) -> None:
    text = COMMANDS[name].help or ""
    assert text[:1].isupper()
    assert text.rstrip().endswith(".")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_argument_and_option_has_help(name: str) -> None:
    assert [parameter.name for parameter in COMMANDS[name].params if not getattr(parameter, "help", None)] == []


@pytest.mark.parametrize("name", sorted(set(COMMANDS) - WITHOUT_DATA))
def test_a_command_that_prints_data_can_print_json(name: str) -> None:
    """`--format` is for output that is too long for one document."""
    assert {"--json", "--format"} & options(COMMANDS[name])


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_on_one_account_requires_the_account(name: str) -> None:
    assert [each.default for each in COMMANDS[name].params if each.name == "account" and each.default] == []


@pytest.mark.parametrize("name", GROUPS)
def test_every_group_has_help(name: str) -> None:
    assert (GROUPS[name].help or "").endswith(".")


def test_a_command_that_cannot_be_undone_asks_unless_yes_is_given() -> None:
    assert all("--yes" in options(COMMANDS[name]) for name in ("clean", "bookings delete", "privacy erase"))


@pytest.mark.parametrize(("table", "prefix"), [(ENTRIES, ""), (BOOKINGS, "bookings ")], ids=["root", "bookings"])
def test_the_help_of_the_tables_is_how_the_help_of_the_commands_begins(table: dict[str, Entry], prefix: str) -> None:
    """The tables are read in place of the commands, which are slow to import."""
    commands = COMMANDS | GROUPS
    begins = {
        name: (commands[f"{prefix}{name}"].help or "").startswith(each.help.rstrip(".")) for name, each in table.items()
    }
    assert begins == dict.fromkeys(table, True)
