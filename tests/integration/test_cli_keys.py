"""Accounts and API keys on the command line."""

import signal
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from engine.accounts.keys import LIVE_PREFIX, key_digest
from phones.ports import free_port
from tests.integration.cli_runner import Cli, CliInProcess, contents, wait_until_it_answers
from tests.programs import ended


@pytest.fixture
def cli(tmp_path: Path) -> CliInProcess:
    cli = CliInProcess(tmp_path)
    cli.set_up()
    return cli


def test_a_new_key_is_shown_once_and_stored_as_a_digest(cli: Cli) -> None:
    account = cli.json("accounts", "create", "Ann & sons")
    by_name = cli.json("keys", "create", "Ann & sons")
    by_id = cli.json("keys", "create", account["id"])
    pepper = (cli.data / "secrets" / "key_pepper").read_text().strip()
    assert by_name["accountId"] == by_id["accountId"] == account["id"]
    assert cli.rows("SELECT digest FROM api_keys ORDER BY id") == [
        (key_digest(key["key"], pepper),) for key in (by_name, by_id)
    ]
    kept = b"".join(contents(cli.data).values())
    assert not [key for key in (by_name, by_id) if key["key"].removeprefix(LIVE_PREFIX).encode() in kept]


def test_a_refused_account_gives_the_reason(cli: Cli) -> None:
    cli("accounts", "create", "ann")
    assert "already" in cli.refused("accounts", "create", "ann")
    assert "printable" in cli.refused("accounts", "create", "a\nb")
    assert "there is no account 'bob'" in cli.refused("keys", "create", "bob")


def test_accounts_are_listed_without_their_secrets(cli: Cli) -> None:
    ann = cli.json("accounts", "create", "ann")
    bob = cli.json("accounts", "create", "bob")
    listed = cli.json("accounts", "list")
    assert [(each["id"], each["name"]) for each in listed] == [(ann["id"], "ann"), (bob["id"], "bob")]
    assert set(listed[0]) == {"id", "name", "testOf", "createdAt", "state", "suspendedAt", "closedAt", "reason"}


def test_the_limits_of_an_account_are_shown_set_and_reset(cli: Cli) -> None:
    account = cli.json("accounts", "create", "ann")
    shown = {"accountId": account["id"], "maxBookings": 1_000, "newBookingsADay": 200, "requestsPerMinute": 600}
    shown |= {"storedMegabytes": 250, "storedBytes": 0, "callsAtOnce": 100, "callsUp": 0}
    shown |= {"own": [], "bookingsHeld": 0, "numbersInQuarantine": 0, "newBookingsLastDay": 0}
    assert cli.json("accounts", "limits", "ann") == shown
    # What is not its own follows the settings.
    assert cli.json("accounts", "limits", "ann", new_bookings_a_day="9")["newBookingsADay"] == 9
    changed = cli.json("accounts", "limits", account["id"], "--max-bookings", "5", "--requests-per-minute", "30")
    assert changed == shown | {"maxBookings": 5, "requestsPerMinute": 30, "own": ["maxBookings", "requestsPerMinute"]}
    more = cli.json("accounts", "limits", "ann", "--new-bookings-a-day", "2", max_bookings_per_account="9")
    assert more["own"] == ["maxBookings", "newBookingsADay", "requestsPerMinute"]
    assert more["maxBookings"] == 5
    assert cli("accounts", "limits", "ann").stdout.split("own")[1].split("\n")[0].strip() == ", ".join(more["own"])
    assert cli.json("accounts", "limits", "ann", "--reset", "--max-bookings", "8") == shown | {
        "maxBookings": 8,
        "own": ["maxBookings"],
    }
    assert cli.json("accounts", "limits", "ann", "--reset") == shown
    # Unset, half of what our own Asterisk can carry, which takes five ports for each call.
    assert cli.json("accounts", "limits", "ann", rtp_end="10199")["callsAtOnce"] == 20
    assert cli.json("accounts", "limits", "ann", "--calls-at-once", "30", rtp_end="10199")["callsAtOnce"] == 30


def test_bad_limits_are_refused(cli: Cli) -> None:
    cli("accounts", "create", "ann")
    cli("keys", "create", "ann", "--test")
    for option in (
        "--max-bookings",
        "--new-bookings-a-day",
        "--requests-per-minute",
        "--stored-megabytes",
        "--calls-at-once",
    ):
        for value in ("0", "-1", "10000001", "many"):
            assert cli("accounts", "limits", "ann", option, value).returncode == 2
    assert cli.json("accounts", "limits", "ann")["own"] == []
    assert "there is no account 'eve'" in cli.refused("accounts", "limits", "eve", "--max-bookings", "5")
    assert "is a sandbox" in cli.refused("accounts", "limits", "ann (test)", "--reset")
    assert cli.json("accounts", "limits", "ann (test)")["maxBookings"] == 1_000


def test_the_keys_of_an_account_are_listed_by_their_last_characters(cli: Cli) -> None:
    for name in ("ann", "bob"):
        cli.json("accounts", "create", name)
    keys = [cli.json("keys", "create", "ann") for _ in range(2)]
    cli("keys", "create", "bob")
    listed = cli.json("keys", "list", "ann")
    assert [(each["id"], each["endsWith"]) for each in listed] == [(key["id"], key["key"][-4:]) for key in keys]
    assert set(listed[0]) == {"id", "endsWith", "test", "createdAt", "lastUsedAt", "revokedAt"}
    assert "there is no account 'eve'" in cli.refused("keys", "list", "eve")


def test_revoking_a_key_affects_no_other_key(cli: Cli) -> None:
    cli("accounts", "create", "ann")
    first, second = (cli.json("keys", "create", "ann")["id"] for _ in range(2))
    revoked = cli.json("keys", "revoke", first)
    assert cli.json("keys", "revoke", first) == revoked
    assert [each["revokedAt"] for each in cli.json("keys", "list", "ann")] == [revoked["revokedAt"], None]
    assert second
    assert "there is no key 'key_0'" in cli.refused("keys", "revoke", "key_0")


def test_a_running_engine_refuses_a_revoked_key_at_once_and_records_the_last_use(cli: Cli) -> None:
    cli("accounts", "create", "ann")
    cli("keys", "create", "ann")
    key = cli.json("keys", "create", "ann")
    port = free_port()
    settings = cli.settings(http_port=str(port), fastagi_port=str(free_port()), ami_port=str(free_port()))
    with ended(
        subprocess.Popen(cli.command("serve"), cwd=cli.directory, env=settings, stderr=subprocess.DEVNULL)
    ) as engine:
        try:
            wait_until_it_answers(f"http://127.0.0.1:{port}/health", engine)
            assert status_of(port, key["key"]) == 200
            cli("keys", "revoke", key["id"])
            assert status_of(port, key["key"]) == 401
        finally:
            engine.send_signal(signal.SIGTERM)
    never, used = cli.json("keys", "list", "ann")
    assert never["lastUsedAt"] is None
    assert used["createdAt"] < used["lastUsedAt"] < used["revokedAt"]
    assert 'SecurityEvent="InvalidPassword"' in (cli.data / "security.log").read_text()


def status_of(port: int, key: str) -> int:
    request = urllib.request.Request(f"http://127.0.0.1:{port}/bookings", headers={"Authorization": f"Bearer {key}"})
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310  a URL of ours
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code
