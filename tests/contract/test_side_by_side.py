"""An engine goes on working while a newer version upgrades the schema on the server, and starts on that schema."""

import asyncio
import shutil
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from engine.asterisk.keepership import BEAT_SECONDS
from engine.cdr.ledger import audit_page
from engine.config.postgres_address import PostgresAddress
from engine.domain.ids import CallId
from engine.domain.policy import UsagePlan
from engine.storage.errors import DatabaseUnusable
from engine.storage.migrate import MIGRATIONS, newest_revision
from engine.storage.postgresql import server
from engine.storage.postgresql.storage import PostgresStorage
from engine.storage.upgrade import upgrade_server
from tests.contract.samples import POLICY, SECOND
from tests.contract.world import World
from tests.postgresql_server import database_named

# What a later release may add: the next migration, as one of its authors would write it.
LATER = """
from alembic import op

revision = "9999"
down_revision = "{newest}"
branch_labels = None
depends_on = None


def upgrade():
    for table in ("accounts", "bookings", "calls", "cdrs", "grants", "numbers", "outbox", "keepers", "errands"):
        op.execute(f"ALTER TABLE {{table}} ADD COLUMN later TEXT")
        op.execute(f"ALTER TABLE {{table}} ADD COLUMN later_still BIGINT NOT NULL DEFAULT 7 CHECK (later_still > 0)")
        op.execute(f"CREATE INDEX {{table}}_later ON {{table}} (later)")
    op.execute("CREATE TABLE later (id TEXT PRIMARY KEY)")
"""


@pytest.fixture
def address(postgres: PostgresAddress) -> Iterator[PostgresAddress]:
    made = database_named(postgres, "side_by_side")
    server.migrate(made)
    yield made
    with closing(psycopg.connect(postgres, autocommit=True)) as connection:
        connection.execute("DROP DATABASE side_by_side WITH (FORCE)")


@pytest.fixture
def later(tmp_path: Path) -> Path:
    """The migrations of a later release."""
    migrations = Path(shutil.copytree(MIGRATIONS, tmp_path / "migrations"))
    (migrations / "versions" / "9999_later.py").write_text(LATER.format(newest=newest_revision()))
    return migrations


async def test_an_engine_works_on_while_a_newer_version_adds_to_the_schema(
    address: PostgresAddress, later: Path
) -> None:
    storage = PostgresStorage(address, connections=2)
    world = await World.begin(storage, address)
    world.policy = POLICY
    booking = await world.book(UsagePlan.LARGE)
    await world.talk(booking, CallId("c1"), 5 * SECOND)
    await world.bridge(booking, "c2")
    await asyncio.to_thread(upgrade_server, address, later)
    # Its statements were prepared for the former schema.
    await world.answered(CallId("c2"))
    await world.ended(CallId("c2"), 3 * SECOND)
    await world.talk(booking, CallId("c3"), 4 * SECOND)
    await world.cancel(await world.book())
    await world.sweep()
    assert (await world.stored(booking)).seconds.settled == 12
    assert (await storage.run(audit_page)).discrepancies == []
    await storage.close()
    # It can also be started again, and `run` upgrades nothing.
    server.require_usable(address)
    server.migrate(address)
    assert server.revision_of(address) == "9999"


def test_a_schema_that_takes_something_away_is_refused(address: PostgresAddress, later: Path) -> None:
    upgrade_server(address, later)
    with closing(psycopg.connect(address, autocommit=True)) as connection:
        connection.execute("UPDATE storage_marks SET oldest_program = '9999'")
    for opened in (server.require_usable, server.migrate):
        with pytest.raises(DatabaseUnusable, match="newer"):
            opened(address)


def test_nothing_is_taken_away_while_an_engine_uses_it(
    address: PostgresAddress, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert server.BEAT_WAIT_SECONDS > 2 * BEAT_SECONDS
    monkeypatch.setattr(server, "OLDEST_PROGRAM", "9999")
    monkeypatch.setattr(server, "newest_revision", lambda: "9999")
    monkeypatch.setattr(server, "BEAT_WAIT_SECONDS", 0.2)
    stop = threading.Event()

    def beats() -> None:
        with closing(psycopg.connect(address, autocommit=True)) as connection:
            while not stop.wait(0.05):
                connection.execute("UPDATE keepers SET beat = beat + 1 WHERE asterisk = 'living'")

    with closing(psycopg.connect(address, autocommit=True)) as connection:
        for name, beat in (("killed", 3), ("living", 1)):
            connection.execute(
                "INSERT INTO keepers (asterisk, engine, beat) VALUES (%s, 'home/eng_1', %s)", (name, beat)
            )
    living = threading.Thread(target=beats)
    living.start()
    with pytest.raises(DatabaseUnusable, match="stop them first"):
        server.migrate(address)
    stop.set()
    living.join()
    server.migrate(address)
