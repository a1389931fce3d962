"""Runs commands on the database directly, beside a running engine or without one."""

import asyncio
from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

from engine.config.settings import Settings
from engine.local.data_dir import require_usable_database
from engine.storage.database import open_storage
from engine.storage.transaction import Transaction

P = ParamSpec("P")
T = TypeVar("T")


def run_command(
    settings: Settings, command: Callable[Concatenate[Transaction, P], T], *args: P.args, **kwargs: P.kwargs
) -> T:
    """Runs one command in a transaction of its own, and returns its result.

    Raises:
        DataDirUnusable: There is no database.
        DatabaseUnusable: It must not be opened, for example because another version made it.
        Exception: Whatever the command raises; nothing is then kept.
    """

    async def once() -> T:
        storage = open_storage(settings.books, is_patient=True)
        try:
            return await storage.run(command, *args, **kwargs)
        finally:
            await storage.close()

    open_database(settings)
    return asyncio.run(once())


def open_database(settings: Settings) -> None:
    """Makes sure that there is a database of this version. Raises DataDirUnusable and DatabaseUnusable."""
    require_usable_database(settings)
