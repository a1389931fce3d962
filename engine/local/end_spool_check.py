"""The check of `doctor` for the end spool, the file in which Asterisk reports the end of each call."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from engine.calls.end_spool import CURRENT, FORMER, ROTATE_BYTES, holds_end
from engine.calls.reports import ENDED
from engine.config.settings import Settings
from engine.domain.ids import CallId
from engine.local.doctor_checks import is_running
from engine.local.findings import Finding, Verdict
from engine.runtime.data_files import kind_of
from engine.runtime.file_access import Identity, identity_of, may_append_to, may_create_in
from engine.storage.database import open_storage
from engine.storage.reads import Reads

PART = "journal"
# The engine renames the file in the first round after it has grown to ROTATE_BYTES.
TOO_LONG = 4 * ROTATE_BYTES
# Of a longer file only the last part is searched.
MAX_SEARCHED = 64 * ROTATE_BYTES


def end_spool(settings: Settings) -> Iterator[Finding]:
    """Checks that Asterisk can write ends of calls into the spool and that the engine takes them in."""
    directory, current = settings.journal, settings.journal / CURRENT
    if not directory.is_dir():
        yield _missing(settings)
        return
    wrong_kind = kind_of(current)
    if wrong_kind:
        fix = f"remove it, and whatever made it: Asterisk makes a regular file. rm {current}"
        yield Finding(PART, Verdict.FAILED, f"{current} is {wrong_kind}, so that the ends of calls are lost", fix)
        return
    unwritable = _unwritable(settings)
    if unwritable:
        yield unwritable
        return
    yield _waiting(settings)


def _missing(settings: Settings) -> Finding:
    directory = settings.journal
    if settings.manage_asterisk and not directory.exists():  # the start makes it
        return _latest(settings)
    fix = f"Asterisk's user and the engine's must be able to write there: mkdir -m 2770 {directory}, and chgrp"
    return Finding(PART, Verdict.FAILED, f"{directory} is not a directory", fix)


def _unwritable(settings: Settings) -> Finding | None:
    """Returns what keeps Asterisk from writing, or the engine from reading and renaming; None if nothing does."""
    directory, current = settings.journal, settings.journal / CURRENT
    if not may_create_in(directory, _engines_user(settings)):
        fix = f"the engine's user must be able to rename the file there: chmod u+rwx {directory}"
        return Finding(PART, Verdict.FAILED, f"the engine may not write in {directory}", fix)
    asterisk = _asterisks_user(settings)
    if asterisk is not None and not may_create_in(directory, asterisk):
        fix = f"chgrp to a group of Asterisk's user, then: chmod 2770 {directory}"
        return Finding(PART, Verdict.FAILED, f"Asterisk's user may not write in {directory}", fix)
    if asterisk is not None and current.exists() and not may_append_to(current, asterisk):
        fix = f"give it to Asterisk's user: chown {asterisk.uid} {current}"
        return Finding(PART, Verdict.FAILED, f"Asterisk's user may not write into {current}", fix)
    return None


def _engines_user(settings: Settings) -> Identity:
    status = settings.data_dir.stat()
    return identity_of(status.st_uid, status.st_gid)


def _asterisks_user(settings: Settings) -> Identity | None:
    """Returns the user that Asterisk runs as: ours if we run it, else the one that wrote the file; None if unknown."""
    if settings.manage_asterisk:
        return _engines_user(settings)
    for name in (CURRENT, FORMER):
        with suppress(FileNotFoundError):
            status = (settings.journal / name).stat()
            return identity_of(status.st_uid, status.st_gid)
    return None


def _waiting(settings: Settings) -> Finding:
    """Counts the ends that are not taken in: those of calls that the database has as up."""
    up = asyncio.run(_calls_up(settings))
    ended = {call_id for name in (CURRENT, FORMER) for call_id in _ends_in(settings.journal / name) if call_id in up}
    text = f"{len(ended)} ends of calls wait in the end spool"
    length = _size_of(settings.journal / CURRENT)
    if not is_running(settings):
        return (
            Finding(PART, Verdict.OK, f"{text}; the engine takes them in at its start") if ended else _latest(settings)
        )
    if ended:
        fix = "the engine takes them in within seconds; if it does not, see its log"
        return Finding(PART, Verdict.WARNING, text, fix)
    if length > TOO_LONG:
        fix = f"the engine does not read or rename it: see its log; it must be able to write in {settings.journal}"
        return Finding(PART, Verdict.WARNING, f"{settings.journal / CURRENT} has grown to {length >> 20} MB", fix)
    return _latest(settings)


def _latest(settings: Settings) -> Finding:
    """Checks that the end of the latest call, which an event may have settled, stands in the spool as well."""
    call_id = asyncio.run(_latest_reported_call(settings))
    if call_id is None:
        return Finding(PART, Verdict.OK, "no call has been answered yet")
    if holds_end(settings.journal, call_id):
        return Finding(PART, Verdict.OK, "it has the end of the latest answered call")
    fix = (
        f"{settings.journal}: Asterisk's user must be able to write there; until then, calls that end while the engine "
        "is away are settled as lost"
    )
    return Finding(PART, Verdict.WARNING, f"the end of call {call_id} is not in it", fix)


async def _latest_reported_call(settings: Settings) -> CallId | None:
    async with Reads(settings.books) as reads:
        return await reads.latest_reported_call()


async def _calls_up(settings: Settings) -> set[CallId]:
    storage = open_storage(settings.books)
    try:
        return await storage.run(lambda tx: tx.restores.calls_up())
    finally:
        await storage.close()


def _ends_in(path: Path) -> Iterator[str]:
    """Yields the call ids of a file's reports; no MAC is checked."""
    if kind_of(path):
        return
    with suppress(FileNotFoundError), path.open("rb") as file:
        file.seek(max(0, _size_of(path) - MAX_SEARCHED))
        for line in file:
            kind, call_id, *_ = (*line.decode("ascii", "replace").split(" "), "", "")
            if kind == ENDED:
                yield call_id


def _size_of(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
