"""Changing a booking without renewing it, and pausing it, with a real database."""

import json
from dataclasses import replace
from typing import Any

import pytest

from engine.accounts.accounts import sandbox_of
from engine.bookings import lifecycle as bookings
from engine.bookings.lifecycle import BookingPatch, BookingRequest
from engine.domain.booking import Booking, CallerId
from engine.domain.errors import (
    BookingGone,
    DestinationIsOurs,
    InvalidDestination,
    NotFound,
    ReverseUnavailable,
    VoiceIsOff,
)
from engine.domain.hours import ANY_TIME, hours_from_text
from engine.domain.ids import AccountId, CallId
from engine.domain.policy import BookingLimits, UsagePlan
from engine.domain.prompts import Language
from engine.domain.rejections import BOOKING_EXPIRED, BOOKING_PAUSED, OUTSIDE_HOURS
from engine.domain.routing import Bridge
from engine.domain.screening import Screening
from tests.contract.samples import CALLBACK, DAY, HIDDEN, OTHER_HIDDEN, SECOND
from tests.contract.world import POOL, World

NOTES = {"order": "1871", "who": 'Zoë "Z" O\'Hara\\'}


async def change(world: World, booking: Booking, account: str | None = None, **changes: Any) -> Booking:
    asked = BookingPatch(**changes)
    return await world.storage.run(
        bookings.change, AccountId(account or world.account), booking.id, asked, world.now, world.policy
    )


async def book(world: World, **fields: Any) -> Booking:
    request = BookingRequest(world.account, HIDDEN, UsagePlan.MEDIUM, CALLBACK, **fields)
    return await world.storage.run(bookings.book, request, world.now, world.policy)


async def test_a_change_affects_only_the_fields_sent(world: World) -> None:
    booking = await book(world, limits=BookingLimits(max_call_seconds=9), label="old", metadata={"a": "b"})
    world.now += DAY
    world.policy = replace(world.policy, speaks=True)
    everything: dict[str, Any] = {
        "destination": OTHER_HIDDEN,
        "callback": "https://customer.example/2",
        "caller_id": CallerId.SERVICE,
        "refuse_anonymous": True,
        "paused": True,
        "label": "new",
        "metadata": NOTES,
        "language": Language.NL,
        "whisper": True,
        "screening": Screening.PRESS1,
        "hours": hours_from_text("Europe/Brussels", ["mon-fri 09:00-17:30"]),
        "reverse": True,
        "greeting": True,
        "accept_former_callers": True,
        "beep": True,
    }
    changed = await change(world, booking, **everything, limits={"max_call_seconds": None, "max_concurrent_calls": 2})
    assert changed == replace(booking, **everything, limits=BookingLimits(max_concurrent_calls=2))
    assert await world.stored(booking) == changed
    assert await change(world, booking) == changed
    assert (await change(world, booking, hours=ANY_TIME)).hours is None
    assert len(world.rows("SELECT id FROM grants")) == 1


@pytest.mark.parametrize("spoken", [{"whisper": True}, {"screening": Screening.PRESS1}, {"greeting": True}])
async def test_what_nobody_would_hear_is_refused_and_can_be_switched_off(world: World, spoken: dict[str, Any]) -> None:
    booking = await book(world)
    with pytest.raises(VoiceIsOff):
        await book(world, **spoken)
    with pytest.raises(VoiceIsOff):
        await change(world, booking, **spoken)
    assert await world.stored(booking) == booking
    silent, world.policy = world.policy, replace(world.policy, speaks=True)
    announced = await change(world, booking, **spoken)
    world.policy = silent
    assert (await change(world, announced, label="kept")) == replace(announced, label="kept")
    off = await change(world, announced, whisper=False, screening=Screening.NONE, greeting=False, label="")
    assert off == booking


async def test_reverse_is_refused_where_no_carrier_asserts_who_calls_but_not_in_a_sandbox(world: World) -> None:
    reversible = await book(world, reverse=True)
    world.policy = replace(world.policy, may_assert_callers=False)
    booking, sandbox = await book(world), await world.storage.run(sandbox_of, world.account, world.now)
    for refused in (book(world, reverse=True), change(world, booking, reverse=True, label="x")):
        with pytest.raises(ReverseUnavailable):
            await refused
    assert world.rows("SELECT COUNT(*) AS n FROM bookings") == [{"n": 2}]
    assert await world.stored(booking) == booking
    # One that has it already can be changed, also by a client that sends everything back.
    assert (await change(world, reversible, reverse=True, label="kept")) == replace(reversible, label="kept")
    tried = await world.book(account=sandbox.id, reverse=True)
    off = await change(world, tried, account=sandbox.id, reverse=False)
    assert (await change(world, off, account=sandbox.id, reverse=True)) == tried


