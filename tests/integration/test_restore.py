"""R1: no restore hurts anybody: no number misrouted, no key revived, no erasure undone, and a kill loses nothing."""

import os
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from engine.config.secrets import trunk_password, write_trunk_password
from engine.runtime.failpoints import VARIABLE
from engine.storage.migrate import PENDING_RESTORE
from engine.storage.revocations import REVOCATION_LOG
from tests.integration.cli_runner import Cli, contents
from tests.integration.restoring import HIDDEN, PASSPHRASE, Restorable

OTHER = "+442079460958"
PERSON = "+32470999888"
# Places of the restore at which it is killed.
STEPS = (
    "restore prepared",
    "restore pending",
    "restore kept the old files",
    "restore removed the log",
    "restore put the database in place",
)


@pytest.fixture
def system(tmp_path: Path) -> Restorable:
    return Restorable(tmp_path)


def states(system: Restorable) -> dict[str, str]:
    return dict(system.cli.rows("SELECT e164, state FROM numbers"))


def test_numbers_booked_since_the_backup_are_given_to_nobody_else(system: Restorable) -> None:
    kept = system.book()["service"]
    system.backup()
    since = {system.book(OTHER)["service"] for _ in range(3)}
    receipt = system.restore()
    assert (receipt["restored"], receipt["numbersQuarantined"], receipt["bookings"]) == (True, 9, 1)
    after = states(system)
    assert after.pop(kept) == "BOOKED"
    assert set(after.values()) == {"QUARANTINED"}
    assert since <= after.keys()
    assert "every number is booked or in quarantine" in system.cli.refused(
        "bookings", "create", OTHER, "--account", "Acme", "--callback", "https://c.example/x"
    )
    assert system.cli.json("ledger", "verify") == []


def test_a_number_that_comes_into_the_pool_after_a_restore_is_quarantined_as_well(system: Restorable) -> None:
    """It may have been imported and booked since the backup."""
    system.backup()
    system.restore()
    (system.cli.directory / "more.csv").write_text("+3225550200\n")
    system.cli.json("numbers", "import", "more.csv")
    assert states(system)["+3225550200"] == "QUARANTINED"


def test_what_was_withdrawn_since_the_backup_is_withdrawn_again(system: Restorable) -> None:
    revoked, _ = system.new_key()
    deleted, moved, staying, swapped = system.book(), system.book(PERSON), system.book(OTHER), system.book(OTHER)
    secret = system.cli.json("secrets", "show", "Acme")["secret"]
    system.cli("console", "session")
    system.backup()
    system.cli.json("keys", "revoke", revoked)
    system.cli.json("bookings", "delete", deleted["id"], "--yes")
    system.cli.typed = f"{HIDDEN}\n"
    assert system.cli("bookings", "change", staying["id"], "--destination").returncode == 0
    assert system.cli.json("bookings", "swap-number", swapped["id"], "--yes")["service"] != swapped["service"]
    system.cli.json("privacy", "erase", PERSON, "--yes")
    system.cli.json("secrets", "rotate", "Acme")
    receipt = system.restore()
    assert {name: receipt[name] for name in ("keysRevoked", "bookingsEnded", "bookingsPaused", "numbersErased")} == {
        "keysRevoked": 1,
        "bookingsEnded": 1,
        "bookingsPaused": 2,
        "numbersErased": 1,
    }
    assert system.cli.rows(f"SELECT revoked_at IS NULL FROM api_keys WHERE id = '{revoked}'") == [(0,)]  # noqa: S608
    gone = dict(system.cli.rows("SELECT id, gone_at IS NOT NULL FROM bookings"))
    assert gone == {deleted["id"]: 1, moved["id"]: 1, staying["id"]: 0, swapped["id"]: 0}
    assert system.cli.rows("SELECT paused FROM bookings WHERE gone_at IS NULL") == [(1,), (1,)]
    assert PERSON[1:].encode() not in system.database.read_bytes()
    assert receipt["secretsReplaced"] == 1
    # It is not known which of them were ended since the backup.
    assert receipt["webSessionsEnded"] == 1
    assert system.cli.json("console", "sessions") == []
    assert system.cli.json("secrets", "show", "Acme")["secret"] != secret
    assert set(states(system).values()) == {"BOOKED", "QUARANTINED"}
    # A second restore of the same file does all of it again.
    again = system.restore()
    assert (again["keysRevoked"], again["bookingsEnded"], again["numbersErased"]) == (1, 1, 1)


