"""What is kept of deliveries: the log, endpoints that are disabled, what is held and sent again, order, secrets."""

import json
from dataclasses import replace
from typing import Any

import pytest

from engine import deliveries, webhook_secrets
from engine.accounts import create_account
from engine.callbacks.lanes import Waiting, receiver_of
from engine.callbacks.steps import Tried, begin_all, line_up, record
from engine.deliveries import END_OF_TIME
from engine.domain.booking import Booking
from engine.domain.delivery import WhyDisabled
from engine.domain.errors import InvalidInput, NotFound
from engine.domain.plans import UsagePlan
from engine.domain.retry import Answered, Delivered, GiveUp, NotAnswered, RetryAfter, RetryDecision, Trouble
from engine.outbox import post
from engine.retention import Retention, forget
from engine.storage.deliveries import MAX_LOGGED
from engine.storage.delivery_rows import Delivery
from engine.storage.queries import load
from tests.contract.samples import CALLBACK, DAY, HOUR, START
from tests.contract.world import World, outsider

FIVE_DAYS = 5 * DAY
OK, BAD, GONE = Answered(204), Answered(503), Answered(410)


async def posted(world: World, count: int = 1, url: str = CALLBACK) -> Booking:
    booking = await world.book(UsagePlan.MEDIUM)
    booking = replace(booking, callback=url)
    for _ in range(count):
        await world.storage.run(post, booking, {"bookingId": booking.id}, world.now)
    return booking


async def begun(world: World) -> list[Delivery]:
    """All that is due, begun."""
    found = await world.storage.run(line_up, world.now, world.now + 1, 1_000)
    chosen = [Waiting(event_id, receiver_of(url), attempts) for event_id, url, attempts in found.due]
    made = await world.storage.run(begin_all, chosen, world.now + 1)
    return [delivery for delivery in made if delivery is not None]


async def recorded(
    world: World, delivery: Delivery, outcome: Any, decision: RetryDecision, response: str = ""
) -> WhyDisabled | None:
    tried = Tried(outcome, response, world.now, 12)
    return await world.storage.run(record, delivery, tried, decision, world.now, FIVE_DAYS)


async def tried_once(world: World, outcome: Any, decision: RetryDecision) -> WhyDisabled | None:
    [delivery] = await begun(world)
    return await recorded(world, delivery, outcome, decision)


def states(world: World) -> list[str]:
    return [row["state"] for row in world.rows("SELECT state FROM outbox ORDER BY id")]


def endpoint(world: World, url: str = CALLBACK) -> dict[str, Any]:
    [row] = world.rows("SELECT * FROM callback_endpoints WHERE url = ?", url)
    return row


async def disabled(world: World, held: int) -> str:
    """An endpoint that answered 410, and callbacks that came after; its id."""
    await posted(world)
    await tried_once(world, GONE, GiveUp())
    await posted(world, held)
    assert await begun(world) == []
    return str(endpoint(world)["id"])


async def test_a_line_of_the_log_is_written_with_its_outcome(world: World) -> None:
    await posted(world)
    await tried_once(world, BAD, RetryAfter(1_000))
    world.now += 1_000
    [delivery] = await begun(world)
    await recorded(world, delivery, NotAnswered(Trouble.TIMEOUT), RetryAfter(1_000), "half an ans")
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
async def test_outcome_log_and_endpoint_are_kept_together_or_not_at_all(world: World, table: str) -> None:
    await posted(world)
    [delivery] = await begun(world)
    before = world.rows("SELECT * FROM outbox")
    what = "UPDATE" if table == "outbox" else "INSERT"
    with outsider(world.database) as connection:
        connection.execute(f"CREATE TRIGGER no BEFORE {what} ON {table} BEGIN SELECT RAISE(ABORT, 'no'); END")
    with pytest.raises(Exception, match="no"):
        await recorded(world, delivery, GONE, GiveUp())
    assert world.rows("SELECT * FROM outbox") == before
    assert world.rows("SELECT * FROM callback_attempts") == world.rows("SELECT * FROM callback_endpoints") == []


