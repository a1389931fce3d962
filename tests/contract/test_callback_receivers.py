"""What is stored about the receivers of callbacks, and how accounts share a page of due ones."""

from dataclasses import replace

from engine.accounts.accounts import create_account
from engine.callbacks import redelivery
from engine.callbacks.fair_queue import Turn
from engine.callbacks.outbox import QUICK_MS, DeliveryReport, accounts_waiting, begin_all, line_up, post, record
from engine.callbacks.receiver import KnownReceiver, receiver_of
from engine.callbacks.slots import Pool, QueuedCallback, Standing
from engine.domain.booking import Booking
from engine.domain.ids import AccountId
from engine.domain.policy import RetentionPeriods
from engine.domain.retry import Delivered, GiveUp, RetryAfter
from engine.domain.times import EpochMs
from engine.privacy.retention import delete_batch
from engine.storage.receivers import AGREED_KEPT_MS, PACED_KEPT_MS
from engine.storage.transaction import Transaction
from tests.contract.delivering import BAD, GONE, OK, begun, lined_up, posted, recorded, tried_once
from tests.contract.samples import CALLBACK, DAY, START
from tests.contract.trial import Trial
from tests.contract.world import World

DIGEST = receiver_of(CALLBACK).digest


async def known(world: World) -> list[tuple[QueuedCallback, KnownReceiver]]:
    accounts = [account_id for account_id, _ in await world.storage.run(accounts_waiting, "", 100)]
    return (await world.storage.run(line_up, accounts, world.now, EpochMs(world.now + 1), 1_000)).callbacks


async def posted_for(world: World, name: str, count: int, booking: Booking) -> AccountId:
    account = await world.storage.run(create_account, name, world.now)
    for _ in range(count):
        await world.storage.run(post, replace(booking, account_id=account.id), {}, world.now)
    return account.id


async def test_accounts_share_a_page_of_due_callbacks_evenly(world: World) -> None:
    booking = await posted(world, 100)
    world.now += 1
    bob = await posted_for(world, "Bob", 1, booking)
    carol = await posted_for(world, "Carol", 100, booking)
    found = await lined_up(world, 30, 60_000)
    assert [sum(each.account_id == one for each in found) for one in (world.account, bob, carol)] == [10, 1, 10]
    waiting = dict(await world.storage.run(accounts_waiting, "", 100))
    assert (waiting[world.account], waiting[bob], waiting[carol]) == (START, world.now + 60_000, world.now)


async def test_accounts_that_wait_are_found_page_by_page(world: World) -> None:
    booking = await posted(world)
    accounts = {world.account} | {await posted_for(world, f"account {number}", 5, booking) for number in range(4)}
    seen: list[AccountId] = []
    while page := await world.storage.run(accounts_waiting, seen[-1] if seen else "", 2):
        seen += [account_id for account_id, _ in page]
    assert seen == sorted(accounts)


async def test_how_a_url_answered_is_known_with_its_next_callback(world: World) -> None:
    """So a restart forgets neither who is quick nor who has agreed."""
    booking = await posted(world)
    assert [each for _, each in await known(world)] == [KnownReceiver()]
    for outcome, took_ms, has_agreed, is_quick in (
        (BAD, 5, False, False),
        (OK, QUICK_MS + 1, True, False),
        (OK, QUICK_MS, True, True),
        (BAD, 5, True, False),
    ):
        world.now += 1
        [delivery] = await begun(world)
        decision = Delivered() if outcome.is_success else GiveUp()
        report = DeliveryReport(outcome, "", world.now, took_ms)
        await world.storage.run(record, delivery, report, decision, world.now, DAY)
        await world.storage.run(post, booking, {}, world.now)
        assert [each for _, each in await known(world)] == [KnownReceiver(has_agreed, EpochMs(0), is_quick)]


async def test_the_pace_of_a_receiver_is_stored_before_its_attempt(world: World) -> None:
    await posted(world, 2)
    first, second = await lined_up(world)
    paced_until = EpochMs(world.now + 6_000)
    pool = Pool(Standing.STRANGER, 1)
    finished = replace(second, attempts=7)  # another worker was faster
    turns = [Turn(first, paced_until, pool), Turn(finished, EpochMs(world.now + 12_000), pool)]
    begun_or_not = await world.storage.run(begin_all, turns, world.now, world.now + 1)
    assert [delivery is not None for delivery in begun_or_not] == [True, False]
    world.now += 1
    assert [each.paced_until for _, each in await known(world)] == [paced_until] * 2


async def test_what_a_customer_causes_at_will_is_marked(world: World) -> None:
    await posted(world)
    [delivery] = await begun(world)
    assert [each.at_will for each in await lined_up(world)] == []
    await recorded(world, delivery, BAD, GiveUp())
    await world.storage.run(redelivery.redeliver, world.account, delivery.id, world.now)
    assert [(each.at_will, each.is_sandbox) for each in await lined_up(world)] == [(True, False)]
    world.now += 1
    # Also the attempts that follow, and what was held for a disabled endpoint.
    await tried_once(world, BAD, RetryAfter(1))
    world.now += 1
    await tried_once(world, GONE, GiveUp())
    await posted(world)
    assert await lined_up(world) == []
    [endpoint] = world.rows("SELECT id FROM callback_endpoints")
    await world.storage.run(redelivery.enable, world.account, endpoint["id"])
    assert [each.at_will for each in await lined_up(world)] == [True]


async def test_a_sandboxs_callbacks_are_at_will_and_its_own(world: World) -> None:
    trial = await Trial.begin(world)
    booking = await trial.book()
    await world.storage.run(post, replace(booking, callback=CALLBACK), {}, EpochMs(await trial.now()))
    await posted(world)
    found = {each.account_id: (each.at_will, each.is_sandbox) for each in await lined_up(world)}
    assert found == {AccountId(trial.account): (True, True), world.account: (False, False)}


async def test_receivers_are_forgotten_a_month_after_a_success_and_an_hour_after_an_attempt(world: World) -> None:
    retention = RetentionPeriods(records_ms=99 * DAY, callbacks_ms=99 * DAY, bookings_ms=99 * DAY)
    await world.storage.run(_note_agreed, START)
    await world.storage.run(lambda tx: tx.receivers.note_pace(DIGEST, EpochMs(START + 5), START))
    await world.storage.run(lambda tx: tx.receivers.note_pace("stranger", EpochMs(START + 5), START))
    for later, kept in ((PACED_KEPT_MS - 1, 2), (PACED_KEPT_MS, 1), (AGREED_KEPT_MS - 1, 1), (AGREED_KEPT_MS, 0)):
        await world.storage.run(delete_batch, EpochMs(START + later), retention)
        assert world.rows("SELECT COUNT(*) AS kept FROM callback_receivers") == [{"kept": kept}], later


def _note_agreed(tx: Transaction, now: EpochMs) -> None:
    tx.receivers.note_agreed(DIGEST, now)


async def test_a_success_is_noted_once_a_day(world: World) -> None:
    for later, agreed_at in ((0, START), (DAY - 1, START), (DAY, START + DAY)):
        await world.storage.run(_note_agreed, EpochMs(START + later))
        assert world.rows("SELECT agreed_at, kept_until FROM callback_receivers") == [
            {"agreed_at": agreed_at, "kept_until": agreed_at + AGREED_KEPT_MS}
        ]
