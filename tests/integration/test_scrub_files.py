"""After an erasure no file has the number: not the database's unused space, its write-ahead log, or Asterisk's logs."""

import gzip
import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from engine.config.settings import Settings
from engine.domain.spellings import Spellings
from engine.privacy import file_content, scrub_files
from engine.privacy.erasure import erase
from engine.privacy.scrub_files import SystemFiles, scrub
from engine.runtime import lock
from engine.storage import sqlite
from engine.storage.errors import StorageUnavailable
from engine.storage.migrate import migrate
from engine.storage.sqlite import SqliteStorage
from tests.contract.samples import PEPPER, POLICY, START
from tests.contract.test_migrations import insert

TARGET = Spellings("+33199004188")
DIGITS = TARGET.number[1:].encode()


def files_of(settings: Settings) -> SystemFiles:
    return SystemFiles(settings.data_dir.absolute(), settings.database.absolute(), settings.journal)


@pytest.fixture
def system(tmp_path: Path) -> Settings:
    settings = Settings(data_dir=tmp_path / "var")
    migrate(settings.database)
    settings.journal.mkdir()
    (settings.data_dir / "asterisk" / "log").mkdir(parents=True)
    return settings


def _holding(directory: Path) -> list[str]:
    """Return the files that contain the digits."""
    files = (path for path in directory.rglob("*") if path.is_file())
    return sorted(path.name for path in files if DIGITS in path.read_bytes())


def _write_and_delete(settings: Settings) -> None:
    """Delete rows as SQLite does by default, without overwriting them."""
    with closing(sqlite3.connect(settings.database, isolation_level=None)) as connection:
        connection.execute("PRAGMA secure_delete = OFF")
        for index in range(500):
            insert(connection, "cdrs", id=f"cdr_{index}", call_id=f"c{index}", source=TARGET.number)
        connection.execute("DELETE FROM cdrs WHERE id <> 'cdr_7'")
        connection.execute("UPDATE cdrs SET source = ''")


@contextmanager
def _busy_engine(settings: Settings) -> Iterator[None]:
    with lock.held(settings.data_dir, lock.ENGINE_LOCK):
        yield


@pytest.mark.parametrize("is_running", [False, True])
def test_unused_space_of_the_database_is_found_and_rewritten(system: Settings, is_running: bool) -> None:
    _write_and_delete(system)
    assert _holding(system.data_dir) == [system.database.name]
    if is_running:
        with _busy_engine(system):
            assert scrub(files_of(system), TARGET).remaining == []
    else:
        assert scrub(files_of(system), TARGET).remaining == []
    assert _holding(system.data_dir) == []
    with closing(sqlite3.connect(system.database)) as connection:
        assert connection.execute("SELECT id FROM cdrs").fetchall() == [("cdr_7",)]


