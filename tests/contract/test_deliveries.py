"""An attempt stores its outcome, its log entry and the state of its endpoint together, or none of them."""

from dataclasses import replace

import pytest

from engine.accounts.accounts import create_account
from engine.callbacks.outbox import post
from engine.domain.retry import Delivered, GiveUp, NoAnswer, RetryAfter, Trouble, WhyDisabled
from engine.storage.outbox import MAX_LOGGED
from engine.storage.queries import load
from tests.contract.delivering import (
    BAD,
    FIVE_DAYS,
    GONE,
    OK,
    begun,
    disabled,
    endpoint,
    lined_up,
    posted,
    recorded,
    states,
    tried_once,
)
from tests.contract.samples import DAY, HOUR, START
from tests.contract.world import INTEGRITY_ERRORS, World, outsider, refused


async def test_a_log_entry_is_written_with_the_outcome_of_its_attempt(world: World) -> None:
    await posted(world)
    await tried_once(world, BAD, RetryAfter(1_000))
    world.now += 1_000
    [delivery] = await begun(world)
    await recorded(world, delivery, NoAnswer(Trouble.TIMEOUT), RetryAfter(1_000), "half an ans")
    assert world.rows("SELECT * FROM callback_attempts ORDER BY attempt") == [
        {
            "callback_id": delivery.id,
            "attempt": attempt,
            "began_at": began_at,
            "took_ms": 12,
            "status": status,
            "trouble": trouble,
            "response": response,
        }
        for attempt, began_at, status, trouble, response in (
            (1, START, 503, None, ""),
            (2, START + 1_000, None, "timeout", "half an ans"),
        )
    ]


@pytest.mark.parametrize("table", ["callback_attempts", "callback_endpoints", "outbox"])
async def test_outcome_log_and_endpoint_are_committed_together_or_not_at_all(world: World, table: str) -> None:
    await posted(world)
    [delivery] = await begun(world)
    before = world.rows("SELECT * FROM outbox")
    what = "UPDATE" if table == "outbox" else "INSERT"
    with refused(world.database, what, table), pytest.raises(INTEGRITY_ERRORS, match="refused"):
        await recorded(world, delivery, GONE, GiveUp())
    assert world.rows("SELECT * FROM outbox") == before
    assert world.rows("SELECT * FROM callback_attempts") == world.rows("SELECT * FROM callback_endpoints") == []


async def test_an_outdated_attempt_records_nothing(world: World) -> None:
    await posted(world)
    [first] = await begun(world)
    world.now += 10
    [second] = await begun(world)
    assert (first.attempts, second.attempts) == (1, 2)
    assert await recorded(world, first, GONE, GiveUp()) is None
    assert world.rows("SELECT * FROM callback_endpoints") == world.rows("SELECT * FROM callback_attempts") == []
    await recorded(world, second, OK, Delivered())
    assert [row["attempt"] for row in world.rows("SELECT attempt FROM callback_attempts")] == [2]


async def test_only_the_newest_attempts_of_a_callback_are_kept(world: World) -> None:
    await posted(world)
    for _ in range(MAX_LOGGED + 3):
        await tried_once(world, BAD, RetryAfter(1))
        world.now += 1
    kept = [row["attempt"] for row in world.rows("SELECT attempt FROM callback_attempts ORDER BY attempt")]
    assert kept == list(range(4, MAX_LOGGED + 4))


async def test_status_410_drops_the_callback_and_disables_its_endpoint(world: World) -> None:
    await posted(world)
    assert await tried_once(world, GONE, GiveUp()) is WhyDisabled.GONE
    await posted(world, 2)
    await posted(world, 1, "https://customer.example/other")
    assert [delivery.url for delivery in await begun(world)] == ["https://customer.example/other"]
    assert states(world) == ["FAILED", "HELD", "HELD", "PENDING"]
    assert (endpoint(world)["reason"], endpoint(world)["disabled_at"]) == ("GONE", START)


