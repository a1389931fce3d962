"""Each chosen event is reported exactly once each time it happens, and only to its account."""

import pytest

from engine.accounts.accounts import create_account
from engine.bookings.swapping import swap_number
from engine.callbacks import notifications
from engine.domain.ids import CallId
from engine.domain.notifications import EventType
from engine.domain.numbers import E164
from engine.domain.policy import UsagePlan
from engine.domain.spellings import Spellings
from engine.domain.times import EpochMs, rfc3339
from engine.privacy.erasure import erase
from tests.contract.notifying import EVENT_POLICY, choose, kinds, reported, sweep
from tests.contract.samples import CALLBACK, DAY, HOUR, PEPPER, SECOND, START
from tests.contract.world import World


async def a_whole_life(world: World) -> None:
    """Makes everything happen for which there is an event."""
    booking = await world.book(UsagePlan.MEDIUM)
    await world.bridge(booking, f"{booking.id} busy")
    await world.ended(CallId(f"{booking.id} busy"), 0, "BUSY")
    await world.talk(booking, CallId(f"{booking.id} long"), 595 * SECOND)
    await sweep(world)
    world.now += 6 * DAY
    await sweep(world)
    world.now += DAY
    await sweep(world)
    await world.renew(booking)
    await world.storage.run(swap_number, world.account, booking.id, world.now, world.policy)
    await world.cancel(booking)


async def test_without_a_choice_an_account_gets_only_ended_calls(world: World) -> None:
    world.policy = EVENT_POLICY
    await a_whole_life(world)
    assert kinds(world) == [None]
    assert world.rows("SELECT * FROM notices") == []


async def test_one_accounts_choice_does_not_affect_another(all_events: World) -> None:
    eve = await all_events.storage.run(create_account, "Eve", START)
    ann, all_events.account = all_events.account, eve.id
    await a_whole_life(all_events)
    assert kinds(all_events) == [None]
    all_events.account = ann
    await a_whole_life(all_events)
    assert sorted(filter(None, kinds(all_events))) == sorted(EventType)


@pytest.mark.parametrize("chosen", EventType)
async def test_only_chosen_events_are_reported_and_only_until_the_choice_changes(
    world: World, chosen: EventType
) -> None:
    world.policy = EVENT_POLICY
    await choose(world, chosen)
    await a_whole_life(world)
    assert [kind for kind in kinds(world) if kind] == [chosen]
    await choose(world)
    await a_whole_life(world)
    assert [kind for kind in kinds(world) if kind] == [chosen]


async def test_every_event_goes_to_the_bookings_callback_of_that_moment(all_events: World) -> None:
    await a_whole_life(all_events)
    assert {row["url"] for row in all_events.rows("SELECT url FROM outbox")} == {CALLBACK}


# -- the end ----------------------------------------------------------------------------------------------------------


async def test_a_booking_is_reported_once_each_as_expiring_soon_expired_and_gone(all_events: World) -> None:
    booking = await all_events.book()
    all_events.now = booking.end_at - DAY - 1
    await sweep(all_events)
    assert kinds(all_events) == []
    for instant in (booking.end_at - DAY, booking.end_at - 1, booking.end_at, booking.end_at + HOUR):
        all_events.now = instant
        for _ in range(2):
            await sweep(all_events)
    grace_over = booking.end_at + all_events.policy.grace_ms
    all_events.now = grace_over
    for _ in range(2):
        await sweep(all_events)
    soon, expired, gone = reported(all_events)
    common = {"bookingId": booking.id, "service": booking.service}
    assert soon == {
        "type": "booking.expiring_soon",
        "timestamp": rfc3339(EpochMs(booking.end_at - DAY)),
        **common,
        "endTime": rfc3339(booking.end_at),
        "secondsRemaining": 600,
        "secondsHeld": 0,
        "callsRemaining": 100,
        "sequence": 1,
    }
    assert expired == {
        "type": "booking.expired",
        "timestamp": rfc3339(booking.end_at),
        **common,
        "reason": "end_reached",
        "revivableUntil": rfc3339(EpochMs(grace_over)),
        "sequence": 2,
    }
    assert gone == {
        "type": "booking.gone",
        "timestamp": rfc3339(EpochMs(grace_over)),
        **common,
        "reason": "grace_over",
        "sequence": 3,
    }
    assert all_events.rows("SELECT * FROM notices") == []


async def test_after_a_renewal_every_event_is_reported_again(all_events: World) -> None:
    booking = await all_events.book()
    await sweep(all_events)
    for _ in range(3):
        end_at = (await all_events.stored(booking)).end_at
        for instant in (end_at - DAY, end_at):
            all_events.now = instant
            await sweep(all_events)
        await all_events.renew(booking)
    assert kinds(all_events) == ["booking.expiring_soon", "booking.expired"] * 3


async def test_a_spent_booking_is_reported_as_expired_by_its_last_call_and_not_by_the_sweep(
    all_events: World,
) -> None:
    booking = await all_events.book(UsagePlan.MEDIUM)
    for name in ("c1", "c2"):
        await all_events.talk(booking, CallId(name), SECOND)
    [expired] = reported(all_events, EventType.BOOKING_EXPIRED)
    assert (expired["reason"], expired["timestamp"]) == ("calls_spent", rfc3339(all_events.now))
    for instant in (booking.end_at - HOUR, booking.end_at, booking.end_at + HOUR):
        all_events.now = instant
        await sweep(all_events)
    assert kinds(all_events).count("booking.expired") == 1
    assert "booking.expiring_soon" not in kinds(all_events)


