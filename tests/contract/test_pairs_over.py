"""Pairs that are over: how long their callers and PINs rest, and what an erasure, retention or a restore leaves."""

import json

import pytest

from engine.bookings import shared_numbers
from engine.domain.errors import (
    BookingGone,
    NoNumberFree,
    NumberNotFree,
)
from engine.domain.ids import CallId
from engine.domain.number_choice import NumberRequest
from engine.domain.numbers import E164, ERASED, NumberState
from engine.domain.prompts import Prompt
from engine.domain.rejections import Reason, Reject
from engine.domain.routing import Bridge
from engine.domain.spellings import Spellings
from engine.domain.times import EpochMs
from engine.privacy.erasure import erase
from tests.contract.pairing import ANN, BEN, EVE, SHARED, WRONG, Phone, asked, is_stranger, pair, share, with_pins
from tests.contract.samples import DAY, PEPPER, POLICY
from tests.contract.world import POOL, World

# Where a PIN could stand.
TABLES = (
    *("bookings", "booking_notes", "calls", "cdrs", "grants", "number_swaps", "outbox", "pair_callers", "pair_pins"),
    *("pin_tries", "reached_callers"),
)


async def test_after_a_pair_is_gone_its_callers_reach_nobody_and_no_new_pair_before_the_quarantine_ends(
    world: World,
) -> None:
    await share(world, *POOL[:2])
    booking = await pair(world)
    assert isinstance(await asked(world, SHARED, "c1", ANN), Bridge)
    assert await world.cancel(booking) == ["c1"]
    await world.ended(CallId("c1"), 0, "CANCEL")
    assert is_stranger(await asked(world, SHARED, "c2", ANN))
    again = await pair(world)
    assert again.service == POOL[1]
    # A late call lengthens the quarantine of this caller on this number, and no other's.
    world.now += POLICY.quarantine_ms - DAY
    assert is_stranger(await asked(world, SHARED, "c3", BEN))
    world.now += 2 * DAY
    await world.sweep()
    assert [row["number"] for row in world.rows("SELECT * FROM pair_callers") if row["service"] == SHARED] == [BEN]
    with pytest.raises(NumberNotFree):
        await pair(world, ANN, BEN, wanted=NumberRequest(service=SHARED))
    assert (await pair(world, ANN, EVE, wanted=NumberRequest(service=SHARED))).service == SHARED


async def test_an_expired_pair_is_refused_and_told_as_every_booking_and_then_gone(world: World) -> None:
    await share(world, SHARED)
    booking = await pair(world)
    world.now = booking.end_at
    assert isinstance(refused := await asked(world, SHARED, "c1", BEN), Reject)
    assert (refused.reason, refused.cause) == (Reason.END_REACHED, 22)
    [body] = [json.loads(row["body"]) for row in world.rows("SELECT body FROM outbox")]
    assert (body["direction"], body["source"], body["destination"]) == ("pair", BEN, ANN)
    await world.renew(booking)
    assert isinstance(await asked(world, SHARED, "c2", BEN), Bridge)
    await world.ended(CallId("c2"), 0, "BUSY")
    world.now += 30 * DAY
    ended = world.now
    await world.sweep()
    assert is_stranger(await asked(world, SHARED, "c3", BEN))
    # A number is taken back once it has no pairs, and rests for as long as its last caller does.
    taken = await world.storage.run(shared_numbers.unshare, SHARED, world.now)
    assert (taken.state, taken.quarantined_until) == (NumberState.QUARANTINED, ended + POLICY.quarantine_ms)


@pytest.mark.parametrize("erased", [ANN, BEN])
async def test_erasing_one_participant_ends_the_pair_and_leaves_the_number_nowhere(world: World, erased: E164) -> None:
    await share(world, SHARED)
    booking = await pair(world, label=f"for {erased}")
    assert isinstance(await asked(world, SHARED, "c1", ANN), Bridge)
    await world.answered(CallId("c1"))
    await world.ended(CallId("c1"), 3_000)
    findings = await erase(world.storage, Spellings(erased), world.now, world.policy, PEPPER)
    assert (findings.removed["bookings"], findings.removed["pair_callers"]) == (1, 1)
    [stored] = world.rows("SELECT destination, partner, gone_at, label FROM bookings")
    other = BEN if erased == ANN else ANN
    assert {stored["destination"], stored["partner"]} == {ERASED, other}
    assert stored["gone_at"] is not None
    for table in ("bookings", "pair_callers", "calls", "cdrs"):
        assert erased not in json.dumps(world.rows(f"SELECT * FROM {table}"))  # noqa: S608  names of tables
    assert is_stranger(await asked(world, SHARED, "c2", other))
    with pytest.raises(BookingGone):
        await world.renew(booking)


async def test_retention_forgets_both_participants_of_a_pair_that_is_gone(world: World) -> None:
    await share(world, SHARED)
    booking = await pair(world)
    await world.cancel(booking)
    await world.storage.run(lambda tx: tx.retention.forget_booking(booking.id))
    [row] = world.rows("SELECT destination, partner, destination_label, partner_label FROM bookings")
    assert tuple(row.values()) == (ERASED, ERASED, "", "")


