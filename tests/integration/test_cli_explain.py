"""`rented-numbers explain` shows an operator why a call is bridged or refused."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from api.schemas.explanations import ExplanationBody
from tests.integration.cli_runner import Cli, CliInProcess

CALLER = "+14155550123"


@pytest.fixture
def cli(tmp_path: Path) -> CliInProcess:
    return CliInProcess(tmp_path)


@pytest.fixture
def booking(cli: Cli) -> str:
    """A booking of the softphones' account, made by the first run of the demo."""
    cli.set_up("demo")
    [(booking_id,)] = cli.rows("SELECT id FROM bookings ORDER BY id LIMIT 1")
    return str(booking_id)


def tables(cli: Cli) -> list[Any]:
    names = ("bookings", "calls", "cdrs", "outbox", "numbers")
    return [cli.rows(f"SELECT * FROM {name}") for name in names]  # noqa: S608  names of ours


def test_an_explanation_has_every_field_and_writes_nothing(cli: Cli, booking: str) -> None:
    before = tables(cli)
    told = cli.json("explain", booking, "--source", CALLER)
    assert list(told) == [field.alias for field in ExplanationBody.model_fields.values()]
    assert (told["bookingId"], told["source"]) == (booking, CALLER)
    assert (told["putThrough"], told["reason"], told["limitedBy"]) == (True, "put_through", "longest_call")
    assert (told["maxConcurrentCalls"], told["maxCallsPerCallerPerHour"]) == (10, 60)
    assert tables(cli) == before


def test_an_explanation_uses_the_settings_and_the_default_caller(cli: Cli, booking: str) -> None:
    told = cli.json("explain", booking, longest_call="5", max_concurrent_calls="3")
    assert (told["source"], told["seconds"], told["maxConcurrentCalls"]) == ("anonymous", 5, 3)


def test_an_explanation_for_people_has_a_line_for_each_field(cli: Cli, booking: str) -> None:
    done = cli("explain", booking)
    lines = dict(line.split(maxsplit=1) for line in done.stdout.splitlines() if len(line.split()) > 1)
    assert lines["message"].startswith("The call would be put through")
    assert len({len(line) - len(line.lstrip()) + len(line.split()[0]) for line in done.stdout.splitlines()}) == 1


def test_the_hidden_number_is_never_shown(cli: Cli, booking: str) -> None:
    [(hidden,)] = cli.rows("SELECT destination FROM bookings ORDER BY id LIMIT 1")
    for arguments in (("--json",), ()):
        assert hidden[-6:] not in cli("explain", booking, *arguments).stdout


def test_a_refused_explanation_gives_the_reason(cli: Cli, booking: str) -> None:
    assert "there is no such booking" in cli.refused("explain", "bkg_unknown")
    assert "--source must be a telephone number" in cli.refused("explain", booking, "--source", "alice")
    with closing(sqlite3.connect(cli.data / "rented-numbers.sqlite3")) as database:
        database.execute("UPDATE bookings SET gone_at = 1")
        database.commit()
    assert "gone for good" in cli.refused("explain", booking)
