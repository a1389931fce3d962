"""R2: from every schema there ever was, with bookings, live calls and numbers: nothing is lost, the books add up."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from engine.bookings.endings import sweep
from engine.calls.lifecycle import call_ended
from engine.cdr.ledger import audit_page
from engine.config.settings import Settings
from engine.domain.ids import CallId
from engine.domain.times import BootMs, EpochMs, Timestamp
from engine.local.upgrade import create_or_upgrade
from engine.runtime import lock
from engine.storage.errors import DatabaseUnusable
from engine.storage.files import database_files
from engine.storage.marks import refuse_replaced
from engine.storage.migrate import MIGRATIONS, newest_revision, require_usable, revision_of
from engine.storage.sqlite import SqliteStorage, connect
from engine.storage.upgrade import upgrade
from tests.contract.ledger import broken_rules
from tests.contract.samples import DAY, HOUR, POLICY, START, end_report
from tests.contract.test_migrations import ROWS
from tests.contract.world import outsider

pytestmark = pytest.mark.sqlite_only

REVISIONS = sorted(path.name.partition("_")[0] for path in (MIGRATIONS / "versions").glob("[0-9]*_*.py"))
NUMBERS = [f"+322555000{n}" for n in range(4)]
# The callback in these rows is of a version that did not number them.
NUMBERED = "a booking's callbacks are numbered 1, 2, 3 … without a gap"
LATER = Timestamp(EpochMs(START + HOUR), BootMs(HOUR))


def rows_of_a_busy_system() -> Iterator[tuple[str, dict[str, object]]]:
    """Three bookings, one of them gone; a call that rings, one that talks, and one that is settled."""
    yield "accounts", ROWS["accounts"]
    yield "api_keys", ROWS["api_keys"]
    booking = ROWS["bookings"] | {"callback": "https://customer.example/calls", "end_at": START + DAY}
    idle = {"seconds_remaining": 60, "seconds_leased": 0, "seconds_settled": 0}
    idle |= {"calls_remaining": 3, "calls_leased": 0, "calls_settled": 0}
    yield "bookings", booking | {"service": NUMBERS[1]}
    yield "bookings", booking | idle | {"id": "bkg_2", "service": NUMBERS[2]}
    yield "bookings", booking | idle | {"id": "bkg_3", "service": NUMBERS[3], "gone_at": START}
    for n in (1, 2, 3):
        yield "grants", ROWS["grants"] | {"id": f"grt_{n}", "booking_id": f"bkg_{n}"}
    for number, state in zip(NUMBERS, ("FREE", "BOOKED", "BOOKED", "QUARANTINED"), strict=True):
        until = START + DAY if state == "QUARANTINED" else None
        yield "numbers", {"e164": number, "state": state, "idle_since": START, "quarantined_until": until}
    call = ROWS["calls"] | {"channel": "PJSIP/x"}
    yield "calls", call | {"call_id": "rings", "seconds_leased": 5}
    talks = {
        "state": "LIVE",
        "seconds_leased": 15,
        "callee_channel": "PJSIP/y",
        "answered_at": START,
        "answered_ticks": 0,
    }
    yield "calls", call | talks | {"call_id": "talks"}
    settled = {"state": "SETTLED", "seconds_leased": 10, "seconds_charged": 10, "ended_at": START + 10_000}
    yield "calls", call | settled | {"call_id": "c0"}
    yield "cdrs", ROWS["cdrs"]
    yield "outbox", ROWS["outbox"] | {"body": '{"id": "cdr_1"}'}


def make(database: Path, revision: str) -> None:
    """Makes a database as the version with this schema left it when it was killed: in WAL mode, rows in the log."""
    upgrade(database, MIGRATIONS, revision)
    with closing(connect(database)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = version_num")
        for table, row in rows_of_a_busy_system():
            known = {each["name"] for each in connection.execute(f"PRAGMA table_info({table})")}
            fitting = {name: value for name, value in row.items() if name in known}
            marks = ", ".join(f":{name}" for name in fitting)
            connection.execute(f"INSERT INTO {table} ({', '.join(fitting)}) VALUES ({marks})", fitting)  # noqa: S608
        connection.execute("UPDATE bookings SET calls_leased = 2, calls_remaining = 0 WHERE id = 'bkg_1'")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    data_dir = tmp_path / "var"
    data_dir.mkdir(mode=0o700)
    return Settings(data_dir=data_dir)


@pytest.mark.parametrize("revision", REVISIONS)
async def test_every_schema_is_upgraded_with_a_backup_and_its_live_calls_are_settled(
    settings: Settings, revision: str
) -> None:
    make(settings.database, revision)
    said: list[str] = []
    done = create_or_upgrade(settings, said.append)
    assert (done.before, done.after) == (revision, newest_revision())
    if revision == newest_revision():
        assert (done.backup, said) == (None, [])
    else:
        assert done.backup is not None
        assert done.backup.stat().st_mode & 0o777 == 0o600
        assert f"from schema {revision} to {newest_revision()}" in said[-1]
    require_usable(settings.database, alone=True)
    storage = SqliteStorage(settings.database)
    try:
        ended = await storage.run(call_ended, end_report(CallId("talks"), 7_500, "ANSWER"), LATER, POLICY)
        assert ended is not None
        assert ended.cdr.duration == 8
        await storage.run(sweep, LATER, POLICY)
        assert (await storage.run(audit_page)).discrepancies == []
    finally:
        await storage.close()
    with outsider(settings.database) as connection:
        assert broken_rules(connection).keys() <= {NUMBERED}
        calls = connection.execute("SELECT call_id, state, seconds_charged FROM calls ORDER BY call_id").fetchall()
        states = connection.execute("SELECT state FROM numbers ORDER BY e164").fetchall()
    assert [tuple(row.values()) for row in calls] == [
        ("c0", "SETTLED", 10),
        ("rings", "VOIDED", 0),
        ("talks", "SETTLED", 8),
    ]
    assert [row["state"] for row in states] == ["FREE", "BOOKED", "BOOKED", "QUARANTINED"]


@pytest.mark.parametrize("revision", [REVISIONS[0], REVISIONS[-2]])
def test_an_older_database_is_opened_by_nothing_but_the_upgrade(settings: Settings, revision: str) -> None:
    make(settings.database, revision)
    before = [path.read_bytes() for path in database_files(settings.database)[:1]]
    with pytest.raises(DatabaseUnusable, match="database upgrade"):
        require_usable(settings.database, alone=True)
    assert [path.read_bytes() for path in database_files(settings.database)[:1]] == before


def test_an_upgrade_beside_a_running_engine_is_refused(settings: Settings) -> None:
    make(settings.database, REVISIONS[-2])
    with lock.held(settings.data_dir, lock.ENGINE_LOCK), pytest.raises(lock.DataDirInUse):
        create_or_upgrade(settings, lambda line: None)
    assert revision_of(settings.database) == REVISIONS[-2]


def test_a_database_that_cannot_be_backed_up_is_not_upgraded(settings: Settings) -> None:
    make(settings.database, REVISIONS[-2])
    (settings.data_dir / "backups").write_text("in the way")
    with pytest.raises(OSError, match=r"exist|directory"):
        create_or_upgrade(settings, lambda line: None)
    assert revision_of(settings.database) == REVISIONS[-2]


def test_a_migration_that_fails_leaves_the_old_schema_and_the_backup(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = "0015"  # the next one makes the table `restores`
    make(settings.database, before)
    with closing(sqlite3.connect(settings.database)) as connection:
        connection.execute("CREATE TABLE restores (in_the_way TEXT)")
    with pytest.raises(Exception, match="already exists"):
        create_or_upgrade(settings, lambda line: None)
    assert revision_of(settings.database) == before
    assert len(list((settings.data_dir / "backups").iterdir())) == 1


def test_an_upgrade_that_stands_in_the_log_alone_is_accepted(settings: Settings) -> None:
    """So it does after a kill before the log was copied back, or while another program has the file open."""
    make(settings.database, "0015")
    with closing(sqlite3.connect(settings.database)) as other:
        other.execute("PRAGMA journal_mode = WAL")
        other.execute("BEGIN")
        other.execute("SELECT id FROM accounts").fetchall()
        create_or_upgrade(settings, lambda line: None)
        assert settings.database.with_name(f"{settings.database.name}-wal").stat().st_size > 0
        refuse_replaced(settings.database, alone=True)
