"""Each chosen event is reported exactly once each time it happens, and only to its account."""

import pytest

from engine.accounts.accounts import create_account
from engine.callbacks import notifications
from engine.domain.events import EventType
from engine.domain.ids import CallId
from engine.domain.numbers import E164
from engine.domain.policy import UsagePlan
from engine.domain.times import EpochMs, rfc3339
from engine.privacy.erasure import Target, erase
from tests.contract.notifying import TOLD, choose, kinds, sweep, told
from tests.contract.samples import CALLBACK, DAY, HOUR, SECOND, START
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
    await world.cancel(booking)


async def test_without_a_choice_an_account_gets_only_ended_calls(world: World) -> None:
    world.policy = TOLD
    await a_whole_life(world)
    assert kinds(world) == [None]
    assert world.rows("SELECT * FROM notices") == []


async def test_one_accounts_choice_does_not_affect_another(told_all: World) -> None:
    eve = await told_all.storage.run(create_account, "Eve", START)
    ann, told_all.account = told_all.account, eve.id
    await a_whole_life(told_all)
    assert kinds(told_all) == [None]
    told_all.account = ann
    await a_whole_life(told_all)
    assert sorted(filter(None, kinds(told_all))) == sorted(EventType)


@pytest.mark.parametrize("chosen", EventType)
async def test_only_chosen_events_are_reported_and_only_until_the_choice_changes(
    world: World, chosen: EventType
) -> None:
    world.policy = TOLD
    await choose(world, chosen)
    await a_whole_life(world)
    assert [kind for kind in kinds(world) if kind] == [chosen]
    await choose(world)
    await a_whole_life(world)
    assert [kind for kind in kinds(world) if kind] == [chosen]


async def test_every_event_goes_to_the_bookings_callback_of_that_moment(told_all: World) -> None:
    await a_whole_life(told_all)
    assert {row["url"] for row in told_all.rows("SELECT url FROM outbox")} == {CALLBACK}


# -- the end ----------------------------------------------------------------------------------------------------------


async def test_a_booking_is_reported_once_each_as_expiring_soon_expired_and_gone(told_all: World) -> None:
    booking = await told_all.book()
    told_all.now = booking.end_at - DAY - 1
    await sweep(told_all)
    assert kinds(told_all) == []
    for instant in (booking.end_at - DAY, booking.end_at - 1, booking.end_at, booking.end_at + HOUR):
        told_all.now = instant
        for _ in range(2):
            await sweep(told_all)
    grace_over = booking.end_at + told_all.policy.grace_ms
    told_all.now = grace_over
    for _ in range(2):
        await sweep(told_all)
    soon, expired, gone = told(told_all)
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
    assert told_all.rows("SELECT * FROM notices") == []


async def test_after_a_renewal_every_event_is_reported_again(told_all: World) -> None:
    booking = await told_all.book()
    await sweep(told_all)
    for _ in range(3):
        end_at = (await told_all.stored(booking)).end_at
        for instant in (end_at - DAY, end_at):
            told_all.now = instant
            await sweep(told_all)
        await told_all.renew(booking)
    assert kinds(told_all) == ["booking.expiring_soon", "booking.expired"] * 3


async def test_a_spent_booking_is_reported_as_expired_by_its_last_call_and_not_by_the_sweep(
    told_all: World,
) -> None:
    booking = await told_all.book(UsagePlan.MEDIUM)
    for name in ("c1", "c2"):
        await told_all.talk(booking, CallId(name), SECOND)
    [expired] = told(told_all, EventType.BOOKING_EXPIRED)
    assert (expired["reason"], expired["timestamp"]) == ("calls_spent", rfc3339(told_all.now))
    for instant in (booking.end_at - HOUR, booking.end_at, booking.end_at + HOUR):
        told_all.now = instant
        await sweep(told_all)
    assert kinds(told_all).count("booking.expired") == 1
    assert "booking.expiring_soon" not in kinds(told_all)


@pytest.mark.parametrize("late", [0, DAY])
async def test_after_downtime_an_expired_booking_is_reported_as_expired_and_not_as_expiring_soon(
    told_all: World, late: int
) -> None:
    booking = await told_all.book()
    await sweep(told_all)
    told_all.now = booking.end_at + late
    await sweep(told_all)
    [expired] = told(told_all)
    assert (expired["type"], expired["timestamp"]) == ("booking.expired", rfc3339(booking.end_at))


