"""/v1/Services/{service}/PhoneNumbers: the rented numbers that a service's sessions have."""

from typing import Any

from aiohttp import web

from api.http.dependencies import DEPENDENCIES
from api.http.paging import Listing
from api.twilio_proxy import forms
from api.twilio_proxy.errors import NOT_FOUND
from api.twilio_proxy.paging import address, iso, page_answer, page_asked
from api.twilio_proxy.place import SERVICES, account_sid, id_of, service_of
from engine.domain.destinations import country_of
from engine.domain.errors import NotFound
from engine.domain.numbers import E164_PATTERN
from engine.domain.twilio_proxy import number_sid, sid
from engine.storage.twilio_proxy import ProxyNumber

LISTING = Listing("proxy-numbers", E164_PATTERN)
CAPABILITIES = {
    "voice_inbound": True,
    "voice_outbound": True,
    "sms_inbound": False,
    "sms_outbound": False,
    "mms_inbound": False,
    "mms_outbound": False,
    "fax_inbound": False,
    "fax_outbound": False,
}


async def index(request: web.Request) -> web.Response:
    """Answers with a page of numbers, in their order."""
    service, page = await service_of(request), page_asked(request)
    after = "" if page.token is None else LISTING.position_of(page.token)
    found = await request.app[DEPENDENCIES].reads.twilio_proxy.numbers(service.id, after, page.size + 1)
    shown = found[: page.size]
    token = LISTING.cursor_after(shown[-1].service) if len(found) > page.size else None
    return page_answer(request, "phone_numbers", page, [_body(request, service.id, each) for each in shown], token)


async def show(request: web.Request) -> web.Response:
    """Answers with a number."""
    id_of(request, "number")
    service = await service_of(request)
    try:
        number = forms.number_of_sid(request.match_info["number"])
    except ValueError:
        number = None
    found = number and await request.app[DEPENDENCIES].reads.twilio_proxy.number(service.id, number)
    if not found:
        raise NotFound(NOT_FOUND)
    return web.json_response(_body(request, service.id, found))


def _body(request: web.Request, service_id: str, number: ProxyNumber) -> dict[str, Any]:
    service_sid, pn = sid("KS", service_id), number_sid(number.service)
    return {
        "sid": pn,
        "account_sid": account_sid(request),
        "service_sid": service_sid,
        "date_created": iso(number.created_at),
        "date_updated": iso(number.updated_at),
        "phone_number": number.service,
        "friendly_name": number.service,
        "iso_country": country_of(number.service),
        "capabilities": CAPABILITIES,
        "url": address(request, f"{SERVICES}/{service_sid}/PhoneNumbers/{pn}"),
        "is_reserved": False,
        "in_use": number.sessions,
    }
