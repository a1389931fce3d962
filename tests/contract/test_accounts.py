"""Accounts, keys and numbers that an operator creates; bad input is reported with its line and changes nothing."""

import asyncio
import base64
from pathlib import Path

import pytest

from engine.accounts.accounts import MAX_NAME, create_account
from engine.accounts.keys import create_key, key_digest
from engine.bookings.number_pool import MAX_REPORTED, import_numbers
from engine.domain.errors import InvalidInput
from engine.domain.numbers import E164
from engine.storage.accounts import ApiKey
from engine.storage.reads import Reads
from engine.storage.sqlite import SqliteStorage
from tests.contract.samples import START
from tests.contract.world import INTEGRITY_ERRORS, POOL, World


async def test_an_account_gets_a_webhook_secret_of_its_own(storage: SqliteStorage) -> None:
    accounts = [await storage.run(create_account, name, START) for name in ("Ann", "Bob")]
    secrets = {account.webhook_secret for account in accounts}
    assert len(secrets) == 2
    for secret in secrets:
        assert len(base64.b64decode(secret.removeprefix("whsec_"), validate=True)) == 32


@pytest.mark.parametrize("name", ["", " ", "x" * (MAX_NAME + 1), "a\nb", "a\0", "a\u202eb"])
async def test_an_account_needs_a_printable_name(storage: SqliteStorage, name: str) -> None:
    with pytest.raises(InvalidInput):
        await storage.run(create_account, name, START)


async def test_an_account_name_is_unique_even_for_simultaneous_requests(world: World) -> None:
    outcomes = await asyncio.gather(
        *(world.storage.run(create_account, "Bob", START) for _ in range(5)), return_exceptions=True
    )
    assert sum(isinstance(outcome, InvalidInput) for outcome in outcomes) == 4


@pytest.mark.parametrize("by", ["id", "name"])
async def test_a_key_opens_its_account_and_is_not_stored(world: World, by: str) -> None:
    key = await world.storage.run(create_key, world.account if by == "id" else "Ann", "pepper", START)
    async with Reads(world.database) as reads:
        assert await reads.key(key_digest(key.secret, "pepper")) == ApiKey(key.id, world.account)
        assert await reads.key(key_digest(key.secret, "other")) is None
        assert await reads.key(key.secret) is None
    [row] = world.rows("SELECT * FROM api_keys")
    assert key.secret not in str(row)
    assert row["hint"] == key.secret[-4:]


async def test_a_key_for_an_unknown_account_is_refused(world: World) -> None:
    with pytest.raises(InvalidInput, match="no account 'Eve'"):
        await world.storage.run(create_key, "Eve", "pepper", START)


async def test_numbers_are_imported_in_every_spelling_and_stored_as_e164(
    storage: SqliteStorage, database: Path
) -> None:
    lines = [(1, "+32255000001\n"), (2, "0032255000002"), (3, " 32255000003 ")]
    assert await storage.run(import_numbers, lines, START) == 3
    pool = await storage.run(lambda tx: tx.numbers.page("", None, 10))
    assert [(number.e164, number.state) for number in pool] == [(f"+3225500000{n}", "FREE") for n in (1, 2, 3)]


async def test_one_bad_line_refuses_the_whole_import_and_every_bad_line_is_named(world: World) -> None:
    lines = [(2, "+32255000001"), (3, "032"), (4, "0032255000001"), (5, POOL[0]), (6, "+٣٢٤٧٠١٢٣٤٥٦")]
    with pytest.raises(InvalidInput) as refused:
        await world.storage.run(import_numbers, lines, START)
    assert [problem.split(":")[0] for problem in refused.value.problems] == ["line 3", "line 4", "line 5", "line 6"]
    assert "already in line 2" in refused.value.problems[1]
    assert len(world.rows("SELECT * FROM numbers")) == len(POOL)


@pytest.mark.parametrize(("bad", "reported"), [(MAX_REPORTED, MAX_REPORTED), (MAX_REPORTED + 5, MAX_REPORTED + 1)])
async def test_the_report_on_a_wrong_file_is_bounded(storage: SqliteStorage, bad: int, reported: int) -> None:
    with pytest.raises(InvalidInput) as refused:
        await storage.run(import_numbers, [(n, "x" * 1_000) for n in range(bad)], START)
    assert len(refused.value.problems) == reported
    assert all(len(problem) < 100 for problem in refused.value.problems)
    assert bad == MAX_REPORTED or refused.value.problems[-1] == "… and 5 more"


async def test_a_number_cannot_be_in_the_pool_twice(world: World) -> None:
    with pytest.raises(INTEGRITY_ERRORS):
        await world.storage.run(lambda tx: tx.numbers.insert(E164(POOL[0]), START))
