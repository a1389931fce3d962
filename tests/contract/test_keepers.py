"""Several engines on one database: who keeps an Asterisk, and what an engine that is not the keeper any more can do."""

import asyncio
import time
from dataclasses import replace

import pytest

from engine.asterisk import keepership as module
from engine.asterisk.asterisk_mark import AsteriskMark
from engine.asterisk.errands import ErrandRunner, SharedElsewhere
from engine.asterisk.keepership import CERTAIN_SECONDS, LOST_SECONDS, TAKE_OVER_SECONDS, SharedKeepership, keep
from engine.bookings.adjustments import Adjustment, adjust_live
from engine.calls import lifecycle as calls
from engine.calls.facts import IncomingCall
from engine.calls.lease_rebalancing import apply_shares, bookings_to_share, plan_shrinks
from engine.calls.reconciliation import LiveChannels, compare_with_asterisk
from engine.config.postgres_address import PostgresAddress
from engine.domain.booking import Booking
from engine.domain.ids import CallId
from engine.domain.policy import UsagePlan
from engine.domain.times import BootMs
from engine.storage.database import clock_of
from engine.storage.errands import ErrandKind
from engine.storage.errors import StorageUnavailable
from engine.storage.keepers import Keeper, Kept, SignOfLife
from engine.storage.transaction import Transaction
from tests.contract.marking import Link
from tests.contract.racing import Race
from tests.contract.samples import CALLER, POLICY, SECOND, START
from tests.contract.spooling import WorldClock
from tests.contract.world import World

BRUSSELS, PARIS = "b", "p"
ONE, AGAIN, OTHER = (Keeper(BRUSSELS, engine) for engine in ("home/eng_1", "home/eng_2", "elsewhere/eng_3"))
FOREIGN = Keeper(PARIS, "paris/eng_4")
SIGN = SignOfLife(START, "host", "")


