"""Races of requests, callbacks, records, sandboxes and keys on PostgreSQL, see racing.py."""

from collections.abc import Awaitable, Callable
from functools import partial

import pytest

from engine.accounts.accounts import sandbox_of
from engine.accounts.idempotency import KeyedRequest, once
from engine.accounts.keys import create_key
from engine.bookings import lifecycle as bookings
from engine.bookings.closing import close
from engine.bookings.endings import sweep
from engine.bookings.lifecycle import Renewal
from engine.callbacks import redelivery
from engine.callbacks.notifications import notify_due
from engine.callbacks.outbox import line_up
from engine.domain.account_limits import DEFAULT_ACCOUNT_LIMITS
from engine.domain.ids import CallId
from engine.domain.notifications import EventType
from engine.domain.numbers import E164, ERASED
from engine.domain.policy import RetentionPeriods, UsagePlan
from engine.domain.retry import CallbackState
from engine.domain.spellings import Spellings
from engine.domain.times import EpochMs
from engine.privacy.erasure import erase_some
from engine.privacy.erasure_steps import STEPS, Task
from engine.privacy.retention import delete_batch
from engine.sandbox.clock import advance_clock
from engine.storage.erasure import Key
from engine.storage.kept_answers import KeptAnswer
from engine.storage.transaction import Transaction
from tests.contract.delivering import begun, disabled, posted
from tests.contract.notifying import choose
from tests.contract.racing import Race
from tests.contract.samples import CALLER, DAY, SECOND

RETENTION = RetentionPeriods(records_ms=DAY, callbacks_ms=DAY, bookings_ms=1_000 * DAY)


async def a_request_is_repeated_at_once(race: Race) -> None:
    world, carried_out = race.world, []
    keyed = KeyedRequest(world.account, "key", "fingerprint")

    def carry_out(tx: Transaction) -> KeptAnswer:
        carried_out.append(race.book()(tx))
        return KeptAnswer(201, None, "made")

    answers = await race.at_once(
        *[lambda tx: once(tx, keyed, world.now, carry_out, DEFAULT_ACCOUNT_LIMITS) for _ in range(2)]
    )
    assert answers == ((KeptAnswer(201, None, "made"), False), (KeptAnswer(201, None, "made"), True))
    assert len(carried_out) == 1


async def two_workers_line_up_callbacks(race: Race) -> None:
    world = race.world
    await posted(world, 6)

    def lined_up(tx: Transaction) -> list[str]:
        found = line_up(tx, [world.account], world.now, EpochMs(world.now + DAY), 4)
        return [callback.event_id for callback, _ in found.callbacks]

    one, other = await race.at_once(lined_up, lined_up)
    assert not set(one) & set(other)


async def two_engines_delete_old_records(race: Race) -> None:
    world = race.world
    booking = await world.book(UsagePlan.LARGE)
    for name in ("c1", "c2"):
        await world.talk(booking, CallId(name), 2 * SECOND)
    world.now += 400 * DAY
    deleted = await race.at_once(*[partial(delete_batch, now=world.now, retention=RETENTION) for _ in range(2)])
    assert sorted(each.records for each in deleted) == [0, 2]


async def an_old_callback_is_sent_again_as_retention_deletes_it(race: Race) -> None:
    world = race.world
    await posted(world)
    [delivery] = await begun(world)
    await world.storage.run(lambda tx: tx.outbox.finish(delivery, CallbackState.FAILED.value, "503", world.now))
    world.now += 2 * DAY
    await race.at_once(
        lambda tx: redelivery.redeliver(tx, world.account, delivery.id, world.now),
        partial(delete_batch, now=world.now, retention=RETENTION),
    )
    assert [row["state"] for row in world.rows("SELECT state FROM outbox")] == ["PENDING"]


async def two_sweeps_end_a_booking(race: Race) -> None:
    world = race.world
    booking = await world.book(UsagePlan.SMALL)
    world.now = booking.end_at + world.policy.grace_ms
    swept = await race.at_once(*[lambda tx: sweep(tx, world.at, world.policy) for _ in range(2)])
    assert sorted(each.bookings_gone for each in swept) == [0, 1]


