"""An installation on PostgreSQL: moved there from its SQLite file, and used by the command line."""

import asyncio
import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from engine.asterisk import silent_asterisks
from engine.config.postgres_address import PostgresAddress
from engine.domain.errors import InvalidInput
from engine.domain.ids import CallId
from engine.domain.policy import UsagePlan
from engine.domain.times import EpochMs, rfc3339
from engine.runtime import lock
from engine.storage.errors import DatabaseUnusable
from engine.storage.postgresql import copying
from engine.storage.postgresql.copying import copy_database, count_rows
from engine.storage.postgresql.server import revision_of
from engine.storage.sqlite import SqliteStorage
from tests.contract.samples import SECOND
from tests.contract.trial import Trial
from tests.contract.world import World
from tests.integration.cli_runner import CliInProcess
from tests.postgresql import Outsider
from tests.postgresql_server import database_named, postgres_server

LEFT_OUT = {"alembic_version", "storage_marks", "sqlite_sequence"}


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresAddress]:
    with postgres_server() as address:
        yield address


@pytest.fixture
def address(server: PostgresAddress, request: pytest.FixtureRequest) -> PostgresAddress:
    return database_named(server, f"moved_{abs(hash(request.node.name))}")


@pytest.fixture
def cli(tmp_path: Path) -> CliInProcess:
    """A system with a bit of everything in its SQLite file."""
    made = CliInProcess(tmp_path)
    made.set_up()
    asyncio.run(_fill(made.data / "rented-numbers.sqlite3"))
    return made


async def _fill(database: Path) -> None:
    storage = SqliteStorage(database)
    world = await World.begin(storage, database)
    booking = await world.book(UsagePlan.LARGE)
    await world.talk(booking, CallId("c1"), 5 * SECOND)
    await world.bridge(booking, "c2")
    await world.cancel(await world.book())
    trial = await Trial.begin(world)
    await trial.talk(await trial.book(), 5)
    await storage.close()
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(
            "UPDATE outbox SET last_outcome = 'a' || CHAR(0) || 'b' WHERE id = (SELECT MIN(id) FROM outbox)"
        )


def tables(connection: sqlite3.Connection) -> dict[str, list[Any]]:
    connection.row_factory = None
    names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    return {
        name: sorted(connection.execute(f"SELECT * FROM {name}").fetchall(), key=repr)  # noqa: S608  our tables
        for name in names
        if name not in LEFT_OUT
    }


def test_a_moved_installation_has_every_row_and_serves_every_command(
    cli: CliInProcess, address: PostgresAddress
) -> None:
    done = cli.json("database", "copy", database_url=address)
    with closing(sqlite3.connect(cli.data / "rented-numbers.sqlite3")) as original, closing(Outsider(address)) as there:
        here = tables(original)
        assert json.dumps(here).replace("\\u0000", "?") == json.dumps(tables(there.copied()))
    assert done["rows"] == sum(map(len, here.values()))
    assert done["replacedCharacters"] == 1
    assert done["bookings"] == len(here["bookings"]) == 3
    assert cli("ledger", "verify", database_url=address).returncode == 0
    assert cli.json("numbers", "list", database_url=address) == cli.json("numbers", "list")
    assert cli.json("calls", "live", database_url=address) == cli.json("calls", "live")
    assert cli("accounts", "create", "Zoe", database_url=address).returncode == 0
    assert "Zoe" not in json.dumps(cli.json("accounts", "list"))
    found = {each["part"]: each["verdict"] for each in json.loads(cli("doctor", "--json", database_url=address).stdout)}
    assert {found[part] for part in ("database", "numbers of bookings", "ledger")} == {"ok"}


def test_a_copy_is_refused_where_it_would_mix_or_miss_rows(cli: CliInProcess, address: PostgresAddress) -> None:
    assert "DATABASE_URL" in cli.refused("database", "copy")
    with lock.held(cli.data, lock.ENGINE_LOCK):
        assert "running" in cli.refused("database", "copy", database_url=address)
    cli.json("database", "copy", database_url=address)
    assert "has rows already" in cli.refused("database", "copy", database_url=address)


