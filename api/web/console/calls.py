"""Calls of all accounts with what became of each, and the story of one call."""

import re
from collections.abc import Mapping
from typing import Any

from api.http.parsing import unacceptable
from api.schemas.fields import CDR_ID
from api.schemas.traces import headline, trace_record
from api.web.console.lists import BEFORE, PAGE, caller_named, page_of, place_of, typed, wrong_number
from api.web.frame.sandbox_clock import RECORD_DAYS, sandbox_data
from api.web.frame.site import Page, Visit
from engine.calls.reports import CALL_ID
from engine.cdr.timeline import caller_got, outcome_of
from engine.cdr.trace import trace_call
from engine.domain.dispositions import Disposition
from engine.domain.errors import NotFound
from engine.domain.masking import masked, shown_caller
from engine.domain.numbers import is_simulated
from engine.domain.times import rfc3339
from engine.domain.web_access import Role
from engine.storage.cdrs import Cdr
from engine.storage.console_reads import OwnedRecord

PATH = "/calls"
# The id of a call record has this form as well.
NAMED = re.compile(CALL_ID)
NO_CALL = (
    "no call has this id, or its record is deleted by now: CDR_RETENTION says for how long records are kept. "
    f"A sandbox keeps them for {RECORD_DAYS} days at most, by its own clock"
)


def calls_pages() -> tuple[Page, ...]:
    """Returns the list and the page of one call."""
    return (
        Page(
            PATH,
            "Calls",
            Role.VIEWER,
            "console/calls.html",
            load_list,
            command="cdr search",
            parameters=frozenset({"number", "failed", BEFORE}),
        ),
        Page(
            f"{PATH}/{{id}}",
            "Story of a call",
            Role.VIEWER,
            "console/story.html",
            load_story,
            command="calls trace {id}",
            api="/calls/{id}/trace",
            placeholders={"id": NAMED},
            in_menu=False,
            example="record",
        ),
    )


async def load_list(visit: Visit) -> Mapping[str, Any]:
    """Returns a page of calls that have ended, newest first, and how each of them ended."""
    asked, failed = typed(visit, "number"), visit.request.query.get("failed", "")
    if failed not in {"", "yes"}:
        raise unacceptable("failed", "is yes or left out")
    party = caller_named(visit, asked)
    errors = {"number": wrong_number(visit, asked, ", or anonymous")} if asked and party is None else {}
    shown: dict[str, Any] = {"number": asked, "failed": failed, "errors": errors, "calls": [], "next": None}
    shown["sandboxDays"] = RECORD_DAYS if party and is_simulated(party) else None
    if errors:
        return shown
    found = await visit.services.reads.newest_records(
        party=party, failed=bool(failed), before_id=place_of(visit, CDR_ID), limit=PAGE + 1
    )
    records, more_after = page_of(found.records, found.goes_on_after, lambda each: each.cdr.id)
    return shown | {"calls": [call_row(each) for each in records], "next": more_after}


async def newest_calls(visit: Visit, *, party: str | None, failed: bool, limit: int) -> list[dict[str, Any]]:
    """Returns the newest calls of a caller or to a rented number; with `party` None, of all."""
    found = await visit.services.reads.newest_records(party=party, failed=failed, before_id=None, limit=limit)
    return [call_row(each) for each in found.records]


def call_row(record: OwnedRecord) -> dict[str, Any]:
    """Returns one line of a list of calls."""
    return {"account": record.account, **record_row(record.cdr)}


def record_row(cdr: Cdr) -> dict[str, Any]:
    """Returns one line of a list of one account's calls."""
    return {
        "id": cdr.id,
        "bookingId": cdr.booking_id,
        "at": rfc3339(cdr.started_at),
        "source": shown_caller(cdr.source, cdr.direction),
        "service": cdr.service,
        "destination": masked(cdr.destination),
        "disposition": cdr.disposition.value,
        "isAnswered": cdr.disposition is Disposition.ANSWERED,
        "outcome": outcome_of(cdr, for_operator=True),
        "duration": cdr.duration,
        "furtherCalls": cdr.further_calls,
        "bySandbox": is_simulated(cdr.service),
        "direction": cdr.direction.value,
    }


async def load_story(visit: Visit) -> Mapping[str, Any]:
    """Returns all that is known of a call, live or ended. Raises NotFound."""
    reads = visit.services.reads
    try:
        trace = await trace_call(reads, visit.request.match_info["id"], visit.deps.policy)
    except NotFound:
        raise NotFound(NO_CALL) from None
    account = await reads.portal_account(trace.account_id)
    assert account is not None  # noqa: S101  accounts are never deleted
    record = trace_record(trace, account.name)
    hidden = {"kind": "record", "id": trace.cdr.id} if trace.cdr else {"kind": "call", "id": record["callId"]}
    return {
        "call": record,
        "callerGot": caller_got(trace),
        "hidden": hidden,
        "sandbox": sandbox_data(account.clock_ahead_ms, visit.now) if account.test_of else None,
        **headline(trace, for_operator=True),
    }
