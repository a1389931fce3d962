"""Warnings for the operator are found in the database, and logged when they begin and when they are over."""

import json

from structlog.testing import capture_logs

from engine.accounts.accounts import create_account, sandbox_of
from engine.bookings.number_pool import import_numbers
from engine.bookings.pool_forecast import pool_forecast, pool_forecasts
from engine.bookings.shared_numbers import share
from engine.bookings.swapping import swap_number
from engine.control.operator_warnings import WarningWatch
from engine.domain.booking import CallerId
from engine.domain.numbers import E164
from engine.domain.pairs import Participant
from engine.domain.policy import UsagePlan
from engine.domain.times import DAY_MS, HOUR_MS, EpochMs
from engine.runtime.ids import first_id, new_id
from engine.storage.operator_reads import OperatorReads
from tests.contract.samples import HIDDEN
from tests.contract.spooling import WorldClock
from tests.contract.world import POOL, World, outsider

MINUTE = 60_000


def end_calls(world: World, kind: str, ended: dict[str, int], *, hours_ago: float = 0.5) -> None:
    at = EpochMs(world.now - round(hours_ago * HOUR_MS))
    with outsider(world.database) as connection:
        for disposition, calls in ended.items():
            connection.executemany(
                "INSERT INTO cdrs (id, account_id, booking_id, call_id, started_at, duration, source, service,"
                " destination, disposition) VALUES (?, 'acc_1', 'bkg_1', ?, ?, 0, '', '+3225550001', ?, ?)",
                [
                    (
                        f"{first_id('cdr', at)}{each[-20:]}",
                        f"{kind}{each}",
                        at,
                        HIDDEN,
                        disposition,
                    )
                    for each in (new_id("x") for _ in range(calls))
                ],
            )


def try_endpoint(world: World, account: str, url: str, *, last: int, failing: int | None) -> None:
    """Minutes ago."""
    with outsider(world.database) as connection:
        connection.execute(
            "INSERT INTO callback_endpoints (id, account_id, url, last_attempt_at, failing_since)"
            " VALUES (?, ?, ?, ?, ?) ON CONFLICT (account_id, url) DO UPDATE SET"
            " last_attempt_at = excluded.last_attempt_at, failing_since = excluded.failing_since",
            (
                *(new_id("cep"), account, url, world.now - last * MINUTE),
                None if failing is None else world.now - failing * MINUTE,
            ),
        )


async def looked(watch: WarningWatch) -> list[tuple[str, str, str]]:
    with capture_logs() as logged:
        await watch.look()
    assert HIDDEN[1:] not in json.dumps(logged)
    return [(each["event"], each["kind"], each["subject"]) for each in logged]


async def test_each_warning_is_logged_once_when_it_begins_and_once_when_it_is_over(world: World) -> None:
    async with OperatorReads(world.database) as reads:
        watch = WarningWatch(reads, WorldClock(world), world.policy.quarantine_ms)
        assert await looked(watch) == []
        for _ in POOL:
            await world.book(UsagePlan.LARGE)
        try_endpoint(world, world.account, "https://down.example/a", last=0, failing=20)
        try_endpoint(world, world.account, "https://down.example/b", last=5, failing=15)
        sandbox = await world.storage.run(sandbox_of, "Ann", world.now)
        try_endpoint(world, sandbox.id, "https://tested.example/", last=0, failing=60)
        end_calls(world, "c", {"ANSWERED": 30, "UNREACHABLE": 12})
        end_calls(world, "sim_", {"ANSWERED": 1_000})
        assert await looked(watch) == [
            ("operator_warning", "pool", "BE"),
            ("operator_warning", "callbacks", "down.example"),
            ("operator_warning", "calls", ""),
        ]
        assert await looked(watch) == []
        try_endpoint(world, world.account, "https://down.example/a", last=0, failing=None)
        assert await looked(watch) == [("operator_warning_over", "callbacks", "down.example")]
        # The hour of the failures is over, and they were usual on the days before.
        world.now += DAY_MS
        end_calls(world, "d", {"ANSWERED": 30, "UNREACHABLE": 12})
        assert await looked(watch) == [("operator_warning_over", "calls", "")]
        # Nothing was booked within the last week, because nothing can be.
        world.now += 10 * DAY_MS
        assert await looked(watch) == []
        await world.storage.run(import_numbers, [(1, "+3225559999")], world.now)
        assert await looked(watch) == [("operator_warning_over", "pool", "BE")]


async def test_the_forecast_of_all_countries_is_the_sum_of_each(world: World) -> None:
    other = await world.storage.run(create_account, "Bob", world.now)
    with outsider(world.database) as connection:
        connection.execute("UPDATE numbers SET country = 'BE'")
        connection.execute("UPDATE numbers SET country = NULL WHERE e164 = ?", (POOL[3],))
    first = await world.book()
    await world.book(account=other.id)
    await world.cancel(first)
    world.now += 3 * DAY_MS
    async with OperatorReads(world.database) as reads:
        each = await pool_forecasts(reads, world.now, world.policy.quarantine_ms)
        of_all = await pool_forecast(reads, world.now, world.policy.quarantine_ms)
    assert sum(one.free for one in each.values()) == of_all.free == 2
    assert sum(one.taken for one in each.values()) == of_all.taken == 2
    assert sum(one.in_quarantine for one in each.values()) == of_all.in_quarantine == 1
    assert [sum(days) for days in zip(*(one.returning for one in each.values()), strict=True)] == list(of_all.returning)
    assert (each[None].free, each[None].days_left) == (1, None)


async def test_a_swap_takes_a_number_and_gives_one_back_after_its_quarantine(world: World) -> None:
    booking = await world.book(UsagePlan.LARGE)
    world.now += HOUR_MS
    await world.storage.run(swap_number, world.account, booking.id, world.now, world.policy)
    # Pairs share numbers that nobody else can book, so neither they nor their swaps use any up.
    for number in POOL[2:4]:
        await world.storage.run(share, number)
    for last in range(2):
        pair = Participant(E164(f"+4420794602{last}1")), Participant(E164(f"+4420794602{last}2"))
        of_pair = await world.book(destination=None, participants=pair, caller_id=CallerId.SERVICE)
        await world.storage.run(swap_number, world.account, of_pair.id, world.now, world.policy)
    swapped_at, quarantine_ms = world.now, world.policy.quarantine_ms

    async def counted() -> set[tuple[int, int, int]]:
        """Of all countries at once, and of each country."""
        of_all = await pool_forecast(reads, world.now, quarantine_ms)
        each = (await pool_forecasts(reads, world.now, quarantine_ms)).values()
        sums = (
            sum(one.taken for one in each),
            sum(one.came_back for one in each),
            sum(one.in_quarantine for one in each),
        )
        return {(of_all.taken, of_all.came_back, of_all.in_quarantine), sums}

    async with OperatorReads(world.database) as reads:
        assert await counted() == {(2, 0, 1)}
        world.now = EpochMs(swapped_at + 7 * DAY_MS - 1)
        assert await counted() == {(1, 0, 1)}, "the booking was made more than a week ago, its swap was not"
        world.now = EpochMs(swapped_at + quarantine_ms)
        await world.sweep()
        assert await counted() == {(0, 1, 0)}