async def test_after_a_restore_a_shared_number_takes_no_new_pairs_for_as_long_as_others_rest(world: World) -> None:
    await share(world, SHARED)
    booking = await pair(world)
    until, other, lost = EpochMs(world.now + 15 * DAY), E164("+32470999002"), E164("+32470999003")
    await world.storage.run(lambda tx: tx.restores.quarantine_numbers(until))
    with pytest.raises(NoNumberFree):
        await pair(world, EVE, other)
    assert isinstance(await asked(world, booking.service, "c1", ANN), Bridge)
    # A caller of a pair that the backup does not have must have been silent as long as callers of other numbers.
    assert is_stranger(await asked(world, SHARED, "c2", EVE))
    world.now = EpochMs(until - POLICY.quarantine_silence_ms // 2)
    for call_id in ("c3", "c4"):
        assert is_stranger(await asked(world, SHARED, call_id, lost))
    last_call = world.now
    world.now = until
    with pytest.raises(NoNumberFree):
        await pair(world, lost, other)
    assert (await pair(world, EVE, other)).service == SHARED, "the first call was long enough ago"
    world.now = EpochMs(last_call + POLICY.quarantine_silence_ms)
    assert is_stranger(await asked(world, SHARED, "c5", lost)), "it lengthens its own quarantine, and begins no other"
    assert is_stranger(await asked(world, SHARED, "c6", E164("+32470999005")))
    resting = {row["number"] for row in world.rows("SELECT * FROM pair_callers WHERE booking_id IS NULL")}
    assert resting == {lost}
    with pytest.raises(NoNumberFree):
        await pair(world, lost, E164("+32470999004"))
    world.now = EpochMs(world.now + POLICY.quarantine_silence_ms)
    assert (await pair(world, lost, E164("+32470999004"))).service == SHARED
    assert await world.storage.run(lambda tx: tx.restores.held_but_not_booked(10)) == []


async def test_a_late_caller_lengthens_the_quarantine_of_a_pin_which_counts_when_a_number_is_taken_back(
    world: World, phone: Phone
) -> None:
    await share(world, SHARED)
    booking, first, second = await with_pins(world)
    await world.cancel(booking)
    world.now += POLICY.quarantine_ms - DAY
    assert is_stranger(await phone.call(second))
    late = world.now
    world.now += 2 * DAY
    await world.sweep()
    assert world.rows("SELECT pin, booking_id FROM pair_pins") == [{"pin": second, "booking_id": None}]
    taken = await world.storage.run(shared_numbers.unshare, SHARED, world.now)
    assert (taken.state, taken.quarantined_until) == (NumberState.QUARANTINED, late + POLICY.quarantine_silence_ms)
    assert first != second
    assert world.rows("SELECT pin FROM pair_pins") == []


@pytest.mark.parametrize("way", ["deleted", "erased", "over"])
async def test_the_pins_of_a_pair_stand_nowhere_but_in_it_and_go_with_it(world: World, phone: Phone, way: str) -> None:
    await share(world, SHARED)
    booking, first, second = await with_pins(world)
    call_id = "c1"
    assert isinstance(await phone.call(first, call_id=call_id), Bridge)
    await world.answered(CallId(call_id))
    await world.ended(CallId(call_id), 3_000)
    if way == "deleted":
        await world.cancel(booking)
    elif way == "erased":
        await erase(world.storage, Spellings(ANN), world.now, world.policy, PEPPER)
    else:
        world.now = booking.end_at + POLICY.grace_ms
        await world.sweep()
    [stored] = world.rows("SELECT gone_at, destination_pin, partner_pin FROM bookings")
    assert stored["gone_at"] is not None
    assert (stored["destination_pin"], stored["partner_pin"]) == (None, None)
    for table in TABLES:
        found = json.dumps(world.rows(f"SELECT * FROM {table}"), default=str)  # noqa: S608  names of tables
        assert (table == "pair_pins") == (first in found or second in found), table
    assert [row["booking_id"] for row in world.rows("SELECT booking_id FROM pair_pins")] == [None, None]


async def test_after_a_restore_a_pin_of_a_pair_that_may_be_lost_rests_as_well(world: World, phone: Phone) -> None:
    await share(world, SHARED)
    await with_pins(world)
    await world.storage.run(lambda tx: tx.restores.quarantine_numbers(EpochMs(world.now + DAY)))
    assert await phone.reaches(WRONG) is Prompt.PIN_WRONG
    rests = [row["quarantined_until"] for row in world.rows("SELECT * FROM pair_pins") if row["pin"] == WRONG]
    assert rests == [world.now + POLICY.quarantine_silence_ms]
    world.now += DAY
    assert await phone.reaches("11111111") is Prompt.PIN_WRONG
    assert [row for row in world.rows("SELECT * FROM pair_pins") if row["pin"] == "11111111"] == []
