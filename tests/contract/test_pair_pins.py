"""PINs of pairs: a caller who is no participant by the carrier's word keys in a PIN, and stands for a participant."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest

from engine.accounts.accounts import sandbox_of
from engine.bookings import shared_numbers
from engine.bookings.blocked_callers import block
from engine.bookings.explain import explain
from engine.bookings.lifecycle import BookingPatch, cancel, change
from engine.bookings.swapping import swap_number
from engine.calls import lifecycle as calls
from engine.calls.facts import IncomingCall
from engine.domain.directions import Direction
from engine.domain.errors import ReverseUnavailable, VoiceIsOff
from engine.domain.ids import AccountId, CallId
from engine.domain.number_choice import NumberRequest
from engine.domain.numbers import ANONYMOUS, E164
from engine.domain.pairs import PIN_TRIES, PIN_TRY_MS, is_pin
from engine.domain.prompts import Prompt
from engine.domain.rejections import Reason, Reject
from engine.domain.routing import AskPin, Bridge, RouteDecision
from engine.domain.simulation import Outcome, SimulatedCall
from engine.sandbox.simulation import simulate_call
from engine.storage.transaction import Transaction
from tests.contract.pairing import ANN, BEN, EVE, SHARED, WRONG, Phone, is_stranger, pair, share, with_pins
from tests.contract.samples import POLICY, SECOND
from tests.contract.world import INTEGRITY_ERRORS, POOL, World, outsider

# Each test needs prompts, also one that makes no call.
pytestmark = pytest.mark.usefixtures("phone")
ASKED, ASKED_AGAIN = AskPin(Prompt.PIN), AskPin(Prompt.PIN_WRONG)


def closed_by(decision: RouteDecision) -> bool:
    """Whether the call had the wrong PIN that closed its number to PINs."""
    return isinstance(decision, Reject) and decision.closed_pins


async def test_whoever_keys_in_a_pin_stands_for_its_participant_and_reaches_the_other(
    world: World, phone: Phone
) -> None:
    await share(world, SHARED)
    booking, first, second = await with_pins(world)
    assert first != second
    assert is_pin(first)
    assert is_pin(second)
    assert await world.stored(booking) == booking
    for number, (pin, asserted, shown, caller, callee) in enumerate(
        (
            (first, None, ANONYMOUS, ANN, BEN),
            (second, None, EVE, BEN, ANN),
            (first, EVE, EVE, ANN, BEN),  # a stranger by the carrier's word
            (second, None, ANN, BEN, ANN),  # shows the number that it calls
            (second, ANN, ANN, ANN, BEN),  # the carrier's word comes first
        )
    ):
        call_id = f"c{number}"
        decision = await phone.call(pin, asserted, shown, call_id=call_id)
        assert isinstance(decision, Bridge)
        assert (decision.destination, decision.shown, decision.direction) == (callee, SHARED, Direction.PAIR)
        again = await phone.call(pin, asserted, shown, call_id=call_id)  # a second engine is asked
        assert isinstance(again, Bridge)
        assert replace(again, booking=decision.booking) == decision
        await world.answered(CallId(call_id))
        settlement = await world.ended(CallId(call_id), 1_000)
        assert settlement is not None
        assert (settlement.cdr.source, settlement.cdr.destination, settlement.cdr.direction) == (
            caller, callee, Direction.PAIR,
        )  # fmt: skip
    assert [row["clears_at"] <= world.now for row in world.rows("SELECT clears_at FROM pin_tries")] == [True]


async def test_a_stranger_is_asked_only_where_a_pair_has_pins_and_somebody_can_hear_the_question(
    world: World, phone: Phone
) -> None:
    await share(world, *POOL[:2])
    await pair(world, EVE, E164("+32470999002"), wanted=NumberRequest(service=E164(POOL[1])))
    booking, *_ = await with_pins(world, wanted=NumberRequest(service=SHARED))
    assert await phone.call() == ASKED
    assert await phone.call(WRONG) == ASKED_AGAIN
    assert await phone.reaches(asserted=ANN) == BEN
    explained = await world.storage.run(explain, world.account, booking.id, EVE, world.at, world.policy)
    assert (explained.reason, explained.direction) == (Reason.PIN_NEEDED, Direction.PAIR)
    elsewhere: dict[str, dict[str, Any]] = {
        "a pair without PINs": {"service": POOL[1]},
        "an unknown number": {"service": POOL[2]},
        "a dialplan without the question": {"can_enter_pin": False},
        "a sandbox": {"sandbox": AccountId("acc_of_another")},
    }
    for why, how in elsewhere.items():
        assert is_stranger(await phone.call(**how)), why
    world.policy = replace(world.policy, speaks=False)
    assert is_stranger(await phone.call())
    # Nothing is kept of a question.
    for table in ("calls", "cdrs"):
        assert [row["source"] for row in world.rows(f"SELECT source FROM {table}")] == [ANN]  # noqa: S608  two names


async def test_a_pin_leads_nowhere_at_another_number_and_once_its_pair_is_gone_or_has_another_number(
    world: World, phone: Phone, monkeypatch: pytest.MonkeyPatch
) -> None:
    await share(world, *POOL[:3])
    booking, first, second = await with_pins(world)
    other, *others = await with_pins(world, ANN, EVE)
    assert (booking.service, other.service) == (POOL[0], POOL[1])
    assert await phone.reaches(first, service=POOL[1]) is Prompt.PIN_WRONG
    assert await phone.reaches(others[0]) is Prompt.PIN_WRONG
    swapped = await world.storage.run(swap_number, world.account, booking.id, world.now, world.policy)
    assert swapped.service == POOL[2]
    assert not {swapped.destination_pin, swapped.partner_pin} & {first, second}
    assert await world.stored(booking) == swapped
    for pin in (first, second):
        assert is_stranger(await phone.call(pin))  # no pair is left there
        assert await phone.reaches(pin, service=POOL[2]) is Prompt.PIN_WRONG
    assert await phone.reaches(swapped.partner_pin, service=POOL[2]) == ANN
    # A new pair on the old number draws other PINs than those that rest there, and others than its own.
    drawn = iter([first, second, "11111111", "11111111", first, "22222222"])
    monkeypatch.setattr(shared_numbers, "new_pin", lambda digits: next(drawn))
    newer, *new = await with_pins(world, E164("+32470999003"), E164("+32470999004"))
    assert (newer.service, new) == (SHARED, ["11111111", "22222222"])
    assert await phone.reaches(first) is Prompt.PIN_WRONG
    await world.cancel(other)
    assert is_stranger(await phone.call(others[1], service=POOL[1]))


async def test_after_a_swap_by_an_engine_that_knows_no_pins_the_old_ones_lead_nowhere(
    world: World, phone: Phone
) -> None:
    await share(world, *POOL[:3])
    booking, first, second = await with_pins(world)
    swapped = await world.storage.run(swap_number, world.account, booking.id, world.now, world.policy)
    assert swapped.service == POOL[1]
    with outsider(world.database) as connection:  # such an engine changes neither
        connection.execute(f"UPDATE bookings SET destination_pin = '{first}', partner_pin = '{second}'")  # noqa: S608  digits
        connection.execute(
            f"UPDATE pair_pins SET booking_id = '{booking.id}', quarantined_until = NULL WHERE service = '{SHARED}'"  # noqa: S608  ours
        )
    for pin in (None, first, second):
        assert is_stranger(await phone.call(pin))
    assert await phone.reaches(asserted=ANN, service=POOL[1]) == BEN
    mended = await world.storage.run(swap_number, world.account, booking.id, world.now, world.policy)
    assert await phone.reaches(mended.destination_pin, service=mended.service) == BEN


async def test_wrong_pins_close_a_number_to_pins_and_time_opens_it_again_also_for_calls_at_once(
    world: World, phone: Phone
) -> None:
    await share(world, *POOL[:2])
    booking, first, _ = await with_pins(world)
    _, elsewhere, _ = await with_pins(world, ANN, EVE)
    for _ in range(2 * PIN_TRIES):
        assert await phone.reaches(first) == BEN  # right ones do not count
        world.now += 61 * 60 * SECOND // PIN_TRIES
    answers = await asyncio.gather(*[phone.call(WRONG) for _ in range(2 * PIN_TRIES)])
    assert answers.count(ASKED_AGAIN) == PIN_TRIES - 1  # the last one is not asked again
    assert sum(is_stranger(answer) for answer in answers) == PIN_TRIES + 1
    assert [closed_by(answer) for answer in answers].count(True) == 1  # so the log has one line
    for pin in (None, WRONG, first):
        refused = await phone.call(pin)
        assert is_stranger(refused)
        assert not closed_by(refused)
        assert await phone.reaches(pin) is Reason.PINS_CLOSED
    explained = await world.storage.run(explain, world.account, booking.id, EVE, world.at, world.policy)
    assert explained.reason is Reason.PINS_CLOSED
    assert await phone.reaches(asserted=ANN) == BEN
    assert await phone.reaches(elsewhere, service=POOL[1]) == EVE
    world.now += PIN_TRY_MS
    assert await phone.call() == ASKED
    assert await phone.reaches(first) == BEN
    closing = await phone.call(WRONG)
    assert is_stranger(closing)
    assert closed_by(closing)
    assert await phone.reaches(first) is Reason.PINS_CLOSED
    # One row for each number, which goes once time has made up for it.
    assert [row["service"] for row in world.rows("SELECT service FROM pin_tries ORDER BY service")] == POOL[:2]
    world.now += PIN_TRIES * PIN_TRY_MS
    await world.sweep()
    assert world.rows("SELECT service FROM pin_tries") == []
    assert await phone.reaches(first) == BEN


async def test_the_rules_of_a_pair_hold_for_a_call_with_a_pin_and_nobody_learns_of_them_before_it(
    world: World, phone: Phone
) -> None:
    await share(world, SHARED)
    booking, first, second = await with_pins(world)

    async def changed(**changes: Any) -> None:
        patch = BookingPatch(**changes)
        await world.storage.run(change, world.account, booking.id, patch, world.now, world.policy)

    async def is_secret() -> bool:
        return (await phone.call(), await phone.call(WRONG)) == (ASKED, ASKED_AGAIN)

    await changed(paused=True)
    assert await phone.reaches(first) is Reason.PAUSED
    assert await is_secret()
    await changed(paused=False, limits={"max_calls_per_caller_per_hour": 1})
    assert await phone.reaches(first) == BEN
    assert await phone.reaches(asserted=ANN) is Reason.CALLER_LIMIT  # the same caller
    assert await phone.reaches(second) == ANN
    await changed(limits={"max_calls_per_caller_per_hour": None})
    for blocked in (EVE, ANN):
        await world.storage.run(block, world.account, booking.id, blocked, world.now, world.policy)
    assert await phone.reaches(second, shown=EVE) is Reason.CALLER_BLOCKED
    assert await phone.reaches(second, asserted=EVE) is Reason.CALLER_BLOCKED
    assert await phone.reaches(first) is Reason.CALLER_BLOCKED
    assert await phone.reaches(second) == ANN
    assert await is_secret()
    world.now = booking.end_at
    assert await is_secret()
    expired = await phone.call(second)
    assert isinstance(expired, Reject)
    assert (expired.reason, expired.cause) == (Reason.END_REACHED, 22)
    told = json.loads(world.rows("SELECT body FROM outbox ORDER BY id")[-1]["body"])
    assert (told["direction"], told["source"], told["destination"]) == ("pair", BEN, ANN)
    world.now += POLICY.grace_ms
    assert is_stranger(await phone.call(second))


async def test_pins_need_no_carrier_that_asserts_who_calls_but_prompts(world: World, phone: Phone) -> None:
    await share(world, SHARED)
    world.policy = replace(world.policy, may_assert_callers=False)
    with pytest.raises(ReverseUnavailable):
        await pair(world)
    _, first, _ = await with_pins(world)
    assert await phone.reaches(first) == BEN
    world.policy = replace(world.policy, speaks=False)
    with pytest.raises(VoiceIsOff):
        await with_pins(world, EVE, E164("+32470999002"))


async def test_the_database_itself_refuses_a_pin_of_two_pairs_on_one_number(world: World) -> None:
    await share(world, SHARED)
    booking, first, second = await with_pins(world)

    def hold(tx: Transaction, pin: str) -> None:
        tx.pins.hold(SHARED, [pin], booking.id)

    for pin in (first, second):
        with pytest.raises(INTEGRITY_ERRORS):
            await world.storage.run(hold, pin)


async def test_a_sandbox_simulates_the_question_and_its_answers(world: World) -> None:
    sandbox = (await world.storage.run(sandbox_of, world.account, world.now)).id
    booking = await pair(world, account=sandbox, pins=True)
    assert booking.destination_pin is not None

    async def heard(*pins: str, source: str = ANONYMOUS, direction: Direction = Direction.FORWARD) -> Any:
        call = SimulatedCall(booking.service, source, Outcome.ANSWERED, 5, direction=direction, pins=pins)
        simulation = await world.storage.run(simulate_call, sandbox, call, world.at, world.policy)
        source = simulation.record.source if simulation.record else ""
        return simulation.reason, simulation.sip_status, list(simulation.prompts), source

    right = booking.destination_pin
    asked, again = Prompt.PIN, Prompt.PIN_WRONG
    stranger, unknown = Reason.PIN_NEEDED, Prompt.UNKNOWN
    assert await heard(right) == (Reason.PUT_THROUGH, 200, [asked], ANN)
    assert await heard(WRONG, WRONG, right) == (Reason.PUT_THROUGH, 200, [asked, again, again], ANN)
    assert await heard() == (stranger, 404, [asked, unknown], "")
    assert await heard(WRONG) == (stranger, 404, [asked, again, unknown], "")
    assert await heard(WRONG, WRONG, WRONG) == (stranger, 404, [asked, again, again, unknown], "")
    real = IncomingCall(CallId("c1"), booking.service, ANONYMOUS, can_enter_pin=True)
    decision = await world.storage.run(calls.route_call, real, world.at, world.policy)
    assert isinstance(decision, Reject)
    assert is_stranger(decision)
    assert await heard(source=BEN, direction=Direction.PAIR) == (Reason.PUT_THROUGH, 200, [], BEN)
    for _ in range(PIN_TRIES):
        last = await heard(WRONG)
    assert last == (Reason.PINS_CLOSED, 404, [unknown], "")
    # The count of wrong PINs goes with the pair: by the sandbox's clock it could stand for years.
    await world.storage.run(cancel, sandbox, booking.id, world.now, world.policy)
    assert world.rows("SELECT service FROM pin_tries") == []
