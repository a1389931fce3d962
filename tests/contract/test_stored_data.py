"""A10: how much the requests of an account have stored is counted to the byte, and limited.

`-s` prints what a request stores.
"""

from dataclasses import replace

import pytest

from engine.accounts.accounts import set_limits
from engine.accounts.idempotency import KEPT_MS, KeyedRequest, once
from engine.bookings import lifecycle as bookings
from engine.domain.account_limits import AccountLimits
from engine.domain.errors import TooMuchStored
from engine.domain.ids import AccountId, BookingId, CallId
from engine.domain.policy import RetentionPeriods, UsagePlan
from engine.domain.retry import HttpAnswer
from engine.domain.spellings import Spellings
from engine.domain.times import EpochMs
from engine.privacy.erasure import erase
from engine.privacy.retention import SANDBOX_CALLBACKS_MS, delete_expired
from engine.storage.kept_answers import KeptAnswer
from engine.storage.transaction import Transaction
from tests.contract.samples import DAY, HIDDEN, PEPPER
from tests.contract.trial import Trial
from tests.contract.world import World
from tests.integration.callback_sending import attempt_due

# 40 kB: four bytes a character, as many pairs as there may be.
FAT = {f"key{n:02}": chr(0x1F600 + n) * 500 for n in range(20)}
RETENTION = RetentionPeriods(records_ms=180 * DAY, callbacks_ms=30 * DAY, bookings_ms=30 * DAY)
LIMITS = AccountLimits(stored_megabytes=1)


@pytest.fixture
async def trial(world: World) -> Trial:
    world.policy = replace(world.policy, account_limits=LIMITS)
    return await Trial.begin(world)


def size(text: str) -> int:
    return len(text.encode())


def stored(world: World) -> dict[str, int]:
    return {row["id"]: row["stored_bytes"] for row in world.rows("SELECT id, stored_bytes FROM accounts")}


def counted(world: World, sandbox: str) -> dict[str, int]:
    """Counts what the rows of today hold."""
    total = {world.account: 0, sandbox: 0}
    for row in world.rows("SELECT account_id, idempotency_key, body FROM kept_answers"):
        total[row["account_id"]] += 400 + size(row["idempotency_key"]) + size(row["body"])
    for row in world.rows("SELECT url, body FROM outbox WHERE account_id = ?", sandbox):
        total[sandbox] += 2_000 + size(row["url"]) + size(row["body"])
    for row in world.rows(
        "SELECT callback, label, metadata FROM bookings WHERE account_id = ? AND forgotten = 0", sandbox
    ):
        total[sandbox] += 1_000 + size(row["callback"]) + size(row["label"]) + size(row["metadata"])
    return {
        **total,
        sandbox: total[sandbox] + 1_000 * len(world.rows("SELECT 1 FROM cdrs WHERE account_id = ?", sandbox)),
    }


async def keyed(world: World, account: str, key: str, body: str) -> None:
    request = KeyedRequest(AccountId(account), key, "f")
    await world.storage.run(once, request, world.now, lambda tx: KeptAnswer(200, None, body), LIMITS)


def change_notes(tx: Transaction, booking_id: BookingId) -> None:
    booking = tx.bookings.by_id(booking_id)
    assert booking is not None
    tx.bookings.update(replace(booking, metadata={"a": "b"}, label=""))


async def test_the_sum_is_that_of_the_rows_after_every_way_to_write_and_to_delete_them(trial: Trial) -> None:
    world = trial.around
    real = replace(await world.book(), metadata=FAT)
    await world.storage.run(lambda tx: tx.bookings.update(real))
    sandboxed, gone = await trial.book(metadata=FAT, label="\u00e9"), await trial.book(metadata={"a": f"of {HIDDEN}"})
    for number in range(3):
        await trial.talk(sandboxed, 1)
        await keyed(world, world.account, f"key {number}", "\u00e9" * 100)
        await keyed(world, trial.account, f"key {number}", "x")
    assert stored(world) == counted(world, trial.account)
    assert stored(world)[world.account] == 3 * (400 + 5 + 200)
    await world.storage.run(
        bookings.cancel, AccountId(trial.account), gone.id, EpochMs(await trial.now()), world.policy
    )
    await world.storage.run(lambda tx: tx.bookings.update(replace(real, metadata={"a": "b"})))
    await world.storage.run(change_notes, sandboxed.id)
    assert stored(world) == counted(world, trial.account)
    await world.storage.run(attempt_due, world.now, HttpAnswer(204))
    await erase(world.storage, Spellings(HIDDEN), world.now, world.policy, PEPPER)
    assert stored(world) == counted(world, trial.account)
    # What is kept a day, three days, and longer.
    for after in (KEPT_MS, SANDBOX_CALLBACKS_MS, 400 * DAY):
        before = stored(world)[trial.account]
        await delete_expired(world.storage, EpochMs(world.now + after), RETENTION)
        assert stored(world) == counted(world, trial.account)
        assert stored(world)[trial.account] < before


@pytest.mark.parametrize("way", ["simulated call", "booking", "keyed request"])
async def test_an_account_stores_no_more_than_it_may_until_it_is_deleted(trial: Trial, way: str) -> None:
    world = trial.around
    # With credit for all of its calls: refused ones soon share a record and a callback.
    booking = await trial.book(UsagePlan.LARGE, metadata=FAT) if way == "simulated call" else None

    async def request(number: int) -> None:
        if booking:
            await trial.talk(booking, 1)
        elif way == "booking":
            await trial.book(metadata=FAT)
        else:
            await keyed(world, trial.account, str(number), "x" * 41_000)

    before = stored(world)[trial.account]
    await request(0)
    each = stored(world)[trial.account] - before
    print(f"\n{way}: {each} bytes")  # noqa: T201
    assert each < 45_000
    number = 0
    while stored(world)[trial.account] < 1_000_000:
        await request(number := number + 1)
    with pytest.raises(TooMuchStored):
        await request(number + 1)
    assert 1_000_000 <= stored(world)[trial.account] < 1_000_000 + each
    # Neither the customer's account nor a higher limit is affected.
    await keyed(world, world.account, "k", "{}")
    await world.storage.run(set_limits, "Ann", {"stored_megabytes": 2})
    await request(number + 1)


async def test_callbacks_of_sandboxes_go_after_three_days_and_those_of_customers_stay(trial: Trial) -> None:
    world = trial.around
    await trial.talk(await trial.book(), 1)
    real = await world.book()
    await world.talk(real, CallId("c"), 1_000)
    await world.storage.run(attempt_due, world.now, HttpAnswer(204))
    for after, left in ((SANDBOX_CALLBACKS_MS - 1, 2), (SANDBOX_CALLBACKS_MS, 1), (30 * DAY, 0)):
        await delete_expired(world.storage, EpochMs(world.now + after), RETENTION)
        assert len(world.rows("SELECT 1 FROM outbox")) == left
    # The ledger wants a callback for each call that it knows.
    await delete_expired(world.storage, EpochMs(world.now + 400 * DAY), RETENTION)
