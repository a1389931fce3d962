"""What the product demands of a PostgreSQL server, and how it reads and prepares statements there."""

from contextlib import closing
from typing import Any

import psycopg
import pytest

from engine.config.postgres_address import PostgresAddress
from engine.storage import queries
from engine.storage.errors import (
    DatabaseUnusable,
    StorageTooSlow,
    StorageUnavailable,
)
from engine.storage.postgresql import server
from engine.storage.postgresql.read_connection import PostgresReadConnection
from tests.postgresql_server import database_named

SLOW = b"SELECT pg_sleep(20)"
WRITE = b"DELETE FROM accounts"


async def test_every_statement_can_be_prepared_and_writes_only_what_its_name_says(postgres: PostgresAddress) -> None:
    statements = queries.load("psycopg").statements
    with closing(psycopg.connect(postgres, autocommit=True)) as connection:
        for name, statement in statements.items():
            prepared, _ = queries.prepared(name, statement)
            result = connection.pgconn.prepare(prepared.name, prepared.sql)
            assert result.status == psycopg.pq.ExecStatus.COMMAND_OK, (name, result.error_message)


async def test_both_databases_have_the_same_statements_but_for_the_locks() -> None:
    ours, theirs = (set(queries.load(driver).statements) for driver in ("psycopg", "sqlite3"))
    assert {name for name in ours ^ theirs if not name.startswith("lock_")} == set()


async def test_a_query_of_a_reader_that_takes_too_long_is_ended(postgres: PostgresAddress) -> None:
    connection = PostgresReadConnection(postgres, 0.2)
    await connection.open()
    slow, short = (queries.Prepared(b"q%d" % n, sql, writes=False) for n, sql in enumerate((SLOW, b"SELECT 7")))
    with pytest.raises(StorageTooSlow):
        await connection.run(lambda session: session.all(slow, ()))
    assert await connection.run(lambda session: session.first(short, ())[0]) == 7
    with pytest.raises(StorageUnavailable, match="read-only"):
        await connection.run(lambda session: session.all(queries.Prepared(b"w", WRITE, writes=True), ()))
    await connection.close()
    with pytest.raises(StorageUnavailable):
        await connection.run(lambda session: session.first(short, ()))


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'", None),
        ("ENCODING 'UTF8' LC_COLLATE 'C.UTF-8' LC_CTYPE 'C.UTF-8'", None),
        ("ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'", "encoding LATIN1"),
        ("ENCODING 'UTF8' LOCALE_PROVIDER icu ICU_LOCALE 'en' LC_COLLATE 'C' LC_CTYPE 'C'", "LC_COLLATE"),
    ],
)
async def test_a_database_whose_texts_sort_otherwise_is_refused(
    postgres: PostgresAddress, outside: psycopg.Connection[Any], how: str, why: str | None
) -> None:
    outside.execute("DROP DATABASE IF EXISTS fit")
    outside.execute(f"CREATE DATABASE fit TEMPLATE template0 {how}")
    address = PostgresAddress(postgres.replace("/contract?", "/fit?"))
    if why is None:
        server.require_server(address)
    else:
        with pytest.raises(DatabaseUnusable, match=why):
            server.require_server(address)


async def test_an_older_a_newer_and_an_empty_database_are_refused(postgres: PostgresAddress) -> None:
    server.require_usable(postgres)
    bare = database_named(postgres, "bare")
    with pytest.raises(DatabaseUnusable, match="older"):
        server.require_usable(bare)
    server.migrate(bare)
    with closing(psycopg.connect(bare, autocommit=True)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.execute("UPDATE storage_marks SET oldest_program = '9999'")
    with pytest.raises(DatabaseUnusable, match="newer"):
        server.require_usable(bare)
