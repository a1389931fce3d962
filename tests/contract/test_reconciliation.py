"""Asterisk's list of live calls compared with the database: calls found talking, vanished, or live though settled."""

import os
import time

import pytest

from engine.bookings.number_pool import import_numbers
from engine.calls import reconciliation
from engine.calls.lease_rebalancing import bookings_to_share
from engine.calls.reconciliation import Comparison, FoundTalking, LiveChannels
from engine.domain.dispositions import Disposition
from engine.domain.ids import CallId
from engine.domain.metering import CallState
from engine.domain.policy import UsagePlan
from engine.domain.times import BootMs, EpochMs
from engine.storage.sqlite import SqliteStorage
from tests.contract.samples import DAY, HOUR, SECOND, START
from tests.contract.world import World, outsider

LIVE_CALLS = int(os.environ.get("LIVE_CALLS", "50"))


async def compare(world: World, seen: LiveChannels) -> Comparison:
    return await world.storage.run(reconciliation.compare_with_asterisk, seen, world.at.boot_ms)


TALKING = LiveChannels(frozenset({CallId("c1")}), {CallId("c1"): "PJSIP/trunk-1"})
FOUND = FoundTalking(CallId("c1"), "PJSIP/trunk-1", leased=300)


@pytest.mark.parametrize(
    ("asterisk_says", "talked"),
    [(None, 5), (298 * SECOND, 2), (300 * SECOND, 0), (301 * SECOND, 0), (292 * SECOND, 5), (1, 5)],
)
async def test_a_call_found_talking_has_used_what_its_limit_implies_but_no_more_than_possible(
    lenient: World, asterisk_says: int | None, talked: int
) -> None:
    booking = await lenient.book(UsagePlan.MEDIUM)
    await lenient.bridge(booking, "c1")
    lenient.now += 5 * SECOND
    assert (await compare(lenient, TALKING)).found == [FOUND]
    begun = await lenient.storage.run(
        reconciliation.begin_found,
        FOUND,
        lenient.at,
        left_ms=asterisk_says,
        asterisk_now=EpochMs(lenient.now + HOUR),
    )
    assert begun == booking.id
    await lenient.share(booking.id)
    assert await lenient.left_ms(CallId("c1")) == (300 - talked) * SECOND
    answered = lenient.rows("SELECT answered_at, answered_ticks FROM calls")
    assert answered == [
        {
            "answered_at": lenient.now + HOUR - talked * SECOND,
            "answered_ticks": lenient.at.boot_ms - talked * SECOND,
        }
    ]


async def test_a_call_found_talking_starts_once_and_then_only_its_known_duration_grows(lenient: World) -> None:
    booking = await lenient.book(UsagePlan.MEDIUM)
    await lenient.bridge(booking, "c1")
    lenient.now += 5 * SECOND
    run = lenient.storage.run
    assert await run(reconciliation.begin_found, FOUND, lenient.at, left_ms=None, asterisk_now=None) == booking.id
    assert await run(reconciliation.begin_found, FOUND, lenient.at, left_ms=None, asterisk_now=None) is None
    await lenient.share(booking.id)
    lenient.now += 7 * SECOND
    assert (await compare(lenient, TALKING)).found == []
    [settled] = await run(reconciliation.settle_vanished, {CallId("c1")}, lenient.now, lenient.policy)
    assert (settled.cdr.disposition, settled.cdr.duration) == (Disposition.LOST, 12)
    assert await run(reconciliation.begin_found, FOUND, lenient.at, left_ms=None, asterisk_now=None) is None


async def test_a_call_found_talking_and_then_missing_lasted_until_it_was_last_seen(lenient: World) -> None:
    booking = await lenient.book(UsagePlan.MEDIUM)
    await lenient.bridge(booking, "c1")
    lenient.now += 5 * SECOND
    run = lenient.storage.run
    assert await run(reconciliation.begin_found, FOUND, lenient.at, left_ms=None, asterisk_now=None) == booking.id
    lenient.now += 7 * SECOND
    [settled] = await run(reconciliation.settle_vanished, {CallId("c1")}, lenient.now, lenient.policy)
    assert settled.cdr.duration == 5


async def test_a_missing_call_keeps_the_time_it_was_last_seen(lenient: World) -> None:
    booking = await lenient.book(UsagePlan.MEDIUM)
    for call_id in ("c1", "c2", "c3"):
        await lenient.bridge(booking, call_id)
    for call_id in ("c1", "c2"):
        await lenient.answered(CallId(call_id))
    lenient.now += SECOND
    await compare(lenient, LiveChannels(frozenset({CallId("c1"), CallId("c2"), CallId("c3")}), {}))
    lenient.now += SECOND
    await compare(lenient, LiveChannels(frozenset({CallId("c1"), CallId("c3")}), {}))
    seen = {row["call_id"]: row["seen_ticks"] for row in lenient.rows("SELECT call_id, seen_ticks FROM calls")}
    assert seen == {"c1": 2 * SECOND, "c2": SECOND, "c3": None}


