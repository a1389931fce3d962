"""Where a request points to: the SIDs in its path, and what they stand for."""

import re

from aiohttp import web

from api.http.dependencies import ACCOUNT_ID, DEPENDENCIES, now_of
from api.twilio_proxy.errors import NOT_FOUND, PREFIX
from engine.domain.errors import NotFound
from engine.domain.twilio_proxy import ProxyService, ProxySession, sid, state_of
from engine.twilio_proxy.sessions import Found

SERVICES = f"{PREFIX}/v1/Services"
SERVICE = f"{SERVICES}/{{service}}"
SESSIONS = f"{SERVICE}/Sessions"
SESSION = f"{SESSIONS}/{{session}}"
PARTICIPANTS = f"{SESSION}/Participants"
PARTICIPANT = f"{PARTICIPANTS}/{{participant}}"
INTERACTIONS = f"{SESSION}/Interactions"
INTERACTION = f"{INTERACTIONS}/{{interaction}}"
PHONE_NUMBERS = f"{SERVICE}/PhoneNumbers"
PHONE_NUMBER = f"{PHONE_NUMBERS}/{{number}}"
MESSAGES = f"{PARTICIPANT}/MessageInteractions"
MESSAGE = f"{MESSAGES}/{{message}}"

# The kind of SID of each placeholder, and the prefix of the ids that stand behind it.
KINDS = {
    "service": ("KS", "psv"),
    "session": ("KC", "pse"),
    "participant": ("KP", "ppa"),
    "interaction": ("KI", "cdr"),
    "message": ("KI", "msg"),
    "number": ("PN", ""),
}
PATTERNS = {name: re.compile(f"{kind}[0-9a-f]{{32}}") for name, (kind, _) in KINDS.items()}


def id_of(request: web.Request, name: str) -> str:
    """Returns our id for the SID at a placeholder. Raises NotFound for what is none, as for an unknown one."""
    text = request.match_info[name]
    if not PATTERNS[name].fullmatch(text):
        raise NotFound(NOT_FOUND)
    return f"{KINDS[name][1]}_{text[2:]}"


async def service_of(request: web.Request) -> ProxyService:
    """Returns the service in the path. Raises NotFound for an unknown one and for another account's."""
    reads = request.app[DEPENDENCIES].reads.twilio_proxy
    service = await reads.service(request[ACCOUNT_ID], id_of(request, "service"))
    if service is None:
        raise NotFound(NOT_FOUND)
    return service


async def session_of(request: web.Request) -> Found:
    """Returns the session in the path. Raises NotFound for an unknown one and for another account's."""
    session_id = id_of(request, "session")
    service = await service_of(request)
    session = await request.app[DEPENDENCIES].reads.twilio_proxy.session(service.id, session_id)
    if session is None:
        raise NotFound(NOT_FOUND)
    return await located(request, service, session)


async def located(request: web.Request, service: ProxyService, session: ProxySession) -> Found:
    """Returns a session with its booking and its state."""
    deps = request.app[DEPENDENCIES]
    booking = None if session.booking_id is None else await deps.reads.booking(session.booking_id)
    last_call = None if booking is None else await deps.reads.twilio_proxy.last_call(booking.id)
    return Found(service, session, booking, state_of(session, booking, last_call, now_of(request), deps.policy))


def account_sid(request: web.Request) -> str:
    """The SID of the request's account."""
    return sid("AC", request[ACCOUNT_ID])
