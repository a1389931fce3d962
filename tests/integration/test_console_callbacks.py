"""Callbacks in the console: found, shown with their log, sent again, endpoints enabled, test events."""

import json

import pytest

from engine.domain.masking import masked
from engine.domain.pacing import REDELIVERY_COOLDOWN_MS
from engine.domain.retry import CallbackState
from engine.domain.web_access import Role
from tests.integration.api_helpers import CALLBACK, HIDDEN
from tests.integration.web_helpers import ENDED_CALL, Console, act_by_path, ask, data
from tests.integration.web_server import Answer

pytest_plugins = ["tests.integration.web_fixtures"]
pytestmark = pytest.mark.asyncio(loop_scope="module")


async def send(console: Console, path: str, **form: str) -> Answer:
    return await act_by_path(console, path, (await console.session()).secret, form)


async def test_a_callback_shows_body_answer_and_endpoint_without_hidden_numbers(console: Console) -> None:
    story = await data(console, f"/console/calls/{ENDED_CALL}")
    [callback] = story["call"]["callbacks"]
    path = f"/console/callbacks/{callback['id']}"
    await console.storage.run(
        lambda tx: tx.outbox._sql.insert_callback_attempt(
            tx.outbox._db,
            callback_id=callback["id"],
            attempt=1,
            began_at=console.clock.now(),
            took_ms=12,
            status=500,
            trouble=None,
            response=f"no customer {HIDDEN}",
        )
    )
    shown = await data(console, path)
    assert shown["callback"]["account"] == "ours"
    assert json.loads(shown["callback"]["body"])["service"] == masked(console.booking.service)
    [attempt] = shown["attempts"]
    assert (attempt["status"], attempt["response"]) == (500, "no customer +324•••••56")
    assert (shown["endpoint"]["state"], shown["endpoint"]["reason"]) == ("DISABLED", "FAILING")
    secret = (await console.session(Role.VIEWER)).secret
    page = (await ask(console, "GET", path, secret)).text
    assert "Redeliver</button>" not in page
    assert f"rented-numbers callbacks redeliver {callback['id']}" not in page
    assert (await ask(console, "GET", "/console/callbacks/evt_" + "0" * 32, secret)).status == 404


async def test_each_action_changes_what_it_says_and_is_logged(console: Console) -> None:
    callback_id = console.examples["callback"]
    path = f"/console/callbacks/{callback_id}"
    held = await send(console, f"{path}/redeliver")
    assert "It is sent again, with the same id." in held.text
    assert (await data(console, path))["callback"]["state"] == CallbackState.HELD
    too_soon = await send(console, f"{path}/redeliver")
    assert (too_soon.status, "The callback was sent again moments ago" in too_soon.text) == (429, True)
    console.clock.advance(REDELIVERY_COOLDOWN_MS)
    enabled = await send(console, f"{path}/enable")
    assert (await data(console, path))["endpoint"]["state"] == "ENABLED"
    assert "Enable its endpoint</button>" not in enabled.text
    again = await send(console, f"{path}/redeliver")
    assert again.status == 200
    assert (await data(console, path))["callback"]["state"] == CallbackState.PENDING
    sent = await send(console, "/console/callbacks/test", account="ours", url=CALLBACK)
    newest = (await data(console, "/console/callbacks"))["callbacks"][0]
    assert newest["bookingId"] is None
    assert f'href="/console/callbacks/{newest["id"]}"' in sent.text
    logged = {line["SecurityEvent"]: line["Subject"] for line in console.log.newest(20)}
    assert (logged["CallbackRedelivered"], logged["TestEventSent"]) == (callback_id, newest["id"])
    assert "EndpointEnabled" in logged
    for form, wrong in (
        ({"account": "ours", "url": "http://customer.example"}, "must be an https URL."),
        ({"account": "nobody", "url": CALLBACK}, "there is no account"),
    ):
        refused = await send(console, "/console/callbacks/test", **form)
        assert (refused.status, wrong.lower() in refused.text.lower()) == (422, True), refused.text
    assert (await data(console, "/console/callbacks"))["callbacks"][0] == newest


async def test_the_list_is_filtered_and_paged(console: Console) -> None:
    every = await data(console, "/console/callbacks")
    assert every["next"] is None
    states = {each["state"] for each in every["callbacks"]}
    assert states == {CallbackState.PENDING}
    for query, count in (("state=FAILED", 0), ("account=ours", len(every["callbacks"])), ("account=nobody", 0)):
        assert len((await data(console, f"/console/callbacks?{query}"))["callbacks"]) == count
    ids = [each["id"] for each in every["callbacks"]]
    assert ids == sorted(ids, reverse=True)
    older = await data(console, f"/console/callbacks?before={ids[3]}")
    assert [each["id"] for each in older["callbacks"]] == ids[4:]
    secret = (await console.session(Role.VIEWER)).secret
    assert (await ask(console, "GET", "/console/callbacks?state=GONE", secret)).status == 400
