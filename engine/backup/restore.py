"""Restores a backup: prepares a copy of it, in which nothing withdrawn comes back, and puts it in the database's place.

All work is done on the copy. `check` stops before the last step.
"""

import asyncio
import secrets
import shutil
from collections.abc import Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

from engine.backup import archive
from engine.backup.archive import DATABASE, SECRETS, BadBackup, Manifest
from engine.backup.install import install
from engine.backup.make import pepper_mark
from engine.backup.replay import Losses, erase_again, make_up_for
from engine.backup.verify import verify, verify_ledger
from engine.backup.work_directory import work_directory
from engine.calls.end_spool import all_ends
from engine.calls.reports import ReportReader
from engine.config.secrets import Secrets, agi_tokens, load
from engine.domain.errors import RentedNumbersError
from engine.domain.policy import Policy
from engine.runtime import failpoints, lock
from engine.runtime.atomic_file import write_atomically
from engine.runtime.clock import SystemClock
from engine.storage.copies import into_one_file, newest_row_at, opened, transaction_on
from engine.storage.marks import Mark
from engine.storage.migrate import migrate, newest_revision, revision_of
from engine.storage.revocations import KEPT_MS, Entry, RevocationLog
from engine.storage.sqlite import SqliteStorage


class RestoreRefused(RentedNumbersError):
    """The backup must not be restored here. The message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a system keeps what a restore needs.

    Attributes:
        data_dir: The data directory, which exists.
        database: The database, which need not exist.
        end_spool: The directory of the end spool.
        policy: The operator's rules.
    """

    data_dir: Path
    database: Path
    end_spool: Path
    policy: Policy


@dataclass(slots=True)
class Receipt:
    """What a restore did, or would do.

    Attributes:
        manifest: The backup's. That of a plain database file is made from the file.
        done: How many keys were revoked again, numbers quarantined, and so on.
        remaining: Descriptions of what still contains an erased number.
        bookings: How many bookings were audited afterwards.
        log_is_complete: Whether the revocation log reaches back to the backup.
        secrets: Names of the secrets that the backup brought.
        kept: Where the old files are; None if there were none, or in a check.
        installed: Whether the database was put in place.
    """

    manifest: Manifest
    done: Mapping[str, int] = field(default_factory=dict)
    remaining: list[str] = field(default_factory=list)
    bookings: int = 0
    log_is_complete: bool = True
    secrets: list[str] = field(default_factory=list)
    kept: Path | None = None
    installed: bool = False


def restore(place: Place, backup: Path, passphrase: str | None, *, check: bool, without_log: bool) -> Receipt:
    """Restores a backup, or says what that would do.

    Args:
        place: The system.
        backup: The file, of `backup` or a plain database.
        passphrase: For an encrypted one.
        check: Change nothing.
        without_log: Restore although the revocation log does not reach back to the backup.

    Raises:
        DataDirInUse: A system is running here.
        BadBackup: The file is damaged, or its ledger does not add up.
        WrongPassphrase: It cannot be decrypted.
        RestoreRefused: It is too old, of a newer version, or of another system; or the log is incomplete.
        RevocationLogDamaged: The revocation log cannot be read.
        StorageError, OSError: A file cannot be read or written.
    """
    with ExitStack() as held:
        if not check:
            for name in (lock.RUN_LOCK, lock.ENGINE_LOCK):
                held.enter_context(lock.held(place.data_dir, name))
        work = held.enter_context(work_directory(place.data_dir))
        manifest = _unpack(backup, passphrase, work)
        receipt = Receipt(manifest)
        brought = _secrets_brought(place, manifest, work)
        receipt.secrets = sorted(brought)
        entries = _entries(place, manifest, receipt, without_log=without_log)
        kept = _secrets_for(place, brought, work)
        copy = work / DATABASE
        _prepare(place, copy, entries, kept, receipt)
        failpoints.hit("restore prepared")
        if not check:
            _bring_secrets(place, brought)
            mark = _mark_of(copy)
            receipt.kept = install(copy, place.database, mark.database_id, mark.sequence)
            RevocationLog(place.database).begin()
            receipt.installed = True
    return receipt


