"""`rented-numbers report`: the calls of a month, as a table, CSV and JSON."""

import csv
import json
import shutil
from pathlib import Path

import pytest

from tests.integration.cli_runner import CliInProcess
from tests.integration.test_cli_cdr import filled

__all__ = ["filled"]

# The calls of the fixture came in on 2026-03-01; retention must not be in the way.
KEPT = {"cdr_retention": "P3650D"}
LINES = [("acc_1", "+3225550000", 2, 1, 1), ("acc_2", "+3225550001", 4, 2, 2)]
GRANTS = """
INSERT INTO grants
    (id, booking_id, usage_plan, seconds, calls, granted_at, account_id, service, price, currency)
VALUES
    ('grt_1', 'bkg_1', 'SMALL', 1, 1, 1772366400000, 'acc_1', '+3225550000', 990, 'EUR'),
    ('grt_2', 'bkg_1', 'SMALL', 1, 1, 1772366400000, 'acc_1', '+3225550000', 1200, 'CHF'),
    ('grt_3', 'bkg_1', 'SMALL', 1, 1, 1772366400000, 'acc_1', '+3225550000', 990, 'EUR')
"""
COSTS = {"acc_1": [{"amount": 1200, "currency": "CHF"}, {"amount": 1980, "currency": "EUR"}]}


@pytest.fixture
def cli(filled: CliInProcess, tmp_path: Path) -> CliInProcess:
    shutil.copytree(filled.data, tmp_path / "var")
    return CliInProcess(tmp_path)


def test_a_month_is_reported_in_every_form_with_the_same_sums(cli: CliInProcess) -> None:
    cli.execute(GRANTS)
    expected = [
        dict(
            zip(
                ("accountId", "account", "number", "calls", "answeredCalls", "seconds", "cost"),
                (account, f"name of {account}", *rest, COSTS.get(account, [])),
                strict=True,
            )
        )
        for account, *rest in LINES
    ]
    assert cli.json("report", "--month", "2026-03", **KEPT) == expected
    done = cli("report", "--month", "2026-03", "--csv", **KEPT)
    assert list(csv.DictReader(done.stdout.splitlines())) == [
        {name: str(value) for name, value in line.items()} | {"cost": "12.00 CHF + 19.80 EUR" if line["cost"] else ""}
        for line in expected
    ]
    assert done.stderr == (
        "rented-numbers: 6 calls, 3 of them answered, 3 seconds\n"
        "rented-numbers: plans that were booked or renewed: 12.00 CHF + 19.80 EUR\n"
    )
    table = cli("report", "--month", "2026-03", "--account", "name of acc_2", **KEPT).stdout
    assert "+3225550001" in table
    assert "acc_1" not in table
    cli.json("accounts", "rename", "acc_2", "=1+1")
    assert ",'=1+1,+3225550001," in cli("report", "--month", "2026-03", "--csv", **KEPT).stdout
    assert cli.json("report", "--month", "2026-03", **KEPT)[1]["account"] == "=1+1"
    for empty in ("2026-02", "2026-04"):
        assert cli.json("report", "--month", empty, **KEPT) == []
        assert cli("report", "--month", empty, "--csv", **KEPT).stdout.count("\n") == 1


def test_a_report_says_that_it_is_incomplete(cli: CliInProcess) -> None:
    done = cli("report", "--month", "2026-03", "--json", cdr_retention="P1D")
    assert json.loads(done.stdout)
    assert "incomplete: call records are deleted after 1 day" in done.stderr
    assert "incomplete" not in cli("report", "--month", "2026-03", **KEPT).stderr


def test_a_report_on_a_sandbox_goes_by_its_clock_and_says_that_its_records_are_deleted_earlier(
    cli: CliInProcess,
) -> None:
    cli.json("keys", "create", "acc_1", "--test")
    [(sandbox,)] = cli.rows("SELECT id FROM accounts WHERE test_of = 'acc_1'")
    cli.execute("UPDATE accounts SET clock_ahead_ms = 31536000000000 WHERE test_of = 'acc_1'")  # a thousand years
    ahead = cli("report", "--month", "2999-01", "--account", sandbox, **KEPT)
    assert ahead.returncode == 0
    assert "incomplete: call records are deleted after 30 days, in a sandbox" in ahead.stderr


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--month", "2026-13"], "must be a month"),
        (["--month", "2999-01"], "has not begun yet"),
        (["--month", "2026-03", "--csv", "--json"], "either --csv or --json"),
        (["--month", "2026-03", "--account", "eve"], "there is no account 'eve'"),
    ],
)
def test_a_wrong_request_is_refused(cli: CliInProcess, arguments: list[str], why: str) -> None:
    assert why in cli.refused("report", *arguments)
