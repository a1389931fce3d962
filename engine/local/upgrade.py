"""Upgrades the database to the schema of this version: with a verified backup first, and never beside an engine."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from engine.backup.make import make_backup
from engine.backup.verify import verify_ledger
from engine.config.postgres_address import PostgresAddress
from engine.config.settings import Settings
from engine.domain.wording import counted
from engine.runtime import lock
from engine.storage.migrate import migrate, newest_revision, require_whole, revision_of
from engine.storage.revocations import RevocationLog

BACKUPS = "backups"


@dataclass(frozen=True, slots=True)
class Upgrade:
    """What an upgrade did: from which schema to which, and the backup that it made before.

    Attributes:
        before: The schema before; None if Alembic did not make the database.
        after: The schema now.
        backup: The backup; None if nothing was upgraded.
        bookings: How many bookings were audited afterwards; 0 if nothing was upgraded.
    """

    before: str | None
    after: str
    backup: Path | None = None
    bookings: int = 0


def create_or_upgrade(settings: Settings, report: Callable[[str], None]) -> Upgrade:
    """Creates the database if there is none, and upgrades an older one.

    Args:
        settings: The settings; the data directory exists.
        report: Called with one line for each step.

    Raises:
        DataDirInUse: An engine runs on an older database.
        DatabaseUnusable: It was replaced by hand or half restored, or a newer version made it.
        BadBackup: It is damaged, or its ledger does not add up.
        StorageUnavailable: It cannot be read or written.
    """
    database, newest = settings.books, newest_revision()
    if isinstance(database, PostgresAddress):
        return _create_or_upgrade_on_server(database, report)
    if not database.exists():
        require_whole(database, alone=True)
        report("creating the database")
        migrate(database)
        RevocationLog(database).begin()
        return Upgrade(None, newest)
    require_whole(database, alone=not lock.is_held(settings.data_dir, lock.ENGINE_LOCK))
    before = revision_of(database)
    if before is None or before >= newest:
        migrate(database)  # refuses a newer one, and completes one that was never finished
        RevocationLog(database).begin()
        return Upgrade(before, newest)
    with lock.held(settings.data_dir, lock.ENGINE_LOCK):
        return _upgrade(settings, before, report)


def _create_or_upgrade_on_server(address: PostgresAddress, report: Callable[[str], None]) -> Upgrade:
    from engine.storage.postgresql import server  # noqa: PLC0415  most installations have a SQLite file

    server.require_server(address)
    before, newest = server.revision_of(address), newest_revision()
    if before is None or before < newest:
        what = "creating the tables" if before is None else f"upgrading the schema from {before} to {newest}"
        report(f"{what} in {address.shown}")
    server.migrate(address)
    # Another node may have a newer program, and have upgraded already.
    return Upgrade(before, newest if before is None else max(before, newest))


def existing_database(settings: Settings) -> str | None:
    """Returns which database there is, in words; None if it has still to be made. Raises StorageUnavailable."""
    database = settings.books
    if isinstance(database, PostgresAddress):
        from engine.storage.postgresql import server  # noqa: PLC0415  as above

        return None if server.revision_of(database) is None else database.shown
    return str(database) if database.exists() else None


def _upgrade(settings: Settings, before: str, report: Callable[[str], None]) -> Upgrade:
    newest = newest_revision()
    backup = settings.data_dir / BACKUPS / f"schema-{before}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.tar"
    backup.parent.mkdir(mode=0o700, exist_ok=True)
    report(f"backing up the database to {backup} before its upgrade")
    make_backup(settings.data_dir, settings.database, backup)
    migrate(settings.database)
    bookings = verify_ledger(settings.database)
    RevocationLog(settings.database).begin()
    report(
        f"upgraded the database from schema {before} to {newest}; the credit of {counted(bookings, 'booking')} adds up"
    )
    return Upgrade(before, newest, backup, bookings)
