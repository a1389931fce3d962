"""Checks of the files that a start depends on: their kinds, owners and modes.

A database that others can read shows every hidden number, and a directory that others can write into lets them replace
what is in it. Restores and copies by hand cause both. What is wrong is refused with what to do; nothing is changed.
"""

import os
import pwd
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from engine.domain.errors import RentedNumbersError
from engine.runtime.file_access import identity_of, may_create_in

_KINDS = (
    (stat.S_ISLNK, "a link"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISSOCK, "a socket"),
)


class DataDirUnusable(RentedNumbersError):
    """The data directory or a file in it cannot be used; the message says why and what to do."""


def check_data_dir(directory: Path) -> None:
    """Checks a data directory that exists.

    Raises:
        DataDirUnusable: It is no directory, belongs to another user, or can be written by others.
    """
    if not directory.is_dir():
        raise DataDirUnusable(f"data_dir {directory} is a file, not a directory")
    status = directory.stat()
    if status.st_uid != os.geteuid():
        raise DataDirUnusable(
            f"data_dir {directory} belongs to another user (id {status.st_uid}): run as that user, or set "
            "RENTED_NUMBERS_DATA_DIR to a directory of your own"
        )
    if status.st_mode & 0o022:
        raise DataDirUnusable(
            f"data_dir {directory} can be written by others, who could replace the database: use a directory inside "
            f"it, or run chmod go-w {directory}"
        )


def check_files(data_dir: Path, private: Iterable[Path], spool: Path) -> None:
    """Checks everything that the engine opens by name.

    Args:
        data_dir: The data directory, which exists.
        private: The database's files, as far as they exist.
        spool: The directory of the end spool.

    Raises:
        DataDirUnusable: The first thing that is wrong.
    """
    for fault in faults_of_files(data_dir, private, spool):
        raise DataDirUnusable(fault)


def faults_of_files(data_dir: Path, private: Iterable[Path], spool: Path) -> Iterator[str]:
    """Yields everything that is wrong, as `check_files` checks it. Each text says what to do."""
    yield from filter(None, map(_fault_of_private, private))
    for path in (*data_dir.glob("*.lock"), *data_dir.glob("*.log*"), *data_dir.glob("*.mark")):
        if fault := _fault_of_kind(path):
            yield fault
    yield from _faults_of_spool(spool)


def _fault_of_private(path: Path) -> str | None:
    fault = _fault_of_kind(path)
    if fault or not path.exists():
        return fault
    status = path.stat()
    if status.st_uid != os.geteuid():
        return f"{path} belongs to another user (id {status.st_uid}): chown {os.geteuid()} {path}"
    if status.st_mode & 0o077:
        return f"{path} can be read by others, and it has hidden numbers: chmod 600 {path}"
    return None


def _fault_of_kind(path: Path) -> str | None:
    kind = kind_of(path)
    return f"{path} is {kind}, and not ours: remove it" if kind else None


def kind_of(path: Path) -> str | None:
    """Returns what a file is in place of a regular one; None if it is regular or absent. It follows no link."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return None
    if stat.S_ISREG(mode):
        return None
    return next((name for is_kind, name in _KINDS if is_kind(mode)), "no regular file")


def _faults_of_spool(spool: Path) -> Iterator[str]:
    if not spool.exists():
        return  # the start makes it, or `doctor` says that it is missing
    if not spool.is_dir():
        yield f"{spool} is not a directory, so that the ends of calls are lost: remove it"
        return
    if spool.stat().st_mode & stat.S_IWOTH:
        yield f"everybody can write into {spool}, and remove the ends of calls there: chmod o-w {spool}"
    for path in sorted(spool.glob("ends*")):
        if fault := _fault_of_kind(path):
            yield fault
        elif path.exists():
            yield from _faults_of_spooled(path)


def _faults_of_spooled(path: Path) -> Iterator[str]:
    status = path.stat()
    if status.st_mode & stat.S_IWOTH:
        yield f"everybody can write into {path}: chmod o-w {path}"
    try:
        gid = pwd.getpwuid(status.st_uid).pw_gid
    except KeyError:
        gid = status.st_gid
    # The user that made the file may make files there: it is that of Asterisk, that of the engine, or root.
    if not may_create_in(path.parent, identity_of(status.st_uid, gid)):
        yield (
            f"{path} belongs to a user (id {status.st_uid}) who may not write in {path.parent}, so it is not from "
            "Asterisk: see what it is, and remove it"
        )
