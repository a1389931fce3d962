"""/v1/Services/{service}/Sessions."""

from typing import Any

from aiohttp import web

from api.http.dependencies import ACCOUNT_ID, DEPENDENCIES, now_of
from api.http.paging import Listing
from api.resources.bookings import hang_up
from api.twilio_proxy import forms
from api.twilio_proxy.paging import address, iso, page_answer, page_asked
from api.twilio_proxy.participants import PARTICIPANT_FIELDS, joining
from api.twilio_proxy.place import SERVICES, account_sid, id_of, located, service_of, session_of
from engine.domain.twilio_proxy import sid
from engine.storage.transaction import Transaction
from engine.twilio_proxy import sessions
from engine.twilio_proxy.participants import Joining, join
from engine.twilio_proxy.sessions import Found, SessionChange, SessionRequest, locked_session

LISTING = Listing("proxy-sessions", forms.own_id("pse"))


async def create(request: web.Request) -> web.Response:
    """Creates a session, with its participants if they are sent."""
    deps, account_id, now = request.app[DEPENDENCIES], request[ACCOUNT_ID], now_of(request)
    service_id = id_of(request, "service")
    fields: dict[str, forms.Parser] = {
        "UniqueName": forms.unique_name,
        "DateExpiry": forms.instant,
        "Ttl": forms.ttl,
        "Mode": forms.mode,
        "Status": forms.open_status,
        "Participants": forms.nested(PARTICIPANT_FIELDS, required=("Identifier",)),
    }
    form = await forms.read_form(request, fields, repeated=("Participants",))
    wanted = SessionRequest(form.get("UniqueName"), form.get("Ttl"), form.get("DateExpiry"))
    people: list[Joining] = [joining(each) for each in form.get("Participants", [])]

    def begin(tx: Transaction) -> Found:
        session = sessions.create_session(tx, account_id, service_id, wanted, now, deps.policy)
        for each in people:
            join(tx, account_id, service_id, session.id, each, now, deps.policy)
        return locked_session(tx, account_id, service_id, session.id, now, deps.policy)

    return web.json_response(body_of(request, await deps.run(begin)), status=201)


async def index(request: web.Request) -> web.Response:
    """Answers with a page of the service's sessions, newest first."""
    service, page = await service_of(request), page_asked(request)
    after = None if page.token is None else LISTING.position_of(page.token)
    found = await request.app[DEPENDENCIES].reads.twilio_proxy.sessions(service.id, after, page.size + 1)
    shown = found[: page.size]
    token = LISTING.cursor_after(shown[-1].id) if len(found) > page.size else None
    bodies = [body_of(request, await located(request, service, each)) for each in shown]
    return page_answer(request, "sessions", page, bodies, token)


async def show(request: web.Request) -> web.Response:
    """Answers with a session."""
    return web.json_response(body_of(request, await session_of(request)))


async def change(request: web.Request) -> web.Response:
    """Changes when a session closes, closes it or opens it again."""
    deps, account_id, now = request.app[DEPENDENCIES], request[ACCOUNT_ID], now_of(request)
    service_id, session_id = id_of(request, "service"), id_of(request, "session")
    fields = {"DateExpiry": forms.instant, "Ttl": forms.ttl, "Status": forms.status}
    form = await forms.read_form(request, fields)
    changes = SessionChange(form.get("Ttl"), form.get("DateExpiry"), form.get("Status"))

    def carry_out(tx: Transaction) -> Found:
        sessions.change_session(tx, account_id, service_id, session_id, changes, now, deps.policy)
        return locked_session(tx, account_id, service_id, session_id, now, deps.policy)

    found = await deps.run(carry_out)
    if found.booking is not None and found.state.reason is None:
        deps.renewed(found.booking.id)
    return web.json_response(body_of(request, found))


async def delete(request: web.Request) -> web.Response:
    """Deletes a session, and ends its live calls."""
    deps, service_id, session_id = request.app[DEPENDENCIES], id_of(request, "service"), id_of(request, "session")
    channels = await deps.run(
        sessions.delete_session, request[ACCOUNT_ID], service_id, session_id, now_of(request), deps.policy
    )
    await hang_up(channels, request)
    return web.Response(status=204)


def body_of(request: web.Request, found: Found) -> dict[str, Any]:
    """The JSON of a session."""
    session, state = found.session, found.state
    service_sid, session_sid = sid("KS", session.service_id), sid("KC", session.id)
    url = address(request, f"{SERVICES}/{service_sid}/Sessions/{session_sid}")
    return {
        "sid": session_sid,
        "service_sid": service_sid,
        "account_sid": account_sid(request),
        "date_started": iso(session.created_at),
        "date_ended": iso(state.ended_at),
        "date_last_interaction": iso(state.last_call),
        "date_expiry": iso(state.expires_at),
        "unique_name": session.unique_name,
        "status": str(state.status),
        "closed_reason": state.reason and str(state.reason),
        "ttl": session.ttl,
        "mode": "voice-only",
        "date_created": iso(session.created_at),
        "date_updated": iso(session.updated_at),
        "url": url,
        "links": {"interactions": f"{url}/Interactions", "participants": f"{url}/Participants"},
    }