def test_a_copy_that_is_stopped_leaves_no_row_behind_and_can_begin_again(
    cli: CliInProcess, address: PostgresAddress
) -> None:
    source = cli.data / "rented-numbers.sqlite3"
    copied = 0

    def stop_in_the_middle(rows: int) -> None:
        nonlocal copied
        copied += rows
        if copied > count_rows(source) // 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        copy_database(source, address, stop_in_the_middle)
    with closing(Outsider(address)) as there:
        assert {name for name, rows in tables(there.copied()).items() if rows} == set()
    copy_database(source, address, lambda _: None)


def test_a_row_that_does_not_arrive_ends_the_copy(
    cli: CliInProcess, address: PostgresAddress, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches = copying._batches

    def without_a_record(database: sqlite3.Connection, table: Any) -> Iterator[list[tuple[Any, ...]]]:
        for batch in batches(database, table):
            yield batch[1:] if table.name == "cdrs" else batch

    monkeypatch.setattr(copying, "_batches", without_a_record)
    with pytest.raises(DatabaseUnusable, match="cdrs"):
        copy_database(cli.data / "rented-numbers.sqlite3", address, lambda _: None)


def test_set_up_makes_the_tables_and_what_needs_the_file_is_refused(tmp_path: Path, address: PostgresAddress) -> None:
    cli = CliInProcess(tmp_path)
    assert revision_of(address) is None
    assert cli("setup", database_url=address).returncode == 0
    assert revision_of(address) is not None
    assert not (cli.data / "rented-numbers.sqlite3").exists()
    assert cli.json("database", "upgrade", database_url=address)["backup"] is None
    for command in (("backup", "x.backup"), ("restore", "x.backup", "--yes")):
        assert "pg_dump" in cli.refused(*command, database_url=address)
    (cli.data / "secrets" / "key_pepper").unlink()
    assert "every API key" in cli.refused("setup", database_url=address)


def test_an_asterisk_that_is_off_is_listed_and_its_calls_are_settled(
    cli: CliInProcess, address: PostgresAddress, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(silent_asterisks, "WATCH_SECONDS", 0.0)
    assert "one Asterisk" in cli.refused("asterisks", "list")
    cli.json("database", "copy", database_url=address)
    minute_ago = int(time.time() * 1000) - 61_000

    def beaten_at(instant: int) -> None:
        with psycopg.connect(address) as server:
            server.execute("UPDATE keepers SET beaten_at = %s", (instant,))

    with psycopg.connect(address) as server:
        server.execute("UPDATE calls SET asterisk = 'gone' WHERE ended_at IS NULL")
        server.execute("INSERT INTO keepers (asterisk, engine, beat, host) VALUES ('gone', 'home/eng', 7, 'node-2')")
    beaten_at(minute_ago + 31_000)
    assert "last heard of" in cli.refused("asterisks", "forget", "gone", "--yes", database_url=address)
    beaten_at(minute_ago)
    [listed] = cli.json("asterisks", "list", database_url=address)
    assert listed.pop("leasedSeconds") > 0
    assert listed == {
        "asterisk": "gone",
        "state": "silent",
        "host": "node-2",
        "here": False,
        "calls": 1,
        "heardOfAt": rfc3339(EpochMs(minute_ago)),
    }
    for refused, why in ((("other",), "no such"), (("gone", "--off-since", "2099-01-01T00:00:00Z"), "future")):
        assert why in cli.refused("asterisks", "forget", *refused, database_url=address)
    done = cli.json("asterisks", "forget", "gone", "--yes", database_url=address)
    assert done == {"asterisk": "gone", "callsSettled": 1}
    assert cli.json("asterisks", "list", database_url=address) == []
    assert cli("ledger", "verify", database_url=address).returncode == 0


def test_an_address_is_checked_and_its_password_never_shown(cli: CliInProcess) -> None:
    assert "postgresql://" in cli.refused("accounts", "list", database_url="mysql://host/name")
    with pytest.raises(InvalidInput):
        PostgresAddress("postgresql://host:port:port/x?bad=1")
    refusal = cli.refused("accounts", "list", database_url="postgresql://rented:hunter2@127.0.0.1:1/books")
    assert "127.0.0.1" in refusal
    assert "hunter2" not in refusal
