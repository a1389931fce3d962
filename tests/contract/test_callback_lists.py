"""Lists of callbacks scan a limited number of rows, and still find every callback that passes their filter."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from engine.callbacks import redelivery
from engine.domain.ids import AccountId, BookingId
from engine.domain.retry import CallbackState
from engine.domain.times import EpochMs
from engine.storage import scanning
from engine.storage.filters import EARLIEST, LATEST
from engine.storage.outbox import CallbackPosition
from engine.storage.reads import Reads
from engine.storage.transaction import Transaction
from tests.contract.world import World, outsider

STATES = tuple(CallbackState)
NEWEST = CallbackPosition(LATEST, "")
# Three callbacks share each instant, and an account has every seventh booking's.
COUNT = 200


def insert(tx: Transaction, account: AccountId, other: AccountId) -> None:
    for n in range(COUNT):
        state = STATES[n * n % len(STATES)]
        tx.outbox._db.execute(
            "INSERT INTO outbox (id, account_id, booking_id, url, body, state, attempts, created_at, due_at,"
            " finished_at) VALUES (?, ?, ?, '', '{}', ?, 0, ?, 0, ?)",
            (
                f"evt_{n:04}",
                other if n % 7 == 0 else account,
                f"bkg_{n % 5}",
                state.value,
                n // 3,
                None if state is CallbackState.PENDING else 1,
            ),
        )


@pytest.fixture
async def reads(world: World, database: Path) -> Reads:
    await world.storage.run(
        lambda tx: (
            tx.accounts._db.execute(
                "INSERT INTO accounts (id, name, webhook_secret, created_at) VALUES ('acc_other', 'other', '', 0)"
            ).rowcount
        )
    )
    await world.storage.run(insert, world.account, AccountId("acc_other"))
    return Reads(database)


@pytest.fixture(autouse=True)
async def forgotten(world: World) -> AsyncIterator[None]:
    """Deletes the callbacks after the test: they are about no call of the ledger."""
    yield
    await world.storage.run(lambda tx: tx.outbox._db.execute("DELETE FROM outbox").rowcount)


def expected(world: World, state: CallbackState | None, booking: BookingId | None, since: int) -> list[str]:
    with outsider(world.database) as connection:
        rows = connection.execute("SELECT * FROM outbox ORDER BY created_at DESC, id DESC").fetchall()
    return [
        row["id"]
        for row in rows
        if row["account_id"] == world.account
        and row["created_at"] >= since
        and state in {None, row["state"]}
        and booking in {None, row["booking_id"]}
    ]


@pytest.mark.parametrize("scan_limit", [1, 7, 5_000])
@pytest.mark.parametrize("since", [EARLIEST, 20])
@pytest.mark.parametrize("booking", [None, BookingId("bkg_3"), BookingId("bkg_none")])
@pytest.mark.parametrize("state", [None, *STATES])
async def test_pages_of_a_list_have_every_callback_of_the_filter_in_its_order(
    world: World,
    reads: Reads,
    monkeypatch: pytest.MonkeyPatch,
    state: CallbackState | None,
    booking: BookingId | None,
    since: int,
    scan_limit: int,
) -> None:
    monkeypatch.setattr(scanning, "SCAN_LIMIT", scan_limit)
    found: list[str] = []
    before: CallbackPosition | None = NEWEST
    async with reads:
        while before is not None:
            page = await reads.callbacks(
                world.account, state=state, booking_id=booking, since=EpochMs(since), before=before, limit=3
            )
            assert len(page.records) <= 3
            found += [record.id for record in page.records]
            # A full page ends with its last record, as the API's cursors do.
            records = page.records
            full = CallbackPosition(records[-1].created_at, records[-1].id) if len(records) == 3 else None
            assert full is None or page.goes_on_after is None
            before = full or page.goes_on_after
    assert found == expected(world, state, booking, since)


@pytest.mark.usefixtures("reads")
@pytest.mark.parametrize("scan_limit", [1, 7, 5_000])
@pytest.mark.parametrize("state", [CallbackState.FAILED, CallbackState.PENDING, CallbackState.DELIVERED])
async def test_a_redelivery_of_a_state_reaches_every_callback_once(
    world: World, monkeypatch: pytest.MonkeyPatch, state: CallbackState, scan_limit: int
) -> None:
    monkeypatch.setattr(scanning, "SCAN_LIMIT", scan_limit)
    wanted = expected(world, state, None, 0)
    after: CallbackPosition | None = CallbackPosition(0, "")
    count = 0
    while after is not None:
        done = await world.storage.run(
            redelivery.redeliver_all, world.account, state, after, EpochMs(LATEST), EpochMs(77), limit=4
        )
        count += done.count
        after = done.last
    assert count == len(wanted)
    sent = world.rows("SELECT id FROM outbox WHERE due_at = 77 AND state = 'PENDING'")
    assert sorted(row["id"] for row in sent) == sorted(wanted)