def test_a_revoked_key_opens_nothing_after_a_restore_and_others_do(system: Restorable) -> None:
    revoked, key = system.new_key()
    system.backup()
    with system.engine() as engine:
        assert engine.book()[0] == 201
        system.cli.json("keys", "revoke", revoked)
    system.restore()
    with system.engine() as engine:
        assert engine.ask("GET", "/bookings")[0] == 200
        revived = type(engine)(engine.process, engine.port, key)
        assert revived.ask("GET", "/bookings")[0] == 401
        assert engine.book()[0] == 503


def test_the_log_holds_no_number_and_no_key(system: Restorable) -> None:
    key_id, key = system.new_key()
    booking = system.book(PERSON)
    system.cli.json("keys", "revoke", key_id)
    system.cli.json("privacy", "erase", PERSON, "--yes")
    log = system.cli.data / REVOCATION_LOG
    text = log.read_text()
    assert log.stat().st_mode & 0o777 == 0o600
    assert booking["id"] in text
    assert not [word for word in (PERSON[1:], booking["service"][1:], key) if word in text]


def test_live_calls_are_settled_by_the_rule_for_lost_calls(system: Restorable) -> None:
    """One that talked is charged until it was last seen up, one that only rang is free."""
    system.book()
    talked = "'LIVE', 60, 1000, 5000, 5000, 12500"
    rang = "'RINGING', 60, 1000, NULL, NULL, NULL"
    for call, values in (("t", talked), ("r", rang)):
        system.cli.execute(
            "INSERT INTO calls (call_id, booking_id, state, seconds_leased, started_ticks, answered_at, answered_ticks,"  # noqa: S608
            f" seen_ticks, source, destination, started_at) SELECT '{call}', id, {values}, 'x', 'y', 1 FROM bookings"
        )
    system.cli.execute(
        "UPDATE bookings SET seconds_leased = 120, seconds_remaining = seconds_remaining - 120,"
        " calls_leased = 2, calls_remaining = calls_remaining - 2"
    )
    system.backup()
    receipt = system.restore()
    assert (receipt["callsSettled"], receipt["callsVoided"]) == (1, 1)
    assert system.cli.rows("SELECT state, seconds_charged FROM calls ORDER BY call_id") == [
        ("VOIDED", 0),
        ("SETTLED", 8),
    ]
    assert system.cli.rows("SELECT seconds_leased, calls_leased FROM bookings") == [(0, 0)]
    assert system.cli.json("ledger", "verify") == []


def test_a_check_says_the_same_and_changes_nothing(system: Restorable) -> None:
    revoked, _ = system.new_key()
    system.backup()
    system.cli.json("keys", "revoke", revoked)
    before = {path: content for path, content in contents(system.cli.data).items() if path.suffix != ".lock"}
    said = system.cli.json("restore", "saved.backup", "--check")
    assert (said["restored"], said["keysRevoked"], said["numbersQuarantined"]) == (False, 1, 10)
    assert {path: content for path, content in contents(system.cli.data).items() if path.suffix != ".lock"} == before


def test_a_restore_is_refused_while_the_engine_runs(system: Restorable) -> None:
    system.backup()
    with system.engine():
        assert "already running" in system.cli.refused("restore", "saved.backup", "--yes")
        assert system.cli.json("restore", "saved.backup", "--check")["restored"] is False