async def test_after_downtime_a_booking_past_its_grace_is_reported_as_expired_and_then_as_gone(told_all: World) -> None:
    booking = await told_all.book()
    await sweep(told_all)
    told_all.now = booking.end_at + told_all.policy.grace_ms
    await sweep(told_all)
    assert kinds(told_all) == ["booking.expired", "booking.gone"]


async def test_a_deleted_or_erased_booking_is_reported_as_gone_once(told_all: World) -> None:
    first, second = await told_all.book(), await told_all.book(destination=E164("+442079460958"))
    await told_all.cancel(first)
    for _ in range(2):
        await erase(told_all.storage, Target("+442079460958"), told_all.now, told_all.policy)
        await sweep(told_all)
    assert [(body["type"], body["bookingId"], body["reason"]) for body in told(told_all)] == [
        ("booking.gone", booking.id, "deleted") for booking in (first, second)
    ]


async def test_of_a_gone_booking_only_calls_that_were_live_are_reported(told_all: World) -> None:
    booking = await told_all.book()
    for name in ("talks", "rings"):
        await told_all.bridge(booking, name)
    await told_all.answered(CallId("talks"))
    await told_all.cancel(booking)
    await told_all.ended(CallId("talks"), 590 * SECOND)
    await told_all.ended(CallId("rings"), 0, "CANCEL")
    told_all.now = booking.end_at + DAY
    await sweep(told_all)
    assert kinds(told_all) == ["call.started", "booking.gone", None, "call.missed"]
    assert told_all.rows("SELECT * FROM notices") == []


async def test_past_events_are_not_reported_when_an_event_is_chosen(world: World) -> None:
    world.policy = TOLD
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
    assert [(body["type"], body["bookingId"]) for body in told(world)] == [
        ("booking.expired", before.id),
        ("booking.expiring_soon", after.id),
        ("booking.expired", after.id),
    ]


async def test_a_clock_that_is_set_back_repeats_no_event_and_omits_none(
    told_all: World,
) -> None:
    booking = await told_all.book()
    await sweep(told_all)
    told_all.now = booking.end_at
    await sweep(told_all)
    told_all.now = START + HOUR
    later = await told_all.book()
    await sweep(told_all)
    for instant in (booking.end_at - DAY, booking.end_at, later.end_at - DAY, later.end_at):
        told_all.now = instant
        await sweep(told_all)
    assert [body["bookingId"] for body in told(told_all, EventType.BOOKING_EXPIRED)] == [booking.id, later.id]


async def test_one_account_can_be_swept_by_its_own_clock(told_all: World) -> None:
    eve = await told_all.storage.run(create_account, "Eve", START)
    await told_all.storage.run(notifications.choose_events, eve.id, list(EventType))
    ours, theirs = await told_all.book(), await told_all.book(account=eve.id)
    await sweep(told_all)
    for _ in range(2):
        await told_all.storage.run(notifications.notify_due, EpochMs(theirs.end_at - HOUR), told_all.policy, eve.id)
        await told_all.storage.run(notifications.notify_due, theirs.end_at, told_all.policy, eve.id)
    for instant in (ours.end_at - DAY, ours.end_at):
        told_all.now = instant
        await sweep(told_all)
    both = ["booking.expiring_soon", "booking.expired"]
    for booking in (theirs, ours):
        assert [body["type"] for body in told(told_all) if body["bookingId"] == booking.id] == both


async def test_many_due_events_are_reported_once_each_in_several_transactions(
    told_all: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if all bookings end at the same moment."""
    monkeypatch.setattr(notifications, "BATCH", 2)
    monkeypatch.setattr(notifications, "MAX_BATCHES", 2)
    held = [await told_all.book() for _ in range(4)]
    await sweep(told_all)
    told_all.now = held[0].end_at - HOUR
    await sweep(told_all)
    assert sorted(body["bookingId"] for body in told(told_all)) == sorted(each.id for each in held)
    told_all.now = held[0].end_at
    for _ in range(3):
        await sweep(told_all)
    expired = told(told_all, EventType.BOOKING_EXPIRED)
    assert sorted(body["bookingId"] for body in expired) == sorted(each.id for each in held)
    assert len(told(told_all)) == 8