@pytest.fixture
def boot(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The boot clock of the keepers, which a test moves."""
    now = [1_000.0]
    monkeypatch.setattr(module, "boot_seconds", lambda: now[0])
    return now


def keepership(world: World, keeper: Keeper) -> SharedKeepership:
    return SharedKeepership(world.storage, keeper, WorldClock(world), AsteriskMark(Link()))


async def keeper_of(world: World, keeper: Keeper, silent: Kept | None = None) -> Kept:
    """Has an engine ask, and returns who keeps its Asterisk then."""
    rows = await world.storage.run(keep, keeper, SIGN, silent)
    return next(row for row in rows if row.asterisk == keeper.asterisk)


async def routed(world: World, booking: Booking, call_id: str, asterisk: str) -> None:
    incoming = IncomingCall(CallId(call_id), booking.service, CALLER, asterisk=asterisk)
    await world.storage.run(calls.route_call, incoming, world.at, world.policy, room_was_made=True)


async def leases(world: World) -> dict[str, int]:
    return {row["call_id"]: row["seconds_leased"] for row in world.rows("SELECT call_id, seconds_leased FROM calls")}


async def test_an_asterisk_is_taken_if_it_is_free_or_its_keeper_is_gone_and_never_else(shared: World) -> None:
    first = await keeper_of(shared, ONE)
    assert first.engine == ONE.engine
    assert (await keeper_of(shared, OTHER)).engine == ONE.engine
    beaten = await keeper_of(shared, ONE)
    assert beaten.beat == first.beat + 1
    assert await keeper_of(shared, OTHER, silent=first) == beaten, "its keeper has beaten since"
    assert (await keeper_of(shared, OTHER, silent=beaten)).engine == OTHER.engine
    assert (await keeper_of(shared, ONE)).engine == OTHER.engine, "what it lost it does not take back"
    assert (await keeper_of(shared, FOREIGN)).engine == FOREIGN.engine
    await shared.storage.run(lambda tx: tx.keepers.leave(ONE))
    assert (await keeper_of(shared, ONE)).engine == OTHER.engine, "only its keeper can leave it"
    await shared.storage.run(lambda tx: tx.keepers.leave(OTHER))
    assert (await keeper_of(shared, ONE)).engine == ONE.engine
    assert (await keeper_of(shared, AGAIN)).engine == AGAIN.engine, "the engine was started again"


async def test_two_engines_that_take_at_once_do_not_both_get_it(shared: World) -> None:
    await asyncio.gather(*[shared.storage.run(keep, keeper, SIGN, None) for keeper in (ONE, OTHER)])
    kept = [await keeper_of(shared, keeper) for keeper in (ONE, OTHER)]
    assert kept[0].engine == kept[1].engine


async def test_a_keeper_is_certain_for_less_time_than_it_takes_to_replace_it(shared: World, boot: list[float]) -> None:
    one, other = (
        keepership(shared, ONE),
        keepership(shared, OTHER),
    )
    await one.ask()
    await other.ask()
    assert (one.is_certain, other.is_ours) == (True, False)
    boot[0] += CERTAIN_SECONDS
    assert (one.is_ours, one.is_certain) == (True, False)
    boot[0] += TAKE_OVER_SECONDS - CERTAIN_SECONDS - 0.1
    await other.ask()
    assert not other.is_ours
    boot[0] += 0.1
    await other.ask()
    assert other.is_certain
    await one.ask()
    assert not one.is_ours
    await other.leave()
    await one.ask()
    assert one.is_certain


async def test_what_was_seen_before_the_database_failed_does_not_count(
    shared: World, boot: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = (
        keepership(shared, ONE),
        keepership(shared, OTHER),
    )
    await one.ask()
    await other.ask()
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.01)
    stop = asyncio.Event()

    async def fails() -> None:
        stop.set()
        raise StorageUnavailable("gone")

    with monkeypatch.context() as broken:
        broken.setattr(other, "ask", fails)
        await other.run(stop)
    boot[0] += TAKE_OVER_SECONDS
    await other.ask()
    assert not other.is_ours
    assert CERTAIN_SECONDS < TAKE_OVER_SECONDS < LOST_SECONDS


async def test_a_former_keeper_moves_no_lease(shared: World) -> None:
    booking = await shared.book(UsagePlan.LARGE)
    await keeper_of(shared, ONE)
    await routed(shared, booking, "c1", BRUSSELS)
    shrinks = await shared.storage.run(plan_shrinks, booking.id, shared.at, shared.policy, 10**6, ONE)
    shrunk = {limit.call_id: limit.leased for limit in shrinks}
    assert shrunk
    before = await leases(shared)
    taken = await keeper_of(shared, OTHER, silent=await keeper_of(shared, OTHER))
    assert taken.engine == OTHER.engine
    run, at = shared.storage.run, shared.at
    assert await run(apply_shares, booking.id, shrunk, at, shared.policy, keep_free=10**6, keeper=ONE) == []
    adjustment = Adjustment("grt_1", booking.id, -(10**6), 0, "taken back")
    grant, raised = await run(adjust_live, adjustment, shrunk, at, shared.policy, ONE)
    assert (grant.seconds, raised) == (sum(before.values()) - booking.seconds.granted, []), (
        "it takes what no call holds"
    )
    assert await leases(shared) == before
    await run(apply_shares, booking.id, shrunk, at, shared.policy, keep_free=10**6, keeper=OTHER)
    assert await leases(shared) == shrunk
    shared.check_ledger()


async def a_former_keeper_shares_as_another_takes_over(race: Race) -> None:
    world = race.world
    world.policy = POLICY
    booking = await world.book(UsagePlan.LARGE)
    row = await keeper_of(world, ONE)
    await routed(world, booking, "c1", BRUSSELS)

    def share(tx: Transaction) -> object:
        return apply_shares(tx, booking.id, {CallId("c1"): 2}, world.at, world.policy, keep_free=10**6, keeper=ONE)

    def take(tx: Transaction) -> int:
        keep(tx, OTHER, SIGN, row)
        return tx.calls.up_on(booking.id)[0].seconds_leased

    _, seen = await race.at_once(share, take)
    assert {"c1": seen} == await leases(world), "who takes over sees all that the former keeper has written"


async def test_a_take_over_waits_for_the_leases_of_the_former_keeper(race: Race) -> None:
    await race.goes_wrong_without_locks_only(a_former_keeper_shares_as_another_takes_over)


async def test_each_keeper_moves_compares_and_settles_the_calls_of_its_asterisk_only(shared: World) -> None:
    shared.policy = replace(POLICY, longest_call_seconds=600)
    booking = await shared.book(UsagePlan.LARGE)
    for keeper, call_id in ((ONE, "here"), (FOREIGN, "there")):
        await keeper_of(shared, keeper)
        await routed(shared, booking, call_id, keeper.asterisk)
        await shared.answered(CallId(call_id))
    before, run = await leases(shared), shared.storage.run
    assert set(before) == {"here", "there"}
    shrinks = {
        keeper.asterisk: await run(plan_shrinks, booking.id, shared.at, shared.policy, 10**6, keeper)
        for keeper in (ONE, FOREIGN)
    }
    moved = {name: [limit.call_id for limit in limits] for name, limits in shrinks.items()}
    assert moved == {BRUSSELS: ["here"], PARIS: ["there"]}
    asked = BootMs(shared.at.boot_ms + SECOND)
    compared = await run(compare_with_asterisk, LiveChannels(frozenset(), {}), asked, BRUSSELS)
    assert compared.missing == {"here"}
    await run(apply_shares, booking.id, {CallId("here"): 2}, shared.at, shared.policy, keep_free=10**6, keeper=ONE)
    assert (await leases(shared))["there"] == before["there"]
    assert await run(bookings_to_share, shared.at, shared.policy, ONE) == [booking.id]
    shared.check_ledger()


async def test_calls_without_a_living_keeper_are_found(
    shared: World, boot: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = keepership(shared, ONE)
    booking = await shared.book(UsagePlan.LARGE)
    await routed(shared, booking, "c1", BRUSSELS)
    await routed(shared, booking, "c2", PARIS)
    await routed(shared, booking, "c3", "never kept")
    await keeper_of(shared, FOREIGN)
    await one.ask()
    assert await one.lost_asterisks() == []  # a keeper may not have been seen yet
    boot[0] += LOST_SECONDS
    await one.ask()
    assert await one.lost_asterisks() == ["never kept", PARIS]
    await keeper_of(shared, FOREIGN)
    await one.ask()
    assert await one.lost_asterisks() == ["never kept"]
    await _fails_once(one, shared, monkeypatch)
    assert await one.lost_asterisks() == []  # the database failed, for a living keeper as well


async def _fails_once(keepership: SharedKeepership, shared: World, monkeypatch: pytest.MonkeyPatch) -> None:
    stop = asyncio.Event()

    def fail(*_: object, **__: object) -> None:
        stop.set()
        raise StorageUnavailable("it does not answer")

    with monkeypatch.context() as failing:
        failing.setattr(shared.storage, "run", fail)
        await keepership.run(stop)


async def test_errands_are_done_by_the_keeper_of_the_calls_asterisk_while_they_make_sense(shared: World) -> None:
    one, foreign = (
        keepership(shared, ONE),
        keepership(shared, FOREIGN),
    )
    await one.ask()
    await foreign.ask()
    booking = await shared.book(UsagePlan.LARGE)
    await routed(shared, booking, "here", BRUSSELS)
    await routed(shared, booking, "there", PARIS)
    done: list[tuple[str, int]] = []

    async def carry_out(subject: str, seconds: int) -> None:
        done.append((subject, seconds))

    runner = ErrandRunner(shared.storage, WorldClock(shared), foreign, dict.fromkeys(ErrandKind, carry_out))
    elsewhere, stop = SharedElsewhere(shared.storage, WorldClock(shared), one), asyncio.Event()
    running = asyncio.create_task(runner.run(stop))
    assert await elsewhere.make_room(booking.id, 7)
    assert await elsewhere.end_ringing(CallId("here")) is None
    assert await elsewhere.end_ringing(CallId("there"))
    assert await elsewhere.hang_up([CallId("here"), CallId("there"), CallId("unknown")]) == ["here", "unknown"]
    stop.set()
    await running
    assert done == [(booking.id, 7), ("there", 0), ("there", 0)]
    assert not await elsewhere.make_room(booking.id, 7)  # nobody does it now
    assert await elsewhere.end_ringing(CallId("there")) is False
    shared.now += 60 * SECOND
    await runner._look()
    assert len(done) == 3
    assert shared.rows("SELECT id FROM errands") == []


async def test_all_machines_on_a_server_count_the_same_milliseconds(postgres: PostgresAddress) -> None:
    # The server is on this machine, whose clock is right.
    assert abs(clock_of(postgres).timestamp().boot_ms - time.time() * 1000) < 500
