"""PostgreSQL's plans of the statements that commands run: each is made once, except where it must know the values.

A plan that is kept guesses that a third of the rows are older than an instant, and that a LIMIT leaves a tenth of them.
If a statement is much cheaper with a plan for its values, its text must say `{by values}`.
"""

import inspect
import json
import re
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from engine.config.postgres_address import PostgresAddress
from engine.domain.ids import CallId
from engine.domain.policy import UsagePlan
from engine.storage import queries
from engine.storage.postgresql import server, session
from engine.storage.postgresql.read_connection import PostgresReadConnection
from engine.storage.postgresql.session import Session
from engine.storage.postgresql.storage import PostgresStorage
from engine.storage.queries import Prepared, prepared
from engine.storage.table import Table
from engine.storage.transaction import Transaction
from tests.contract.world import World
from tests.postgresql import empty
from tests.postgresql_server import database_named

PLANNED = Prepared(
    b"planned", b"SELECT name, custom_plans FROM pg_prepared_statements WHERE generic_plans + custom_plans > 11", False
)
SQL = queries.load("psycopg")
ROWS = 10_000
# Rows were written one after the other from this instant on, a second apart.
BEGAN = 1_700_000_000_000
# Of a hundred rows, one is in the first state.
STATES = {
    "calls": ("RINGING", "SETTLED"),
    "numbers": ("FREE", "BOOKED"),
    "outbox": ("PENDING", "DELIVERED"),
}
# More than this, in the planner's units: small tables are read whole whatever the plan.
MUCH = 100


@pytest.fixture(scope="module")
def filled(postgres: PostgresAddress) -> Iterator[psycopg.Connection[Any]]:
    """A database of its own whose tables all have rows, and statistics about them."""
    address = database_named(postgres, "plans")
    server.migrate(address)
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")
        rules = "SELECT conrelid::regclass::text, conname FROM pg_constraint WHERE contype = 'c' AND conrelid <> 0"
        for table, rule in connection.execute(rules).fetchall():
            connection.execute(f'ALTER TABLE {table} DROP CONSTRAINT "{rule}"')
        tables = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version'"
        for (table,) in connection.execute(tables).fetchall():
            _fill(connection, table)
        connection.execute("ANALYZE")
        connection.execute("SET enable_bitmapscan = off")
        yield connection


def _fill(connection: psycopg.Connection[Any], table: str) -> None:
    columns = (
        "SELECT column_name, data_type, is_nullable FROM information_schema.columns"
        " WHERE table_name = %s ORDER BY ordinal_position"
    )
    values = []
    for name, kind, is_nullable in connection.execute(columns, (table,)).fetchall():
        if name == "state":
            few, most = STATES.get(table, ("FEW", "MOST"))
            values.append(f"CASE WHEN n % 100 = 0 THEN '{few}' ELSE '{most}' END")
        elif kind == "text":
            values.append(f"'{name}-' || n")
        elif name in {"ended_at", "finished_at"}:  # what ends once: most have
            values.append(f"CASE WHEN n % 100 > 0 THEN {BEGAN} + n * 1000 END")
        elif name.endswith(("_at", "until", "_ticks", "_since")):
            value = f"{BEGAN} + n * 1000"
            values.append(f"CASE WHEN n % 10 = 0 THEN {value} END" if is_nullable == "YES" else value)
        else:
            values.append("CAST(n % 2 AS BIGINT)")
    connection.execute(
        f"INSERT INTO {table} SELECT {', '.join(values)} FROM generate_series(1, {ROWS}) AS n ON CONFLICT DO NOTHING"  # noqa: S608  names of the schema
    )


def of_commands() -> list[str]:
    """Names of the statements that the tables of a transaction run."""
    tables = {type(each) for each in vars(Transaction(SQL, None)).values() if isinstance(each, Table)}
    used = {name for table in tables for name in re.findall(r"_sql\.(\w+)", inspect.getsource(table))}
    return sorted(used & SQL.statements.keys())


def _values(statement: Prepared, names: list[str], types: list[str]) -> str:
    """Values as SQL: keys of one row, an instant before all rows, and a small limit."""
    text = statement.sql.decode()
    limits = {int(place) for place in re.findall(r"LIMIT \$(\d+)", text)}
    of_kind = {"text": "'{}-77'", "bigint": str(BEGAN)}
    found = [
        "50" if place in limits else of_kind.get(kind, "NULL").format(name)
        for place, (name, kind) in enumerate(zip(names, types, strict=True), 1)
    ]
    return f"({', '.join(found)})" if found else ""


def _plan(connection: psycopg.Connection[Any], mode: str, statement: str) -> tuple[float, list[str]]:
    """Returns the cost of a plan, and what it scans by which index."""
    connection.execute(f"SET plan_cache_mode = force_{mode}_plan")
    [(found,)] = connection.execute(f"EXPLAIN (FORMAT JSON) EXECUTE {statement}").fetchall()
    scans = re.findall(r'"(?:Index|Relation) Name": "(\w+)"|"Node Type": "(Seq) Scan"', json.dumps(found))
    return found[0]["Plan"]["Total Cost"], [name or kind for name, kind in scans]


