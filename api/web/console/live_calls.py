"""The live calls, as they come and go, with what is left of each, and the action that ends one."""

import asyncio
from collections.abc import Mapping
from typing import Any

from aiohttp import web
from markupsafe import escape

from api.web.frame.filters import cells
from api.web.frame.protection import PageRefused, find_visit
from api.web.frame.rendering import hidden_number
from api.web.frame.site import Action, Outcome, Page, Site, Stream, Visit
from api.web.frame.streams import Feed, send_feed
from engine.control.requests import HangUp
from engine.domain.ids import CallId
from engine.domain.masking import masked, shown_caller
from engine.domain.metering import CallState
from engine.domain.times import Timestamp, rfc3339
from engine.domain.web_access import Role
from engine.runtime.clock import Clock
from engine.storage.console_reads import ConsoleReads
from engine.storage.overview import LiveCall

# Calls that a page shows; the command line shows as many.
MOST_SHOWN = 1000
PATH = "/live"
COLUMNS = ("State", "Talking", "Left", "Rented number", "Caller", "Hidden number", "Account", "Action")
NUMERIC = frozenset({"Talking", "Left", "Rented number", "Caller"})
EMPTY = f'<tr role="row"><td role="cell" colspan="{len(COLUMNS)}">No live calls.</td></tr>'


class LiveCalls:
    """The page, its stream and its actions."""

    def __init__(self) -> None:
        self._feed: Feed | None = None
        # The rendered rows by call, each with the state that it shows.
        self._made: dict[CallId, tuple[object, str]] = {}

    def page(self) -> Page:
        """Returns the page."""
        return Page(PATH, "Live calls", Role.VIEWER, "console/live_calls.html", load, command="calls live")

    def streams(self) -> tuple[Stream, ...]:
        """Returns the stream of the page's rows."""
        return (Stream(f"{PATH}/stream", Role.VIEWER, self.send),)

    def actions(self) -> tuple[Action, ...]:
        """Returns what can be done to a call."""
        return (
            Action(
                f"{PATH}/hang-up",
                "Hang up",
                "CallHungUp",
                Role.OPERATOR,
                hang_up,
                fields=frozenset({"call"}),
                page=PATH,
                command="calls hangup CALL",
            ),
        )

    async def send(self, visit: Visit) -> web.StreamResponse:
        """Sends the rows and their changes for as long as the session is open."""
        services, clock = visit.services, visit.deps.clock
        if self._feed is None:
            self._feed = Feed(lambda: self._rows(visit.site, services.reads, clock), "#live-calls", EMPTY)

        async def is_open() -> bool:
            return await find_visit(visit.request, visit.site, is_use=False) is not None

        return await send_feed(visit.request, services.streams, visit.session.id, self._feed, is_open)

    async def _rows(self, site: Site, reads: ConsoleReads, clock: Clock) -> dict[str, str]:
        """Returns the table's rows by their elements' ids. A row is made again only when its call has changed."""
        calls, ahead = await reads.live_calls(MOST_SHOWN), clock.timestamp().wall_ahead_ms
        made: dict[CallId, tuple[object, str]] = {}
        for each in calls:
            call = each.call
            state = (call.state, call.seconds_leased, call.answered, call.destination)
            kept = self._made.get(call.call_id)
            if kept is None or kept[0] != state:
                kept = state, row_of(site, each, ahead)
                await asyncio.sleep(0)  # let the event loop serve calls in between
            made[call.call_id] = kept
        self._made = made
        return {element_of(each): made[each.call.call_id][1] for each in calls}


async def load(visit: Visit) -> Mapping[str, Any]:
    """Returns the calls, and the server's time."""
    calls = await visit.services.reads.live_calls(MOST_SHOWN)
    return {
        "now": visit.now,
        "calls": [call_data(each, visit.at) for each in calls],
        "columns": COLUMNS,
        "numeric": sorted(NUMERIC),
    }


def call_data(live: LiveCall, at: Timestamp) -> dict[str, Any]:
    """Returns what a page may show of a call, as `calls live` shows it."""
    call = live.call
    talking = None if call.answered is None else max(0, at.boot_ms - call.answered.boot_ms) // 1000
    return {
        "call": call.call_id,
        "account": live.account,
        "booking": call.booking_id,
        "service": live.service,
        "source": shown_caller(call.source, call.direction),
        "destination": masked(call.destination),
        "state": call.state.value,
        "since": rfc3339(call.started_at),
        "talking": talking,
        "mayTalk": call.seconds_leased,
        "left": None if talking is None else max(0, call.seconds_leased - talking),
    }


def element_of(live: LiveCall) -> str:
    """Returns the id of a call's row."""
    return "call-" + live.call.call_id.replace(".", "-")


def row_of(site: Site, live: LiveCall, wall_ahead_ms: int) -> str:
    """Returns a call's row. The page counts the seconds: it has the server's time, and when they are used up."""
    call, named = live.call, escape(live.call.call_id)
    talking = left = "&ndash;"
    if call.state is CallState.LIVE and call.answered is not None:
        since = call.answered.boot_ms + wall_ahead_ms
        talking = f'<span data-since="{since}">…</span>'
        left = f'<span data-until="{since + call.seconds_leased * 1000}">…</span>'
    hang_up = (
        f'<button class="secondary small act" hx-post="{site.prefix}{PATH}/hang-up" hx-include="#csrf" '
        f'hx-vals=\'{{"call": "{named}"}}\' hx-confirm="End this call?" aria-label="Hang up call {named}">'
        "Hang up</button>"
    )
    values = (
        f'<a href="{site.prefix}/calls/{named}">{call.state.value.lower()}</a>',
        talking,
        left,
        escape(live.service),
        escape(shown_caller(call.source, call.direction)),
        hidden_number(site, masked(call.destination), "call", call.call_id),
        escape(live.account),
        hang_up,
    )
    row = "".join(
        f'<td class="number">{value}</td>' if name in NUMERIC else f"<td>{value}</td>"
        for name, value in zip(COLUMNS, values, strict=True)
    )
    return f'<tr id="{escape(element_of(live))}" role="row">{cells(row, COLUMNS)}</tr>'


async def hang_up(visit: Visit, form: Mapping[str, str]) -> Outcome:
    """Ends a live call. Raises NotFound."""
    call_id = CallId(form["call"])
    done = await visit.services.operator.hang_up(HangUp(call_id))
    if done.unreached:
        raise PageRefused(
            503, "The call was not ended", "Asterisk cannot be reached now; the page System says what to do."
        )
    return Outcome("The call was ended.", {"callId": call_id, "ended": True}, subject=call_id)
