"""The directory of everything that is kept: made for its owner only, and never changed when it was there before.

A directory that others can read is taken as it is: it may be /srv, and closing that would close it for the whole
machine. What we put into it is private (the command line sets the umask). One that others can write to is refused:
they could put a database or secrets of their own in the place of ours.
"""

import os
from pathlib import Path

from engine.config.settings import Settings
from engine.domain.errors import RentedNumbersError


class DataDirUnusable(RentedNumbersError):
    """Says what is wrong with it and what to do."""


def make_data_dir(settings: Settings) -> None:
    """Raises DataDirUnusable."""
    directory = settings.data_dir
    try:
        directory.mkdir(parents=True, mode=0o700)
    except FileExistsError:
        _check(directory)
    except NotADirectoryError:
        raise DataDirUnusable(f"data_dir {directory} cannot be made: part of its path is a file") from None
    except OSError as error:
        raise DataDirUnusable(f"data_dir {directory} cannot be made: {error.strerror}") from None


def require_database(settings: Settings) -> None:
    """Commands that manage a system do not make one, least of all in another directory than they were meant for."""
    try:
        there = settings.database.is_file()
    except PermissionError:
        _check(settings.data_dir)
        raise
    if not there:
        raise DataDirUnusable(
            f"no database in {settings.data_dir}: run in the project's directory, or set RENTED_NUMBERS_DATA_DIR; "
            "`rented-numbers setup` makes a new one"
        )
    make_data_dir(settings)


def _check(directory: Path) -> None:
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
            f"it, or chmod go-w {directory}"
        )