def test_a_statement_that_needs_a_plan_for_its_values_says_so(filled: psycopg.Connection[Any]) -> None:
    needing = {}
    for name in of_commands():
        statement, names = prepared(name, SQL.statements[name])
        filled.execute(f"PREPARE {name} AS {statement.sql.decode()}")
        types = "SELECT CAST(parameter_types AS TEXT[]) FROM pg_prepared_statements WHERE name = %s"
        [(kinds,)] = filled.execute(types, (name,)).fetchall()
        called = name + _values(statement, names, kinds)
        kept, own = _plan(filled, "generic", called), _plan(filled, "custom", called)
        if kept[1] != own[1] and kept[0] > 3 * own[0] + MUCH:
            needing[name] = kept, own
    assert {"delete_finished_callbacks", "overview_bookings", "proxy_sessions_idle"} <= needing.keys()
    assert not {name: plans for name, plans in needing.items() if not SQL.statements[name].by_values}


def test_a_former_caller_is_searched_by_key_also_while_there_are_few(postgres: PostgresAddress) -> None:
    empty(postgres)
    statement, names = prepared("asked", SQL.statements["asked"])
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(
            "SET session_replication_role = replica; SET enable_seqscan = off; SET enable_bitmapscan = off"
        )
        connection.execute(
            "INSERT INTO reached_callers (service, digest, booking_id, reached_at) VALUES ('a', 'b', 'c', 1)"
        )
        connection.execute("ANALYZE reached_callers")
        connection.execute(f"PREPARE asked AS {statement.sql.decode()}")
        _, scans = _plan(connection, "generic", f"asked({', '.join(['NULL'] * len(names))})")
    assert "reached_callers_pkey" in scans


async def test_a_command_makes_no_plan_but_where_it_must_know_the_values(postgres: PostgresAddress) -> None:
    """Otherwise PostgreSQL plans some statements of a call each time, which takes longer than the statement."""
    empty(postgres)
    storage = PostgresStorage(postgres, connections=1)
    world = await World.begin(storage, postgres)
    booking = await world.book(UsagePlan.LARGE)
    for number in range(12):
        await world.bridge(booking, f"c{number}")
        await world.answered(CallId(f"c{number}"))
        await world.ended(CallId(f"c{number}"), 7_000)
        await storage.run(lambda tx: tx.retention.delete_finished_callbacks(world.now, 10))
    rows = await storage.run(lambda tx: tx.accounts._db.all(PLANNED, ()))
    planned = {row["name"]: row["custom_plans"] for row in rows}
    await storage.close()
    assert {"lock_booking_holding", "asked", "insert_call", "called", "end_call"} <= planned.keys()
    assert {name: plans for name, plans in planned.items() if plans} == {"delete_finished_callbacks": 12}


@pytest.mark.parametrize("value", [1, 0], ids=["runs", "fails"])
@pytest.mark.parametrize("has_read", [True, False], ids=["with BEGIN", "in one round trip"])
async def test_after_a_statement_with_a_plan_for_its_values_plans_are_kept_again(
    postgres: PostgresAddress, value: int, *, has_read: bool
) -> None:
    storage = PostgresStorage(postgres, connections=1)
    mode = Prepared(b"mode", b"SHOW plan_cache_mode", writes=False)
    divided = Prepared(
        b"divided", b"SELECT current_setting('plan_cache_mode'), 1 / $1::int", writes=False, by_values=True
    )

    def command(tx: Transaction) -> str:
        if has_read:
            tx.accounts.all()
        return str(tx.accounts._db.all(divided, (value,))[0][0])

    try:
        assert await storage.run(command) == "force_custom_plan"
    except psycopg.errors.DivisionByZero:
        assert not value
    assert await storage.run(lambda tx: tx.accounts._db.all(mode, ())) == [("force_generic_plan",)]
    await storage.close()


async def test_reads_go_on_when_their_plans_are_made_anew(
    postgres: PostgresAddress, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "PLANS_SECONDS", 0.0)
    connection = PostgresReadConnection(postgres, statement_seconds=5.0)
    await connection.open()
    names = Prepared(b"names", b"SELECT name FROM pg_prepared_statements", writes=False)
    for _ in range(3):
        found = {row["name"] for row in await connection.run(lambda made: made.all(names, ()))}
    await connection.close()
    assert found == {"names", "new plans"}


@pytest.mark.parametrize(("seconds", "scan"), [(0.0, "Index Only Scan"), (1e6, "Seq Scan")])
def test_a_plan_is_made_anew_after_a_while_because_its_table_may_have_grown(
    postgres: PostgresAddress, monkeypatch: pytest.MonkeyPatch, seconds: float, scan: str
) -> None:
    monkeypatch.setattr(session, "PLANS_SECONDS", seconds)
    made = Session(postgres)
    run = iter(range(100))

    def execute(sql: str) -> Any:
        return made.all(Prepared(b"%d" % next(run), sql.encode(), writes=False), ())

    def plan() -> str:
        made.begin()
        made.all(Prepared(b"asked", b"SELECT 1 FROM grown WHERE id = $1", writes=False), (7,))
        [[[found]]] = execute("EXPLAIN (FORMAT JSON) EXECUTE asked(7)")
        made.commit()
        return str(found["Plan"]["Node Type"])

    execute("CREATE TEMPORARY TABLE grown (id BIGINT PRIMARY KEY)")
    execute("INSERT INTO grown VALUES (1)")
    execute("ANALYZE grown")
    assert plan() == "Seq Scan"
    execute("INSERT INTO grown SELECT * FROM generate_series(2, 10000)")
    assert plan() == scan
    made.close()