async def test_an_expired_booking_is_changed_in_its_grace_and_stays_expired(world: World) -> None:
    booking = await world.book()
    world.now = booking.end_at
    assert (await change(world, booking, label="late")).label == "late"
    assert await world.route(booking.service) == BOOKING_EXPIRED
    world.now = booking.end_at + world.policy.grace_ms
    with pytest.raises(BookingGone):
        await change(world, booking, label="too late")


async def test_a_change_is_held_to_the_same_destination_rules_as_a_new_booking(world: World) -> None:
    booking = await world.book()
    for destination, refusal in ((POOL[2], DestinationIsOurs), ("+1", InvalidDestination)):
        with pytest.raises(refusal):
            await change(world, booking, destination=destination, label="x")
    with pytest.raises(NotFound):
        await change(world, booking, account="acc_other", label="x")
    assert await world.stored(booking) == booking


async def test_a_paused_booking_refuses_and_records_without_a_callback_until_it_is_resumed(world: World) -> None:
    booking = await world.book()
    await change(world, booking, paused=True)
    assert await world.route(booking.service, "c1") == BOOKING_PAUSED
    assert world.rows("SELECT call_id, duration, disposition FROM cdrs") == [
        {"call_id": "c1", "duration": 0, "disposition": "PAUSED"}
    ]
    assert world.rows("SELECT * FROM outbox") == world.rows("SELECT * FROM calls") == []
    await change(world, booking, paused=False)
    assert await world.stored(booking) == booking
    assert isinstance(await world.route(booking.service, "c2"), Bridge)


async def test_outside_its_hours_a_booking_refuses_and_records_and_live_calls_go_on(world: World) -> None:
    # START is a Sunday, 12:00 in UTC.
    booking = await book(world, hours=hours_from_text("UTC", ["sun 12:00-12:01"]))
    assert await world.stored(booking) == booking
    await world.bridge(booking, "in time")
    await world.answered(CallId("in time"))
    world.now += 60 * SECOND
    assert await world.route(booking.service, "late") == OUTSIDE_HOURS
    records = world.rows("SELECT call_id, duration, disposition, reason FROM cdrs")
    assert [tuple(row.values()) for row in records] == [("late", 0, "OUTSIDE_HOURS", "outside_hours")]
    assert world.rows("SELECT * FROM outbox") == []
    assert (await world.sweep()).channels == []
    settled = await world.ended(CallId("in time"), 60 * SECOND)
    assert settled is not None
    assert settled.cdr.duration == 60
    await change(world, booking, hours=ANY_TIME)
    assert isinstance(await world.route(booking.service), Bridge)


async def test_a_pause_does_not_end_live_calls(world: World) -> None:
    booking = await world.book(UsagePlan.MEDIUM)
    await world.bridge(booking, "talking")
    await world.bridge(booking, "ringing")
    await world.answered(CallId("talking"))
    await change(world, booking, paused=True)
    assert (await world.sweep()).channels == []
    assert await world.answered(CallId("ringing")) > 0
    for call_id in ("talking", "ringing"):
        settled = await world.ended(CallId(call_id), 5 * SECOND)
        assert settled is not None
        assert settled.cdr.duration == 5
    assert len(world.rows("SELECT id FROM outbox")) == 2
    world.check_ledger()


async def test_a_renewal_keeps_a_booking_paused_and_it_still_expires(world: World) -> None:
    booking = await book(world, paused=True)
    renewed = await world.renew(booking)
    assert renewed.paused
    world.now = renewed.end_at
    assert await world.route(booking.service) == BOOKING_EXPIRED


async def test_callbacks_have_the_bookings_metadata_of_that_moment(world: World) -> None:
    booking = await book(world, metadata=NOTES)
    plain = await world.book(UsagePlan.MEDIUM)
    await world.talk(booking, CallId("with"), 2 * SECOND)
    await world.talk(plain, CallId("without"), 2 * SECOND)
    await change(world, booking, metadata={"order": "1872"})
    world.now = booking.end_at
    await world.route(booking.service, "late")
    bodies = [json.loads(row["body"]) for row in world.rows("SELECT body FROM outbox ORDER BY id")]
    assert [body.get("metadata") for body in bodies] == [NOTES, None, {"order": "1872"}]
    assert "metadata" not in bodies[1]