async def test_another_account_with_the_same_url_is_not_disabled(world: World) -> None:
    await disabled(world, 1)
    bob = await world.storage.run(create_account, "Bob", world.now)
    await world.storage.run(post, replace(await world.book(), account_id=bob.id), {}, world.now)
    assert [delivery.account_id for delivery in await begun(world)] == [bob.id]


async def test_a_queued_callback_is_not_started_after_its_endpoint_is_disabled(world: World) -> None:
    await posted(world, 2)
    first, second = [each.event_id for each in await lined_up(world)]
    delivery = await world.storage.run(lambda tx: tx.outbox.begin(first, 0, START + 1))
    assert delivery is not None
    await recorded(world, delivery, GONE, GiveUp())
    assert await world.storage.run(lambda tx: tx.outbox.begin(second, 0, START + 1)) is None
    world.now += 1
    assert await begun(world) == []
    assert states(world) == ["FAILED", "HELD"]


async def test_five_days_of_failures_disable_the_endpoint_and_hold_the_callback(world: World) -> None:
    await posted(world)
    while world.now < START + FIVE_DAYS:
        assert await tried_once(world, BAD, RetryAfter(10 * HOUR)) is None
        world.now += 10 * HOUR
    assert endpoint(world)["failing_since"] == START
    assert await tried_once(world, BAD, RetryAfter(10 * HOUR)) is WhyDisabled.FAILING
    assert states(world) == ["HELD"]
    assert (endpoint(world)["reason"], endpoint(world)["failing_since"]) == ("FAILING", START)


async def test_a_success_restarts_the_five_days(world: World) -> None:
    await posted(world, 2)
    first, second = await begun(world)
    await recorded(world, first, BAD, RetryAfter(FIVE_DAYS))
    assert endpoint(world)["failing_since"] == START
    await recorded(world, second, OK, Delivered())
    assert endpoint(world)["failing_since"] is None
    world.now += FIVE_DAYS
    assert await tried_once(world, BAD, RetryAfter(1)) is None
    assert endpoint(world)["failing_since"] == START + FIVE_DAYS


async def test_after_a_quiet_time_only_a_second_failure_disables_the_endpoint(world: World) -> None:
    await posted(world)
    await tried_once(world, BAD, GiveUp())
    world.now += 30 * DAY
    await posted(world)
    assert await tried_once(world, BAD, RetryAfter(5_000)) is None
    world.now += 5_000
    assert await tried_once(world, BAD, RetryAfter(5_000)) is WhyDisabled.FAILING


async def test_a_fault_of_the_engine_does_not_count_against_the_endpoint(world: World) -> None:
    await posted(world)
    await tried_once(world, NoAnswer(Trouble.INTERNAL), RetryAfter(1))
    assert world.rows("SELECT * FROM callback_endpoints") == []
    assert [row["trouble"] for row in world.rows("SELECT trouble FROM callback_attempts")] == ["internal error"]


async def test_simultaneous_attempts_leave_the_endpoint_as_the_last_one_recorded_it(world: World) -> None:
    await posted(world, 3)
    first, second, third = await begun(world)
    await recorded(world, first, BAD, RetryAfter(HOUR))
    assert await recorded(world, second, GONE, GiveUp()) is WhyDisabled.GONE
    # The endpoint is disabled once; a late success is still delivered, but does not enable it again.
    assert await recorded(world, third, OK, Delivered()) is None
    assert states(world) == ["PENDING", "FAILED", "DELIVERED"]
    assert (endpoint(world)["reason"], endpoint(world)["failing_since"]) == ("GONE", START)


@pytest.mark.sqlite_only
async def test_held_callbacks_are_scanned_once_however_often_the_worker_polls(world: World) -> None:
    await disabled(world, 40)
    steps = []
    with outsider(world.database) as connection:
        connection.execute("BEGIN")
        sql = load("sqlite3")
        for _ in range(3):
            before = connection.total_changes
            list(
                sql.line_up_due_callbacks(
                    connection,
                    account_id=world.account,
                    now=world.now + DAY,
                    held_until=world.now + 2 * DAY,
                    at_most=128,
                )
            )
            steps.append(connection.total_changes - before)
    assert steps == [0, 0, 0]