async def an_endpoint_is_enabled_as_a_callback_is_held(race: Race) -> None:
    world = race.world
    endpoint = await disabled(world, 0)
    await posted(world)

    def lined_up(tx: Transaction) -> None:
        tx.outbox.line_up_due(world.account, world.now, EpochMs(world.now + SECOND), 10)
        tx.outbox._db.flush()

    def enabled(tx: Transaction) -> None:
        redelivery.enable(tx, world.account, endpoint)
        tx.endpoints.release(world.now, 10)

    await race.at_once(lined_up, enabled)
    await world.storage.run(lambda tx: tx.endpoints.release(world.now, 10))
    assert "HELD" not in [row["state"] for row in world.rows("SELECT state FROM outbox")]


async def a_callback_is_sent_again_as_its_endpoint_is_enabled(race: Race) -> None:
    world = race.world
    endpoint = await disabled(world, 0)
    [callback] = world.rows("SELECT id FROM outbox")
    world.now += DAY

    def sent_again(tx: Transaction) -> None:
        redelivery.redeliver(tx, world.account, callback["id"], world.now)

    def enabled(tx: Transaction) -> None:
        redelivery.enable(tx, world.account, endpoint)
        tx.endpoints.release(world.now, 10)

    await race.at_once(sent_again, enabled)
    await world.storage.run(lambda tx: tx.endpoints.release(world.now, 10))
    assert "HELD" not in [row["state"] for row in world.rows("SELECT state FROM outbox")]


async def a_number_is_erased_as_its_call_ends(race: Race) -> None:
    world = race.world
    await world.bridge(await world.book(UsagePlan.LARGE), "c1")
    [calls_step] = [step for step in STEPS if step.table == "calls"]
    task = Task(Spellings(E164(CALLER)), world.now, world.policy, "")

    def erased(tx: Transaction) -> None:
        erase_some(tx, calls_step, Key(), task)
        tx.calls._db.flush()

    await race.at_once(erased, race.ended("c1", 3 * SECOND))
    assert world.rows("SELECT source FROM cdrs") == [{"source": ERASED}]


async def a_sandboxs_clock_is_set_twice(race: Race) -> None:
    world = race.world
    sandbox = (await world.storage.run(sandbox_of, world.account, world.now)).id

    def set_forward(tx: Transaction) -> None:
        advance_clock(tx, sandbox, SECOND, world.now)
        tx.sandboxes._db.flush()

    await race.at_once(set_forward, set_forward)
    assert await world.storage.run(lambda tx: tx.sandboxes.now(sandbox, world.now)) == world.now + 2 * SECOND


async def a_booking_is_renewed_as_a_sweep_tells_that_it_ends(race: Race) -> None:
    world = race.world
    await choose(world, EventType.BOOKING_EXPIRED)
    await world.storage.run(notify_due, world.now, world.policy)
    booking = await world.book(UsagePlan.SMALL)
    world.now = booking.end_at

    def renewed(tx: Transaction) -> None:
        bookings.renew(tx, world.account, booking.id, Renewal(UsagePlan.SMALL), world.now, world.policy)
        tx.bookings._db.flush()

    await race.at_once(renewed, lambda tx: notify_due(tx, world.now, world.policy))
    assert world.rows("SELECT kind FROM notices") == []


async def a_key_is_made_as_its_account_is_closed(race: Race) -> None:
    world = race.world

    def made(tx: Transaction) -> None:
        create_key(tx, world.account, "pepper", world.now)
        tx.accounts._db.flush()

    await race.at_once(made, lambda tx: close(tx, world.account, world.now))
    assert world.rows("SELECT id FROM api_keys WHERE revoked_at IS NULL") == []


RACES: tuple[Callable[[Race], Awaitable[None]], ...] = (
    a_request_is_repeated_at_once,
    two_workers_line_up_callbacks,
    two_engines_delete_old_records,
    an_old_callback_is_sent_again_as_retention_deletes_it,
    two_sweeps_end_a_booking,
    an_endpoint_is_enabled_as_a_callback_is_held,
    a_callback_is_sent_again_as_its_endpoint_is_enabled,
    a_number_is_erased_as_its_call_ends,
    a_sandboxs_clock_is_set_twice,
    a_booking_is_renewed_as_a_sweep_tells_that_it_ends,
    a_key_is_made_as_its_account_is_closed,
)


@pytest.mark.parametrize("run", RACES, ids=lambda run: run.__name__)
async def test_a_race_goes_wrong_without_locks_only(race: Race, run: Callable[[Race], Awaitable[None]]) -> None:
    await race.goes_wrong_without_locks_only(run)