def test_the_database_is_not_read_as_a_file_beside_a_connection_of_the_process(
    system: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To close a file drops the locks of the process's connections to it."""
    _write_and_delete(system)
    connections: list[sqlite3.Connection] = []
    read: list[str] = []

    def connect(database: Path) -> sqlite3.Connection:
        connections.append(sqlite.connect(database))
        return connections[-1]

    def open_content(path: Path) -> IO[bytes]:
        read.append(path.name)
        for each in connections:
            with pytest.raises(sqlite3.ProgrammingError, match="closed"):
                each.execute("SELECT 1")
        return file_content.open_content(path)

    monkeypatch.setattr(scrub_files, "connect", connect)
    monkeypatch.setattr(scrub_files, "open_content", open_content)
    assert scrub(files_of(system), TARGET).remaining == []
    assert (len(connections), read.count(system.database.name)) == (2, 2)


def test_a_database_too_large_to_rewrite_beside_an_engine_is_reported(
    system: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    _write_and_delete(system)
    monkeypatch.setattr(scrub_files, "MAX_BYTES_BESIDE_ENGINE", 1000)
    with _busy_engine(system):
        assert "while the engine is running" in scrub(files_of(system), TARGET).remaining[0]
    assert scrub(files_of(system), TARGET).remaining == []
    assert _holding(system.data_dir) == []


async def test_erased_rows_leave_the_write_ahead_log(system: Settings) -> None:
    storage, other = SqliteStorage(system.database), sqlite3.connect(system.database)
    try:
        with other:
            insert(other, "accounts")
            for index in range(300):
                insert(other, "cdrs", id=f"cdr_{index:04}", call_id=f"c{index}", destination=TARGET.number)
        assert f"{system.database.name}-wal" in _holding(system.data_dir)
        await erase(storage, TARGET, START, POLICY, PEPPER)
        assert scrub(files_of(system), TARGET).remaining == []
        assert _holding(system.data_dir) == []
    finally:
        other.close()
        await storage.close()


def test_a_reader_that_holds_the_log_is_waited_for_and_then_reported(
    system: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scrub_files, "CHECKPOINT_SECONDS", 0.1)
    monkeypatch.setattr("engine.storage.sqlite.BUSY_TIMEOUT_SECONDS", 0.1)
    with closing(sqlite3.connect(system.database, isolation_level=None)) as reader:
        reader.execute("PRAGMA journal_mode = WAL")
        insert(reader, "accounts")
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM accounts").fetchall()
        with closing(sqlite3.connect(system.database, isolation_level=None)) as writer:
            insert(writer, "accounts", id="acc_2", name="Bob")
        with pytest.raises(StorageUnavailable, match="try again"):
            scrub(files_of(system), TARGET)
    assert scrub(files_of(system), TARGET).remaining == []


def test_logs_in_use_are_overwritten_in_place(system: Settings) -> None:
    log = system.data_dir / "asterisk" / "log" / "messages"
    lines = [
        f"from <sip:{TARGET.number}@192.0.2.1> failed",
        f"00{DIGITS.decode()} and {DIGITS.decode()}, twice",
        f"another: {TARGET.number}5, 5{DIGITS.decode()}, rn0-{DIGITS.decode()}.7",
    ]
    with log.open("w") as writer:
        writer.write("\n".join(lines) + "\n")
        writer.flush()
        assert scrub(files_of(system), TARGET).files == 1
        writer.write("later\n")
    found = log.read_text().splitlines()
    assert [len(line) for line in found[:3]] == [len(line) for line in lines]
    assert found[0] == f"from <sip:{'x' * 12}@192.0.2.1> failed"
    assert found[1] == f"{'x' * 13} and {'x' * 11}, twice"
    assert found[2:] == [lines[2], "later"]


@pytest.mark.parametrize("elsewhere", [False, True])
def test_the_end_spool_is_searched_and_its_reports_are_left(
    system: Settings, tmp_path: Path, *, elsewhere: bool
) -> None:
    """The digits of a time or an id are no number. What has a number in it is no report of ours: it is only named."""
    journal_dir = tmp_path / "spool" if elsewhere else None
    settings = Settings(data_dir=system.data_dir, journal_dir=journal_dir)
    settings.journal.mkdir(exist_ok=True)
    good, bad = settings.journal / "ends", settings.journal / "ends.old"
    good.write_text(f"ended rn0-{DIGITS.decode()}.3 bkg_1 {DIGITS.decode()}00 ANSWER {DIGITS.decode()}000000 mac\n")
    before = good.read_text()
    assert scrub(files_of(settings), TARGET).remaining == []
    bad.write_text(f"ended {TARGET.number} x\n")
    assert scrub(files_of(settings), TARGET).remaining == [str(bad)]
    assert scrub(files_of(settings), TARGET).unsure == []
    assert good.read_text() == before


def test_a_foreign_file_is_named_and_no_link_is_followed(system: Settings, tmp_path: Path) -> None:
    notes, outside = system.data_dir / "notes.txt", tmp_path / "outside"
    for path in (notes, outside):
        path.write_text(TARGET.number)
    (system.data_dir / "asterisk" / "log" / "link").symlink_to(outside)
    assert scrub(files_of(system), TARGET).remaining == [str(notes)]
    assert notes.read_text() == outside.read_text() == TARGET.number


@given(
    pieces=st.lists(
        st.sampled_from(
            [
                TARGET.number,
                DIGITS.decode(),
                "0199 00",
                "\u0664\uff11\uff18",
                "\\u0038",
                "00",
                "7",
                ".",
                "+",
                "x" * 30,
                " ",
                f" {TARGET.number} ",
            ]
        ),
        max_size=30,
    ),
    chunk=st.integers(1, 100),
)
@examples(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_number_is_found_across_the_chunks_of_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pieces: list[str], chunk: int
) -> None:
    content = "".join(pieces).encode()
    file = tmp_path / "file"
    file.write_bytes(content)
    monkeypatch.setattr(scrub_files, "CHUNK", chunk)
    assert list(scrub_files.matches_in_file(file, TARGET)) == list(TARGET.matches_in_bytes(content))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("spaced", "+33 (0)1 99 00 41 88"),
        ("national", "0199004188"),
        ("full-width", "\uff0b\uff13\uff13\uff11\uff19\uff19\uff10\uff10\uff14\uff11\uff18\uff18"),
        ("Arabic", "\u0660\u0661\u0669\u0669\u0660\u0660\u0664\u0661\u0668\u0668"),
        ("escaped", json.dumps("\uff10\uff11\uff19\uff19\uff10\uff10\uff14\uff11\uff18\uff18")),
        ("in a URL", "sip:%2B33%20199004188@192.0.2.1"),
    ],
)
def test_every_spelling_is_found_in_every_kind_of_file(system: Settings, name: str, content: str) -> None:
    line = f"caller {content} hangs up\n".encode()
    log, export = system.data_dir / "asterisk" / "log" / "messages", system.data_dir / "Master.csv"
    security, spool = system.security_log, system.journal / "ends"
    rotated = system.data_dir / "asterisk" / "log" / "messages.1.gz"
    for path in (log, export, security, spool):
        path.write_bytes(line)
    rotated.write_bytes(gzip.compress(line))
    done = scrub(files_of(system), TARGET)
    assert (done.files, sorted(done.remaining)) == (1, sorted(map(str, (export, security, spool, rotated)))), name
    assert len(log.read_bytes()) == len(line)
    assert re.fullmatch(rb"caller \"?(?:sip:)?x+\"?(?:@192\.0\.2\.1)? hangs up\n", log.read_bytes())


def test_backups_and_archives_are_listed_as_out_of_reach_and_similar_digits_as_unsure(system: Settings) -> None:
    backup, archive, notes = (system.data_dir / name for name in ("a.backup", "b.zip", "notes"))
    backup.write_bytes(b"rented-numbers encrypted 1\n" + TARGET.number.encode())
    archive.write_bytes(b"PK\x03\x04" + TARGET.number.encode())
    notes.write_bytes(b"order 99" + DIGITS)
    done = scrub(files_of(system), TARGET)
    assert (done.backups, done.unsearched, done.unsure) == ([str(backup)], [str(archive)], [str(notes)])
    assert done.remaining == []