async def test_a_settled_call_that_is_still_live_must_end(lenient: World) -> None:
    booking = await lenient.book(UsagePlan.MEDIUM)
    for call_id in ("live", "settled"):
        await lenient.bridge(booking, call_id)
        await lenient.answered(CallId(call_id))
    await lenient.ended(CallId("settled"), SECOND)
    channels = frozenset(map(CallId, ("live", "settled", "somebody-elses")))
    assert (await compare(lenient, LiveChannels(channels, {}, callers=channels))).unmetered == {"settled"}
    # Nothing is known of a channel that may not be a caller's.
    assert (await compare(lenient, LiveChannels(channels, {}))).unmetered == set()


async def test_a_call_that_rings_is_not_taken_for_talking(lenient: World) -> None:
    booking = await lenient.book(UsagePlan.MEDIUM)
    await lenient.bridge(booking, "c1")
    assert (await compare(lenient, LiveChannels(frozenset({CallId("c1")}), {}))).found == []
    assert lenient.rows("SELECT state FROM calls") == [{"state": CallState.RINGING}]


@pytest.mark.parametrize(
    ("answered", "seen_after", "charged"),
    [(False, None, 0), (True, None, 1), (True, 0, 1), (True, 12_001, 13), (True, 600_000, 300)],
)
async def test_a_vanished_call_costs_its_known_duration(
    lenient: World, *, answered: bool, seen_after: int | None, charged: int
) -> None:
    booking = await lenient.book(UsagePlan.MEDIUM)
    await lenient.bridge(booking, "c1")
    if answered:
        await lenient.answered(CallId("c1"))
    if seen_after is not None:
        lenient.now += seen_after
        await compare(lenient, LiveChannels(frozenset({CallId("c1")}), {}))
    lenient.now += DAY
    [settled] = await lenient.storage.run(
        reconciliation.settle_vanished, {CallId("c1"), CallId("never-seen")}, lenient.now, lenient.policy
    )
    assert settled.cdr.duration == charged
    assert await lenient.storage.run(reconciliation.settle_vanished, {CallId("c1")}, lenient.now, lenient.policy) == []
    assert await lenient.ended(CallId("c1"), 40 * SECOND) is None


async def test_only_calls_older_than_the_query_can_be_missing(lenient: World) -> None:
    booking = await lenient.book(UsagePlan.MEDIUM)
    for call_id in ("known", "unknown"):
        await lenient.bridge(booking, call_id)
    lenient.now += SECOND
    asked = lenient.at.boot_ms
    await lenient.bridge(booking, "newer")
    seen = LiveChannels(frozenset({CallId("known")}), {})
    assert (await lenient.storage.run(reconciliation.compare_with_asterisk, seen, asked)).missing == {"unknown"}


async def test_a_call_from_before_a_reboot_is_missing(lenient: World) -> None:
    """The boot clock restarts with the machine: earlier entries seem to come from the future."""
    booking = await lenient.book(UsagePlan.MEDIUM)
    lenient.now += DAY
    await lenient.bridge(booking, "c1")
    asked_after_the_start = 5 * SECOND
    nothing = LiveChannels(frozenset(), {})
    assert (
        await lenient.storage.run(reconciliation.compare_with_asterisk, nothing, BootMs(asked_after_the_start))
    ).missing == {"c1"}


@pytest.mark.timeout(120 + LIVE_CALLS // 20)
@pytest.mark.sqlite_only
async def test_a_reconciliation_takes_few_statements_however_many_calls_are_live(lenient: World) -> None:
    """A reconciliation delays incoming calls. LIVE_CALLS=10000 and `-s` print for how long."""
    with outsider(lenient.database) as connection:
        connection.execute("DELETE FROM numbers")
    await lenient.storage.run(import_numbers, [(n, f"+33199{n:06}") for n in range(LIVE_CALLS)], START)
    names = [f"rn-{n}" for n in range(LIVE_CALLS)]
    for name in names:
        await lenient.bridge(await lenient.book(UsagePlan.MEDIUM), name)
        await lenient.answered(CallId(name))
    lenient.now += SECOND
    seen = frozenset(map(CallId, names[:-3]))
    statements: list[str] = []
    assert isinstance(lenient.storage, SqliteStorage)
    lenient.storage._connection.set_trace_callback(statements.append)
    began = time.perf_counter()
    compared = await lenient.storage.run(
        reconciliation.compare_with_asterisk, LiveChannels(seen, {}, seen), lenient.at.boot_ms
    )
    idle = await lenient.storage.run(bookings_to_share, lenient.at, lenient.policy)
    took = time.perf_counter() - began
    lenient.storage._connection.set_trace_callback(None)
    print(f"\n{LIVE_CALLS} live calls compared with the books in {took * 1000:.0f} ms")  # noqa: T201  the figure
    assert (compared.missing, compared.unmetered, idle) == (set(names[-3:]), set(), [])
    assert lenient.rows("SELECT COUNT(*) AS n FROM calls WHERE seen_ticks = ?", SECOND) == [{"n": LIVE_CALLS - 3}]
    # Two transactions, four statements, and one for each missing call.
    assert len([each for each in statements if "calls" in each]) <= 3 + 3
