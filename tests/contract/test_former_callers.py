"""Whoever reached a number within a year does not reach its next owner; what is kept for that names nobody."""

from dataclasses import replace
from typing import Any

import pytest

from engine.accounts.accounts import create_account
from engine.backup.replay import Losses, erase_again
from engine.bookings.explain import explain
from engine.bookings.lifecycle import BookingPatch, cancel, change
from engine.bookings.shared_numbers import share, unshare
from engine.bookings.swapping import swap_number
from engine.calls import reached_callers
from engine.calls.facts import IncomingCall
from engine.calls.lifecycle import route_call
from engine.calls.reached_callers import MARGIN_MS, note_all_reached
from engine.domain.booking import Booking, CallerId
from engine.domain.caller_digests import FORMER_CALLER_MS, person_digest
from engine.domain.ids import AccountId, CallId
from engine.domain.number_choice import NumberRequest
from engine.domain.numbers import ANONYMOUS, E164, NumberState
from engine.domain.pairs import Participant
from engine.domain.policy import RetentionPeriods, UsagePlan
from engine.domain.prompts import Prompt
from engine.domain.rejections import CHANGED_HANDS, Reason
from engine.domain.routing import Bridge
from engine.domain.simulation import Outcome
from engine.domain.times import EpochMs
from engine.privacy.retention import delete_expired
from engine.runtime.clock import SystemClock
from engine.runtime.ids import new_id
from engine.storage.revocations import Entry, Kind
from tests.contract.erasing import PERSON, call, erased_from, route
from tests.contract.samples import CALLER, HOUR, PEPPER, SECOND
from tests.contract.trial import Trial
from tests.contract.world import POOL, World

STRANGER = E164("+14155550177")


class Street:
    """A number that changes hands, and the accounts of both owners."""

    def __init__(self, world: World, bob: AccountId) -> None:
        self.world, self.bob = world, bob

    async def first(self, **more: Any) -> Booking:
        return await self.world.book(UsagePlan.LARGE, **more)

    async def next(self, before: Booking, account: str | None = None, **more: Any) -> Booking:
        """Lets the number's quarantine end, and books it for another account, or for the one that is given."""
        await self.noted()
        self.world.now += 2 * HOUR
        await self.world.sweep()
        wanted = NumberRequest(service=before.service)
        return await self.world.book(UsagePlan.LARGE, account=account or self.bob, wanted=wanted, **more)

    async def noted(self) -> int:
        """Notes the callers of all records: their ids are by the machine's clock."""
        now = EpochMs(SystemClock().now() + MARGIN_MS + 1)
        return await note_all_reached(self.world.storage, now, PEPPER)

    async def reason(self, booking: Booking, source: str = CALLER) -> Any:
        """Why a call is refused; None if it is put through. What it leased is given back."""
        call_id = CallId(new_id("call"))
        asked = booking.account_id, booking.id, source, self.world.at, self.world.policy
        explained = (await self.world.storage.run(explain, *asked)).reason
        decision = await route(self.world, booking, call_id, source)
        if isinstance(decision, Bridge):
            assert explained is Reason.PUT_THROUGH
            await self.world.ended(call_id, 0, "BUSY")
            return None
        assert explained is decision.reason
        return explained


@pytest.fixture
async def street(world: World) -> Street:
    world.policy = replace(world.policy, quarantine_ms=HOUR, pepper=PEPPER)
    return Street(world, (await world.storage.run(create_account, "Bob", world.now)).id)


