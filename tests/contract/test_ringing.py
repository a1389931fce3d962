"""A11: ringing calls that nobody answers, in the database: exact limits, and an honest caller gets through."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import pytest

from engine.accounts.accounts import create_account, set_limits
from engine.bookings import lifecycle as bookings
from engine.bookings.lifecycle import BookingRequest
from engine.calls import lifecycle as calls
from engine.calls.facts import IncomingCall
from engine.domain.account_limits import AccountLimits
from engine.domain.booking import Booking
from engine.domain.ids import CallId
from engine.domain.numbers import ANONYMOUS
from engine.domain.policy import BookingLimits, Policy, UsagePlan
from engine.domain.rejections import Reject
from engine.domain.routing import Bridge, EndRinging, Preparation, RouteDecision
from engine.domain.sharing import newcomers_share
from engine.storage.database import open_storage
from tests.contract.samples import CALLBACK, CALLER, HIDDEN, SECOND
from tests.contract.world import POOL, World

Caller = Callable[[int], str]
HONEST = "+14155550100"


def invented(number: int) -> str:
    return f"+1628555{number:04}"


def strict(policy: Policy, *, at_once: int = 100) -> Policy:
    return replace(
        policy,
        max_ringing_calls_per_caller=1,
        default_limits=BookingLimits(max_concurrent_calls=10),
        account_limits=AccountLimits(calls_at_once=at_once),
    )


async def booked(world: World, account: str | None = None, **limits: int) -> Booking:
    """3,600 s, 100 calls."""
    owner = world.account if account is None else (await world.storage.run(create_account, account, world.now)).id
    request = BookingRequest(owner, HIDDEN, UsagePlan.LARGE, CALLBACK, BookingLimits(**limits))
    return await world.storage.run(bookings.book, request, world.now, world.policy)


async def decided(world: World, booking: Booking, call_id: str, source: str) -> RouteDecision | Preparation:
    """Asks once, as all calls of a crowd do that come in at the same moment."""
    incoming = IncomingCall(CallId(call_id), booking.service, source)
    return await world.storage.run(calls.route_call, incoming, world.at, world.policy, room_was_made=True)


def dispositions(world: World) -> Counter[str]:
    rows = world.rows("SELECT disposition, SUM(1 + further_calls) AS calls FROM cdrs GROUP BY 1")
    return Counter({row["disposition"]: row["calls"] for row in rows})


def up(world: World) -> int:
    [row] = world.rows("SELECT COUNT(*) AS calls FROM calls WHERE ended_at IS NULL")
    return int(row["calls"])


@pytest.mark.parametrize(
    ("caller", "bridged", "refusal"),
    [
        (lambda _: CALLER, 1, "CALLER_RINGING"),
        (lambda _: ANONYMOUS, 3, "CALLER_RINGING"),
        (invented, 10, "CONCURRENCY_LIMIT"),
    ],
    ids=["one caller", "without numbers", "invented numbers"],
)
async def test_of_fifty_calls_at_once_exactly_the_allowed_number_rings(
    world: World, caller: Caller, bridged: int, refusal: str
) -> None:
    world.policy = strict(world.policy)
    booking = await booked(world)
    decisions = await asyncio.gather(*(decided(world, booking, f"c{n}", caller(n)) for n in range(50)))
    assert sum(isinstance(decision, Bridge) for decision in decisions) == bridged
    assert dispositions(world) == {refusal: 50 - bridged}
    # Each end makes room for exactly one more.
    freed = next(CallId(f"c{n}") for n, decision in enumerate(decisions) if isinstance(decision, Bridge))
    await world.ended(freed, 0, "CANCEL")
    more = await asyncio.gather(*(decided(world, booking, f"d{n}", caller(100 + n)) for n in range(50)))
    assert sum(isinstance(decision, Bridge) for decision in more) == 1
    assert up(world) == bridged


@pytest.mark.parametrize("own", [None, 13])
async def test_of_fifty_calls_at_once_an_account_has_exactly_its_limit_and_another_account_its_own(
    world: World, own: int | None
) -> None:
    world.policy = strict(world.policy, at_once=7)
    if own is not None:
        await world.storage.run(set_limits, "Ann", {"calls_at_once": own})
    ours, theirs = [await booked(world), await booked(world)], await booked(world, "Bob")
    crowd = [decided(world, ours[n % 2], f"c{n}", invented(n)) for n in range(50)]
    decisions = await asyncio.gather(*crowd, *(decided(world, theirs, f"t{n}", invented(n)) for n in range(9)))
    assert sum(isinstance(decision, Bridge) for decision in decisions[:50]) == (own or 7)
    assert sum(isinstance(decision, Bridge) for decision in decisions[50:]) == 7
    assert dispositions(world) == {"ACCOUNT_LIMIT": 50 - (own or 7) + 2}


async def test_what_counts_survives_the_engine_and_ends_with_the_calls(world: World, database: Path) -> None:
    """There are no counters besides the calls themselves."""
    world.policy = strict(world.policy, at_once=2)
    booking = await booked(world)
    assert isinstance(await decided(world, booking, "c1", CALLER), Bridge)
    await world.storage.close()
    world.storage = open_storage(database)
    await decided(world, booking, "c2", CALLER)
    assert isinstance(await decided(world, booking, "c3", invented(3)), Bridge)
    await decided(world, booking, "c4", invented(4))
    assert dispositions(world) == {"CALLER_RINGING": 1, "ACCOUNT_LIMIT": 1}
    # A call that is answered rings no more, but still counts as one of the account's.
    await world.answered(CallId("c1"))
    await world.ended(CallId("c3"), 0, "CANCEL")
    assert isinstance(await decided(world, booking, "c5", CALLER), Bridge)
    assert up(world) == 2
    # The account's booking is gone: its calls count until they have ended.
    other = await booked(world)
    await world.cancel(booking)
    await decided(world, other, "c6", CALLER)
    assert dispositions(world)["ACCOUNT_LIMIT"] == 2
    await world.ended(CallId("c1"), SECOND)
    assert isinstance(await decided(world, other, "c7", CALLER), Bridge)
    await world.storage.close()


async def test_each_booking_counts_the_ringing_calls_of_a_caller_on_its_own(world: World) -> None:
    world.policy = strict(world.policy)
    for _ in range(2):
        assert isinstance(await decided(world, await booked(world), f"c{up(world)}", CALLER), Bridge)


ATTACKS: dict[str, tuple[Caller, int, int]] = {
    # The caller, milliseconds between two calls of the attacker, and calls that he makes to begin with.
    "one number": (lambda _: CALLER, 500, 20),
    "no number": (lambda _: ANONYMOUS, 500, 20),
    "invented numbers, as fast as their calls end": (invented, 3_000, 10),
    "invented numbers, 40 a minute": (invented, 1_500, 30),
}
STEP_MS, RINGS_MS, ANSWERED_MS, TALKS_MS = 500, 30_000, 9_000, 15_000


class Attack:
    """Two minutes with an attacker, whose calls ring until their time is over, and honest callers, who are answered."""

    def __init__(self, world: World, booking: Booking) -> None:
        self.world = world
        self.booking = booking
        self.made = self.refused = 0
        # What happens to which call, by milliseconds since the beginning.
        self.due: dict[int, list[tuple[str, CallId]]] = {}

    async def call(self, ms: int, source: str, *, honest: bool) -> None:
        self.made += 1
        call_id = CallId(f"c{self.made}")
        if isinstance(await self.world.route(self.booking.service, call_id, source), Bridge):
            after, event = (ANSWERED_MS, "answered") if honest else (RINGS_MS, "no answer")
            self.due.setdefault(ms + after, []).append((event, call_id))
        elif honest:
            self.refused += 1

    async def go_on(self, ms: int) -> None:
        for event, call_id in self.due.pop(ms, []):
            if event == "answered":
                assert await self.world.answered(call_id), "it gave way before its answer"
                self.due.setdefault(ms + TALKS_MS, []).append(("ended", call_id))
            elif event == "ended":
                await self.world.ended(call_id, TALKS_MS)
            else:
                await self.world.ended(call_id, 0, "NOANSWER")


@pytest.mark.sqlite_only  # it is about the rule, and makes thousands of calls
@pytest.mark.parametrize("attack", ATTACKS)
async def test_honest_callers_get_through_while_an_attacker_lets_it_ring(world: World, attack: str) -> None:
    world.policy = strict(world.policy)
    run, begin = Attack(world, await booked(world)), world.now
    caller, every_ms, at_first = ATTACKS[attack]
    for ms in range(0, 120_000, STEP_MS):
        world.now = begin + ms
        await run.go_on(ms)
        for _ in range(at_first if ms == 0 else int(ms % every_ms == 0)):
            await run.call(ms, caller(run.made), honest=False)
        if ms % 20_000 == 12_500:
            await run.call(ms, f"{HONEST[:-1]}{ms // 20_000}", honest=True)
        assert up(world) <= 10
    seen = dispositions(world)
    print(f"{attack}: {run.made - 6} calls, 6 honest ones, {run.refused} refused; {dict(seen)}")  # noqa: T201
    # The last one still talks.
    assert (run.refused, seen["ANSWERED"]) == (0, 5)


async def test_calls_that_talk_never_give_way(world: World) -> None:
    world.policy = strict(world.policy)
    booking = await booked(world, max_concurrent_calls=2)
    for name in ("c1", "c2"):
        assert isinstance(await world.route(booking.service, name, invented(len(name))), Bridge)
        await world.answered(CallId(name))
    world.now += 60 * SECOND
    assert not isinstance(await world.route(booking.service, "c3", invented(3)), Bridge)
    assert dispositions(world) == {"CONCURRENCY_LIMIT": 1}


@pytest.mark.parametrize(
    ("after_s", "expected", "shared"),
    [(1, Reject, 0), (20, EndRinging, 1)],
    ids=["refused", "gives way"],
)
async def test_a_full_line_is_shared_once_for_a_newcomer_and_not_for_one_that_is_refused(
    world: World, monkeypatch: pytest.MonkeyPatch, after_s: int, expected: type, shared: int
) -> None:
    """A line may have a thousand calls, and each further one waits for the same thread as everybody's calls."""
    world.policy = strict(world.policy)
    booking = await booked(world, max_concurrent_calls=2)
    for number in range(2):
        await decided(world, booking, f"c{number}", invented(number))
    world.now += after_s * SECOND
    share = Mock(wraps=newcomers_share)
    monkeypatch.setattr("engine.calls.facts.newcomers_share", share)
    incoming = IncomingCall(CallId("c9"), booking.service, HONEST)
    decision = await world.storage.run(calls.route_call, incoming, world.at, world.policy)
    assert (type(decision), share.call_count) == (expected, shared)


