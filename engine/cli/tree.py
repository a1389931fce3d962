"""The tree of commands, loaded as far as it is needed.

A command imports much of the engine, which takes longer than most commands run. So a group, and each command of
`bookings`, is imported only when it is called; `--help` and completion read the tables below. A test compares the
tables' help with that of the commands.
"""

# ruff: noqa: ANN401  Typer's contexts and commands are of its private copy of click, whose names we do not use
import gc
import importlib
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Annotated, Any, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup


class Entry(NamedTuple):
    """A command or group: the module under `engine.cli`, its Typer app there, and the first line of its help."""

    module: str
    app: str
    help: str


ENTRIES: dict[str, Entry] = {
    "run": Entry("system", "run_app", "Set up what is missing and run everything on this machine until Ctrl-C."),
    "setup": Entry(
        "system",
        "setup_app",
        "Make what a first start needs: secrets, database, and in the demo profile an account and numbers.",
    ),
    "serve": Entry("system", "serve_app", "Run the engine alone: API, FastAGI and callbacks."),
    "clean": Entry("system", "clean_app", "Delete all state: database, secrets, Asterisk's files."),
    "backup": Entry("backup", "backup_app", "Make a backup of the database, also while the system is running."),
    "restore": Entry("backup", "restore_app", "Put a backup in the place of the database."),
    "database": Entry("backup", "database_app", "The database: its schema, and its move to PostgreSQL."),
    "doctor": Entry(
        "system",
        "doctor_app",
        "Check each part of the system, running or not, and say what is wrong and how to mend it.",
    ),
    "asterisk-config": Entry(
        "system",
        "asterisk_config_app",
        "Write the drop-in files for an Asterisk that already runs, and say what remains to be done.",
    ),
    "kamailio-config": Entry(
        "system",
        "kamailio_config_app",
        "Write the configuration of Kamailio, which spreads calls among several Asterisks: kamailio.cfg and its lists.",
    ),
    "explain": Entry(
        "explain", "app", "Say whether a call to a booking would be put through now, for how long, and why or why not."
    ),
    "numbers": Entry("numbers", "app", "The pool of numbers to rent."),
    "bookings": Entry("tree", "bookings_app", "Bookings of all accounts."),
    "blocked-callers": Entry("blocked_callers", "app", "The callers whose calls a booking refuses."),
    "cdr": Entry("cdr", "app", "Call records."),
    "report": Entry("report", "app", "Sum up a month, by account and rented number."),
    "calls": Entry("calls", "app", "Calls of all accounts."),
    "asterisks": Entry("asterisks", "app", "The Asterisks of several engines on PostgreSQL."),
    "trunks": Entry("trunks", "app", "The lines to the carriers."),
    "ledger": Entry("ledger", "app", "Proof that the credit of every booking adds up."),
    "callbacks": Entry("callbacks", "app", "Callbacks to customers: their deliveries and their receivers."),
    "privacy": Entry("privacy", "app", "Personal data."),
    "simulate": Entry("simulate", "app", "Calls and time in a sandbox, without telephones and without waiting."),
    "accounts": Entry("accounts", "app", "Customers' accounts."),
    "console": Entry("web_console", "app", "Access to the operator's console, at /console."),
    "keys": Entry("keys", "app", "API keys."),
    "secrets": Entry("secrets", "app", "The secrets that sign callbacks."),
}


BOOKINGS: dict[str, Entry] = {
    "create": Entry("booking_create", "app", "Book a number for an account."),
    "list": Entry("booking_views", "list_app", "List bookings, newest first."),
    "show": Entry("booking_views", "show_app", "Show one booking, and everything that it was ever granted."),
    "top": Entry(
        "booking_top", "app", "List the bookings with the most calls, or the most charged seconds, of the last hours."
    ),
    "change": Entry("booking_change", "app", "Change a booking without renewing it."),
    "swap-number": Entry(
        "booking_swap", "app", "Give a booking another number; its old one goes into quarantine, its live calls go on."
    ),
    "renew": Entry("booking_credit", "renew_app", "Add a usage plan to a booking, also in its grace period."),
    "adjust": Entry(
        "booking_credit",
        "adjust_app",
        "Add seconds or calls to a booking, or take some away; its live calls are cut earlier where that is needed.",
    ),
    "delete": Entry(
        "booking_credit", "delete_app", "End a booking and its live calls for good; its number goes into quarantine."
    ),
}


class _LazyCommands(MutableMapping[str, Any]):
    """The commands of a group; a look-up imports the module behind a name."""

    def __init__(self, entries: Mapping[str, Entry]) -> None:
        self._entries = entries
        self._loaded: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._loaded:
            entry = self._entries[name]
            # Importing makes many objects that stay: the collector would look through them again and again in vain.
            gc.disable()
            try:
                module = importlib.import_module(f"engine.cli.{entry.module}")
            finally:
                gc.enable()
            command = typer.main.get_command(getattr(module, entry.app))
            command.name = name
            self._loaded[name] = command
        return self._loaded[name]

    def __setitem__(self, name: str, command: Any) -> None:
        self._loaded[name] = command

    def __delitem__(self, name: str) -> None:
        raise TypeError("commands are not removed")

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)


class _LazyGroup(TyperGroup):
    """A group that lists its commands from a table, and imports the one that is called.

    The root context's `obj`, where there is one, is called before a command is imported.
    """

    entries: Mapping[str, Entry]

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = _LazyCommands(self.entries)
        self._is_listing = False

    def list_commands(self, ctx: Any) -> list[str]:
        return list(self.entries)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if self._is_listing:
            return TyperCommand(cmd_name, help=self.entries[cmd_name].help)
        if cmd_name not in self.entries:
            return None
        if ctx.parent is None and ctx.obj is not None:
            ctx.obj()
        return self.commands[cmd_name]

    def format_help(self, ctx: Any, formatter: Any) -> None:
        self._is_listing = True
        super().format_help(ctx, formatter)

    def shell_complete(self, ctx: Any, incomplete: str) -> Any:
        self._is_listing = True
        return super().shell_complete(ctx, incomplete)


def lazy_app(entries: Mapping[str, Entry], help_text: str, *, add_completion: bool = False) -> typer.Typer:
    """Returns a Typer app whose commands are imported only when they are called."""
    group = type("LazyGroup", (_LazyGroup,), {"entries": entries})
    lazy = typer.Typer(
        cls=group,
        no_args_is_help=True,
        add_completion=add_completion,
        pretty_exceptions_enable=False,
        help=help_text,
    )

    @lazy.callback()
    def _group() -> None:
        """Makes the app a group although it registers no command itself."""

    return lazy


def _print_version(wanted: bool) -> None:
    if wanted:
        # Imported late: few starts need it.
        from importlib.metadata import version  # noqa: PLC0415

        typer.echo(f"rented-numbers {version('rented-numbers')}")
        raise typer.Exit


app = lazy_app(ENTRIES, "Hides a telephone number behind a rented one.", add_completion=True)


@app.callback()
def _root(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Has the options of the program itself."""


bookings_app = lazy_app(BOOKINGS, "Bookings of all accounts.")
