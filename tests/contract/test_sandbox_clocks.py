"""Each sandbox has a clock: what is due by it is done, without effect on other accounts or on retention."""

import json

import pytest

from engine.accounts.accounts import create_account, sandbox_of
from engine.accounts.keys import create_key
from engine.bookings import lifecycle as bookings
from engine.bookings.adjustments import Adjustment, adjust
from engine.callbacks import notifications
from engine.domain.booking import BookingStatus, status_at
from engine.domain.errors import ClockTooFar, InvalidInput
from engine.domain.ids import AccountId, CallId
from engine.domain.notifications import EventType
from engine.domain.numbers import ERASED
from engine.domain.policy import UsagePlan
from engine.domain.rejections import Reason
from engine.domain.spellings import Spellings
from engine.domain.times import EpochMs, rfc3339
from engine.privacy.erasure import erase
from engine.privacy.retention import BATCH, DeletedCounts, delete_batch, delete_expired
from engine.runtime.ids import new_id
from engine.sandbox import clock
from engine.sandbox.clock import MAX_AHEAD_MS
from tests.contract.samples import DAY, HIDDEN, PEPPER, POLICY, SECOND, START
from tests.contract.test_retention import RETENTION
from tests.contract.trial import Trial
from tests.contract.world import World


@pytest.fixture
async def trial(world: World) -> Trial:
    return await Trial.begin(world)


async def test_a_sandbox_booking_expires_and_ends_by_the_sandboxs_clock(trial: Trial) -> None:
    booking = await trial.book()
    await trial.advance(booking.end_at - START - 1)
    assert (await trial.call(booking.service)).reason is Reason.PUT_THROUGH
    await trial.advance(1)
    assert (await trial.call(booking.service)).reason is Reason.END_REACHED
    await trial.advance(POLICY.grace_ms - 1)
    assert (await trial.call(booking.service)).reason is Reason.END_REACHED
    assert (await trial.around.stored(booking)).gone_at is None
    await trial.advance(1)
    assert (await trial.call(booking.service)).reason is Reason.NO_BOOKING
    assert (await trial.around.stored(booking)).gone_at == booking.end_at + POLICY.grace_ms


async def test_a_sandboxs_clock_affects_no_other_account(trial: Trial) -> None:
    world = trial.around
    await world.storage.run(create_account, "Bob", START)
    other = await Trial.begin(world, "Bob")
    live, tried = await world.book(), await other.book()
    await trial.book()
    await trial.advance(100 * DAY)
    assert await other.now() == world.now
    await world.sweep()
    await clock.sweep_sandboxes(world.storage, world.now, POLICY)
    for booking in (live, tried):
        assert status_at(await world.stored(booking), world.now, POLICY) is BookingStatus.ACTIVE
    assert (await other.call(tried.service)).put_through
    await world.bridge(live, "live")


async def test_sandbox_clocks_also_run_with_the_machine_and_the_sweep_uses_each_ones_own(trial: Trial) -> None:
    """A booking that is active by the machine's clock is swept when its sandbox's clock has passed its grace."""
    world = trial.around
    booking = await trial.book()
    await trial.advance(booking.end_at + POLICY.grace_ms - START - 10 * SECOND)
    assert await clock.sweep_sandboxes(world.storage, world.now, POLICY) == 0
    world.now += 10 * SECOND
    assert await clock.sweep_sandboxes(world.storage, world.now, POLICY) == 1
    assert (await world.stored(booking)).gone_at is not None


@pytest.mark.parametrize("bookings_due", [1, 3])
async def test_unswept_events_are_reported_in_order_by_the_sandboxs_own_sweep(
    trial: Trial, monkeypatch: pytest.MonkeyPatch, bookings_due: int
) -> None:
    """Even if there is more than one transaction reports: no booking is gone before it is reported as expired."""
    monkeypatch.setattr(notifications, "BATCH", 2)
    world = trial.around
    await world.storage.run(
        notifications.choose_events, AccountId(trial.account), [EventType.BOOKING_EXPIRED, EventType.BOOKING_GONE]
    )
    booked = [await trial.book() for _ in range(bookings_due)]
    world.now = booked[-1].end_at + POLICY.grace_ms
    assert (await world.sweep()).bookings_gone == 0
    while await clock.sweep_sandboxes(world.storage, world.now, POLICY):
        pass
    reported = [json.loads(row["body"])["type"] for row in world.rows("SELECT body FROM outbox ORDER BY id")]
    assert reported == [EventType.BOOKING_EXPIRED] * bookings_due + [EventType.BOOKING_GONE] * bookings_due