async def test_a_former_caller_hears_that_the_number_has_changed_hands(street: Street) -> None:
    world, first = street.world, await street.first()
    await call(world, first, CallId("c1"), CALLER)
    await call(world, first, CallId("c2"), ANONYMOUS)
    assert await street.reason(first) is None
    await world.cancel(first)
    second = await street.next(first)
    decision = await route(world, second, CallId("c3"), CALLER)
    assert decision == CHANGED_HANDS
    assert (decision.cause, decision.prompt) == (1, Prompt.CHANGED_HANDS)
    [record] = world.rows("SELECT disposition, reason, duration, source FROM cdrs WHERE booking_id = ?", second.id)
    assert record == {"disposition": "CHANGED_HANDS", "reason": "changed_hands", "duration": 0, "source": CALLER}
    for source in (STRANGER, ANONYMOUS):
        assert await street.reason(second, source) is None
    kept = world.rows("SELECT * FROM reached_callers")
    assert [(row["service"], row["booking_id"], len(row["digest"])) for row in kept] == [(first.service, first.id, 20)]
    await world.storage.run(
        change, second.account_id, second.id, BookingPatch(accept_former_callers=True), world.now, world.policy
    )
    assert await street.reason(second) is None
    await call(world, second, CallId("c4"), CALLER)
    await street.noted()
    await world.storage.run(
        change, second.account_id, second.id, BookingPatch(accept_former_callers=False), world.now, world.policy
    )
    assert await street.reason(second) is None, "the caller knows the present owner by now"


async def test_former_callers_reach_a_new_pair_on_a_shared_number_and_nobody_once_it_is_shared_no_more(
    street: Street,
) -> None:
    world, service, partner, other = street.world, E164(POOL[0]), E164("+32470999001"), E164("+32470999002")
    await world.storage.run(share, service)

    async def pair(with_whom: E164) -> Booking:
        both = Participant(E164(CALLER)), Participant(with_whom)
        return await world.book(destination=None, participants=both, caller_id=CallerId.SERVICE, plan=UsagePlan.LARGE)

    async def reached(call_id: str) -> str | None:
        incoming = IncomingCall(CallId(call_id), service, CALLER, asserted=E164(CALLER))
        decision = await world.storage.run(route_call, incoming, world.at, world.policy)
        return decision.destination if isinstance(decision, Bridge) else None

    first = await pair(partner)
    assert await reached("c1") == partner
    await world.answered(CallId("c1"))
    await world.ended(CallId("c1"), 3 * SECOND)
    await street.noted()
    await world.cancel(first)
    world.now += 2 * HOUR
    second = await pair(other)
    assert (second.service, len(world.rows("SELECT * FROM reached_callers"))) == (service, 1)
    assert await reached("c2") == other, "the new pair was made for this caller"
    await world.ended(CallId("c2"), 0, "BUSY")
    await world.cancel(second)
    world.now += 2 * HOUR
    assert (await world.storage.run(unshare, service, world.now)).state == NumberState.FREE
    third = await world.book(UsagePlan.LARGE, account=street.bob, wanted=NumberRequest(service=service))
    assert await street.reason(third, CALLER) is Reason.CHANGED_HANDS


@pytest.mark.parametrize(
    ("account", "answered_ms", "source", "refused"),
    [
        ("bob", 3 * SECOND, CALLER, True),
        ("ann", 3 * SECOND, CALLER, True),
        ("bob", 0, CALLER, False),
        ("bob", 3 * SECOND, "0475123456", False),
    ],
    ids=["another account", "same account", "not answered", "not E.164"],
)
async def test_whom_a_former_caller_does_not_reach(
    street: Street, account: str, answered_ms: int, source: str, *, refused: bool
) -> None:
    first = await street.first()
    await call(street.world, first, CallId("c1"), source, answered_ms)
    await street.world.cancel(first)
    owner = street.bob if account == "bob" else street.world.account
    second = await street.next(first, owner)
    assert await street.reason(second, source) is (Reason.CHANGED_HANDS if refused else None)


async def test_callers_of_a_swapped_number_reach_its_old_owner_by_the_new_number_only(street: Street) -> None:
    world, first = street.world, await street.first()
    await call(world, first, CallId("c1"), CALLER)
    swapped = await world.storage.run(swap_number, world.account, first.id, world.now, world.policy)
    second = await street.next(first)
    assert await street.reason(second) is Reason.CHANGED_HANDS
    assert await street.reason(swapped) is None


