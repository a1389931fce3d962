"""`rented-numbers backup`: whole beside a running engine, verified, private, encrypted on request."""

import json
import sqlite3
import tarfile
import threading
from contextlib import closing
from pathlib import Path

import pytest

from tests.integration.restoring import HIDDEN, PASSPHRASE, Restorable


@pytest.fixture
def system(tmp_path: Path) -> Restorable:
    return Restorable(tmp_path)


def bookings_in(backup: Path, directory: Path) -> set[str]:
    directory.mkdir()
    with tarfile.open(backup) as tar:
        tar.extractall(directory)  # noqa: S202  our own file
    with closing(sqlite3.connect(directory / "database.sqlite3")) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return {booking for (booking,) in database.execute("SELECT id FROM bookings")}


def test_it_has_everything_that_was_acknowledged_before_while_the_engine_goes_on(system: Restorable) -> None:
    with system.engine() as engine:
        first = {engine.book()[1]["id"] for _ in range(3)}
        booked, stop = list[str](), threading.Event()

        def keep_changing() -> None:
            while not stop.is_set():
                status, _ = engine.ask("PATCH", f"/bookings/{min(first)}", {"label": "busy"})
                booked.append(str(status))

        changing = threading.Thread(target=keep_changing)
        changing.start()
        made = system.backup()
        stop.set()
        changing.join()
        assert set(booked) == {"200"}
        assert engine.database_state() == "up"
    saved = system.cli.directory / "saved.backup"
    assert bookings_in(saved, system.cli.directory / "x") == first
    assert (made["bookings"], made["encrypted"], made["secrets"]) == (3, False, False)
    assert made["newestRowAt"] <= made["createdAt"]
    assert saved.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in system.cli.data.iterdir() if path.name.startswith(".")] == []


def test_a_file_is_never_replaced(system: Restorable) -> None:
    (system.cli.directory / "saved.backup").write_text("mine")
    assert "exists already" in system.cli.refused("backup", "saved.backup")
    assert (system.cli.directory / "saved.backup").read_text() == "mine"


def test_an_encrypted_backup_shows_nothing_and_has_the_secrets_on_request(system: Restorable) -> None:
    system.book()
    made = system.backup("saved.backup", "--with-secrets", "--passphrase-file", "passphrase")
    content = (system.cli.directory / "saved.backup").read_bytes()
    pepper = (system.cli.data / "secrets" / "key_pepper").read_bytes().strip()
    assert (made["encrypted"], made["secrets"]) == (True, True)
    for word in (HIDDEN[1:].encode(), pepper, b"SQLite format 3", b"manifest"):
        assert word not in content
    receipt = system.restore("saved.backup", "--check", "--passphrase-file", "passphrase")
    assert receipt["restored"] is False


def test_secrets_demand_a_passphrase_of_some_length(system: Restorable) -> None:
    (system.cli.directory / "passphrase").write_text("short\n")
    said = system.cli.refused("backup", "saved.backup", "--with-secrets", "--passphrase-file", "passphrase")
    assert "12 characters" in said
    system.cli.typed = f"{PASSPHRASE}\nsomething else\n" * 2
    done = system.cli("backup", "saved.backup", "--with-secrets")
    assert done.returncode == 1
    assert not (system.cli.directory / "saved.backup").exists()


def test_a_damaged_database_is_not_backed_up(system: Restorable) -> None:
    system.cli.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    [(root,)] = system.cli.rows("SELECT rootpage FROM sqlite_master WHERE name = 'numbers_free_country'")
    with system.database.open("r+b") as file:
        file.seek((root - 1) * 4096)
        file.write(b"\xff" * 4096)
    assert "damaged" in system.cli.refused("backup", "saved.backup")
    assert not (system.cli.directory / "saved.backup").exists()


def test_the_manifest_says_what_the_backup_is(system: Restorable) -> None:
    system.backup()
    with tarfile.open(system.cli.directory / "saved.backup") as tar:
        first = tar.next()
        assert first is not None
        content = tar.extractfile(first)
        assert content is not None
        manifest = json.loads(content.read())
    [(schema,)] = system.cli.rows("SELECT version_num FROM alembic_version")
    assert (first.name, manifest["schema"], manifest["format"]) == ("manifest.json", schema, 1)
    assert set(manifest["files"]) == {"database.sqlite3"}
