"""What one account can do to others' callbacks, and to hosts whose owners agreed to nothing, over real sockets.

`pytest -s` prints the figures. `CALLBACK_ATTACK_SECONDS=60` lets the attacks on a host last a minute.
"""

import contextlib
import os
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from aiohttp import ClientSession

from engine.accounts.accounts import create_account
from engine.callbacks.receiver import receiver_of
from engine.domain.ids import AccountId, BookingId
from engine.domain.pacing import DEFAULT_PACES
from engine.domain.times import EpochMs
from engine.runtime.clock import SystemClock
from engine.runtime.ids import new_id
from engine.storage.transaction import Transaction
from tests.integration.api_helpers import TESTED, Api, a_request
from tests.integration.callback_api import delivering
from tests.integration.callback_fixtures import BODY, FAST, Outbox, outbox, receiver, working
from tests.integration.callback_receiver import Answer, CallbackReceiver

__all__ = ["outbox", "receiver"]
pytest_plugins = ["tests.integration.api_fixtures"]

HANGING = 1_000
QUEUED = 20  # for each of them
OTHERS = 100
CALLS = 80  # whose callbacks an attacker sends to the host, again and again
ATTACK_SECONDS = float(os.environ.get("CALLBACK_ATTACK_SECONDS", "6"))
# As in production, but a stop waits for no attempt.
PRODUCTION = replace(FAST, timeout_ms=15_000, hold_ms=20_000, drain_ms=1, paces=DEFAULT_PACES)
ATTACK = replace(FAST, waits_ms=(5_000, 300_000), paces=DEFAULT_PACES)


@pytest.fixture
def hanging() -> Iterator[list[str]]:
    """Returns the URLs of receivers that accept a request and never answer."""
    with contextlib.ExitStack() as open_sockets:
        listeners = [
            open_sockets.enter_context(socket.create_server(("127.0.0.1", 0), backlog=8)) for _ in range(HANGING)
        ]
        yield [f"http://127.0.0.1:{listener.getsockname()[1]}/" for listener in listeners]


def _insert(tx: Transaction, account_id: AccountId, urls: list[str], now: EpochMs) -> None:
    for url in urls:
        tx.outbox.insert(
            event_id=new_id("evt"), account_id=account_id, booking_id=BookingId("bkg_1"), url=url, body=BODY, now=now
        )


def _make_known(tx: Transaction, account_id: AccountId, urls: list[str], now: EpochMs, *, is_quick: bool) -> None:
    """Notes earlier answers of receivers, with 2xx."""
    for url in urls:
        tx.endpoints._sql.note_endpoint_success(
            tx.endpoints._db, id=new_id("cep"), account_id=account_id, url=url, now=now, is_quick=is_quick
        )
        tx.receivers.note_agreed(receiver_of(url).digest, now)