async def test_an_attempt_that_was_overtaken_records_nothing(world: World) -> None:
    await posted(world)
    [first] = await begun(world)
    world.now += 10
    [second] = await begun(world)
    assert (first.attempts, second.attempts) == (1, 2)
    assert await recorded(world, first, GONE, GiveUp()) is None
    assert world.rows("SELECT * FROM callback_endpoints") == world.rows("SELECT * FROM callback_attempts") == []
    await recorded(world, second, OK, Delivered())
    assert [row["attempt"] for row in world.rows("SELECT attempt FROM callback_attempts")] == [2]


async def test_of_one_callback_no_more_than_the_newest_tries_are_kept(world: World) -> None:
    await posted(world)
    for _ in range(MAX_LOGGED + 3):
        await tried_once(world, BAD, RetryAfter(1))
        world.now += 1
    kept = [row["attempt"] for row in world.rows("SELECT attempt FROM callback_attempts ORDER BY attempt")]
    assert kept == list(range(4, MAX_LOGGED + 4))


async def test_410_gives_up_the_callback_and_disables_its_endpoint_for_the_others(world: World) -> None:
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


async def test_one_that_was_lined_up_before_is_not_begun_after_its_endpoint_is_disabled(world: World) -> None:
    await posted(world, 2)
    found = await world.storage.run(line_up, world.now, world.now + 1, 10)
    (first, _, _), (second, _, _) = found.due
    delivery = await world.storage.run(lambda tx: tx.outbox.begin(first, 0, START + 1))
    assert delivery is not None
    await recorded(world, delivery, GONE, GiveUp())
    assert await world.storage.run(lambda tx: tx.outbox.begin(second, 0, START + 1)) is None
    world.now += 1
    assert await begun(world) == []
    assert states(world) == ["FAILED", "HELD"]


async def test_five_days_of_failures_disable_and_what_was_tried_is_held(world: World) -> None:
    await posted(world)
    while world.now < START + FIVE_DAYS:
        assert await tried_once(world, BAD, RetryAfter(10 * HOUR)) is None
        world.now += 10 * HOUR
    assert endpoint(world)["failing_since"] == START
    assert await tried_once(world, BAD, RetryAfter(10 * HOUR)) is WhyDisabled.FAILING
    assert states(world) == ["HELD"]
    assert (endpoint(world)["reason"], endpoint(world)["failing_since"]) == ("FAILING", START)


async def test_a_success_begins_the_five_days_anew(world: World) -> None:
    await posted(world, 2)
    first, second = await begun(world)
    await recorded(world, first, BAD, RetryAfter(FIVE_DAYS))
    assert endpoint(world)["failing_since"] == START
    await recorded(world, second, OK, Delivered())
    assert endpoint(world)["failing_since"] is None
    world.now += FIVE_DAYS
    assert await tried_once(world, BAD, RetryAfter(1)) is None
    assert endpoint(world)["failing_since"] == START + FIVE_DAYS


async def test_a_first_try_after_a_quiet_time_disables_nothing_and_its_second_one_does(world: World) -> None:
    await posted(world)
    await tried_once(world, BAD, GiveUp())
    world.now += 30 * DAY
    await posted(world)
    assert await tried_once(world, BAD, RetryAfter(5_000)) is None
    world.now += 5_000
    assert await tried_once(world, BAD, RetryAfter(5_000)) is WhyDisabled.FAILING


async def test_a_fault_of_ours_is_not_counted_against_the_endpoint(world: World) -> None:
    await posted(world)
    await tried_once(world, NotAnswered(Trouble.INTERNAL), RetryAfter(1))
    assert world.rows("SELECT * FROM callback_endpoints") == []
    assert [row["trouble"] for row in world.rows("SELECT trouble FROM callback_attempts")] == ["internal error"]


