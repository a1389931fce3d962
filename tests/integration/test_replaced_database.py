"""R1: a database that is replaced or removed by hand is noticed, under a running engine and before the next start."""

import json
import os
import resource
import shutil
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.storage import marks
from tests.integration.restoring import Restorable

NOTICED_SECONDS = 5.0
# No figure of the product.
START_SECONDS = 60.0


@pytest.fixture
def system(tmp_path: Path) -> Restorable:
    return Restorable(tmp_path)


def _overwrite_by_rename(system: Restorable, old: Path) -> None:
    old.replace(system.database)


def _remove(system: Restorable, _: Path) -> None:
    system.database.unlink()


def _remove_log(system: Restorable, _: Path) -> None:
    system.database.with_name(f"{system.database.name}-wal").unlink()


def _remove_shared_memory(system: Restorable, _: Path) -> None:
    system.database.with_name(f"{system.database.name}-shm").unlink()


@pytest.mark.parametrize("replace", [_overwrite_by_rename, _remove, _remove_log, _remove_shared_memory])
def test_an_engine_acknowledges_nothing_after_its_database_was_replaced(
    system: Restorable, replace: Callable[[Restorable, Path], None]
) -> None:
    with system.engine() as engine:
        assert engine.book()[0] == 201
        replace(system, system.copy_by_hand())
        status, problem = engine.book()
        assert (status, problem["code"]) == (503, "unavailable")
        assert engine.database_state() == "replaced"
        assert engine.ask("GET", "/health")[0] == 200
    assert "commit_failed" in (system.cli.directory / "engine.log").read_text()


def test_it_is_noticed_without_a_request_too(system: Restorable) -> None:
    with system.engine() as engine:
        engine.wait_for_state("up", START_SECONDS)
        _remove(system, system.database)
        engine.wait_for_state("replaced", NOTICED_SECONDS)
        deadline = time.monotonic() + NOTICED_SECONDS
        while "database_state" not in (system.cli.directory / "engine.log").read_text():
            assert time.monotonic() < deadline, "it was not logged"
            time.sleep(0.05)


def test_an_older_file_beside_a_left_log_is_refused_by_everything(system: Restorable) -> None:
    """SQLite would write the log's pages over it, and neither a check of its pages nor the ledger need find it."""
    with system.engine() as engine:
        engine.book()
        old = system.copy_by_hand()
        # The log begins anew in between, so that the old file lacks what the log takes for granted.
        system.cli.rows("PRAGMA wal_checkpoint(RESTART)")
        for _ in range(3):
            assert engine.book()[0] == 201
        time.sleep(2.5)
    log = system.database.with_name(f"{system.database.name}-wal")
    assert log.stat().st_size > 0
    shutil.copyfile(old, system.database)  # in place: the same inode
    before = (old.read_bytes(), log.read_bytes())
    for said in (system.engine_refused(), system.cli.refused("bookings", "list"), system.cli.refused("setup")):
        assert "must not be mixed" in said
    assert (system.database.read_bytes(), log.read_bytes()) == before
    findings = json.loads(system.cli("doctor", "--json").stdout)
    assert [each["verdict"] for each in findings if each["part"] == "database"] == ["failed"]


def test_the_right_file_beside_its_log_is_accepted(system: Restorable) -> None:
    with system.engine() as engine:
        engine.book()
        system.cli.rows("PRAGMA wal_checkpoint(RESTART)")
        booked = engine.book()[1]["id"]
    assert booked in {row["id"] for row in system.cli.json("bookings", "list")}


def test_a_database_in_which_an_engine_counts_up_meanwhile_is_not_older(
    system: Restorable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command beside the engine reads the database and the file with the mark one after the other."""
    read = marks._mark_of

    def then_counted_up(opened: sqlite3.Connection) -> marks.Mark | None:
        mark = read(opened)
        assert mark is not None
        marks.write_mark(system.database.with_name(marks.MARK_FILE), mark.database_id, mark.sequence + 1)
        return mark

    monkeypatch.setattr(marks, "_mark_of", then_counted_up)
    marks.refuse_replaced(system.database, alone=False)


@pytest.mark.parametrize("content", [b"", bytes(37)])
def test_a_mark_that_a_power_cut_emptied_stops_nothing(system: Restorable, content: bytes) -> None:
    mark = system.database.with_name(marks.MARK_FILE)
    mark.write_bytes(content)
    system.book()
    assert mark.read_text().strip("\0")


def test_an_older_file_without_a_log_is_refused_and_can_be_restored(system: Restorable) -> None:
    system.book()
    old = system.copy_by_hand()
    with system.engine() as engine:
        assert engine.book()[0] == 201
    system.cli.json("bookings", "list")  # its end copies the log into the file
    shutil.copyfile(old, system.database)
    for said in (system.engine_refused(), system.cli.refused("bookings", "list"), system.cli.refused("setup")):
        assert "is older than the one that was in use here" in said
    receipt = system.restore(old.name)
    assert (receipt["restored"], receipt["numbersQuarantined"]) == (True, 9)
    with system.engine() as engine:
        assert engine.book()[1]["code"] == "no_number_free"


def _open(path: Path) -> None:
    path.chmod(0o644)


def _fifo(path: Path) -> None:
    path.unlink(missing_ok=True)
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("name", "spoil", "said"),
    [
        ("rented-numbers.sqlite3", _open, "chmod 600"),
        ("security.log", _fifo, "a pipe"),
        ("journal/ends", _fifo, "a pipe"),
        ("engine.lock", _fifo, "a pipe"),
        ("revocations.log", _fifo, "a pipe"),
        ("database.mark", _fifo, "a pipe"),
        ("secrets/agi_token", _fifo, "not a regular file"),
        ("journal", lambda path: path.chmod(0o777), "chmod o-w"),
        (".", lambda path: path.chmod(0o777), "chmod go-w"),
    ],
)
def test_an_engine_does_not_start_with_files_that_are_not_safe_and_does_not_hang(
    system: Restorable, name: str, spoil: Callable[[Path], object], said: str
) -> None:
    (system.cli.data / "journal").mkdir(exist_ok=True)
    spoil(system.cli.data / name)
    assert said in system.engine_refused()


@pytest.mark.parametrize("when", ["damaged", "full"])
def test_a_damaged_database_and_a_full_disk_show_in_readiness(system: Restorable, when: str) -> None:
    with system.engine() as engine:
        engine.wait_for_state("up", START_SECONDS)
        if when == "damaged":
            system.cli.rows("PRAGMA wal_checkpoint(TRUNCATE)")
            with system.database.open("r+b") as file:
                file.seek(4096)
                file.write(b"\xff" * (system.database.stat().st_size - 4096))
        else:
            # As on a full disk, the log cannot grow; what it holds can be overwritten.
            size = system.database.with_name(f"{system.database.name}-wal").stat().st_size
            resource.prlimit(engine.process.pid, resource.RLIMIT_FSIZE, (size, size))
        engine.wait_for_state({"damaged": "damaged", "full": "cannot be written"}[when], START_SECONDS)
        assert engine.ask("GET", "/health")[0] == 200