async def test_many_due_changes_are_made_in_short_transactions(trial: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "SWEEP_LIMIT", 3)
    world = trial.around
    booked = [await trial.book() for _ in range(7)]
    await world.storage.run(clock.advance_clock, AccountId(trial.account), 100 * DAY, world.now)
    swept = [
        await world.storage.run(clock.sweep_sandbox_of, AccountId(trial.account), world.now, POLICY) for _ in range(4)
    ]
    assert swept == [3, 3, 1, 0]
    assert all([(await world.stored(booking)).gone_at for booking in booked])


@pytest.mark.parametrize(("limit", "of_first"), [(2, 2), (100, 6)], ids=["one sandbox", "three sandboxes"])
async def test_the_sweep_reaches_every_sandbox_however_much_is_due(
    world: World, monkeypatch: pytest.MonkeyPatch, limit: int, of_first: int
) -> None:
    """`of_first`: what the first transaction does."""
    monkeypatch.setattr(clock, "SWEEP_LIMIT", limit)
    monkeypatch.setattr(clock, "SANDBOXES_AT_ONCE", 3)
    for name in "BCDEFGH":
        await world.storage.run(create_account, name, START)
        trial = await Trial.begin(world, name)
        for _ in range(2):
            await trial.book()
        await world.storage.run(clock.advance_clock, AccountId(trial.account), 100 * DAY, world.now)
    first = await world.storage.run(clock.sweep_page, None, world.now, POLICY)
    assert (first.done, first.last is None) == (of_first, False)
    assert await clock.sweep_sandboxes(world.storage, world.now, POLICY) == 14 - of_first
    assert await clock.sweep_sandboxes(world.storage, world.now, POLICY) == 0


async def test_a_sandboxs_clock_is_bounded_and_a_refused_change_does_not_set_it(trial: Trial) -> None:
    booking = await trial.book(UsagePlan.LARGE)
    await trial.advance(MAX_AHEAD_MS)
    latest = await trial.now()
    with pytest.raises(ClockTooFar):
        await trial.advance(1)
    assert await trial.now() == latest
    another = await trial.book()
    with pytest.raises(ClockTooFar):
        await trial.talk(another, 1)
    assert (await trial.around.stored(another)).seconds == another.seconds
    assert (await trial.around.stored(booking)).gone_at is not None


async def test_a_customer_account_has_no_clock(world: World) -> None:
    with pytest.raises(InvalidInput, match="not a sandbox"):
        await world.storage.run(clock.advance_clock, world.account, DAY, world.now)


async def test_an_operators_adjustment_uses_the_sandboxs_clock(trial: Trial) -> None:
    world = trial.around
    booking = await trial.book()
    await trial.advance(3 * DAY)
    take_all = Adjustment(new_id("grt"), booking.id, -booking.seconds.remaining, 0, "a trial")
    await world.storage.run(adjust, take_all, world.at, POLICY)
    assert (await world.stored(booking)).exhausted_at == START + 3 * DAY
    assert (await trial.call(booking.service)).reason is Reason.SECONDS_SPENT


async def test_events_of_an_adjustment_have_the_sandboxs_time(trial: Trial) -> None:
    world = trial.around
    booking = await trial.book()
    await world.storage.run(
        notifications.choose_events,
        AccountId(trial.account),
        [EventType.BOOKING_EXPIRED, EventType.BOOKING_LOW_SECONDS],
    )
    await trial.advance(3 * DAY)
    for left in (10, 0):
        seconds = left - (await world.stored(booking)).seconds.remaining
        await world.storage.run(adjust, Adjustment(new_id("grt"), booking.id, seconds, 0, "a trial"), world.at, POLICY)
    rows = world.rows("SELECT created_at, due_at, body FROM outbox ORDER BY id")
    assert [(row["created_at"], row["due_at"]) for row in rows] == [(START + 3 * DAY, START)] * 2
    assert {json.loads(row["body"])["timestamp"] for row in rows} == {rfc3339(EpochMs(START + 3 * DAY))}


