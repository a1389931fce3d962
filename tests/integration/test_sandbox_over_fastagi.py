"""Sandboxes next to live accounts: delivered callbacks, and calls from Asterisk."""

import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession
from standardwebhooks import Webhook, WebhookVerificationError

from engine.accounts.accounts import account_of
from engine.callbacks import worker as worker_module
from engine.cdr.ledger import audit_page
from engine.domain.simulation import Outcome
from tests.contract.samples import HIDDEN
from tests.contract.trial import Trial
from tests.contract.world import World
from tests.integration.api_helpers import CALLER, TESTED, Api, a_request
from tests.integration.callback_api import delivering
from tests.integration.callback_fixtures import FAST
from tests.integration.callback_receiver import CallbackReceiver
from tests.integration.database_world import world_on_disk
from tests.integration.fake_asterisk import fast_agi
from tests.integration.test_fastagi import REJECTED_404

pytest_plugins = ["tests.integration.api_fixtures"]

SECONDS_OF_DAY = 86_400


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with world_on_disk(tmp_path) as world:
        yield world


@pytest.fixture
async def client(api: Api, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ClientSession]:
    """A client with a sandbox's key. No callback waits for a scan."""
    monkeypatch.setattr(worker_module, "SCAN_SECONDS", 60.0)
    async with delivering(api, TESTED, FAST) as client:
        yield client


async def test_a_sandbox_booking_goes_through_its_whole_life_in_seconds(api: Api, client: ClientSession) -> None:
    """Each callback arrives before the next step, signed with the secret of the sandbox."""

    async def post(path: str, **body: Any) -> Any:
        async with client.post(path, json=body) as answer:
            return await answer.json()

    async def status() -> str:
        async with client.get(f"/bookings/{booking['id']}") as answer:
            body = await answer.json()
            return str(body["code"] if answer.status == 404 else body["status"])

    began = time.monotonic()
    async with CallbackReceiver() as receiver:
        booking = await post("/bookings", **a_request(callback=receiver.url))
        call = {"service": booking["service"], "source": CALLER}
        assert (await post("/test/calls", **call, outcome="answered", seconds=12))["sipStatus"] == 200
        await receiver.wait_for(1)
        assert await status() == "ACTIVE"
        await post("/test/clock", advance=SECONDS_OF_DAY)
        assert await status() == "EXPIRED"
        assert (await post("/test/calls", **call, outcome="busy"))["sipStatus"] == 410
        await receiver.wait_for(2)
        await post("/test/clock", advance=7 * SECONDS_OF_DAY)
        assert await status() == "gone"
        assert (await post("/test/calls", **call, outcome="busy"))["sipStatus"] == 404
    print(f"\nfrom booking to gone: {time.monotonic() - began:.2f} s")  # noqa: T201
    [secret, other] = [(await api.storage.run(account_of, name)).webhook_secret for name in ("ours (test)", "ours")]
    bodies = [Webhook(secret).verify(each.body, dict(each.headers)) for each in receiver.requests]
    assert [(body.get("duration"), body.get("message")) for body in bodies] == [
        (12, None),
        (None, "Incoming call for expired booking"),
    ]
    assert {body["bookingId"] for body in bodies} == {booking["id"]}
    with pytest.raises(WebhookVerificationError):
        Webhook(other).verify(receiver.requests[0].body, dict(receiver.requests[0].headers))
    assert (await api.storage.run(audit_page)).discrepancies == []


@pytest.mark.parametrize("spelling", ["{}", "+{}", "00{}"])
async def test_a_call_from_asterisk_finds_no_simulated_number(world: World, spelling: str) -> None:
    """In every spelling, before and after simulated calls to it: 404, and no trace."""
    trial = await Trial.begin(world)
    booking = await trial.book()
    async with fast_agi(world) as agi:
        for _ in range(2):
            channel = await agi.incoming(spelling.format(booking.service.removeprefix("+"))).run()
            assert channel.variables == REJECTED_404
            assert HIDDEN not in json.dumps(channel.variables)
            simulation = await trial.call(booking.service, Outcome.ANSWERED, 1)
            assert simulation.put_through
    assert world.rows("SELECT COUNT(*) AS n FROM cdrs") == [{"n": 2}]
    assert agi.leases() == 0


async def test_a_sandbox_clock_does_not_affect_calls_from_asterisk(world: World) -> None:
    trial, real = await Trial.begin(world), await world.book()
    tried = await trial.book()
    await trial.advance(10**11)
    async with fast_agi(world) as agi:
        channel = await agi.incoming(real.service).run()
        assert channel.variables["RN_VERDICT"] == "BRIDGE"
        simulation = await trial.call(real.service, Outcome.ANSWERED, 5)
        assert (simulation.sip_status, simulation.record) == (404, None)
        assert (await world.stored(tried)).gone_at is not None
        assert agi.leases() == 1