async def test_the_record_of_a_call_that_gave_way_says_so(world: World) -> None:
    world.policy = strict(world.policy)
    booking = await booked(world, max_concurrent_calls=1)
    await world.route(booking.service, "c1", CALLER)
    world.now += 10 * SECOND
    assert isinstance(await world.route(booking.service, "c2", HONEST), Bridge)
    [record] = world.rows("SELECT call_id, disposition, hung_up_by, duration FROM cdrs")
    assert record == {"call_id": "c1", "disposition": "GAVE_WAY", "hung_up_by": "ENGINE", "duration": 0}
    stored = await world.stored(booking)
    assert (stored.calls.leased, stored.calls.settled) == (1, 0)


async def test_at_the_limit_of_an_account_the_longest_ringing_call_of_any_of_its_bookings_gives_way(
    world: World,
) -> None:
    """An attack on one booking does not close the account's others."""
    world.policy = strict(world.policy, at_once=4)
    attacked, other = await booked(world), await booked(world)
    for number in range(4):
        await world.route(attacked.service, f"a{number}", invented(number))
        world.now += 3 * SECOND
    incoming = IncomingCall(CallId("h1"), other.service, HONEST)
    decision = await world.storage.run(calls.route_call, incoming, world.at, world.policy)
    assert decision == EndRinging(CallId("a0"))
    assert isinstance(await world.route(other.service, "h1", HONEST), Bridge)
    assert up(world) == 4


async def test_ringing_calls_hold_the_booking_s_last_calls_as_the_contract_says(world: World) -> None:
    world.policy = strict(world.policy)
    request = BookingRequest(world.account, HIDDEN, UsagePlan.SMALL, CALLBACK)  # one call
    booking = await world.storage.run(bookings.book, request, world.now, world.policy)
    await world.route(booking.service, "c1", CALLER)
    world.now += 20 * SECOND
    assert not isinstance(await world.route(booking.service, "c2", HONEST), Bridge)
    assert dispositions(world) == {"ALL_SLOTS_HELD": 1}
    assert booking.service in POOL