@pytest.mark.parametrize("late", [0, DAY])
async def test_after_downtime_an_expired_booking_is_reported_as_expired_and_not_as_expiring_soon(
    all_events: World, late: int
) -> None:
    booking = await all_events.book()
    await sweep(all_events)
    all_events.now = booking.end_at + late
    await sweep(all_events)
    [expired] = reported(all_events)
    assert (expired["type"], expired["timestamp"]) == ("booking.expired", rfc3339(booking.end_at))


async def test_after_downtime_a_booking_past_its_grace_is_reported_as_expired_and_then_as_gone(
    all_events: World,
) -> None:
    booking = await all_events.book()
    await sweep(all_events)
    all_events.now = booking.end_at + all_events.policy.grace_ms
    await sweep(all_events)
    assert kinds(all_events) == ["booking.expired", "booking.gone"]


async def test_a_deleted_or_erased_booking_is_reported_as_gone_once(all_events: World) -> None:
    first, second = await all_events.book(), await all_events.book(destination=E164("+442079460958"))
    await all_events.cancel(first)
    for _ in range(2):
        await erase(all_events.storage, Spellings("+442079460958"), all_events.now, all_events.policy, PEPPER)
        await sweep(all_events)
    assert [(body["type"], body["bookingId"], body["reason"]) for body in reported(all_events)] == [
        ("booking.gone", booking.id, "deleted") for booking in (first, second)
    ]


async def test_of_a_gone_booking_only_calls_that_were_live_are_reported(all_events: World) -> None:
    booking = await all_events.book()
    for name in ("talks", "rings"):
        await all_events.bridge(booking, name)
    await all_events.answered(CallId("talks"))
    await all_events.cancel(booking)
    await all_events.ended(CallId("talks"), 590 * SECOND)
    await all_events.ended(CallId("rings"), 0, "CANCEL")
    all_events.now = booking.end_at + DAY
    await sweep(all_events)
    assert kinds(all_events) == ["call.started", "booking.gone", None, "call.missed"]
    assert all_events.rows("SELECT * FROM notices") == []


async def test_past_events_are_not_reported_when_an_event_is_chosen(world: World) -> None:
    world.policy = EVENT_POLICY
    before = await world.book()
    await sweep(world)
    world.now = before.end_at - HOUR
    after = await world.book()
    await sweep(world)
    await choose(world, *EventType)
    await sweep(world)
    assert kinds(world) == []
    for instant in (before.end_at, after.end_at - DAY, after.end_at):
        world.now = instant
        await sweep(world)
    assert [(body["type"], body["bookingId"]) for body in reported(world)] == [
        ("booking.expired", before.id),
        ("booking.expiring_soon", after.id),
        ("booking.expired", after.id),
    ]


async def test_a_clock_that_is_set_back_repeats_no_event_and_omits_none(
    all_events: World,
) -> None:
    booking = await all_events.book()
    await sweep(all_events)
    all_events.now = booking.end_at
    await sweep(all_events)
    all_events.now = START + HOUR
    later = await all_events.book()
    await sweep(all_events)
    for instant in (booking.end_at - DAY, booking.end_at, later.end_at - DAY, later.end_at):
        all_events.now = instant
        await sweep(all_events)
    assert [body["bookingId"] for body in reported(all_events, EventType.BOOKING_EXPIRED)] == [booking.id, later.id]


async def test_one_account_can_be_swept_by_its_own_clock(all_events: World) -> None:
    eve = await all_events.storage.run(create_account, "Eve", START)
    await all_events.storage.run(notifications.choose_events, eve.id, list(EventType))
    ours, theirs = await all_events.book(), await all_events.book(account=eve.id)
    await sweep(all_events)
    for _ in range(2):
        await all_events.storage.run(notifications.notify_due, EpochMs(theirs.end_at - HOUR), all_events.policy, eve.id)
        await all_events.storage.run(notifications.notify_due, theirs.end_at, all_events.policy, eve.id)
    for instant in (ours.end_at - DAY, ours.end_at):
        all_events.now = instant
        await sweep(all_events)
    both = ["booking.expiring_soon", "booking.expired"]
    for booking in (theirs, ours):
        assert [body["type"] for body in reported(all_events) if body["bookingId"] == booking.id] == both


async def test_many_due_events_are_reported_once_each_in_several_transactions(
    all_events: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if all bookings end at the same moment."""
    monkeypatch.setattr(notifications, "BATCH", 2)
    monkeypatch.setattr(notifications, "MAX_BATCHES", 2)
    held = [await all_events.book() for _ in range(4)]
    await sweep(all_events)
    all_events.now = held[0].end_at - HOUR
    await sweep(all_events)
    assert sorted(body["bookingId"] for body in reported(all_events)) == sorted(each.id for each in held)
    all_events.now = held[0].end_at
    for _ in range(3):
        await sweep(all_events)
    expired = reported(all_events, EventType.BOOKING_EXPIRED)
    assert sorted(body["bookingId"] for body in expired) == sorted(each.id for each in held)
    assert len(reported(all_events)) == 8