async def test_several_attempts_at_once_leave_the_endpoint_as_the_last_one_recorded(world: World) -> None:
    await posted(world, 3)
    first, second, third = await begun(world)
    await recorded(world, first, BAD, RetryAfter(HOUR))
    assert await recorded(world, second, GONE, GiveUp()) is WhyDisabled.GONE
    # Said once; the one that comes late is delivered all the same, and enables nothing.
    assert await recorded(world, third, OK, Delivered()) is None
    assert states(world) == ["PENDING", "FAILED", "DELIVERED"]
    assert (endpoint(world)["reason"], endpoint(world)["failing_since"]) == ("GONE", START)


async def test_what_is_held_is_looked_at_once_however_often_the_worker_looks(world: World) -> None:
    await disabled(world, 40)
    steps = []
    with outsider(world.database) as connection:
        connection.execute("BEGIN")
        sql = load("sqlite3")
        for _ in range(3):
            before = connection.total_changes
            list(
                sql.line_up_due_callbacks(connection, now=world.now + DAY, held_until=world.now + 2 * DAY, at_most=128)
            )
            steps.append(connection.total_changes - before)
    assert steps == [0, 0, 0]


async def test_enabling_sends_what_was_held_oldest_first_in_pages(world: World) -> None:
    endpoint_id = await disabled(world, 5)
    world.now += HOUR
    found = await world.storage.run(deliveries.enable, world.account, endpoint_id)
    assert (found.disabled_at, found.reason, found.failing_since) == (None, None, None)
    seen: list[str] = []
    for expected in (2, 2, 1, 0):
        due = (await world.storage.run(line_up, world.now, world.now + HOUR, 2)).due
        assert len(due) == expected
        seen += [event_id for event_id, _, _ in due]
    held = [row["id"] for row in world.rows("SELECT id FROM outbox ORDER BY id")][1:]
    assert seen == held
    assert endpoint(world)["releasing"] == 0
    # With a schedule of its own.
    world.now += HOUR
    assert {(delivery.tries, delivery.attempts) for delivery in await begun(world)} == {(1, 1)}


async def test_disabled_again_while_it_is_released_the_rest_stays_held(world: World) -> None:
    endpoint_id = await disabled(world, 4)
    await world.storage.run(deliveries.enable, world.account, endpoint_id)
    [(event_id, _, _), _] = (await world.storage.run(line_up, world.now, world.now + 1, 2)).due
    delivery = await world.storage.run(lambda tx: tx.outbox.begin(event_id, 0, START + 1))
    assert delivery is not None
    assert await recorded(world, delivery, GONE, GiveUp()) is WhyDisabled.GONE
    world.now += 1
    assert await begun(world) == []
    assert states(world) == ["FAILED", "FAILED", "HELD", "HELD", "HELD"]


async def test_a_redelivery_begins_the_schedule_anew_under_the_same_id(world: World) -> None:
    await posted(world)
    for _ in range(3):
        [delivery] = await begun(world)
        await recorded(world, delivery, BAD, RetryAfter(1))
        world.now += 1
    [delivery] = await begun(world)
    await recorded(world, delivery, BAD, GiveUp())
    record, begun_anew = await world.storage.run(deliveries.redeliver, world.account, delivery.id, world.now)
    assert (record.state, begun_anew, record.due_at) == ("PENDING", True, world.now)
    [again] = await begun(world)
    assert (again.id, again.attempts, again.tries) == (delivery.id, 5, 1)


