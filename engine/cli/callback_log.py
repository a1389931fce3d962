"""`callbacks list`, `show`, `redeliver`, `endpoints`, `enable`: what became of callbacks, and sending them again.

Numbers are masked wherever they may stand: an operator sees how a delivery went, not whom it was about.
"""

from typing import Annotated, Any

import typer

from engine.accounts import accounts
from engine.callbacks import redelivery
from engine.cli import callbacks
from engine.cli.database import run_command
from engine.cli.output import Json, show, show_one
from engine.config.settings import Settings
from engine.domain.errors import InvalidInput, NotFound
from engine.domain.ids import AccountId, BookingId
from engine.domain.masking import masked_text
from engine.domain.retry import CallbackState
from engine.domain.times import NO_INSTANT, EpochMs, instant_from, rfc3339
from engine.runtime.clock import SystemClock
from engine.storage.endpoints import Endpoint
from engine.storage.filters import LATEST
from engine.storage.outbox import AttemptRecord, CallbackRecord
from engine.storage.transaction import Transaction

app = callbacks.app
MAX_LISTED = 1_000

Account = Annotated[str, typer.Option(help="Id or name of the account.")]
Limit = Annotated[int, typer.Option(min=1, max=MAX_LISTED, help="So many at most.")]


@app.command("list")
def list_callbacks(
    account: Account,
    state: Annotated[CallbackState | None, typer.Option(help="Only those in this state.")] = None,
    booking: Annotated[str, typer.Option(help="Only those about this booking.")] = "",
    limit: Limit = 20,
    as_json: Json = False,
) -> None:
    """Callbacks of an account, newest first."""

    def look_up(tx: Transaction) -> list[CallbackRecord]:
        owner = accounts.account_of(tx, account).id
        return tx.outbox.newest(owner, state, BookingId(booking) if booking else None, limit)

    show([_shown(record) for record in run_command(Settings(), look_up)], as_json=as_json)


@app.command("show")
def show_callback(
    callback_id: Annotated[str, typer.Argument(help="Id of the callback, its `webhook-id`.")], as_json: Json = False
) -> None:
    """One callback, every try to deliver it, and what the receiver answered."""

    def look_up(tx: Transaction) -> tuple[CallbackRecord, list[AttemptRecord]]:
        record = tx.outbox.of_account(AccountId(_owner_of(tx, callback_id)), callback_id)
        if record is None:
            raise NotFound("there is no such callback")
        return record, tx.outbox.attempts_of(callback_id)

    record, attempts = run_command(Settings(), look_up)
    rows = [_attempt(each) for each in attempts]
    shown = _shown(record) | {"body": masked_text(record.body)}
    if as_json:
        show_one(shown | {"attempts": rows}, as_json=True)
    else:
        show_one(shown, as_json=False)
        show(rows, as_json=False)


@app.command()
def redeliver(
    callback_id: Annotated[str, typer.Argument(help="Id of the callback. Left out: all `--from` an instant on.")] = "",
    since: Annotated[
        str, typer.Option("--from", help="All put down then or later, such as 2026-03-01T12:00:00Z.")
    ] = "",
    until: Annotated[str, typer.Option("--to", help="And before then. Left out: until now.")] = "",
    state: Annotated[CallbackState, typer.Option(help="Those in this state. HELD: enable their URL.")] = (
        CallbackState.FAILED
    ),
    account: Annotated[str, typer.Option(help="Id or name of the account, with `--from`.")] = "",
    as_json: Json = False,
) -> None:
    """Send callbacks again, under their ids. A running engine takes them up within seconds."""
    if bool(callback_id) == bool(since) or bool(since) != bool(account) or state is CallbackState.HELD:
        raise InvalidInput(
            ["name one callback, or with --account and --from all FAILED, PENDING or DELIVERED ones from an instant on"]
        )
    now = SystemClock().now()
    if callback_id:
        record, _ = run_command(
            Settings(), lambda tx: redelivery.redeliver(tx, AccountId(_owner_of(tx, callback_id)), callback_id, now)
        )
        show_one(_shown(record), as_json=as_json)
        return
    bounds = (_instant(since), _instant(until) if until else LATEST)
    if bounds[0] > bounds[1]:
        raise InvalidInput(["--from must not be later than --to"])
    show_one({"redelivered": _redeliver_all(account, state, *bounds, now)}, as_json=as_json)


@app.command()
def endpoints(account: Account, limit: Limit = 100, as_json: Json = False) -> None:
    """The URLs that callbacks of an account went to, newest first, and which of them are disabled."""

    def look_up(tx: Transaction) -> list[Endpoint]:
        return tx.endpoints.newest(accounts.account_of(tx, account).id, limit)

    show([_endpoint(each) for each in run_command(Settings(), look_up)], as_json=as_json)


@app.command()
def enable(
    endpoint_id: Annotated[str, typer.Argument(help="Id of the endpoint, as `callbacks endpoints` shows it.")],
    as_json: Json = False,
) -> None:
    """Try a disabled URL again, beginning with what was held for it."""

    def carry_out(tx: Transaction) -> Endpoint:
        owner = tx.endpoints.owner_of(endpoint_id)
        if owner is None:
            raise NotFound("there is no such endpoint")
        return redelivery.enable(tx, owner, endpoint_id)

    show_one(_endpoint(run_command(Settings(), carry_out)), as_json=as_json)


def _redeliver_all(account: str, state: CallbackState, since: int, until: int, now: int) -> int:
    """In as many short transactions as it takes; how many."""
    settings, count, after = Settings(), 0, (since, "")
    owner = run_command(settings, accounts.account_of, account).id
    while True:
        done = run_command(settings, redelivery.redeliver_all, owner, state.value, after, EpochMs(until), EpochMs(now))
        count += done.count
        if done.last is None:
            return count
        after = done.last


def _owner_of(tx: Transaction, callback_id: str) -> str:
    owner = tx.outbox.owner_of(callback_id)
    if owner is None:
        raise NotFound("there is no such callback")
    return owner


def _instant(text: str) -> int:
    instant = instant_from(text)
    if instant is None:
        raise InvalidInput([f"{text!r} {NO_INSTANT}"])
    return instant


def _shown(record: CallbackRecord) -> dict[str, Any]:
    waits = record.state is CallbackState.PENDING and not record.claimed
    return {
        "id": record.id,
        "bookingId": record.booking_id,
        "state": record.state.value,
        "attemptCount": record.attempts,
        "lastOutcome": record.last_outcome,
        "createdAt": rfc3339(record.created_at),
        "nextAttemptAt": rfc3339(record.due_at) if waits else None,
        "url": masked_text(record.url),
    }


def _attempt(record: AttemptRecord) -> dict[str, Any]:
    return {
        "attempt": record.attempt,
        "beganAt": rfc3339(record.began_at),
        "tookMs": record.took_ms,
        "status": record.status,
        "trouble": record.trouble,
        "response": masked_text(record.response),
    }


def _endpoint(endpoint: Endpoint) -> dict[str, Any]:
    return {
        "id": endpoint.id,
        "state": "ENABLED" if endpoint.disabled_at is None else "DISABLED",
        "reason": None if endpoint.reason is None else endpoint.reason.value,
        "failingSince": None if endpoint.failing_since is None else rfc3339(endpoint.failing_since),
        "disabledAt": None if endpoint.disabled_at is None else rfc3339(endpoint.disabled_at),
        "url": masked_text(endpoint.url),
    }
