"""A person's number is erased from every table, as caller and as destination; what was counted and charged stays."""

import json
from pathlib import Path
from typing import Any

import pytest

from engine.accounts.lifecycle import suspend
from engine.bookings import lifecycle as bookings
from engine.bookings.lifecycle import BookingRequest
from engine.calls import lifecycle as calls
from engine.calls.reached_callers import note_reached
from engine.domain.dispositions import Disposition
from engine.domain.errors import InvalidInput
from engine.domain.ids import CallId
from engine.domain.numbers import E164, ERASED
from engine.domain.policy import UsagePlan
from engine.domain.rejections import Reject
from engine.domain.retry import HttpAnswer
from engine.domain.routing import Bridge
from engine.domain.times import EpochMs
from engine.privacy.erasure import check
from engine.privacy.findings import Receiver
from engine.storage.sqlite import SqliteStorage
from tests.contract.erasing import DIGITS, PERSON, call, erased_from, everything, insert_row, is_balanced, route
from tests.contract.ledger import broken_rules
from tests.contract.samples import CALLBACK, CALLER, HIDDEN, OTHER_HIDDEN, PEPPER, POLICY, START, end_report
from tests.contract.world import POOL, World, outsider
from tests.integration.callback_sending import attempt_due


async def test_a_number_is_erased_wherever_it_can_appear_and_the_ledger_balances(world: World) -> None:
    as_caller = await world.book()
    as_destination = await world.book(destination=PERSON)
    gone = await world.book(destination=PERSON)
    await call(world, as_caller, CallId("from it"), PERSON)
    await call(world, as_destination, CallId("to it"), CALLER)
    await call(world, gone, CallId("to it once"), CALLER)
    await world.cancel(gone)
    insert_row(world, "blocked_callers", booking_id=as_caller.id, caller=PERSON)
    insert_row(world, "blocked_callers", booking_id=as_caller.id, caller=CALLER)
    insert_row(
        world,
        "grants",
        id="grt_x",
        booking_id=gone.id,
        usage_plan=None,
        reason=f"asked by {PERSON}.",
        seconds=0,
        calls=0,
    )
    account = as_caller.account_id
    for key, body in (("k1", f'{{"destination":"{PERSON}"}}'), (f"for-{DIGITS}", "{}"), ("k2", "{}")):
        insert_row(world, "kept_answers", account_id=account, idempotency_key=key, body=body)
    await world.storage.run(attempt_due, world.now, HttpAnswer(503), f"no {PERSON}, nor {PERSON}9")
    insert_row(world, "callback_endpoints", account_id=account, url=f"https://customer.example/{DIGITS}")
    await world.storage.run(suspend, account, f"complaint of {PERSON}", world.now)
    insert_row(world, "proxy_services", account_id=account, unique_name=f"of {PERSON}")
    insert_row(world, "proxy_sessions", unique_name=f"with {PERSON}")
    for index, (number, name) in enumerate(((PERSON, None), (CALLER, f"not {PERSON}"), (CALLER, "Ann"))):
        insert_row(world, "proxy_participants", id=f"ppa_{index}", number=number, name=name)
    service, booking_id = as_caller.service, as_caller.id
    await world.storage.run(note_reached, service, PERSON, booking_id, world.now, PEPPER)
    await world.storage.run(note_reached, service, CALLER, booking_id, world.now, PEPPER)
    assert everything(world).count(DIGITS) >= 17

    erased = await erased_from(world)

    assert {row["response"] for row in world.rows("SELECT response FROM callback_attempts")} == {
        f"no erased, nor {PERSON}9"
    }
    assert DIGITS not in everything(world).replace(f"{DIGITS}9", "")
    assert erased.removed == {
        "bookings": 2,
        "calls": 3,
        "call_records": 3,
        "callbacks": 3,
        "responses": 3,
        "endpoints": 1,
        "adjustments": 1,
        "kept_answers": 2,
        "blocked_callers": 1,
        "reached_callers": 1,
        "suspensions": 1,
        "participants": 2,
        "sessions": 1,
        "services": 1,
        "pair_callers": 0,
    }
    assert (erased.remaining, erased.unsure) == ([], [])
    assert erased.searched["outbox"] == len(world.rows("SELECT id FROM outbox"))
    # A callback that was tried has left this machine.
    assert erased.receivers == {Receiver(account, "customer.example")}
    assert await is_balanced(world)
    # Another caller's number stays.
    assert [row["caller"] for row in world.rows("SELECT caller FROM blocked_callers")] == [CALLER]
    assert {row["source"] for row in world.rows("SELECT source FROM cdrs")} == {CALLER, ERASED}
    assert [row["reason"] for row in world.rows("SELECT reason FROM grants WHERE id = 'grt_x'")] == ["asked by erased."]
    assert [row["id"] for row in world.rows("SELECT id FROM proxy_participants")] == ["ppa_2"]
    assert (await erased_from(world)).removed == dict.fromkeys(erased.removed, 0)


