"""Callbacks that are held, released, sent again and deleted; their order; secrets that are rotated."""

import json
from typing import Any

import pytest

from engine.callbacks import redelivery, secrets
from engine.callbacks.outbox import post
from engine.domain.errors import InvalidInput, NotFound, TooManyRedeliveries
from engine.domain.ids import AccountId, CallId
from engine.domain.pacing import REDELIVERY_COOLDOWN_MS
from engine.domain.policy import RetentionPeriods, UsagePlan
from engine.domain.retry import CallbackState, Delivered, GiveUp, RetryAfter, WhyDisabled
from engine.domain.times import EpochMs
from engine.privacy.retention import delete_batch
from engine.sandbox import clock
from engine.storage.filters import LATEST
from engine.storage.outbox import CallbackPosition
from tests.contract.delivering import (
    BAD,
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
from tests.contract.samples import CALLBACK, DAY, HOUR, START
from tests.contract.trial import Trial
from tests.contract.world import World

FIRST = CallbackPosition(0, "")


async def test_enabling_an_endpoint_sends_held_callbacks_oldest_first_in_pages(world: World) -> None:
    endpoint_id = await disabled(world, 5)
    world.now += HOUR
    found = await world.storage.run(redelivery.enable, world.account, endpoint_id)
    assert (found.disabled_at, found.reason, found.failing_since) == (None, None, None)
    seen: list[str] = []
    for expected in (2, 2, 1, 0):
        due = await lined_up(world, 2, HOUR)
        assert len(due) == expected
        seen += [each.event_id for each in due]
    held = [row["id"] for row in world.rows("SELECT id FROM outbox ORDER BY id")][1:]
    assert seen == held
    assert endpoint(world)["releasing"] == 0
    # With a schedule of its own.
    world.now += HOUR
    assert {(delivery.tries, delivery.attempts) for delivery in await begun(world)} == {(1, 1)}


async def test_an_endpoint_disabled_again_during_the_release_keeps_the_rest_held(world: World) -> None:
    endpoint_id = await disabled(world, 4)
    await world.storage.run(redelivery.enable, world.account, endpoint_id)
    [first, _] = await lined_up(world, 2)
    delivery = await world.storage.run(lambda tx: tx.outbox.begin(first.event_id, 0, START + 1))
    assert delivery is not None
    assert await recorded(world, delivery, GONE, GiveUp()) is WhyDisabled.GONE
    world.now += 1
    assert await begun(world) == []
    assert states(world) == ["FAILED", "FAILED", "HELD", "HELD", "HELD"]


async def test_a_redelivery_restarts_the_schedule_under_the_same_id(world: World) -> None:
    await posted(world)
    for _ in range(3):
        [delivery] = await begun(world)
        await recorded(world, delivery, BAD, RetryAfter(1))
        world.now += 1
    [delivery] = await begun(world)
    await recorded(world, delivery, BAD, GiveUp())
    record, begun_anew = await world.storage.run(redelivery.redeliver, world.account, delivery.id, world.now)
    assert (record.state, begun_anew, record.due_at) == ("PENDING", True, world.now)
    [again] = await begun(world)
    assert (again.id, again.attempts, again.tries) == (delivery.id, 5, 1)


async def test_a_redelivery_starts_a_waiting_callback_at_once_and_leaves_one_in_progress_alone(world: World) -> None:
    await posted(world)
    [delivery] = await begun(world)
    record, begun_anew = await world.storage.run(redelivery.redeliver, world.account, delivery.id, world.now)
    assert (record.claimed, begun_anew) == (True, False)
    await recorded(world, delivery, BAD, RetryAfter(10 * HOUR))
    record, begun_anew = await world.storage.run(redelivery.redeliver, world.account, delivery.id, world.now)
    assert (record.due_at, begun_anew) == (world.now, True)
    assert [again.attempts for again in await begun(world)] == [2]


async def test_a_redelivery_to_a_disabled_endpoint_is_held(world: World) -> None:
    await disabled(world, 0)
    [row] = world.rows("SELECT id FROM outbox")
    record, _ = await world.storage.run(redelivery.redeliver, world.account, row["id"], world.now)
    assert record.state == "HELD"
    assert await begun(world) == []


async def test_another_accounts_callbacks_and_endpoints_cannot_be_redelivered_or_enabled(world: World) -> None:
    endpoint_id = await disabled(world, 1)
    before = world.rows("SELECT * FROM outbox")
    [event_id, _] = [row["id"] for row in before]
    for command, thing in ((redelivery.redeliver, (event_id, world.now)), (redelivery.enable, (endpoint_id,))):
        with pytest.raises(NotFound):
            await world.storage.run(command, AccountId("acc_other"), *thing)
    done = await world.storage.run(
        redelivery.redeliver_all, AccountId("acc_other"), CallbackState.FAILED, FIRST, LATEST, world.now
    )
    assert done.count == 0
    assert world.rows("SELECT * FROM outbox") == before


async def test_callbacks_of_a_period_are_redelivered_once_each_in_bounded_steps(world: World) -> None:
    for hour in range(4):
        world.now = START + hour * HOUR
        await posted(world)
        await tried_once(world, BAD, GiveUp())
    after = CallbackPosition(START + HOUR, "")
    counts = []
    while True:
        done = await world.storage.run(
            redelivery.redeliver_all, world.account, CallbackState.FAILED, after, LATEST, world.now, 2
        )
        counts.append(done.count)
        if done.last is None:
            break
        after = done.last
    assert counts == [2, 1]
    assert states(world) == ["FAILED", "PENDING", "PENDING", "PENDING"]


async def test_nothing_more_is_sent_again_while_many_callbacks_are_due(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of other accounts, and those whose next attempt is later, do not count."""
    monkeypatch.setattr(redelivery, "MOST_DUE", 2)
    for _ in range(3):
        await posted(world)
        await tried_once(world, BAD, GiveUp())

    async def again() -> int:
        arguments = world.account, CallbackState.FAILED, FIRST, LATEST, world.now, 1
        return (await world.storage.run(redelivery.redeliver_all, *arguments)).count

    assert [await again(), await again()] == [1, 1]
    with pytest.raises(TooManyRedeliveries):
        await again()
    [failed] = world.rows("SELECT id FROM outbox WHERE state = 'FAILED'")
    with pytest.raises(TooManyRedeliveries):
        await world.storage.run(redelivery.redeliver, world.account, failed["id"], world.now)
    for delivery in await begun(world):
        await recorded(world, delivery, BAD, RetryAfter(redelivery.DUE_WITHIN_MS + 1))
    assert await again() == 1


async def test_endpoints_and_callbacks_are_deleted_with_their_attempts(world: World) -> None:
    retention = RetentionPeriods(records_ms=99 * DAY, callbacks_ms=30 * DAY, bookings_ms=99 * DAY)
    await posted(world, 1, "https://customer.example/once")
    await tried_once(world, OK, Delivered())
    await disabled(world, 1)
    world.now += 29 * DAY
    await posted(world, 1)
    assert await begun(world) == []
    world.now += DAY
    await world.storage.run(delete_batch, world.now, retention)
    # The other endpoint stays disabled as long as callbacks are held for it.
    assert [row["url"] for row in world.rows("SELECT url FROM callback_endpoints")] == [CALLBACK]
    assert states(world) == ["HELD"]
    assert world.rows("SELECT * FROM callback_attempts") == []
    world.now += 30 * DAY
    await world.storage.run(delete_batch, world.now, retention)
    await world.storage.run(delete_batch, world.now, retention)
    assert world.rows("SELECT * FROM callback_endpoints") == world.rows("SELECT * FROM outbox") == []


async def test_each_booking_counts_its_own_committed_callbacks(world: World) -> None:
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
        await world.talk(booking, CallId(f"c{call}"), 1_000)
        booking = await world.renew(booking, UsagePlan.MEDIUM, callback=f"https://customer.example/{call}")
    assert [json.loads(row["body"])["sequence"] for row in world.rows("SELECT body FROM outbox ORDER BY id")] == [
        1,
        2,
        3,
    ]
    world.check_ledger()


async def test_only_the_worker_uses_the_machines_clock_for_a_sandboxs_callback(world: World) -> None:
    trial = await Trial.begin(world)
    booking = await trial.book()
    await world.storage.run(clock.advance_clock, AccountId(trial.account), 90 * DAY, world.now)
    await world.storage.run(post, booking, {}, EpochMs(await trial.now()))
    assert world.rows("SELECT created_at, due_at FROM outbox") == [{"created_at": START + 90 * DAY, "due_at": START}]
    assert len(await begun(world)) == 1


async def test_both_secrets_sign_during_a_rotation_and_a_third_ends_the_oldest(world: World) -> None:
    first = (await world.storage.run(secrets.secrets_at, world.account, world.now)).present
    second = (await world.storage.run(secrets.rotate, world.account, 3_600, world.now)).present
    await posted(world)
    [delivery] = await begun(world)
    assert delivery.secrets.valid_at(EpochMs(START + HOUR - 1)) == (second, first)
    assert delivery.secrets.valid_at(EpochMs(START + HOUR)) == (second,)
    third = await world.storage.run(secrets.rotate, world.account, 60, world.now)
    assert (third.old, third.old_until) == (second, START + 60_000)
    assert third.present not in {first, second}


@pytest.mark.parametrize("overlap", [-1, 7 * 24 * 3_600 + 1])
async def test_an_overlap_outside_its_bounds_is_refused(world: World, overlap: int) -> None:
    with pytest.raises(InvalidInput, match="0 to 604800"):
        await world.storage.run(secrets.rotate, world.account, overlap, world.now)


async def test_an_expired_secret_is_deleted(world: World) -> None:
    await world.storage.run(secrets.rotate, world.account, 60, world.now)
    retention = RetentionPeriods(records_ms=99 * DAY, callbacks_ms=30 * DAY, bookings_ms=99 * DAY)
    for later, kept in ((59_999, 1), (60_000, 0)):
        await world.storage.run(delete_batch, EpochMs(START + later), retention)
        assert world.rows("SELECT COUNT(old_webhook_secret) AS kept FROM accounts") == [{"kept": kept}]


async def test_only_a_callback_that_becomes_due_wakes_the_worker(world: World) -> None:
    endpoint_id = await disabled(world, 2)
    failed_id = world.rows("SELECT id FROM outbox WHERE state = 'FAILED'")[0]["id"]
    woken: list[str] = []
    for command, arguments, wakes in (
        (redelivery.enable, (endpoint_id,), True),
        (redelivery.enable, (endpoint_id,), False),
        (redelivery.redeliver_all, (CallbackState.DELIVERED, FIRST, LATEST, world.now), False),
        (redelivery.redeliver_all, (CallbackState.FAILED, FIRST, LATEST, world.now), True),
        (redelivery.redeliver, (failed_id, EpochMs(world.now + REDELIVERY_COOLDOWN_MS)), True),
    ):
        woken.clear()
        world.storage.when_posted(woken.extend)
        await world.storage.run(command, world.account, *arguments)
        await world.storage.run(lambda _: None)  # the work after a commit is done by then
        assert woken == [world.account] * wakes, (command.__name__, arguments)
