"""`rented-numbers accounts events`: the events of an account's callbacks."""

from pathlib import Path

from engine.domain.notifications import EventType
from tests.integration.cli_runner import CliInProcess


def test_an_operator_shows_and_sets_the_events_of_an_account(tmp_path: Path) -> None:
    cli = CliInProcess(tmp_path)
    cli.set_up()
    account = cli.json("accounts", "create", "ann")["id"]
    chosen = cli.json("accounts", "events", "ann", "--set", "booking.gone, call.missed")
    assert chosen == {"accountId": account, "events": ["call.missed", "booking.gone"]}
    refused = cli.refused("accounts", "events", "ann", "--set", "call.missed,call.begun")
    assert "there is no event 'call.begun'" in refused
    assert all(kind in refused for kind in EventType)
    assert "call.missed, booking.gone" in cli("accounts", "events", account).stdout
