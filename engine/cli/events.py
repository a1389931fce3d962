"""`accounts events`: which further events an account is told of."""

from typing import Annotated, Any

import typer

from engine.accounts.accounts import account_of
from engine.callbacks import notifications
from engine.cli.database import run_command
from engine.cli.output import Json, show_one
from engine.config.settings import Settings
from engine.domain.errors import InvalidInput
from engine.domain.events import EventType
from engine.storage.transaction import Transaction


def events(
    account: Annotated[str, typer.Argument(help="Id or name of the account.")],
    chosen: Annotated[
        str | None,
        typer.Option("--set", help="All that it shall be told of, with commas between them; empty: none."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Which events an account is told of beside the two that every account is; also sets them. It holds at once."""
    told = run_command(Settings(), _events, account, None if chosen is None else _read(chosen))
    if as_json:
        show_one(told, as_json=True)
    else:
        show_one(told | {"events": ", ".join(told["events"]) or "none"}, as_json=False)


def _events(tx: Transaction, account: str, chosen: list[EventType] | None) -> dict[str, Any]:
    account_id = account_of(tx, account).id
    if chosen is not None:
        notifications.choose_events(tx, account_id, chosen)
    held = tx.notices.chosen(account_id)
    return {"accountId": account_id, "events": [str(kind) for kind in EventType if kind in held]}


def _read(text: str) -> list[EventType]:
    """Raises InvalidInput, with all there are."""
    words = [word.strip() for word in text.split(",") if word.strip()]
    known = {str(kind): kind for kind in EventType}
    unknown = [word for word in words if word not in known]
    if unknown:
        raise InvalidInput([f"there is no event {unknown[0][:40]!r}; there are {', '.join(known)}"])
    return [known[word] for word in words]