def _unpack(backup: Path, passphrase: str | None, work: Path) -> Manifest:
    """Puts the backup's files into the work directory. A plain database gets a manifest of its own."""
    if not archive.is_plain_database(backup):
        manifest = archive.unpack(backup, passphrase, work)
    else:
        if backup.with_name(f"{backup.name}-wal").exists():
            raise RestoreRefused(f"{backup} has a write-ahead log beside it: copy a database after its engine ended")
        shutil.copyfile(backup, work / DATABASE)
        newest = newest_row_at(work / DATABASE)
        if newest is None:
            raise BadBackup(f"{backup} has no rows, so its age is unknown")
        manifest = Manifest("", revision_of(work / DATABASE) or "", created_at=newest, newest_row_at=newest)
    (work / DATABASE).chmod(0o600)
    verify(work / DATABASE)
    if manifest.schema > newest_revision():
        raise RestoreRefused(
            f"{backup} was made by a newer version (schema {manifest.schema}, here {newest_revision()})"
        )
    if manifest.schema != (revision_of(work / DATABASE) or ""):
        raise BadBackup(f"{backup} does not have the schema that its manifest names")
    return manifest


def _secrets_brought(place: Place, manifest: Manifest, work: Path) -> dict[str, Path]:
    """Returns the secrets that the backup has and the system lacks. One that is here is never replaced."""
    names = [name.removeprefix(SECRETS) for name in manifest.files if name.startswith(SECRETS)]
    directory = place.data_dir / "secrets"
    brought = {name: archive.unpacked(work, f"{SECRETS}{name}") for name in names if not (directory / name).exists()}
    present = pepper_mark(place.data_dir)
    if manifest.pepper and "key_pepper" not in brought and present != manifest.pepper:
        raise RestoreRefused(
            f"{directory / 'key_pepper'} is missing or not the one of this backup: no API key would work, and erased "
            "numbers would not be found. Put the right one there, or remove it and restore a backup with the secrets"
        )
    return brought


def _secrets_for(place: Place, brought: Mapping[str, Path], work: Path) -> "_Kept":
    """Reads the secrets as they will be."""
    directory = work / "secrets"
    directory.mkdir(mode=0o700)
    here = place.data_dir / "secrets"
    present = {path.name: path for path in here.iterdir() if path.is_file()} if here.is_dir() else {}
    for name, path in (present | dict(brought)).items():
        shutil.copy(path, directory / name)
    return _Kept(load(directory), agi_tokens(directory))


@dataclass(frozen=True, slots=True)
class _Kept:
    secrets: Secrets
    agi_tokens: list[str]


def _entries(place: Place, manifest: Manifest, receipt: Receipt, *, without_log: bool) -> list[Entry]:
    """Returns the revocation log, if it reaches back to the backup."""
    now = SystemClock().now()
    if manifest.created_at < now - KEPT_MS:
        raise RestoreRefused("the backup is older than 400 days: what was withdrawn since then is no longer recorded")
    entries = RevocationLog(place.database).read()
    receipt.log_is_complete = bool(entries) and entries[0].at <= manifest.created_at
    if not (receipt.log_is_complete or without_log):
        raise RestoreRefused(
            "the revocation log does not reach back to this backup: API keys that were revoked since then would open "
            "again, and erased numbers return. Put revocations.log back into the data directory. If it is lost, "
            "--without-log restores all the same; then revoke and erase again"
        )
    return entries


def _prepare(place: Place, copy: Path, entries: list[Entry], kept: _Kept, receipt: Receipt) -> None:
    """Upgrades the copy, makes up for what it lost, and verifies it before and after."""
    migrate(copy)
    verify_ledger(copy)
    losses = Losses(
        entries,
        list(all_ends(place.end_spool)) if place.end_spool.is_dir() else (),
        receipt.manifest.created_at,
        SystemClock().timestamp(),
        place.policy,
    )
    receipt.done, receipt.remaining = asyncio.run(_make_up(copy, losses, kept))
    into_one_file(copy)
    verify(copy)
    receipt.bookings = verify_ledger(copy)


async def _make_up(copy: Path, losses: Losses, kept: _Kept) -> tuple[Mapping[str, int], list[str]]:
    storage = SqliteStorage(copy)
    try:
        # The erasure first: it ends bookings, whose numbers are quarantined with all others.
        erased, remaining = await erase_again(storage, losses, kept.secrets.key_pepper)
        done = await storage.run(make_up_for, losses, ReportReader(kept.agi_tokens))
        await storage.run(lambda tx: tx.restores.rename_database(secrets.token_hex(8)))
    finally:
        await storage.close()
    return {**done, "numbersErased": erased}, remaining


def _mark_of(copy: Path) -> Mark:
    """Returns the mark of the prepared database."""
    with closing(opened(copy)) as connection:
        return transaction_on(connection).restores.mark()


def _bring_secrets(place: Place, brought: Mapping[str, Path]) -> None:
    directory = place.data_dir / "secrets"
    directory.mkdir(mode=0o700, exist_ok=True)
    for name, path in brought.items():
        write_atomically(directory / name, path.read_text(encoding="utf-8"), sync_directory=True)
