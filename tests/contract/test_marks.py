"""Marks of a database: what only its write-ahead log makes whole is not taken for another database."""

import shutil
from contextlib import closing
from pathlib import Path

import pytest

from engine.storage import queries
from engine.storage.marks import Marks, refuse_replaced
from engine.storage.sqlite import connect

pytestmark = pytest.mark.sqlite_only

SQL = queries.load("sqlite3")


def test_a_log_that_could_not_be_marked_does_not_condemn_the_next_one(database: Path, tmp_path: Path) -> None:
    """The second commit of the log marks it; then the process is killed, and nothing is copied back."""
    killed = tmp_path / "killed"
    killed.mkdir()
    with closing(connect(database)) as connection, closing(connect(database)) as other:
        connection.execute("PRAGMA busy_timeout = 0")
        marks = Marks(connection, SQL, database)

        def commit() -> None:
            connection.execute("BEGIN IMMEDIATE")
            marks.beat()
            connection.execute("COMMIT")

        commit()
        marks.committed()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        commit()
        other.execute("BEGIN IMMEDIATE")
        marks.committed()
        other.execute("ROLLBACK")
        commit()
        marks.committed()
        for each in database.parent.glob("*.*"):
            if each.is_file():
                shutil.copy(each, killed)
        marks.close()
    refuse_replaced(killed / database.name, alone=True)