async def test_a_number_in_the_callback_urls_of_a_service_is_reported(world: World) -> None:
    for index, url in enumerate(("callback_url", "out_of_session_callback_url")):
        urls = {url: f"https://customer.example/{DIGITS}"}
        insert_row(world, "proxy_services", account_id=world.account, id=f"psv_{index}", unique_name=f"{index}", **urls)
    found = await erased_from(world)
    assert found.remaining == [
        f"a callback URL of the Proxy service psv_{index}, which its owner can change" for index in range(2)
    ]
    assert found.removed["services"] == 0


async def test_a_booking_that_hides_the_erased_number_ends_and_its_service_number_is_quarantined(world: World) -> None:
    booking, other = await world.book(destination=PERSON), await world.book(destination=OTHER_HIDDEN)
    await erased_from(world)
    stored = await world.stored(booking)
    assert (stored.destination, stored.gone_at) == (ERASED, world.now)
    [number] = world.rows("SELECT state, quarantined_until FROM numbers WHERE e164 = ?", booking.service)
    assert number == {"state": "QUARANTINED", "quarantined_until": world.now + POLICY.quarantine_ms}
    assert isinstance(await route(world, booking, CallId("late"), CALLER), Reject)
    assert await world.stored(other) == other


async def test_an_unswept_booking_past_its_grace_ends_too(world: World) -> None:
    booking = await world.book(destination=PERSON)
    world.now = booking.end_at + POLICY.grace_ms
    await erased_from(world)
    assert (await world.stored(booking)).destination == ERASED
    assert (await world.sweep()).bookings_gone == 0


async def test_a_live_call_to_the_erased_number_is_hung_up_by_the_sweep_and_recorded_without_it(world: World) -> None:
    booking = await world.book(destination=PERSON)
    await world.bridge(booking, "up")
    await world.answered(CallId("up"))
    await erased_from(world)
    assert (await world.sweep()).channels == ["up"]
    settlement = await world.ended(CallId("up"), 4_000)
    assert settlement is not None
    assert (settlement.cdr.disposition, settlement.cdr.duration) == (Disposition.ANSWERED, 4)
    assert DIGITS not in everything(world)
    # The call is still reported to the owner, at the callback that the booking had.
    [reported] = world.rows("SELECT url, body FROM outbox")
    assert (reported["url"], json.loads(reported["body"])["destination"]) == (CALLBACK, ERASED)


async def test_a_call_to_the_erased_number_ends_but_a_booking_that_moved_on_stays(world: World) -> None:
    booking = await world.book(UsagePlan.MEDIUM, destination=PERSON)
    for call_id in ("ringing", "talking"):
        await world.bridge(booking, call_id)
    await world.answered(CallId("talking"))
    await world.renew(booking, UsagePlan.MEDIUM, destination=OTHER_HIDDEN)
    await erased_from(world)
    assert (await world.stored(booking)).gone_at is None
    assert sorted((await world.sweep()).channels) == ["ringing", "talking"]
    # No call reaches it any more: neither by a later answer nor by a repeated request.
    assert await world.answered(CallId("ringing")) == 0
    assert isinstance(await world.route(booking.service, "ringing"), Reject)
    for call_id in ("ringing", "talking"):
        await world.ended(CallId(call_id), 1_000)
    assert isinstance(await world.route(booking.service, "next"), Bridge)
    assert DIGITS not in everything(world)


async def test_a_live_call_from_the_erased_number_continues_and_is_recorded_without_it(world: World) -> None:
    booking = await world.book()
    assert isinstance(await route(world, booking, CallId("up"), PERSON), Bridge)
    await erased_from(world)
    assert await world.answered(CallId("up")) > 0
    assert (await world.sweep()).channels == []
    assert await world.ended(CallId("up"), 4_000) is not None
    assert [row["source"] for row in world.rows("SELECT source FROM cdrs")] == [ERASED]


