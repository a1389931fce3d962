"""Calls with what became of each, the steps of one call, and the usage that the calls add up to."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from api.http.dependencies import now_of
from api.resources import cdrs, traces, usage
from api.resources.cdr_filters import wanted_records
from api.schemas.cdrs import CdrBody
from api.schemas.traces import TraceBody, headline
from api.web.frame.site import Page, Visit
from api.web.portal.entry import answer_of
from engine.cdr.timeline import outcome_of
from engine.domain.web_access import Role

PATH = "/calls"
MONTHS = 4


def call_pages() -> tuple[Page, ...]:
    """Returns the pages."""
    return (
        Page(
            PATH,
            "Calls",
            Role.CUSTOMER_VIEWER,
            "portal/calls.html",
            load_calls,
            api="/cdr",
            parameters=frozenset({"cursor", "bookingId"}),
        ),
        Page(
            f"{PATH}/{{id}}",
            "Story of a call",
            Role.CUSTOMER_VIEWER,
            "portal/story.html",
            load_story,
            api=traces.PATH,
            placeholders={"id": traces.NAMED},
            in_menu=False,
            example="record",
        ),
        Page(
            "/usage",
            "Usage",
            Role.CUSTOMER_VIEWER,
            "portal/usage.html",
            load_usage,
            api="/usage",
            parameters=frozenset({"from", "to"}),
        ),
    )


async def load_calls(visit: Visit) -> Mapping[str, Any]:
    """Returns a page of call records, as `GET /cdr` answers it, with what became of each call."""
    records, next_cursor = await cdrs.records_of(visit.request, cdrs.LISTING, wanted_records(visit.request))
    shown = [
        CdrBody.of(cdr).model_dump(mode="json") | {"outcome": outcome_of(cdr, for_operator=False)} for cdr in records
    ]
    return {"data": shown, "hasMore": next_cursor is not None, "nextCursor": next_cursor}


async def load_story(visit: Visit) -> Mapping[str, Any]:
    """Returns what is known of a call, as `GET /calls/{id}/trace` answers it, and what became of the call."""
    trace = await traces.trace_of(visit.request)
    shown = TraceBody.of(trace).model_dump(mode="json")
    return {"call": shown, "destination": trace.known.destination, **headline(trace, for_operator=False)}


async def load_usage(visit: Visit) -> Mapping[str, Any]:
    """Returns a statement, as `GET /usage` answers it, and the spans of the last months."""
    now = datetime.fromtimestamp(now_of(visit.request) / 1000, UTC)
    return {"usage": await answer_of(visit, usage.index), "months": months_until(now)}


def months_until(now: datetime) -> list[dict[str, str]]:
    """Returns the month of an instant and those before it, the newest first."""
    months = []
    begin = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    for _ in range(MONTHS):
        end = (begin + timedelta(days=31)).replace(day=1)
        first, after = (f"{each:%Y-%m-%d}T00:00:00Z" for each in (begin, end))
        months.append({"name": f"{begin:%Y-%m}", "from": first, "to": after})
        begin = (begin - timedelta(days=1)).replace(day=1)
    return months
