"""The routes of Twilio Proxy's API. They are not in /openapi.json: Twilio publishes its own document."""

from aiohttp import web

from api.http.routes import Handler, Operation, Route
from api.twilio_proxy import interactions, participants, phone_numbers, services, sessions
from api.twilio_proxy.paging import PARAMETERS
from api.twilio_proxy.place import (
    INTERACTION,
    INTERACTIONS,
    MESSAGE,
    MESSAGES,
    PARTICIPANT,
    PARTICIPANTS,
    PATTERNS,
    PHONE_NUMBER,
    PHONE_NUMBERS,
    SERVICE,
    SERVICES,
    SESSION,
    SESSIONS,
)
from engine.domain.twilio_proxy import ProxyRefusal

NO_MESSAGES = "Messages do not exist here."
NO_POOL = "A Service has no numbers of its own here: Sessions get theirs from the operator's pool."
RECORDS_STAY = "Call records stay until the operator's retention period is over."
LISTS = frozenset({services.index, sessions.index, participants.index, interactions.index, phone_numbers.index})


def _absent(why: str) -> Handler:
    """A handler for what Twilio has and this API has not."""

    async def refuse(_request: web.Request) -> web.StreamResponse:
        raise ProxyRefusal(501, 501, why)

    return refuse


def _route(method: str, path: str, handler: Handler) -> Route:
    name = f"{method} {path}"
    return Route(
        method,
        path,
        handler,
        Operation(name, "Twilio Proxy", name, answers={}),
        parameters=PARAMETERS if handler in LISTS else frozenset(),
        placeholders={name: pattern for name, pattern in PATTERNS.items() if f"{{{name}}}" in path},
        basic=True,
        counts=handler in LISTS,
    )


ROUTES = tuple(
    _route(method, path, handler)
    for method, path, handler in (
        ("POST", SERVICES, services.create),
        ("GET", SERVICES, services.index),
        ("GET", SERVICE, services.show),
        ("POST", SERVICE, services.change),
        ("DELETE", SERVICE, services.delete),
        ("POST", SESSIONS, sessions.create),
        ("GET", SESSIONS, sessions.index),
        ("GET", SESSION, sessions.show),
        ("POST", SESSION, sessions.change),
        ("DELETE", SESSION, sessions.delete),
        ("POST", PARTICIPANTS, participants.create),
        ("GET", PARTICIPANTS, participants.index),
        ("GET", PARTICIPANT, participants.show),
        ("DELETE", PARTICIPANT, participants.delete),
        ("GET", INTERACTIONS, interactions.index),
        ("GET", INTERACTION, interactions.show),
        ("DELETE", INTERACTION, _absent(RECORDS_STAY)),
        ("GET", PHONE_NUMBERS, phone_numbers.index),
        ("POST", PHONE_NUMBERS, _absent(NO_POOL)),
        ("GET", PHONE_NUMBER, phone_numbers.show),
        ("POST", PHONE_NUMBER, _absent(NO_POOL)),
        ("DELETE", PHONE_NUMBER, _absent(NO_POOL)),
        ("GET", MESSAGES, _absent(NO_MESSAGES)),
        ("POST", MESSAGES, _absent(NO_MESSAGES)),
        ("GET", MESSAGE, _absent(NO_MESSAGES)),
    )
)
