"""No statement of a reader runs for long, and no list delays a look-up by key."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from engine.domain.ids import BookingId
from engine.storage.errors import StorageTooSlow, StorageUnavailable
from engine.storage.read_connection import SqliteReadConnection
from engine.storage.reads import Reads

pytestmark = pytest.mark.sqlite_only

# Runs for minutes.
ENDLESS = "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 1e10) SELECT COUNT(*) FROM n"
SOON = 5.0


async def endless(connection: Any) -> Any:
    return await connection.execute_fetchall(ENDLESS)


async def short(connection: Any) -> Any:
    [row] = await connection.execute_fetchall("SELECT 7")
    return row[0]


async def test_a_statement_that_runs_for_too_long_is_interrupted_and_only_its_sender_gets_an_error(
    database: Path,
) -> None:
    connection = SqliteReadConnection(database, 0.3)
    await connection.open()
    began = time.monotonic()
    slow = asyncio.create_task(connection.run(endless))
    assert await connection.run(short) == 7
    with pytest.raises(StorageTooSlow):
        await slow
    assert time.monotonic() - began < SOON
    await connection.close()


async def test_the_statement_of_a_request_that_has_ended_stops_too(database: Path) -> None:
    connection = SqliteReadConnection(database, None)
    await connection.open()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await connection.run(endless)
    async with asyncio.timeout(SOON):
        assert await connection.run(short) == 7
    await connection.close()
    with pytest.raises(StorageUnavailable):
        await connection.run(short)


async def test_a_list_delays_no_authentication_and_no_look_up_by_key(database: Path) -> None:
    async with Reads(database) as reads:
        running = asyncio.create_task(reads._lists.run(endless))
        await asyncio.sleep(0.1)
        async with asyncio.timeout(SOON):
            assert await reads.key("unknown") is None
            assert await reads.booking(BookingId("bkg_none")) is None
        assert not running.done()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
