"""`doctor` reports each fault with a remedy, and ok for every other part."""

import json
import os
import socket
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from engine.config.settings import Settings
from engine.config.trunk_settings import TrunkSettings
from engine.config.types import Profile
from engine.control.diagnostics import DIAGNOSTICS_VARIABLE
from engine.local.doctor import Verdict, examine
from engine.local.setup import set_up
from phones.ports import free_port

ALWAYS = {"engine"}  # no engine is running


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.chdir(tmp_path)
    ports = {name: free_port() for name in ("http_port", "fastagi_port", "ami_port", "sip_port", "browser_phone_port")}
    metrics = f"127.0.0.1:{free_port()}"
    made = Settings.model_validate(
        {"profile": "demo", "data_dir": tmp_path / "var", "metrics_address": metrics, **ports}
    )
    set_up(made, lambda line: None)
    return made


def wrong(settings: Settings) -> dict[str, str]:
    """Return the faulty parts and their remedies."""
    return {
        finding.part: f"{finding.verdict}: {finding.what} -> {finding.fix}"
        for finding in examine(settings)
        if finding.verdict is not Verdict.OK and finding.part not in ALWAYS
    }


def test_a_good_system_without_an_engine_has_one_finding(settings: Settings) -> None:
    assert wrong(settings) == {}
    [engine] = [finding for finding in examine(settings) if finding.part == "engine"]
    assert (engine.verdict, engine.fix) == (
        Verdict.FAILED,
        "start the system with `make run`, or the engine alone with `rented-numbers serve`",
    )


def execute(settings: Settings, *statements: str) -> None:
    with closing(sqlite3.connect(settings.database)) as database:
        for statement in statements:
            database.execute(statement)
        database.commit()


def _open_secret(settings: Settings) -> None:
    (settings.data_dir / "secrets" / "ami_secret").chmod(0o644)


def _scribble(settings: Settings) -> None:
    execute(settings, "PRAGMA wal_checkpoint(TRUNCATE)")
    with settings.database.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 4096)


def _callback(settings: Settings, state: str, due: int, finished: str) -> None:
    execute(
        settings,
        f"""INSERT INTO outbox (id, account_id, booking_id, url, body, state, attempts, created_at, due_at, finished_at)
            SELECT 'evt_1', id, 'bkg_1', '', '', '{state}', 1, 0, {due}, {finished} FROM accounts LIMIT 1""",  # noqa: S608
    )


FAULTS: list[tuple[str, Callable[[Settings], object], str, str]] = [
    ("secrets", _open_secret, "failed", "chmod 600"),
    ("database", _scribble, "failed", "backup"),
    ("database", lambda s: execute(s, "UPDATE alembic_version SET version_num = '9999'"), "failed", "newer version"),
    ("data directory", lambda s: s.database.unlink(), "failed", "rented-numbers setup"),
    ("numbers", lambda s: execute(s, "UPDATE numbers SET state = 'BOOKED'"), "failed", "numbers import"),
    ("callbacks", lambda s: _callback(s, "PENDING", 0, "NULL"), "warning", "1 waiting, 1 of them too long"),
    ("callbacks", lambda s: _callback(s, "FAILED", 0, str(1 << 60)), "warning", "1 given up"),
    ("ledger", lambda s: execute(s, "UPDATE grants SET seconds = seconds + 1"), "failed", "ledger verify"),
]


@pytest.mark.parametrize(("part", "spoil", "verdict", "said"), FAULTS)
def test_every_finding_has_a_remedy(
    settings: Settings, part: str, spoil: Callable[[Settings], object], verdict: str, said: str
) -> None:
    spoil(settings)
    found = wrong(settings)
    assert found[part].startswith(verdict)
    assert said in found[part]


# A user id that no user has.
SOMEBODY = 54_321


def _given_away(path: Path) -> None:
    path.touch(0o600)
    os.chown(path, SOMEBODY, -1)


def _index_without_a_row(settings: Settings) -> None:
    """The index loses an entry and no page is malformed, so that a look-up by it finds nothing."""
    execute(
        settings,
        "PRAGMA writable_schema = ON",
        "UPDATE sqlite_master SET sql = replace(sql, 'WHERE gone_at IS NULL', 'WHERE gone_at IS NOT NULL')"
        " WHERE name = 'bookings_service'",
    )


@pytest.mark.parametrize(
    ("part", "spoil", "said"),
    [
        ("database", _index_without_a_row, "restore"),
        ("database", lambda s: execute(s, "DROP INDEX bookings_service"), "bookings_service"),
        ("numbers of bookings", lambda s: execute(s, "UPDATE numbers SET state = 'FREE'"), "could give to somebody"),
        ("numbers of bookings", lambda s: execute(s, "UPDATE numbers SET state = 'BOOKED'"), "no booking holds it"),
        ("files", lambda s: s.database.chmod(0o644), "chmod 600"),
        ("files", lambda s: s.journal.chmod(0o777), "chmod o-w"),
        ("files", lambda s: os.mkfifo(s.journal / "ends"), "a pipe"),
        pytest.param(
            "files",
            lambda s: _given_away(s.journal / "ends"),
            f"user (id {SOMEBODY}) who may not write",
            marks=pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away"),
        ),
        ("files", lambda s: (s.data_dir / "security.log").symlink_to("/etc/passwd"), "a link"),
    ],
)
def test_what_a_restore_by_hand_breaks_is_found(
    settings: Settings, part: str, spoil: Callable[[Settings], object], said: str
) -> None:
    settings.journal.mkdir(exist_ok=True)
    spoil(settings)
    found = wrong(settings)
    assert found[part].startswith("failed")
    assert said in found[part]