async def test_a_pending_callback_is_still_delivered_without_the_number(world: World) -> None:
    booking = await world.book()
    await call(world, booking, CallId("from it"), PERSON)
    await erased_from(world)
    [due] = (
        await world.storage.run(lambda tx: tx.outbox.line_up_due(world.account, world.now, EpochMs(world.now + 1), 10))
    ).due
    delivery = await world.storage.run(lambda tx: tx.outbox.begin(due.event_id, due.attempts, world.now))
    assert delivery is not None
    body = json.loads(delivery.body)
    assert (body["source"], body["destination"], body["duration"]) == (ERASED, HIDDEN, 3)


async def test_a_callback_whose_url_contains_the_number_is_deleted(storage: SqliteStorage, database: Path) -> None:
    world = await World.begin(storage, database)
    url = f"https://customer.example/calls?who=00{DIGITS}"
    live, gone = [
        await storage.run(bookings.book, BookingRequest(world.account, HIDDEN, UsagePlan.SMALL, url), START, POLICY)
        for _ in range(2)
    ]
    for booking in (live, gone):
        await call(world, booking, CallId(booking.id), CALLER)
    await world.cancel(gone)
    erased = await erased_from(world)
    assert world.rows("SELECT * FROM outbox") == []
    assert (await world.stored(gone)).callback == ""
    # The callback of a live booking belongs to its owner: it is reported, not changed.
    assert (await world.stored(live)).callback == url
    assert erased.remaining == [f"the callback of booking {live.id}, which its owner can change"]


async def test_a_longer_number_that_contains_the_erased_one_stays(world: World) -> None:
    longer, url = f"{PERSON}7", f"https://customer.example/9{DIGITS}"
    booking = await world.storage.run(
        bookings.book, BookingRequest(world.account, HIDDEN, UsagePlan.MEDIUM, url), START, POLICY
    )
    await call(world, booking, CallId("longer"), longer)
    assert sum((await erased_from(world)).removed.values()) == 0
    assert {row["source"] for row in world.rows("SELECT source FROM cdrs")} == {longer}
    assert [row["url"] for row in world.rows("SELECT url FROM outbox")] == [url]


async def test_tables_larger_than_one_step_are_scanned_to_their_end(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.privacy.erasure.SEARCH_SECONDS", 0)
    booking = await world.book(UsagePlan.MEDIUM)
    for index in range(7):
        await call(world, booking, CallId(f"call {index}"), PERSON if index % 2 else CALLER, 1_000)
    erased = await erased_from(world)
    assert (erased.removed["calls"], erased.removed["call_records"], erased.removed["callbacks"]) == (3, 3, 3)
    assert DIGITS not in everything(world)


@pytest.mark.parametrize("bad", ["", "14155550188", "+1", "+1415555018x", "anonymous", "+%", "+0123456789"])
async def test_only_an_e164_number_can_be_erased(world: World, bad: E164) -> None:
    with pytest.raises(InvalidInput, match=r"not an E\.164 number"):
        await world.storage.run(check, bad)


async def test_a_service_number_cannot_be_erased(world: World) -> None:
    with pytest.raises(InvalidInput, match="is a rented number"):
        await world.storage.run(check, E164(POOL[0]))


async def test_a_call_that_ends_between_the_steps_does_not_restore_the_number(world: World, monkeypatch: Any) -> None:
    """The number is erased from calls first, and their records are written from them."""
    to_it = await world.book(UsagePlan.MEDIUM, destination=PERSON)
    for index in range(5):
        await world.bridge(to_it, f"call {index}")
        await world.answered(CallId(f"call {index}"))
    ends = iter(range(5))
    ordinary = world.storage.run

    async def with_an_end_before(command: Any, *args: Any, **kwargs: Any) -> Any:
        if (index := next(ends, None)) is not None:
            await ordinary(calls.call_ended, end_report(f"call {index}", 1_000), world.at, world.policy)
        return await ordinary(command, *args, **kwargs)

    monkeypatch.setattr(world.storage, "run", with_an_end_before)
    await erased_from(world)
    assert next(ends, None) is None
    assert DIGITS not in everything(world)
    with outsider(world.database) as connection:
        assert broken_rules(connection) == {}