async def test_an_erasure_ends_a_sandboxs_bookings_by_its_clock(trial: Trial) -> None:
    world = trial.around
    booking = await trial.book()
    await world.storage.run(notifications.choose_events, AccountId(trial.account), [EventType.BOOKING_GONE])
    await trial.advance(3 * DAY)
    await erase(world.storage, Spellings(HIDDEN), world.now, POLICY, PEPPER)
    stored = await world.stored(booking)
    assert (stored.gone_at, stored.destination) == (START + 3 * DAY, ERASED)
    [row] = world.rows("SELECT created_at, due_at, body FROM outbox")
    assert (row["created_at"], row["due_at"]) == (START + 3 * DAY, START)
    assert json.loads(row["body"])["timestamp"] == rfc3339(EpochMs(START + 3 * DAY))


async def test_records_dated_in_the_future_by_a_sandbox_do_not_block_retention(trial: Trial) -> None:
    """They are the oldest, more than one transaction deletes, and dated after the machine's present time."""
    world = trial.around
    await trial.advance(1_000 * DAY)
    tried = await trial.book(UsagePlan.LARGE)
    for _ in range(BATCH + 1):
        await trial.call(tried.service)
        world.now += 1
    live = await world.book()
    await world.bridge(live, "live")
    await world.ended(CallId("live"), 0, "BUSY")
    world.now += RETENTION.records_ms
    assert await delete_expired(world.storage, world.now, RETENTION) == DeletedCounts(records=BATCH + 2)
    assert world.rows("SELECT id FROM cdrs") == []
    assert await trial.discrepancies() == []


async def test_a_recent_record_of_a_sandbox_is_kept(trial: Trial) -> None:
    booking = await trial.book()
    await trial.advance(170 * DAY)
    await trial.call((await trial.book()).service)
    await trial.advance(10 * DAY)
    assert not (await delete_expired(trial.around.storage, trial.around.now, RETENTION)).records
    assert len(trial.around.rows("SELECT id FROM cdrs")) == 1
    assert (await trial.around.stored(booking)).gone_at is not None


async def test_a_gone_sandbox_bookings_destination_is_deleted_by_the_sandboxs_clock(trial: Trial) -> None:
    world = trial.around
    await trial.advance(1_000 * DAY)
    booking = await trial.book()
    await world.storage.run(bookings.cancel, AccountId(trial.account), booking.id, EpochMs(await trial.now()), POLICY)
    await trial.advance(RETENTION.bookings_ms - 1)
    assert not (await world.storage.run(delete_batch, world.now, RETENTION)).bookings
    assert (await world.stored(booking)).destination == HIDDEN
    await trial.advance(1)
    assert (await world.storage.run(delete_batch, world.now, RETENTION)).bookings == 1
    assert ((await world.stored(booking)).destination, (await world.stored(booking)).callback) == (ERASED, "")


async def test_a_customer_has_one_sandbox_however_often_it_is_requested(world: World) -> None:
    keys = [await world.storage.run(create_key, name, "p", START, test=True) for name in ("Ann", world.account, "Ann")]
    [account] = {key.account_id for key in keys}
    assert account != world.account
    assert {key.secret[:8] for key in keys} == {"rn_test_"}
    # A sandbox's own keys are all test keys, and it is its own sandbox.
    for test in (True, False):
        key = await world.storage.run(create_key, AccountId("Ann (test)"), "p", START, test=test)
        assert (key.account_id, key.secret[:8]) == (account, "rn_test_")
    live = await world.storage.run(create_key, "Ann", "p", START)
    assert (live.account_id, live.secret[:8]) == (world.account, "rn_live_")
    secrets = world.rows("SELECT DISTINCT webhook_secret FROM accounts")
    assert len(secrets) == 2


async def test_a_sandbox_can_be_created_for_an_account_with_any_name(world: World) -> None:
    long = "x" * 100
    for name in ("Ann (test)", long):
        await world.storage.run(create_account, name, START)
    sandbox = [await world.storage.run(sandbox_of, AccountId(name), START) for name in ("Ann", long)]
    assert [account.name for account in sandbox] == [f"{world.account} (test)", "x" * 93 + " (test)"]