async def test_one_that_waits_for_its_next_try_is_tried_at_once_and_one_under_way_is_left_alone(world: World) -> None:
    await posted(world)
    [delivery] = await begun(world)
    record, begun_anew = await world.storage.run(deliveries.redeliver, world.account, delivery.id, world.now)
    assert (record.claimed, begun_anew) == (True, False)
    await recorded(world, delivery, BAD, RetryAfter(10 * HOUR))
    for expected in (True, True):
        record, begun_anew = await world.storage.run(deliveries.redeliver, world.account, delivery.id, world.now)
        assert (record.due_at, begun_anew) == (world.now, expected)
    assert [again.attempts for again in await begun(world)] == [2]


async def test_a_redelivery_to_a_disabled_endpoint_is_held(world: World) -> None:
    await disabled(world, 0)
    [row] = world.rows("SELECT id FROM outbox")
    record, _ = await world.storage.run(deliveries.redeliver, world.account, row["id"], world.now)
    assert record.state == "HELD"
    assert await begun(world) == []


async def test_what_is_not_ones_own_is_not_redelivered_nor_enabled(world: World) -> None:
    endpoint_id = await disabled(world, 1)
    before = world.rows("SELECT * FROM outbox")
    [event_id, _] = [row["id"] for row in before]
    for command, thing in ((deliveries.redeliver, (event_id, world.now)), (deliveries.enable, (endpoint_id,))):
        with pytest.raises(NotFound):
            await world.storage.run(command, "acc_other", *thing)
    done = await world.storage.run(deliveries.redeliver_all, "acc_other", "FAILED", (0, ""), END_OF_TIME, world.now)
    assert done.count == 0
    assert world.rows("SELECT * FROM outbox") == before


async def test_all_of_a_time_are_redelivered_in_bounded_steps_each_once(world: World) -> None:
    for hour in range(4):
        world.now = START + hour * HOUR
        await posted(world)
        await tried_once(world, BAD, GiveUp())
    after: tuple[int, str] = (START + HOUR, "")
    counts = []
    while True:
        done = await world.storage.run(
            deliveries.redeliver_all, world.account, "FAILED", after, END_OF_TIME, world.now, 2
        )
        counts.append(done.count)
        if done.last is None:
            break
        after = done.last
    assert counts == [2, 1]
    assert states(world) == ["FAILED", "PENDING", "PENDING", "PENDING"]


async def test_endpoints_and_callbacks_are_forgotten_with_their_attempts(world: World) -> None:
    retention = Retention(records_ms=99 * DAY, callbacks_ms=30 * DAY, bookings_ms=99 * DAY)
    await posted(world, 1, "https://customer.example/once")
    await tried_once(world, OK, Delivered())
    await disabled(world, 1)
    world.now += 29 * DAY
    await posted(world, 1)
    assert await begun(world) == []
    world.now += DAY
    await world.storage.run(forget, world.now, retention)
    # The other is disabled for as long as anything is held for it.
    assert [row["url"] for row in world.rows("SELECT url FROM callback_endpoints")] == [CALLBACK]
    assert states(world) == ["HELD"]
    assert world.rows("SELECT * FROM callback_attempts") == []
    world.now += 30 * DAY
    await world.storage.run(forget, world.now, retention)
    await world.storage.run(forget, world.now, retention)
    assert world.rows("SELECT * FROM callback_endpoints") == world.rows("SELECT * FROM outbox") == []


async def test_each_booking_counts_its_own_callbacks_and_an_undone_one_is_not_counted(world: World) -> None:
    first, second = await posted(world, 2), await posted(world, 1)

    def fails(tx: Any) -> None:
        post(tx, first, {}, world.now)
        raise ValueError("undone")

    with pytest.raises(ValueError, match="undone"):
        await world.storage.run(fails)
    await world.storage.run(post, first, {}, world.now)
    numbered = [
        (row["booking_id"], json.loads(row["body"])["sequence"])
        for row in world.rows("SELECT * FROM outbox ORDER BY id")
    ]
    assert numbered == [(first.id, 1), (first.id, 2), (second.id, 1), (first.id, 3)]


