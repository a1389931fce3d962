"""Numbers of earlier schemas keep their values, and get what later schemas have."""

from pathlib import Path

import pytest

from engine.storage.migrate import MIGRATIONS, migrate
from engine.storage.upgrade import upgrade
from tests.contract.samples import DAY, START
from tests.contract.test_migrations import insert
from tests.contract.world import outsider

pytestmark = pytest.mark.sqlite_only


def test_numbers_of_earlier_schemas_keep_their_values_and_get_a_country(tmp_path: Path) -> None:
    database = tmp_path / "old.sqlite3"
    upgrade(database, MIGRATIONS, "0005")
    numbers = [
        ("+3225550001", "FREE", 1, None),
        ("+33199000001", "BOOKED", 2, None),
        ("+442079460958", "QUARANTINED", 3, START),
        ("+883510000091", "FREE", 4, None),
    ]
    with outsider(database) as connection:
        connection.executemany("INSERT INTO numbers VALUES (?, ?, ?, ?)", numbers)
    migrate(database)
    with outsider(database) as connection:
        rows = connection.execute("SELECT * FROM numbers ORDER BY idle_since").fetchall()
    assert [tuple(row.values())[:4] for row in rows] == numbers
    assert [row["country"] for row in rows] == ["BE", "FR", "GB", None]


def test_numbers_in_quarantine_count_against_the_account_whose_booking_is_gone(tmp_path: Path) -> None:
    database = tmp_path / "old.sqlite3"
    upgrade(database, MIGRATIONS, "0013")
    with outsider(database) as connection:
        for index in (1, 2):
            insert(connection, "accounts", id=f"acc_{index}", name=str(index))
            insert(connection, "bookings", id=f"bkg_{index}", account_id=f"acc_{index}", gone_at=START + index)
        rows = [
            # Both accounts had it, the second one last.
            ("+3225550001", "QUARANTINED", START + 2, START + DAY),
            # The operator put it there.
            ("+3225550002", "QUARANTINED", START + 2, START + DAY),
            ("+3225550003", "FREE", START + 1, None),
        ]
        sql = "INSERT INTO numbers (e164, state, idle_since, quarantined_until) VALUES (?, ?, ?, ?)"
        connection.executemany(sql, rows)
    migrate(database)
    with outsider(database) as connection:
        found = connection.execute("SELECT quarantined_by FROM numbers ORDER BY e164").fetchall()
        own = connection.execute(
            "SELECT max_bookings, new_bookings_a_day, requests_per_minute FROM accounts"
        ).fetchall()
    assert [row["quarantined_by"] for row in found] == ["acc_2", None, None]
    assert {value for row in own for value in row.values()} == {None}
