"""/v1/Services/{service}/Sessions/{session}/Interactions: the calls of a session, from its call records.

A call that was refused, because the session was closed for instance, is no interaction. So a page may be short.
"""

import json
from typing import Any

from aiohttp import web

from api.http.dependencies import ACCOUNT_ID, DEPENDENCIES
from api.http.paging import CallListing
from api.schemas.fields import CDR_ID
from api.twilio_proxy.errors import NOT_FOUND
from api.twilio_proxy.paging import address, iso, page_answer, page_asked
from api.twilio_proxy.place import SERVICES, account_sid, id_of, session_of
from engine.cdr.listing import record_page
from engine.domain.errors import NotFound
from engine.domain.numbers import E164
from engine.domain.twilio_proxy import ProxyParticipant, outbound_status, sid
from engine.storage.cdrs import Cdr, WantedRecords
from engine.twilio_proxy.sessions import Found

LISTING = CallListing("proxy-interactions", CDR_ID)


async def index(request: web.Request) -> web.Response:
    """Answers with a page of a session's calls, newest first."""
    deps, found, page = request.app[DEPENDENCIES], await session_of(request), page_asked(request)
    after = None if page.token is None else LISTING.position_of(page.token)
    if found.booking is None:
        return page_answer(request, "interactions", page, [], None)
    wanted = WantedRecords(request[ACCOUNT_ID], since=found.booking.created_at, booking_id=found.booking.id)
    records = await record_page(deps.reads, wanted, after, page.size)
    people = await deps.reads.twilio_proxy.participants(found.session.id)
    bodies = [body_of(request, found, people, each.cdr) for each in records.records if each.cdr.reason is None]
    token = None if records.more_after is None else LISTING.cursor_after(records.more_after)
    return page_answer(request, "interactions", page, bodies, token)


async def show(request: web.Request) -> web.Response:
    """Answers with a call."""
    deps, cdr_id, found = request.app[DEPENDENCIES], id_of(request, "interaction"), await session_of(request)
    cdr = await deps.reads.cdr(request[ACCOUNT_ID], cdr_id)
    if cdr is None or cdr.reason is not None or found.booking is None or cdr.booking_id != found.booking.id:
        raise NotFound(NOT_FOUND)
    people = await deps.reads.twilio_proxy.participants(found.session.id)
    return web.json_response(body_of(request, found, people, cdr))


def body_of(request: web.Request, found: Found, people: list[ProxyParticipant], cdr: Cdr) -> dict[str, Any]:
    """The JSON of a call. Its legs have no resources of their own, so their SIDs are made of the record's id."""
    service_sid, session_sid = sid("KS", found.service.id), sid("KC", found.session.id)
    interaction_sid = sid("KI", cdr.id)
    sides = _sides(found, people, cdr)
    url = address(request, f"{SERVICES}/{service_sid}/Sessions/{session_sid}/Interactions/{interaction_sid}")
    return {
        "sid": interaction_sid,
        "session_sid": session_sid,
        "service_sid": service_sid,
        "account_sid": account_sid(request),
        "data": json.dumps({"duration": str(cdr.duration)}),
        "type": "voice",
        "inbound_participant_sid": sides[0],
        "inbound_resource_sid": sid("CA", cdr.id),
        "inbound_resource_status": "in-progress",
        "inbound_resource_type": "Call",
        "inbound_resource_url": None,
        "outbound_participant_sid": sides[1],
        "outbound_resource_sid": None,
        "outbound_resource_status": outbound_status(cdr.disposition),
        "outbound_resource_type": "Call",
        "outbound_resource_url": None,
        "date_created": iso(cdr.started_at),
        "date_updated": iso(cdr.started_at),
        "url": url,
    }


def _sides(found: Found, people: list[ProxyParticipant], cdr: Cdr) -> tuple[str | None, str | None]:
    """The SIDs of who called and of who was called; None where an erasure has taken the number."""
    pair = found.booking.participants if found.booking is not None else None
    if pair is not None and len(pair) != len(people):
        raise NotFound("there is no such session")  # it is being deleted
    sids = {who.number: sid("KP", each.id) for who, each in zip(pair or (), people, strict=True)}
    return sids.get(E164(cdr.source)), sids.get(cdr.destination)