def _cut(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def _flip(file: Path) -> None:
    with file.open("r+b") as opened:
        opened.seek(file.stat().st_size // 2)
        byte = opened.read(1)
        opened.seek(-1, os.SEEK_CUR)
        opened.write(bytes([byte[0] ^ 1]))


@pytest.mark.parametrize("encrypted", [False, True])
@pytest.mark.parametrize("spoil", [_cut, _flip, lambda file: file.write_bytes(b"nothing")])
def test_a_damaged_backup_changes_nothing(system: Restorable, spoil: object, encrypted: bool) -> None:
    options = ("--passphrase-file", "passphrase") if encrypted else ()
    system.backup("saved.backup", *options)
    spoil(system.cli.directory / "saved.backup")  # type: ignore[operator]
    before = system.database.read_bytes()
    system.cli.refused("restore", "saved.backup", "--yes", *options)
    assert system.database.read_bytes() == before
    assert not (system.cli.data / PENDING_RESTORE).exists()


def test_a_wrong_passphrase_is_refused(system: Restorable) -> None:
    system.backup("saved.backup", "--passphrase-file", "passphrase")
    (system.cli.directory / "passphrase").write_text(PASSPHRASE + "!\n")
    assert "passphrase is wrong" in system.cli.refused(
        "restore", "saved.backup", "--yes", "--passphrase-file", "passphrase"
    )


def test_a_lost_machine_is_rebuilt_from_a_backup_with_secrets(system: Restorable, tmp_path: Path) -> None:
    booking = system.book()
    secrets = system.cli.data / "secrets"
    write_trunk_password(secrets, "main", "pässwörd")
    system.backup("saved.backup", "--with-secrets", "--passphrase-file", "passphrase")
    for path in sorted(system.cli.data.rglob("*"), reverse=True):
        path.unlink() if not path.is_dir() else path.rmdir()
    options = ("--yes", "--passphrase-file", "passphrase")
    assert "revocation log does not reach back" in system.cli.refused("restore", "saved.backup", *options)
    receipt = system.restore("saved.backup", *options[1:], "--without-log")
    assert (receipt["logIsComplete"], receipt["oldDatabase"]) == (False, None)
    assert "key_pepper" in receipt["secrets"]
    assert trunk_password(secrets, "main") == "pässwörd"
    modes = {path.name: path.stat().st_mode & 0o777 for path in system.cli.data.rglob("*") if path.is_file()}
    assert set(modes.values()) == {0o600}
    with system.engine() as engine:
        assert engine.ask("GET", f"/bookings/{booking['id']}")[0] == 200


def test_another_systems_pepper_is_refused(system: Restorable) -> None:
    system.backup()
    (system.cli.data / "secrets" / "key_pepper").write_text("another-Pepper-of-some-28-letters\n")
    assert "not the one of this backup" in system.cli.refused("restore", "saved.backup", "--yes")


def test_a_damaged_revocation_log_is_refused(system: Restorable) -> None:
    revoked, _ = system.new_key()
    system.backup()
    system.cli.json("keys", "revoke", revoked)
    log = system.cli.data / REVOCATION_LOG
    log.write_text(log.read_text().replace("key", "kex") + log.read_text().splitlines()[-1] + "\n")
    assert "cannot be read" in system.cli.refused("restore", "saved.backup", "--yes")


@pytest.mark.parametrize("step", STEPS)
def test_a_restore_that_is_killed_leaves_all_of_the_old_or_is_run_again(system: Restorable, step: str) -> None:
    old = system.book()["id"]
    system.backup()
    since = system.book(OTHER)["id"]
    killed = subprocess.run(
        Cli(system.cli.directory).command("restore", "saved.backup", "--yes"),
        cwd=system.cli.directory,
        env=system.cli.settings() | {VARIABLE: step},
        capture_output=True,
        check=False,
    )
    assert killed.returncode == -9, killed.stderr
    if step == "restore prepared":
        assert {row["id"] for row in system.cli.json("bookings", "list")} == {old, since}
    else:
        for said in (system.engine_refused(), system.cli.refused("bookings", "list"), system.cli.refused("setup")):
            assert "is half restored" in said
    receipt = system.restore()
    assert {row["id"] for row in system.cli.json("bookings", "list")} == {old}
    assert [path.name for path in system.cli.data.iterdir() if path.name.startswith(".")] == []
    # Nothing of the old database is lost: the first attempt or the second has kept it.
    everything = set()
    for kept in (system.cli.data / "replaced").glob("*/*.sqlite3"):
        with closing(sqlite3.connect(kept)) as database:
            everything |= {booking for (booking,) in database.execute("SELECT id FROM bookings")}
    assert everything >= {old, since}
    assert receipt["oldDatabase"]
