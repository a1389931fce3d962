"""The tree of commands, loaded as far as it is needed.

A command imports much of the engine, which takes longer than most commands run. So each group is imported only when
one of its commands is called; `--help` and completion of the first word read the table below.
"""

# ruff: noqa: ANN401  Typer's contexts and commands are of its private copy of click, whose names we do not use
import importlib
from collections.abc import Iterator, MutableMapping
from typing import Any, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup


class Entry(NamedTuple):
    """A command or group: the module under `engine.cli`, its Typer app there, and the first line of its help."""

    module: str
    app: str
    help: str


ENTRIES: dict[str, Entry] = {
    "run": Entry("system", "run_app", "Set up what is missing and run everything on this machine until Ctrl-C."),
    "setup": Entry("system", "setup_app", "Make what a first start needs: secrets and database."),
    "serve": Entry("system", "serve_app", "Run the engine alone: API, FastAGI and callbacks."),
    "clean": Entry("system", "clean_app", "Delete all state: database, secrets, Asterisk's files."),
    "doctor": Entry("system", "doctor_app", "Check each part of the system, and say how to mend what is wrong."),
    "asterisk-config": Entry("system", "asterisk_config_app", "Write the files for an Asterisk that already runs."),
    "explain": Entry("explain", "app", "Say whether a call to a booking would be put through now, and why."),
    "numbers": Entry("numbers", "app", "The pool of numbers to rent."),
    "bookings": Entry("bookings", "app", "Bookings of all accounts."),
    "cdr": Entry("cdr", "app", "Call records."),
    "calls": Entry("calls", "app", "Live calls of all accounts."),
    "ledger": Entry("ledger", "app", "Proof that the credit of every booking adds up."),
    "callbacks": Entry("callbacks", "app", "Callbacks to customers: their deliveries and their receivers."),
    "privacy": Entry("privacy", "app", "Personal data."),
    "simulate": Entry("simulate", "app", "Calls and time in a sandbox, without telephones and without waiting."),
    "accounts": Entry("accounts", "accounts_app", "Customers' accounts."),
    "keys": Entry("accounts", "keys_app", "API keys."),
    "secrets": Entry("secrets", "app", "The secrets that sign callbacks."),
}


class _LazyCommands(MutableMapping[str, Any]):
    """The commands of the first level; a look-up imports the module behind a name."""

    def __init__(self) -> None:
        self._loaded: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._loaded:
            entry = ENTRIES[name]
            module = importlib.import_module(f"engine.cli.{entry.module}")
            command = typer.main.get_command(getattr(module, entry.app))
            command.name = name
            self._loaded[name] = command
        return self._loaded[name]

    def __setitem__(self, name: str, command: Any) -> None:
        self._loaded[name] = command

    def __delitem__(self, name: str) -> None:
        raise TypeError("commands are not removed")

    def __iter__(self) -> Iterator[str]:
        return iter(ENTRIES)

    def __len__(self) -> int:
        return len(ENTRIES)


class _LazyGroup(TyperGroup):
    """The root: it lists its commands from the table, and imports the one that is called.

    The context's `obj`, where there is one, is called before a command is imported.
    """

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = _LazyCommands()
        self._is_listing = False

    def list_commands(self, ctx: Any) -> list[str]:
        return list(ENTRIES)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if self._is_listing:
            return TyperCommand(cmd_name, help=ENTRIES[cmd_name].help)
        if cmd_name not in ENTRIES:
            return None
        if ctx.obj is not None:
            ctx.obj()
        return self.commands[cmd_name]

    def format_help(self, ctx: Any, formatter: Any) -> None:
        self._is_listing = True
        super().format_help(ctx, formatter)

    def shell_complete(self, ctx: Any, incomplete: str) -> Any:
        self._is_listing = True
        return super().shell_complete(ctx, incomplete)


app = typer.Typer(
    cls=_LazyGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Hides a telephone number behind a rented one.",
)


@app.callback()
def _root() -> None:
    """Makes the app a group although it registers no command itself."""
