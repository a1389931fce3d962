"""Pairs: two participants reach each other over a rented number that many pairs share, told apart by who calls."""

import json
from dataclasses import replace

import pytest

from engine.bookings import shared_numbers
from engine.bookings.blocked_callers import block
from engine.bookings.explain import explain
from engine.bookings.lifecycle import BookingPatch, change
from engine.bookings.swapping import swap_number
from engine.domain.booking import CallerId
from engine.domain.directions import Direction
from engine.domain.errors import (
    DestinationIsOurs,
    DestinationNotAllowed,
    InvalidDestination,
    InvalidInput,
    NoNumberFree,
    NotForPairs,
    NumberNotFree,
    ReverseUnavailable,
)
from engine.domain.ids import CallId
from engine.domain.number_choice import NumberRequest
from engine.domain.numbers import ANONYMOUS, E164, NumberState
from engine.domain.pairs import Participant
from engine.domain.policy import UsagePlan
from engine.domain.rejections import Reason, Reject
from engine.domain.routing import Bridge
from tests.contract.pairing import ANN, BEN, EVE, SHARED, asked, is_stranger, pair, share
from tests.contract.samples import HIDDEN
from tests.contract.world import INTEGRITY_ERRORS, POOL, World


async def test_each_participant_reaches_the_other_who_sees_the_rented_number(world: World) -> None:
    await share(world, SHARED)
    booking = await pair(world)
    assert (booking.service, booking.caller_id) == (SHARED, CallerId.SERVICE)
    assert booking.participants == (Participant(ANN, "Ann"), Participant(BEN))
    for call_id, caller, shown, callee in (
        ("c1", ANN, ANN, BEN),
        ("c2", BEN, BEN, ANN),
        ("c3", ANN, ANONYMOUS, BEN),  # withheld, and asserted all the same
        ("c4", BEN, EVE, ANN),  # shows another number than the carrier asserts
    ):
        decision = await asked(world, SHARED, call_id, caller, shown)
        assert isinstance(decision, Bridge)
        assert (decision.destination, decision.shown, decision.direction) == (callee, SHARED, Direction.PAIR)
        assert {(route.destination, route.shown) for route in decision.routes} == {(callee, SHARED)}
        again = await asked(world, SHARED, call_id, caller, shown)  # a second engine is asked
        assert isinstance(again, Bridge)
        assert replace(again, booking=decision.booking) == decision
        settlement = await world.ended(CallId(call_id), 0, "NOANSWER")
        assert settlement is not None
        assert (settlement.cdr.source, settlement.cdr.destination, settlement.cdr.direction) == (
            caller, callee, Direction.PAIR,
        )  # fmt: skip


async def test_strangers_and_spoofers_get_the_answer_of_an_unknown_number_and_no_record(world: World) -> None:
    await share(world, SHARED)
    await pair(world)
    for call_id, asserted, shown in (("c1", EVE, None), ("c2", None, ANN), ("c3", None, ANONYMOUS), ("c4", EVE, BEN)):
        decision = await asked(world, SHARED, call_id, asserted, shown)
        assert is_stranger(decision)
        assert isinstance(decision, Reject)
        assert decision.reason is Reason.NOT_A_PARTICIPANT
    unknown = await asked(world, E164(POOL[1]), "c5", ANN)
    assert is_stranger(unknown)
    assert isinstance(unknown, Reject)
    assert unknown.reason is Reason.NO_BOOKING
    assert world.rows("SELECT id FROM cdrs") == []


