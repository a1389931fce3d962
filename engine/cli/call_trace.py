"""`calls trace`: what happened to a call, step by step. Hidden numbers are masked."""

import asyncio
from typing import Annotated, Any

import typer

from api.schemas.traces import trace_record
from engine.cdr.trace import trace_call
from engine.cli.database import open_database, run_command
from engine.cli.options import AccountFilter
from engine.cli.output import Json, complain, console, show, show_one
from engine.cli.record_search import accounts_wanted, newest_records
from engine.config.policy import policy_of
from engine.config.settings import Settings
from engine.domain.errors import InvalidInput, NotFound
from engine.domain.ids import AccountId
from engine.domain.masking import shown_caller
from engine.domain.number_plan import caller_of, is_caller
from engine.domain.numbers import is_simulated
from engine.domain.times import rfc3339
from engine.domain.trunks import typed_plan
from engine.storage.cdrs import WantedRecords
from engine.storage.overview import WantedLive
from engine.storage.reads import Reads

MOST_LIVE = 1_000
MOST_TRACED = 20
OTHERS_LISTED = 10
IN_TIMELINE = ("timeline", "callbacks", "tried")

NamedCall = Annotated[
    str,
    typer.Argument(
        metavar="CALL",
        help="Id of a call or of a call record; or a number: that of the caller or the rented one, or `anonymous`.",
    ),
]
Last = Annotated[
    int | None,
    typer.Option(min=1, max=MOST_TRACED, help="With a number: how many of its newest calls to trace; 1 if left out."),
]


def trace(named: NamedCall, last: Last = None, account: AccountFilter = None, as_json: Json = False) -> None:
    """Show what happened to a call, live or ended: verdict, trunks, answer, end, charge, callbacks and their attempts.

    With a number, its newest call is traced and the ones before are listed. Hidden numbers are masked. `--json` prints
    what `GET /calls/{id}/trace` answers, with what is for the operator only; with a number, `calls` and `others`.
    """
    settings = Settings()
    if not is_caller(named):
        if last is not None or account is not None:
            raise InvalidInput(["--last and --account are for a number: an id names one call"])
        [record] = _traced(settings, [named])
        _show(record, as_json=as_json)
        return
    party = caller_of(named, typed_plan(policy_of(settings).trunks))
    count = last or 1
    rows = _newest(settings, party, account, count + (0 if last else OTHERS_LISTED))
    if not rows:
        raise NotFound(f"no call from or to {party} is stored")
    records = _traced(settings, [str(row["id"]) for row in rows[:count]])
    if as_json:
        show_one({"calls": records, "others": rows[count:]}, as_json=True)
        return
    for record in records:
        _show(record, as_json=False)
    if rows[count:]:
        console.print("Calls before:")
        show(rows[count:], as_json=False)


def _newest(settings: Settings, party: str, account: str | None, limit: int) -> list[dict[str, Any]]:
    """Returns the newest calls with that caller or rented number, live ones included, newest first."""
    accounts = accounts_wanted(settings, account, sandboxes=is_simulated(party))
    live = run_command(settings, lambda tx: tx.overview.live_calls(MOST_LIVE, WantedLive(party=party)))
    owners = _accounts_of(settings)
    found = {
        each.call.call_id: (each.call.started_at, _row(each.call.call_id, each.call, each.service, each.call.state))
        for each in live
        if account is None or owners.get(each.account) in accounts
    }
    for record in newest_records(settings, accounts, WantedRecords(AccountId(""), party=party), limit):
        cdr = record.cdr
        row = _row(cdr.id, cdr, cdr.service, cdr.disposition) | {"duration": cdr.duration}
        found[cdr.call_id] = (cdr.started_at, row)
    return [row for _, row in sorted(found.values(), key=lambda each: each[0], reverse=True)[:limit]]


def _accounts_of(settings: Settings) -> dict[str, AccountId]:
    return {row["name"]: row["id"] for row in run_command(settings, lambda tx: tx.accounts.all())}


def _row(named: str, call: Any, service: str, state: str) -> dict[str, Any]:  # noqa: ANN401  Call or Cdr
    return {
        "id": named,
        "timestamp": rfc3339(call.started_at),
        "source": shown_caller(call.source, call.direction),
        "service": service,
        "bookingId": call.booking_id,
        "disposition": str(state),
        "duration": None,
    }


def _traced(settings: Settings, named: list[str]) -> list[dict[str, Any]]:
    policy = policy_of(settings)
    open_database(settings)

    async def read() -> list[dict[str, Any]]:
        async with Reads(settings.books) as reads:
            names = {row["id"]: row["name"] for row in await reads.accounts()}
            traces = [await trace_call(reads, each, policy) for each in named]
        return [trace_record(each, names[each.account_id]) for each in traces]

    return asyncio.run(read())


def _show(record: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        show_one(record, as_json=True)
        return
    show_one({name: value for name, value in record.items() if name not in IN_TIMELINE}, as_json=False)
    show(record["timeline"], as_json=False)
    if is_simulated(record["service"]):
        complain("times are by the sandbox's clock, but for those of attempts to deliver callbacks")
