"""The delivery log: what was sent, what came back, redelivery, and test events with a program that verifies them."""

from collections.abc import Mapping, Sequence
from typing import Any

from api.http.parsing import checked_body
from api.resources import callbacks
from api.resources.callback_tests import send_test
from api.schemas.callbacks import EndpointBody, NewTestEvent
from api.schemas.fields import CALLBACK_ID, ENDPOINT_ID
from api.web.frame.rendering import part_of
from api.web.frame.site import Action, Outcome, Page, Visit
from api.web.portal.entry import account_of, account_shown, answer_of, id_of
from engine.callbacks import redelivery
from engine.callbacks.signing import signature_headers
from engine.domain.retry import CallbackState
from engine.domain.times import EpochMs, instant_from
from engine.domain.web_access import Role

PATH = "/deliveries"
ONE = f"{PATH}/{{id}}"
# Somebody waits for the answer of a receiver.
REFRESH_SECONDS = 3
SNIPPET = """\
import base64, hmac, os
key = base64.b64decode(os.environ["WEBHOOK_SECRET"].removeprefix("whsec_"))
signed = {signed!r}
expected = "v1," + base64.b64encode(hmac.digest(key, signed, "sha256")).decode()
print(expected in {signature!r}.split())
"""


def delivery_pages() -> tuple[Page, ...]:
    """Returns the pages."""
    return (
        Page(
            PATH,
            "Deliveries",
            Role.CUSTOMER_VIEWER,
            "portal/deliveries.html",
            load_list,
            api="/callbacks",
            parameters=frozenset({"cursor", "state"}),
            refresh_seconds=REFRESH_SECONDS,
        ),
        Page(
            ONE,
            "Delivery",
            Role.CUSTOMER_VIEWER,
            "portal/delivery.html",
            load_one,
            api="/callbacks/{id}",
            placeholders={"id": CALLBACK_ID},
            in_menu=False,
            refresh_seconds=REFRESH_SECONDS,
            example="callback",
        ),
    )


def delivery_actions() -> tuple[Action, ...]:
    """Returns what can be done."""
    full, one, url = Role.CUSTOMER, frozenset({"id"}), frozenset({"url"})
    return (
        Action(f"{PATH}/test", "Send a test event", "TestEventSent", full, test, url),
        Action(f"{PATH}/redeliver", "Send again", "CallbackRedelivered", full, redeliver, one),
        Action(f"{PATH}/enable", "Enable a URL", "EndpointEnabled", full, enable, one),
    )


async def load_list(visit: Visit) -> Mapping[str, Any]:
    """Returns a page of callbacks, as `GET /callbacks` answers it, and the newest URLs."""
    request, reads = visit.request, visit.deps.reads
    newest = await reads.endpoints(account_of(visit), before_id=None, limit=20)
    endpoints = [EndpointBody.of(each) for each in newest]
    shown = await answer_of(visit, callbacks.index)
    return {
        **shown,
        "state": request.query.get("state"),
        "endpoints": [each.model_dump(mode="json") for each in endpoints],
        "testUrl": url_to_test(shown["data"], endpoints),
    }


def url_to_test(callbacks_shown: Sequence[Mapping[str, Any]], endpoints: Sequence[EndpointBody]) -> str:
    """Returns the newest URL that takes callbacks, as far as is known; empty if there is none."""
    failing = {each.url for each in endpoints if each.state == "DISABLED" or each.failing_since is not None}
    delivered = [each["url"] for each in callbacks_shown if each["state"] == CallbackState.DELIVERED]
    known = (*delivered, *(each.url for each in endpoints))
    return next((url for url in known if url not in failing), "")


async def load_one(visit: Visit) -> Mapping[str, Any]:
    """Returns a callback, as `GET /callbacks/{id}` answers it, and how to verify its last attempt."""
    callback = await answer_of(visit, callbacks.show)
    return {"callback": callback, "verification": await verification_of(visit, callback)}


async def verification_of(visit: Visit, callback: Mapping[str, Any]) -> dict[str, Any] | None:
    """Returns the signature's headers of the last attempt, by the present secret, and a program that checks them."""
    began = instant_from(callback["attempts"][-1]["beganAt"]) if callback["attempts"] else None
    if began is None:
        return None
    secrets = await visit.deps.reads.webhook_secrets(account_of(visit))
    body = callback["request"]["body"]
    headers = signature_headers(callback["id"], secrets.valid_at(visit.now), body, EpochMs(began))
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.{body}".encode()
    return {"headers": headers, "snippet": SNIPPET.format(signed=signed, signature=headers["webhook-signature"])}


async def test(visit: Visit, form: Mapping[str, str]) -> Outcome:
    """Sends a test event, and shows the answer and how to verify the signature."""
    body = checked_body(visit.request, NewTestEvent, dict(form))
    callback = (await send_test(visit.request, body)).model_dump(mode="json")
    shown = {"callback": callback, "verification": await verification_of(visit, callback)}
    html = part_of(visit, "portal/test_result.html", {"account": account_shown(visit), **shown})
    sentence = f"{callback['state'].capitalize()}: {callback['lastOutcome'] or 'no answer yet'}."
    return Outcome(sentence, shown, html=html, subject=callback["id"])


async def redeliver(visit: Visit, form: Mapping[str, str]) -> Outcome:
    """Sends a callback again."""
    callback_id = id_of(form, CALLBACK_ID, "callback")
    _, begun = await visit.deps.run(redelivery.redeliver, account_of(visit), callback_id, visit.now)
    message = "It is sent again now." if begun else "It is already being sent."
    return Outcome(message, subject=callback_id)


async def enable(visit: Visit, form: Mapping[str, str]) -> Outcome:
    """Enables a disabled URL."""
    endpoint_id = id_of(form, ENDPOINT_ID, "endpoint")
    await visit.deps.run(redelivery.enable, account_of(visit), endpoint_id)
    return Outcome("Enabled. Callbacks that were held for it are sent now, oldest first.", subject=endpoint_id)
