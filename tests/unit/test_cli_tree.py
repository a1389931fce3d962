"""Every command of the command line says what it does and what it takes, and speaks JSON to programs."""

from collections.abc import Iterator
from typing import Any

import pytest
import typer

from engine.cli import app

# They set up or run a system, and print no data.
WITHOUT_DATA = {"run", "setup", "serve", "clean", "asterisk-config"}


def leaves(command: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    for name, each in getattr(command, "commands", {}).items():
        place = f"{path} {name}".strip()
        yield from leaves(each, place) if hasattr(each, "commands") else [(place, each)]


TREE = typer.main.get_command(app)
COMMANDS = dict(leaves(TREE))
GROUPS = {name: group for name, group in TREE.commands.items() if hasattr(group, "commands")}  # type: ignore[attr-defined]


def options(command: Any) -> set[str]:
    return {name for parameter in command.params for name in parameter.opts}


def test_the_exceptions_are_commands() -> None:
    assert set(COMMANDS) >= WITHOUT_DATA


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_says_what_it_does_in_sentences(name: str) -> None:
    text = COMMANDS[name].help or ""
    assert text[:1].isupper()
    assert text.rstrip().endswith(".")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_argument_and_option_is_explained(name: str) -> None:
    assert [parameter.name for parameter in COMMANDS[name].params if not getattr(parameter, "help", None)] == []


@pytest.mark.parametrize("name", sorted(set(COMMANDS) - WITHOUT_DATA))
def test_a_command_that_prints_data_prints_json_too(name: str) -> None:
    """`--format`: of what is too long to be one document."""
    assert {"--json", "--format"} & options(COMMANDS[name])


@pytest.mark.parametrize("name", COMMANDS)
def test_no_command_takes_an_account_for_granted(name: str) -> None:
    assert [each.default for each in COMMANDS[name].params if each.name == "account" and each.default] == []


@pytest.mark.parametrize("name", GROUPS)
def test_a_group_says_what_it_is_about(name: str) -> None:
    assert (GROUPS[name].help or "").endswith(".")


def test_what_cannot_be_undone_asks_and_can_be_told_not_to() -> None:
    assert all("--yes" in options(COMMANDS[name]) for name in ("clean", "bookings delete", "privacy erase"))