def test_retired_numbers_are_counted_and_do_not_make_the_pool_short(settings: Settings) -> None:
    execute(settings, "UPDATE numbers SET state = 'RETIRED' WHERE e164 > (SELECT MIN(e164) FROM numbers)")
    execute(settings, "UPDATE numbers SET state = 'FREE' WHERE state <> 'RETIRED'")
    [found] = [finding for finding in examine(settings) if finding.part == "numbers"]
    assert (found.verdict, found.what.split(", ")[0]) == (Verdict.OK, "1 free")
    assert found.what.endswith(" retired")


def test_an_account_that_may_take_every_number_from_others_is_named(settings: Settings) -> None:
    demo = {"max_bookings_per_account": 1_000, "profile": Profile.PRODUCTION}
    assert "'demo' may take all of them" in wrong(settings.model_copy(update=demo))["numbers"]
    assert "numbers" not in wrong(settings.model_copy(update=demo | {"max_bookings_per_account": 20}))
    execute(settings, "UPDATE accounts SET max_bookings = 20")
    assert "numbers" not in wrong(settings.model_copy(update=demo))
    # There is no other account to take them from: both of the others are sandboxes.
    execute(
        settings,
        "UPDATE accounts SET max_bookings = NULL",
        "UPDATE accounts SET test_of = (SELECT id FROM accounts WHERE name = 'demo (test)') WHERE name = 'softphones'",
    )
    assert "numbers" not in wrong(settings.model_copy(update=demo))


def test_bookings_that_wait_for_reverse_calls_in_vain_are_counted(settings: Settings) -> None:
    execute(settings, "UPDATE bookings SET reverse = 1")
    assert wrong(settings) == {}, "the demo's telephones are known by their passwords"
    trunk = {"name": "main", "uri": "sip:192.0.2.9", "addresses": ["192.0.2.9"]}

    def found(*, voice: bool = True, **asserted: bool) -> str | None:
        trunks = [TrunkSettings.model_validate(trunk | asserted)]
        changes = {"profile": Profile.PRODUCTION, "trunks": trunks, "voice": voice}
        return wrong(settings.model_copy(update=changes)).get("trunks for reverse calls")

    assert found(asserts_identity=True) is None
    assert "3 bookings with reverse" in (found() or "")
    execute(settings, "UPDATE bookings SET reverse = 0, partner = '+32470000009', destination_pin = '12345678'")
    assert found(voice=True) is None, "callers are asked for a PIN"
    assert "3 bookings with reverse or of pairs" in (found(voice=False) or "")
    execute(settings, "UPDATE bookings SET partner = NULL, destination_pin = NULL")
    assert found(voice=False) is None


def test_a_locked_database_is_reported(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.local.database_check.WRITE_SECONDS", 0.1)
    with closing(sqlite3.connect(settings.database, isolation_level=None)) as intruder:
        intruder.execute("BEGIN IMMEDIATE")
        assert "locked" in wrong(settings)["database"]


def test_a_taken_port_is_reported(settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", settings.http_port)):
        assert f"127.0.0.1:{settings.http_port}" in wrong(settings)["ports"]


@pytest.mark.parametrize(
    ("change", "said"), [({"http_host": "192.0.2.1"}, "TLS"), ({"sip_host": "192.0.2.1"}, "softphones")]
)
def test_publicly_reachable_ports_are_reported(settings: Settings, change: dict[str, str], said: str) -> None:
    assert said in wrong(settings.model_copy(update=change))["exposure"]


def test_a_switch_for_tests_is_named(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "test switch" not in wrong(settings)
    monkeypatch.setenv(DIAGNOSTICS_VARIABLE, "1")
    assert f"{DIAGNOSTICS_VARIABLE} is set; it is for tests only" in wrong(settings)["test switch"]


def test_the_report_shows_no_number_and_no_secret(settings: Settings) -> None:
    text = json.dumps([str(finding) for finding in examine(settings)])
    secrets = [path.read_text().strip() for path in (settings.data_dir / "secrets").iterdir()]
    assert not [secret for secret in secrets if secret in text]
    assert "+33199" not in text


def test_what_the_operator_is_warned_of_is_shown(settings: Settings) -> None:
    now = "CAST(strftime('%s', 'now') AS INTEGER) * 1000"
    execute(
        settings,
        "INSERT INTO callback_endpoints (id, account_id, url, last_attempt_at, failing_since)"  # noqa: S608
        f" SELECT 'cep_1', id, 'https://down.example/x', {now}, {now} - 3600000 FROM accounts WHERE name = 'demo'",
    )
    [(part, found)] = wrong(settings).items()
    assert part == "warnings: callbacks down.example"
    assert found.startswith("warning: all callbacks have failed since ")