@pytest.mark.parametrize("known", ["strangers", "slow", "quick"])
async def test_a_thousand_receivers_of_one_account_that_hang_delay_no_other_account(
    outbox: Outbox, hanging: list[str], receiver: CallbackReceiver, known: str
) -> None:
    """Fault A9: from a start with a full outbox on, whatever is known of the receivers that hang."""
    now = SystemClock().now()
    hog = await outbox.storage.run(create_account, "hog", now)
    await outbox.storage.run(_insert, hog.id, hanging * QUEUED, now)
    if known != "strangers":
        await outbox.storage.run(_make_known, hog.id, hanging, now, is_quick=known == "quick")
    waited: list[float] = []
    async with working(outbox, PRODUCTION) as worker:
        for number in range(1, OTHERS + 1):
            began = time.monotonic()
            await outbox.post(receiver.url)
            worker.wake({outbox.account.id})
            await receiver.wait_for(number)
            waited.append(1_000 * (receiver.requests[-1].at - began))
        [hung] = outbox.select(f"SELECT COUNT(*) AS n FROM outbox WHERE account_id = '{hog.id}' AND attempts > 0")  # noqa: S608
    assert hung["n"] == PRODUCTION.workers // 2, "the account that hangs has half of a standing's slots"
    waited.sort()
    p50, p99 = waited[OTHERS // 2], waited[OTHERS * 99 // 100]
    print(f"\n{HANGING} {known} hang, {HANGING * QUEUED} queued: others {p50:.0f} ms (p50), {p99:.0f} ms (p99)")  # noqa: T201
    assert p99 <= 2_000


async def test_a_full_outbox_of_a_sandbox_does_not_delay_live_callbacks(api: Api) -> None:
    """Nor do they share slots, even at the same receiver."""
    async with CallbackReceiver() as customer:
        customer.answer_with(Answer(delay=600))
        url = customer.url
        sandbox = await api.storage.run(lambda tx: tx.sandboxes.beside(_owner(tx, "ours")))
        assert sandbox is not None
        live = await api.storage.run(_owner, "ours")
        await api.storage.run(_insert, sandbox, [url] * 500, SystemClock().now())
        async with delivering(api, TESTED, PRODUCTION):
            await customer.wait_for(1)
            await api.storage.run(_insert_and_wake, live, [url], SystemClock().now())
            await customer.wait_for(2, timeout=10)


def _owner(tx: Transaction, name: str) -> AccountId:
    account = tx.accounts.by_name(name)
    assert account is not None
    return account.id


def _insert_and_wake(tx: Transaction, account_id: AccountId, urls: list[str], now: EpochMs) -> None:
    _insert(tx, account_id, urls, now)
    tx.posted_for |= {account_id}


async def _redeliver_each(api: Api, client: ClientSession, _: str) -> None:
    async with client.get("/callbacks?limit=100") as answer:
        ids = [each["id"] for each in (await answer.json()).get("data", [])]
    for callback_id in ids:
        async with client.post(f"/callbacks/{callback_id}/redeliver") as answer:
            assert answer.status < 500


async def _redeliver_all(api: Api, client: ClientSession, _: str) -> None:
    for state in ("FAILED", "DELIVERED", "PENDING"):
        async with client.post("/callbacks/redeliver", json={"from": "2026-01-01T00:00:00Z", "state": state}) as answer:
            assert answer.status < 500


async def _enable(api: Api, client: ClientSession, _: str) -> None:
    async with client.get("/callbacks/endpoints") as answer:
        ids = [each["id"] for each in (await answer.json()).get("data", [])]
    for endpoint_id in ids:
        async with client.post(f"/callbacks/endpoints/{endpoint_id}/enable") as answer:
            assert answer.status < 500


async def _simulate_calls(api: Api, client: ClientSession, url: str) -> None:
    """Books in the sandbox, and lets callers ring, which costs nothing."""
    sandbox = {"Authorization": f"Bearer {api.keys[TESTED]}"}
    wanted = a_request(callback=url, usagePlan="LARGE")
    async with client.post("/bookings", json=wanted, headers=sandbox) as answer:
        service = (await answer.json()).get("service")
    for _ in range(20 if service else 0):
        call = {"service": service, "outcome": "answered", "seconds": 1}
        async with client.post("/test/calls", json=call, headers=sandbox) as answer:
            assert answer.status < 500


ATTACKS = (_redeliver_each, _redeliver_all, _enable, _simulate_calls)


@pytest.mark.parametrize(
    ("status", "most"),
    [
        (404, lambda seconds: 5 + 10 * seconds / 60),
        (410, lambda seconds: 5 + 10 * seconds / 60),
        # It accepts what it gets. Its calls' own callbacks, then redeliveries and a sandbox's.
        (200, lambda seconds: CALLS + 60 + 120 * seconds / 60),
    ],
)
async def test_a_host_that_agreed_to_nothing_gets_a_bounded_number_of_requests(
    api: Api, status: int, most: Callable[[float], float]
) -> None:
    """Fault A12: every request that makes the engine send something, for as long and as fast as the API allows.

    The engine is started anew half-way, which must not give the attacker a new burst.
    """
    async with CallbackReceiver() as victim:
        victim.answer_with(Answer(status))
        ours = await api.storage.run(_owner, "ours")
        await api.storage.run(_insert, ours, [victim.url] * CALLS, SystemClock().now())
        began = time.monotonic()
        sent = 0
        for share in (0.5, 1.0):
            async with delivering(api, "ours", ATTACK) as client:
                while time.monotonic() - began < share * ATTACK_SECONDS:
                    for attack in ATTACKS:
                        await attack(api, client, victim.url)
                        sent += 1
        seconds = time.monotonic() - began
        came = len(victim.requests)
    print(f"\na host that answers {status}: {came} requests in {seconds:.0f} s of attack, {sent} rounds")  # noqa: T201
    assert came >= 1, "the attack does not reach the host"
    assert came <= most(seconds) + 1


async def test_a_host_that_agrees_late_gets_everything_that_waited(outbox: Outbox, receiver: CallbackReceiver) -> None:
    """Callbacks to a stranger are delayed, not lost."""
    receiver.answer_with(*[Answer(503)] * 5, Answer(204))
    ids = await outbox.post(receiver.url, 300)
    async with working(outbox, replace(FAST, waits_ms=(100,) * 7, paces=DEFAULT_PACES)):
        await outbox.until("DELIVERED", 300)
    assert sorted({request.event_id for request in receiver.requests}) == ids