async def test_an_expired_owner_is_not_told_of_a_call_that_was_not_for_it(street: Street) -> None:
    world, first = street.world, await street.first()
    await call(world, first, CallId("c1"), CALLER)
    await world.cancel(first)
    second = await street.next(first)
    world.now = second.end_at
    assert await street.reason(second) is Reason.CHANGED_HANDS
    assert await street.reason(second, STRANGER) is Reason.END_REACHED
    [told] = world.rows("SELECT body FROM outbox WHERE booking_id = ?", second.id)
    assert STRANGER in told["body"]


async def test_a_year_later_nothing_is_left(street: Street) -> None:
    world, first = street.world, await street.first()
    await call(world, first, CallId("c1"), CALLER)
    await world.cancel(first)
    reached_at = world.now
    second = await street.next(first)
    world.policy = replace(world.policy, grace_ms=2 * FORMER_CALLER_MS)
    kept = RetentionPeriods(*(3 * (2 * FORMER_CALLER_MS,)))
    for later, reason, left in ((-1, Reason.CHANGED_HANDS, 1), (0, Reason.END_REACHED, 0)):
        world.now = reached_at + FORMER_CALLER_MS + later
        assert await street.reason(second) is reason
        await delete_expired(world.storage, world.now, kept)
        assert len(world.rows("SELECT * FROM reached_callers")) == left


async def test_an_erased_person_is_unknown_also_after_a_restore(street: Street) -> None:
    world, first = street.world, await street.first()
    for number, source in enumerate((PERSON, CALLER)):
        await call(world, first, CallId(f"c{number}"), source)
    await street.noted()
    rows = world.rows("SELECT * FROM reached_callers ORDER BY digest")

    def put_back(tx: Any) -> None:
        for row in rows:
            tx.reached_callers.note(*row.values())

    assert (await erased_from(world)).removed["reached_callers"] == 1
    [left] = world.rows("SELECT * FROM reached_callers")
    await world.storage.run(lambda tx: tx.reached_callers.forget(EpochMs(world.now + 1), 9))
    await world.storage.run(put_back)
    # The backup has no other trace of the person.
    erased = [Entry(world.now, Kind.NUMBER, person_digest(PEPPER, PERSON))]
    assert await erase_again(world.storage, Losses(erased, (), world.now, world.at, world.policy), PEPPER) == (0, [])
    assert world.rows("SELECT * FROM reached_callers") == [left]


async def test_records_are_read_once_in_slices_and_young_ones_wait(
    street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, first = street.world, await street.first()
    sources = [f"+1415555020{number}" for number in range(5)]
    for number, source in enumerate(sources):
        await call(world, first, CallId(f"c{number}"), source)
    assert await note_all_reached(world.storage, SystemClock().now(), PEPPER) == 0
    monkeypatch.setattr(reached_callers, "SLICE", 2)
    monkeypatch.setattr(reached_callers, "MAX_SLICES", 2)
    assert [await street.noted() for _ in range(3)] == [4, 1, 0]
    assert len(world.rows("SELECT * FROM reached_callers")) == len(sources)


async def test_a_sandbox_shows_it_at_once(world: World) -> None:
    world.policy = replace(world.policy, pepper=PEPPER, speaks=True)
    trial = await Trial.begin(world)
    first = await trial.book()
    await trial.call(first.service, Outcome.ANSWERED, 5)
    await world.storage.run(cancel, first.account_id, first.id, EpochMs(await trial.now()), world.policy)
    second = await trial.book(wanted=NumberRequest(service=first.service))
    refused = await trial.call(second.service)
    assert (refused.reason, refused.sip_status, refused.prompts) == (
        Reason.CHANGED_HANDS,
        404,
        (Prompt.CHANGED_HANDS,),
    )
    await trial.advance(FORMER_CALLER_MS)
    assert (await trial.call(second.service)).reason is not Reason.CHANGED_HANDS