async def test_a_pairs_calls_are_metered_recorded_and_reported_once_on_one_credit(world: World) -> None:
    await share(world, SHARED)
    booking = await pair(world)
    assert isinstance(one := await asked(world, SHARED, "c1", ANN), Bridge)
    await world.answered(CallId("c1"))
    await world.share(booking.id, keep_free=booking.seconds.remaining // 2)
    assert isinstance(other := await asked(world, SHARED, "c2", BEN), Bridge)
    up = await world.stored(booking)
    assert (up.calls.leased, up.seconds.leased) == (2, up.seconds.granted - up.seconds.remaining)
    assert one.seconds >= other.seconds > 0
    await world.answered(CallId("c2"))
    await world.ended(CallId("c1"), 12_001)
    await world.ended(CallId("c2"), 3_000)
    assert await world.ended(CallId("c2"), 3_000) is None
    after = await world.stored(booking)
    assert (after.seconds.settled, after.calls.settled, after.seconds.leased) == (16, 2, 0)
    bodies = [json.loads(row["body"]) for row in world.rows("SELECT body FROM outbox ORDER BY id")]
    assert [(b["direction"], b["source"], b["destination"], b["duration"]) for b in bodies] == [
        ("pair", ANN, BEN, 13),
        ("pair", BEN, ANN, 3),
    ]


async def test_a_person_has_several_pairs_on_several_numbers_and_never_two_on_one(world: World) -> None:
    await share(world, *POOL[:2])
    first, second = await pair(world), await pair(world, ANN, EVE)
    assert [first.service, second.service] == POOL[:2]
    with pytest.raises(NoNumberFree):
        await pair(world, ANN, E164("+32470999002"))
    with pytest.raises(NumberNotFree):
        await pair(world, EVE, BEN, wanted=NumberRequest(service=second.service))
    third = await pair(world, EVE, E164("+32470999002"))  # beside the first pair on its number
    assert third.service == first.service
    reached = {}
    for service in POOL[:2]:
        for caller in (ANN, BEN, EVE, E164("+32470999002")):
            decision = await asked(world, E164(service), f"{service}-{caller}", caller)
            reached[service, caller] = decision.destination if isinstance(decision, Bridge) else None
            await world.ended(CallId(f"{service}-{caller}"), 0, "BUSY")
    assert reached == {
        (POOL[0], ANN): BEN, (POOL[0], BEN): ANN, (POOL[0], EVE): "+32470999002", (POOL[0], "+32470999002"): EVE,
        (POOL[1], ANN): EVE, (POOL[1], BEN): None, (POOL[1], EVE): ANN, (POOL[1], "+32470999002"): None,
    }  # fmt: skip


async def test_pairs_get_shared_numbers_only_and_others_never_one(world: World) -> None:
    with pytest.raises(NoNumberFree):
        await pair(world)
    await share(world, *POOL[:3])
    single = await world.book(UsagePlan.MEDIUM)
    assert single.service == POOL[3]
    with pytest.raises(NoNumberFree):
        await world.book(UsagePlan.MEDIUM)
    for number in (single.service, SHARED, "+3225559999"):
        with pytest.raises(InvalidInput):
            await world.storage.run(shared_numbers.share, number)
    # An ordinary booking is called by anybody, whatever the carrier asserts.
    assert isinstance(decision := await asked(world, single.service, "c1", EVE), Bridge)
    assert (decision.destination, decision.direction) == (HIDDEN, Direction.FORWARD)


async def test_the_database_itself_refuses_a_second_pair_of_one_caller_on_one_number(world: World) -> None:
    await share(world, SHARED)
    booking = await pair(world)
    with pytest.raises(INTEGRITY_ERRORS):
        await world.storage.run(lambda tx: tx.pairs.hold(SHARED, [EVE, ANN], booking.id, world.now))
    assert is_stranger(await asked(world, SHARED, "c1", EVE))


async def test_a_swapped_pair_has_its_credit_on_another_number_and_the_old_one_reaches_nobody(world: World) -> None:
    await share(world, *POOL[:2])
    booking = await pair(world)
    swapped = await world.storage.run(swap_number, world.account, booking.id, world.now, world.policy)
    assert (swapped.service, swapped.seconds) == (POOL[1], booking.seconds)
    assert is_stranger(await asked(world, SHARED, "c1", ANN))
    assert isinstance(decision := await asked(world, swapped.service, "c2", BEN), Bridge)
    assert (decision.destination, decision.shown) == (ANN, POOL[1])
    with pytest.raises(NoNumberFree):  # both callers are in quarantine on the first number
        await world.storage.run(swap_number, world.account, booking.id, world.now, world.policy)


async def test_a_shared_number_is_taken_back_only_without_pairs(world: World) -> None:
    await share(world, *POOL[:2])
    await pair(world)
    with pytest.raises(InvalidInput, match="pairs"):
        await world.storage.run(shared_numbers.unshare, SHARED, world.now)
    unused = await world.storage.run(shared_numbers.unshare, POOL[1], world.now)
    assert (unused.state, unused.quarantined_until) == (NumberState.FREE, None)


@pytest.mark.parametrize(
    ("other", "error"),
    [
        (E164("112"), InvalidDestination),
        (E164("+32112"), InvalidDestination),
        (E164("+33112"), InvalidDestination),
        (E164("+33899123456"), DestinationNotAllowed),
        (E164(POOL[1]), DestinationIsOurs),
        (ANN, InvalidDestination),
    ],
)
async def test_no_participant_is_an_emergency_short_premium_or_rented_number(
    world: World, other: E164, error: type[Exception]
) -> None:
    await share(world, SHARED)
    for participants in ((ANN, other), (other, ANN)):
        with pytest.raises(error):
            await pair(world, *participants)
    assert world.rows("SELECT * FROM pair_callers") == []


async def test_a_pair_keeps_its_participants_and_shows_the_rented_number_only(world: World) -> None:
    await share(world, SHARED)
    for wrong in ({"reverse": True}, {"caller_id": CallerId.CALLER}, {"caller_id": CallerId.ANONYMOUS}):
        with pytest.raises(NotForPairs):
            await pair(world, **wrong)
    booking = await pair(world)
    for patch in (
        BookingPatch(destination=EVE),
        BookingPatch(caller_id=CallerId.CALLER),
        BookingPatch(reverse=True),
    ):
        with pytest.raises(NotForPairs):
            await world.storage.run(change, world.account, booking.id, patch, world.now, world.policy)
    paused = BookingPatch(paused=True, caller_id=CallerId.SERVICE, reverse=False)
    await world.storage.run(change, world.account, booking.id, paused, world.now, world.policy)
    assert isinstance(refused := await asked(world, SHARED, "c1", ANN), Reject)
    assert refused.reason is Reason.PAUSED


async def test_a_pair_is_refused_where_no_carrier_asserts_who_calls(world: World) -> None:
    await share(world, SHARED)
    world.policy = replace(world.policy, may_assert_callers=False)
    with pytest.raises(ReverseUnavailable):
        await pair(world)
    assert world.rows("SELECT * FROM pair_callers") == []


async def test_a_participant_who_becomes_forbidden_blocked_or_ours_is_not_called(world: World) -> None:
    await share(world, SHARED)
    booking = await pair(world)
    await world.storage.run(block, world.account, booking.id, BEN, world.now, world.policy)
    assert isinstance(refused := await asked(world, SHARED, "c1", BEN), Reject)
    assert refused.reason is Reason.CALLER_BLOCKED
    [record] = world.rows("SELECT source, destination, direction, of_pair FROM cdrs")
    assert tuple(record.values()) == (BEN, ANN, "forward", 1)
    await world.storage.run(lambda tx: tx.numbers.insert(BEN, world.now))
    assert isinstance(refused := await asked(world, SHARED, "c2", ANN), Reject)
    assert refused.reason is Reason.DESTINATION_IS_OURS


async def test_the_explanation_of_a_call_tells_participants_from_strangers(world: World) -> None:
    await share(world, SHARED)
    booking = await pair(world)
    reasons = {}
    for source in (ANN, BEN, EVE, ANONYMOUS):
        explained = await world.storage.run(explain, world.account, booking.id, source, world.at, world.policy)
        reasons[source] = explained.reason
        assert explained.direction is Direction.PAIR
        for number in (ANN, BEN):
            assert number not in explained.sentence(world.policy)
    assert reasons == {
        ANN: Reason.PUT_THROUGH, BEN: Reason.PUT_THROUGH,
        EVE: Reason.NOT_A_PARTICIPANT, ANONYMOUS: Reason.NOT_A_PARTICIPANT,
    }  # fmt: skip
