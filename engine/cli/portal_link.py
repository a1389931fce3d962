"""`accounts portal-link`: a link that signs a customer in to the portal, made by the operator."""

import re
from typing import Annotated

import typer

from engine.accounts.accounts import account_of
from engine.accounts.sign_in import make_link, portal_url
from engine.cli.database import run_command
from engine.cli.options import AccountArgument
from engine.cli.output import Json, show_one
from engine.config import secrets
from engine.config.settings import Settings
from engine.domain.errors import InvalidInput
from engine.domain.ids import AccountId
from engine.domain.times import HOUR_MS, rfc3339
from engine.domain.web_access import Scope
from engine.local.console_access import note_access
from engine.local.data_dir import acting_as_owner
from engine.runtime.clock import SystemClock
from engine.storage.transaction import Transaction

_BASE = re.compile(r"https?://[A-Za-z0-9.:\[\]-]+")


def portal_link(
    account: AccountArgument,
    scope: Annotated[
        Scope, typer.Option(help="read: only see; full: also act, with everything that the portal can do.")
    ],
    url: Annotated[
        str | None, typer.Option(help="Where customers reach the API, such as https://api.example.com.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a link to an account's portal. It works once, within ten minutes, and signs in for an hour.

    It is shown only now.
    """
    settings = Settings()
    base = settings.http_url if url is None else url.rstrip("/")
    if not _BASE.fullmatch(base):
        raise InvalidInput(["--url is the beginning of an address, such as https://api.example.com"])
    pepper = secrets.load(settings.data_dir / "secrets").key_pepper

    def carry_out(tx: Transaction) -> tuple[AccountId, str, str]:
        found = account_of(tx, account)
        if found.suspended_at is not None:
            raise InvalidInput(
                [f"the account {found.name!r} is suspended or closed; `accounts resume` lifts a suspension"]
            )
        made = make_link(tx, scope.role, found.id, HOUR_MS, pepper, SystemClock().now())
        return found.id, made.code, rfc3339(made.use_before)

    account_id, code, use_before = run_command(settings, carry_out)
    with acting_as_owner(settings):
        note_access(settings, "LinkMade", scope.role, service="Portal")
    show_one({"link": portal_url(base, account_id, code), "useBefore": use_before}, as_json=as_json)