async def test_renewals_and_calls_do_not_disturb_the_count(world: World) -> None:
    booking = await world.book(UsagePlan.MEDIUM)
    for call in range(3):
        await world.talk(booking, f"c{call}", 1_000)
        booking = await world.renew(booking, UsagePlan.MEDIUM, callback=f"https://customer.example/{call}")
    assert [json.loads(row["body"])["sequence"] for row in world.rows("SELECT body FROM outbox ORDER BY id")] == [
        1,
        2,
        3,
    ]
    world.check_ledger()


async def test_of_a_callback_by_another_clock_only_the_worker_goes_by_the_machines(world: World) -> None:
    booking = await world.book()
    with outsider(world.database) as db:
        db.execute("UPDATE accounts SET clock_ahead_ms = ?", (90 * DAY,))
    await world.storage.run(post, booking, {}, world.now + 90 * DAY)
    assert world.rows("SELECT created_at, due_at FROM outbox") == [{"created_at": START + 90 * DAY, "due_at": START}]
    assert len(await begun(world)) == 1


async def test_while_a_secret_is_replaced_both_sign_and_of_three_the_oldest_ends(world: World) -> None:
    first = (await world.storage.run(webhook_secrets.secrets_at, world.account, world.now)).present
    second = (await world.storage.run(webhook_secrets.rotate, world.account, 3_600, world.now)).present
    await posted(world)
    [delivery] = await begun(world)
    assert delivery.secrets.valid_at(START + HOUR - 1) == (second, first)
    assert delivery.secrets.valid_at(START + HOUR) == (second,)
    third = await world.storage.run(webhook_secrets.rotate, world.account, 60, world.now)
    assert (third.old, third.old_until) == (second, START + 60_000)
    assert third.present not in {first, second}


@pytest.mark.parametrize("overlap", [-1, 7 * 24 * 3_600 + 1])
async def test_an_overlap_out_of_bounds_is_refused(world: World, overlap: int) -> None:
    with pytest.raises(InvalidInput, match="0 to 604800"):
        await world.storage.run(webhook_secrets.rotate, world.account, overlap, world.now)


async def test_a_secret_that_signs_no_more_is_forgotten(world: World) -> None:
    await world.storage.run(webhook_secrets.rotate, world.account, 60, world.now)
    retention = Retention(records_ms=99 * DAY, callbacks_ms=30 * DAY, bookings_ms=99 * DAY)
    for later, kept in ((59_999, 1), (60_000, 0)):
        await world.storage.run(forget, START + later, retention)
        assert world.rows("SELECT COUNT(old_webhook_secret) AS kept FROM accounts") == [{"kept": kept}]


@pytest.mark.parametrize(
    ("query", "parameters"),
    [
        ("callbacks_page", {}),
        ("callbacks_page_in_state", {"state": "FAILED"}),
        ("callbacks_page_of_booking", {"state": "", "booking_id": "bkg_1"}),
        ("callbacks_to_redeliver", {"state": "FAILED", "after_at": 0, "after_id": "", "until": 9}),
        ("line_up_due_callbacks", {"now": 1, "held_until": 2}),
        ("next_callback_due_at", {}),
        ("endpoint_to_release", {}),
        ("release_held_callbacks", {"url": "", "now": 1}),
        ("endpoints_page", {"before_id": "z"}),
        ("delete_unused_endpoints", {"before": 1}),
    ],
)
async def test_what_is_asked_often_goes_by_an_index_and_sorts_nothing(
    world: World, query: str, parameters: dict[str, Any]
) -> None:
    known = {"account_id": "a", "since": 0, "before_at": 9, "before_id": "", "at_most": 9} | parameters
    text = getattr(load("sqlite3"), query).sql
    with outsider(world.database) as connection:
        plan = [row["detail"] for row in connection.execute(f"EXPLAIN QUERY PLAN {text}", known)]
    assert not [step for step in plan if step.startswith("SCAN outbox") or "TEMP B-TREE" in step], plan
