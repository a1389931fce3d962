"""/v1/Services/{service}/Sessions/{session}/Participants."""

from dataclasses import dataclass
from typing import Any

from aiohttp import web

from api.http.dependencies import ACCOUNT_ID, DEPENDENCIES, now_of
from api.twilio_proxy import forms
from api.twilio_proxy.errors import NOT_FOUND
from api.twilio_proxy.paging import address, iso, page_answer, page_asked
from api.twilio_proxy.place import SERVICES, account_sid, id_of, session_of
from engine.domain.booking import Booking
from engine.domain.errors import NotFound
from engine.domain.numbers import E164
from engine.domain.twilio_proxy import ProxyParticipant, invalid, number_sid, sid
from engine.storage.transaction import Transaction
from engine.twilio_proxy import participants
from engine.twilio_proxy.participants import Joining
from engine.twilio_proxy.sessions import locked_session

PARTICIPANT_FIELDS: dict[str, forms.Parser] = {
    "Identifier": forms.phone_number,
    "FriendlyName": forms.friendly_name,
    "ProxyIdentifier": forms.phone_number,
    "ProxyIdentifierSid": forms.number_of_sid,
}


@dataclass(frozen=True, slots=True)
class Person:
    """A participant as it is shown.

    Attributes:
        number: The hidden number.
        name: The customer's name for this person.
        service: The rented number; None until both have joined.
    """

    participant: ProxyParticipant
    number: E164 | None
    name: str | None
    service: E164 | None


async def create(request: web.Request) -> web.Response:
    """Adds a participant to a session."""
    deps, account_id, now = request.app[DEPENDENCIES], request[ACCOUNT_ID], now_of(request)
    service_id, session_id = id_of(request, "service"), id_of(request, "session")
    form = await forms.read_form(request, PARTICIPANT_FIELDS, required=("Identifier",))
    who = joining(form)

    def add(tx: Transaction) -> Person:
        added = participants.join(tx, account_id, service_id, session_id, who, now, deps.policy)
        booking = locked_session(tx, account_id, service_id, session_id, now, deps.policy).booking
        present = people(tx.twilio_proxy.participants(session_id), booking)
        return next(each for each in present if each.participant.id == added.id)

    return web.json_response(body_of(request, service_id, await deps.run(add)), status=201)


async def index(request: web.Request) -> web.Response:
    """Answers with a session's participants, who are two at most, in the order in which they joined."""
    page = page_asked(request)
    if page.token is not None:
        raise invalid("PageToken", "a Session's Participants are on one page.")
    found = await _people_of(request)
    bodies = [body_of(request, id_of(request, "service"), each) for each in found]
    return page_answer(request, "participants", page, bodies, None)


async def show(request: web.Request) -> web.Response:
    """Answers with a participant."""
    return web.json_response(body_of(request, id_of(request, "service"), await _person_of(request)))


async def delete(request: web.Request) -> web.Response:
    """Removes a participant of a session that waits for another one."""
    deps = request.app[DEPENDENCIES]
    place = (id_of(request, "service"), id_of(request, "session"), id_of(request, "participant"))
    await deps.run(participants.remove, request[ACCOUNT_ID], *place, now_of(request), deps.policy)
    return web.Response(status=204)


def joining(form: dict[str, Any]) -> Joining:
    """Who joins, by the fields of a form. Raises ProxyRefusal."""
    wanted = {form[name] for name in ("ProxyIdentifier", "ProxyIdentifierSid") if name in form}
    if len(wanted) > 1:
        raise invalid("ProxyIdentifierSid", "it is another number than ProxyIdentifier.")
    return Joining(form["Identifier"], form.get("FriendlyName"), next(iter(wanted), None))


def people(found: list[ProxyParticipant], booking: Booking | None) -> list[Person]:
    """Returns participants with their numbers and names, which the booking has if there is one."""
    pair = None if booking is None else booking.participants
    if booking is None or pair is None:
        return [Person(each, each.number, each.name, None) for each in found]
    if len(found) != len(pair):
        raise NotFound("there is no such session")  # it is being deleted
    service = booking.service if booking.gone_at is None else None
    return [Person(each, who.number, who.label or None, service) for each, who in zip(found, pair, strict=True)]


def body_of(request: web.Request, service_id: str, person: Person) -> dict[str, Any]:
    """The JSON of a participant."""
    participant = person.participant
    service_sid, session_sid = sid("KS", service_id), sid("KC", participant.session_id)
    participant_sid = sid("KP", participant.id)
    path = f"{SERVICES}/{service_sid}/Sessions/{session_sid}/Participants/{participant_sid}"
    return {
        "sid": participant_sid,
        "session_sid": session_sid,
        "service_sid": service_sid,
        "account_sid": account_sid(request),
        "friendly_name": person.name,
        "identifier": person.number,
        "proxy_identifier": person.service,
        "proxy_identifier_sid": None if person.service is None else number_sid(person.service),
        "date_deleted": None,
        "date_created": iso(participant.created_at),
        "date_updated": iso(participant.created_at),
        "url": address(request, path),
        "links": {},
    }


async def _people_of(request: web.Request) -> list[Person]:
    found = await session_of(request)
    present = await request.app[DEPENDENCIES].reads.twilio_proxy.participants(found.session.id)
    return people(present, found.booking)


async def _person_of(request: web.Request) -> Person:
    participant_id = id_of(request, "participant")
    for person in await _people_of(request):
        if person.participant.id == participant_id:
            return person
    raise NotFound(NOT_FOUND)
