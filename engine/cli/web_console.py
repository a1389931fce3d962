"""`console …`: access to the operator's console."""

import re
from typing import Annotated

import typer

from engine.accounts.sign_in import end_all_sessions, end_session
from engine.cli.database import run_command
from engine.cli.output import Json, show, show_one, with_times
from engine.config import secrets
from engine.config.settings import Settings
from engine.domain.errors import InvalidInput
from engine.domain.times import DAY_MS, HOUR_MS, MINUTE_MS, rfc3339
from engine.domain.web_access import OPERATOR_ROLES, Role
from engine.local.console_access import Access, make_console_link, make_console_session, note_access, sign_in_url
from engine.local.data_dir import acting_as_owner, require_database
from engine.runtime.clock import SystemClock

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Access to the operator's console, at /console.")

_UNITS = {"m": MINUTE_MS, "h": HOUR_MS, "d": DAY_MS}
RoleOption = Annotated[
    Role,
    typer.Option(
        case_sensitive=False,
        # The type has the roles of customers, too, whose links `accounts portal-link` makes.
        metavar=f"<{'|'.join(role.value.lower() for role in Role if role in OPERATOR_ROLES)}>",
        help="viewer: only see; operator: also act, and show hidden numbers; admin: also change accounts.",
    ),
]
LifeOption = Annotated[
    str, typer.Option(help="How long the session may last, such as 30m, 12h or 7d; 30 days at most.")
]


@app.command()
def link(role: RoleOption = Role.OPERATOR, life: LifeOption = "12h", as_json: Json = False) -> None:
    """Make a link that signs in to the console. It works once, within an hour, and is shown only now.

    The session that it opens ends when its life is over, or earlier if it is not used for 30 minutes. The console
    is at the API's own address. Proxies do not forward it: from another machine, use an SSH tunnel.
    """
    settings = Settings()
    made = run_command(settings, make_console_link, _access(settings, role, life))
    _note(settings, "LinkMade", role)
    record = {
        "link": sign_in_url(settings, made),
        "role": role.value,
        "useBefore": rfc3339(made.use_before),
        "endsAt": rfc3339(made.ends_at),
    }
    show_one(record, as_json=as_json)


@app.command("session")
def open_(role: RoleOption = Role.VIEWER, life: LifeOption = "1h", as_json: Json = False) -> None:
    """Open a session for a program and print its secret, for `curl -H "Authorization: Bearer …"`.

    It ends when its life is over, or earlier if it is not used for 30 minutes.
    """
    settings = Settings()
    opened = run_command(settings, make_console_session, _access(settings, role, life))
    _note(settings, "SessionMade", role, opened.session.id)
    if as_json:
        show_one({"id": opened.session.id, "session": opened.secret}, as_json=True)
    else:
        typer.echo(opened.secret)


@app.command()
def sessions(as_json: Json = False) -> None:
    """List the open sessions, newest first, with those of customers."""
    now = SystemClock().now()
    found = run_command(Settings(), lambda tx: tx.web_access.open_sessions(now))
    show(
        [
            with_times(
                {"id": each.id, "role": each.role.value, "account": each.account_id},
                createdAt=each.created_at,
                seenAt=each.seen_at,
                endsAt=each.ends_at,
            )
            for each in found
        ],
        as_json=as_json,
    )


@app.command()
def end(
    session: Annotated[str | None, typer.Argument(help="Id of the session, as `console sessions` shows it.")] = None,
    every: Annotated[bool, typer.Option("--all", help="End every session, and withdraw every unused link.")] = False,
    as_json: Json = False,
) -> None:
    """End a session, or all of them, at once."""
    settings, now = Settings(), SystemClock().now()
    if (session is None) != every:
        raise InvalidInput(["give either the id of a session or --all"])
    ended = 1
    if session is None:
        ended = run_command(settings, end_all_sessions, now)
    else:
        run_command(settings, end_session, session, now)
    _note(settings, "SessionsEnded", Role.ADMIN, session or "")
    show_one({"ended": ended}, as_json=as_json)


def _access(settings: Settings, role: Role, life: str) -> Access:
    """Raises InvalidInput."""
    if role not in OPERATOR_ROLES:
        raise InvalidInput(["--role must be viewer, operator or admin; for customers, use `accounts portal-link`"])
    match = re.fullmatch(r"([0-9]{1,5})([mhd])", life)
    if match is None:
        raise InvalidInput(["--life must be a number followed by m, h or d, such as 12h"])
    require_database(settings)
    pepper = secrets.load(settings.data_dir / "secrets").key_pepper
    return Access(role, int(match[1]) * _UNITS[match[2]], pepper, SystemClock().now())


def _note(settings: Settings, event: str, role: Role, session_id: str = "") -> None:
    with acting_as_owner(settings):
        note_access(settings, event, role, session_id)
