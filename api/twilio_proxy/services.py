"""/v1/Services."""

from typing import Any

from aiohttp import web

from api.http.dependencies import ACCOUNT_ID, DEPENDENCIES, now_of
from api.http.paging import Listing
from api.twilio_proxy import forms
from api.twilio_proxy.paging import address, iso, page_answer, page_asked
from api.twilio_proxy.place import SERVICES, account_sid, id_of, service_of
from engine.domain.twilio_proxy import ProxyService, sid
from engine.twilio_proxy import services
from engine.twilio_proxy.services import ServiceChange

LISTING = Listing("proxy-services", forms.own_id("psv"))
POOL = "numbers come from the operator's pool, which chooses them."
ABSENT = {
    "ChatInstanceSid": "there are no messages.",
    "InterceptCallbackUrl": "no call waits for an answer of yours. Block callers with /bookings/{id}/blocked-callers.",
    "GeoMatchLevel": POOL,
    "NumberSelectionBehavior": POOL,
}


async def create(request: web.Request) -> web.Response:
    """Creates a service."""
    form = await forms.read_form(request, _fields(request), absent=ABSENT, required=("UniqueName",))
    service = await request.app[DEPENDENCIES].run(
        services.create_service, request[ACCOUNT_ID], form["UniqueName"], _change(form), now_of(request)
    )
    return web.json_response(body_of(request, service), status=201)


async def index(request: web.Request) -> web.Response:
    """Answers with a page of services, newest first."""
    page = page_asked(request)
    after = None if page.token is None else LISTING.position_of(page.token)
    found = await request.app[DEPENDENCIES].reads.twilio_proxy.services(request[ACCOUNT_ID], after, page.size + 1)
    shown = found[: page.size]
    token = LISTING.cursor_after(shown[-1].id) if len(found) > page.size else None
    return page_answer(request, "services", page, [body_of(request, each) for each in shown], token)


async def show(request: web.Request) -> web.Response:
    """Answers with a service."""
    return web.json_response(body_of(request, await service_of(request)))


async def change(request: web.Request) -> web.Response:
    """Changes a service."""
    service_id = id_of(request, "service")
    form = await forms.read_form(request, _fields(request), absent=ABSENT)
    service = await request.app[DEPENDENCIES].run(
        services.change_service, request[ACCOUNT_ID], service_id, _change(form), now_of(request)
    )
    return web.json_response(body_of(request, service))


async def delete(request: web.Request) -> web.Response:
    """Deletes a service without sessions."""
    await request.app[DEPENDENCIES].run(services.delete_service, request[ACCOUNT_ID], id_of(request, "service"))
    return web.Response(status=204)


def body_of(request: web.Request, service: ProxyService) -> dict[str, Any]:
    """The JSON of a service."""
    service_sid = sid("KS", service.id)
    url = address(request, f"{SERVICES}/{service_sid}")
    return {
        "sid": service_sid,
        "unique_name": service.unique_name,
        "account_sid": account_sid(request),
        "chat_instance_sid": None,
        "callback_url": service.callback_url or None,
        "default_ttl": service.default_ttl,
        "number_selection_behavior": None,
        "geo_match_level": None,
        "intercept_callback_url": None,
        "out_of_session_callback_url": service.out_of_session_callback_url or None,
        "date_created": iso(service.created_at),
        "date_updated": iso(service.updated_at),
        "url": url,
        "links": {"sessions": f"{url}/Sessions", "phone_numbers": f"{url}/PhoneNumbers"},
    }


def _fields(request: web.Request) -> dict[str, forms.Parser]:
    url = forms.url_of(request)
    return {
        "UniqueName": forms.unique_name,
        "DefaultTtl": forms.ttl,
        "CallbackUrl": url,
        "OutOfSessionCallbackUrl": url,
    }


def _change(form: dict[str, Any]) -> ServiceChange:
    return ServiceChange(
        form.get("UniqueName"),
        form.get("DefaultTtl"),
        form.get("CallbackUrl"),
        form.get("OutOfSessionCallbackUrl"),
    )
