"""Finds call records of one account or of all, for the commands that show them."""

import asyncio
from contextlib import aclosing
from dataclasses import replace

from engine.accounts.accounts import account_of
from engine.cdr.listing import position_of, record_batches
from engine.cli.database import run_command
from engine.config.settings import Settings
from engine.domain.ids import AccountId
from engine.storage.cdrs import CallRecord, WantedRecords
from engine.storage.reads import Reads


def accounts_wanted(settings: Settings, account: str | None, *, sandboxes: bool = False) -> list[AccountId]:
    """Returns the account with that id or name; None: all accounts.

    Args:
        settings: The settings.
        account: The account.
        sandboxes: Whether all accounts are only sandboxes. Otherwise they are left out: their calls are simulated, and
            their clocks run ahead.

    Raises:
        InvalidInput: There is no such account.
    """
    if account is not None:
        return [run_command(settings, account_of, account).id]
    rows = run_command(settings, lambda tx: tx.accounts.all())
    return [row["id"] for row in rows if (row["test_of"] is not None) == sandboxes]


def newest_records(
    settings: Settings, accounts: list[AccountId], wanted: WantedRecords, limit: int
) -> list[CallRecord]:
    """Returns the newest records of several accounts together.

    Args:
        settings: The settings.
        accounts: The accounts.
        wanted: The filter; its account does not matter.
        limit: The most records to return.
    """

    async def search() -> list[CallRecord]:
        found: list[CallRecord] = []
        async with Reads(settings.books) as reads:
            for account_id in accounts:
                found += await _newest(reads, replace(wanted, account_id=account_id), limit)
                found = sorted(found, key=position_of, reverse=True)[:limit]
        return found

    return asyncio.run(search())


async def _newest(reads: Reads, wanted: WantedRecords, limit: int) -> list[CallRecord]:
    found: list[CallRecord] = []
    async with aclosing(record_batches(reads, wanted, limit)) as batches:
        async for batch in batches:
            found += batch
            if len(found) >= limit:
                break
    return found
