"""The data directory: created for its owner only; one that exists is checked and never changed.

A directory that others can read is accepted: it may be /srv, and a change of its mode would lock out the whole machine.
What we put into it is private, because the command line sets the umask. A directory that others can write to is
refused: they could replace the database or the secrets by their own.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.config.settings import Settings
from engine.domain.errors import InvalidInput
from engine.runtime import lock
from engine.runtime.data_files import DataDirUnusable, check_data_dir
from engine.storage.database import require_usable


def make_data_dir(settings: Settings) -> None:
    """Creates the data directory, or checks the one that exists.

    Raises:
        DataDirUnusable: The directory cannot be created, or is not safe to use.
    """
    directory = settings.data_dir
    try:
        directory.mkdir(parents=True, mode=0o700)
    except FileExistsError:
        check_data_dir(directory)
    except NotADirectoryError:
        raise DataDirUnusable(f"data_dir {directory} cannot be created: part of its path is a file") from None
    except OSError as error:
        raise DataDirUnusable(f"data_dir {directory} cannot be created: {error.strerror}") from None


def require_database(settings: Settings) -> None:
    """Checks that there is a system to manage.

    Commands that manage a system call this first, so that they do not create an empty one when they run in the wrong
    directory.

    Raises:
        DataDirUnusable: There is no database, or the data directory is not safe to use.
    """
    if settings.database_url is not None:
        if not (settings.data_dir / "secrets").is_dir():
            raise DataDirUnusable(f"no secrets in {settings.data_dir}: `rented-numbers setup` creates them")
        make_data_dir(settings)
        return
    try:
        there = settings.database.is_file()
    except PermissionError:
        check_data_dir(settings.data_dir)
        raise
    if not there:
        raise DataDirUnusable(
            f"no database in {settings.data_dir}: run in the project's directory, or set RENTED_NUMBERS_DATA_DIR; "
            "`rented-numbers setup` creates a new one"
        )
    make_data_dir(settings)


def require_file(settings: Settings, instead: str) -> None:
    """Refuses what only a SQLite file allows.

    Args:
        settings: The settings.
        instead: What to do with a PostgreSQL database.

    Raises:
        InvalidInput: The database is not a file.
    """
    if settings.database_url is not None:
        raise InvalidInput([f"the database is on a PostgreSQL server: {instead}"])


@contextmanager
def acting_as_owner(settings: Settings) -> Iterator[None]:
    """Lets root act as the owner of the data directory, who runs the engine, inside the `with` block.

    What root makes there belongs to the engine's user, and what that user put there cannot lead root elsewhere. Without
    a data directory, and for other users, nothing changes.

    Raises:
        DataDirUnusable: The owner may not read this program.
    """
    if os.geteuid() != 0 or not settings.data_dir.is_dir():
        yield
        return
    status, group = settings.data_dir.stat(), os.getegid()
    os.setegid(status.st_gid)
    os.seteuid(status.st_uid)
    try:
        _check_program(settings.data_dir)
        yield
    finally:
        os.seteuid(0)
        os.setegid(group)


def _check_program(directory: Path) -> None:
    """Raises DataDirUnusable if this user may not read Python's modules or ours, of which some are imported later."""
    for module in (os.__file__, __file__):
        if not os.access(module, os.R_OK, effective_ids=True):
            raise DataDirUnusable(
                f"the owner of data_dir {directory} may not read {module}: run the program that the engine's user runs"
            )


def require_usable_database(settings: Settings) -> None:
    """Checks that there is a database which this version may open. Every command on rows calls this first.

    Raises:
        DataDirUnusable: There is no database, or the data directory is not safe to use.
        DatabaseUnusable: It was replaced by hand or half restored, or another version made it.
    """
    require_database(settings)
    require_usable(settings.books, alone=not lock.is_held(settings.data_dir, lock.ENGINE_LOCK))
