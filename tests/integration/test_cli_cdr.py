"""`rented-numbers cdr`: call records on the command line, with and without a running engine."""

import csv
import json
import shutil
import sqlite3
import subprocess
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from engine.cdr.master_csv import COLUMNS, NEW_COLUMNS
from tests.integration.cli_runner import Cli
from tests.programs import ended

HIDDEN = "+32470123456"
START = 1_772_366_400_000


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Cli:
    """Two accounts with two and four calls. Their calls alternate a second apart."""
    cli = Cli(tmp_path_factory.mktemp("cdr"))
    cli.set_up()
    with closing(sqlite3.connect(cli.data / "rented-numbers.sqlite3")) as database, database:
        for number, (account, calls) in enumerate((("acc_1", 2), ("acc_2", 4))):
            database.execute(
                "INSERT INTO accounts (id, name, webhook_secret, created_at) VALUES (?, ?, 'x', 0)",
                [account, f"name of {account}"],
            )
            insert(database, (a_record(number, account, call) for call in range(calls)))
    return cli


CDR = (
    *("id", "account_id", "booking_id", "call_id", "started_at", "duration"),
    *("source", "service", "destination", "disposition"),
)

LAST = ("+14155550100", "+3225550000", HIDDEN, "BUSY")


def insert(database: sqlite3.Connection, records: Iterable[list[Any]]) -> None:
    columns = ", ".join(CDR)
    database.executemany(f"INSERT INTO cdrs ({columns}) VALUES ({', '.join('?' * len(CDR))})", records)  # noqa: S608


def a_record(number: int, account: str, call: int) -> list[Any]:
    return [
        *(f"cdr_{number}{call:031}", account, f"bkg_{call % 2:032}", f"{account}-{call}"),
        *(START + 1_000 * (10 * call - number), call % 2),
        *(f"+1415555010{call}", f"+322555000{number}", HIDDEN, "ANSWERED" if call % 2 else "BUSY"),
    ]


@pytest.fixture
def cli(filled: Cli, tmp_path: Path) -> Cli:
    shutil.copytree(filled.data, tmp_path / "var")
    return Cli(tmp_path)


def ids(rows: list[dict[str, Any]]) -> list[str]:
    """Return account and call of each record, from the end of its id."""
    return [row["id"][4] + row["id"][-1] for row in rows]


def test_the_newest_records_are_listed_without_the_destination(cli: Cli) -> None:
    everything = cli.json("cdr", "list")
    assert ids(everything) == ["13", "12", "01", "11", "00", "10"]
    assert everything[0] == {
        "id": "cdr_1" + "0" * 30 + "3",
        "timestamp": "2026-03-01T12:00:29.000Z",
        "duration": 1,
        "source": "+14155550103",
        "service": "+3225550001",
        "disposition": "ANSWERED",
        "bookingId": "bkg_" + "0" * 31 + "1",
        "accountId": "acc_2",
        "callId": "acc_2-3",
        **dict.fromkeys(("hungUpBy", "sipCode", "hangupCause", "trunk", "sipCallId", "calleeSipCallId")),
        "furtherCalls": 0,
        "direction": "forward",
    }
    assert cli.json("cdr", "show", everything[0]["id"]) == everything[0]
    assert ids(cli.json("cdr", "list", "--limit", "3")) == ["13", "12", "01"]
    assert ids(cli.json("cdr", "list", "--account", "name of acc_1")) == ["01", "00"]
    for arguments in (("--json",), ()):
        shown = cli("cdr", "list", *arguments).stdout
        assert everything[0]["id"] in shown
        assert HIDDEN[-6:] not in shown


def test_the_command_has_the_filters_of_the_api(cli: Cli) -> None:
    first, later = "2026-03-01T11:59:59Z", "2026-03-01T12:00:10+00:00"
    assert ids(cli.json("cdr", "list", "--from", first, "--to", later)) == ["11", "00", "10"]
    one = ("--service", "+3225550001", "--disposition", "answered", "--booking", "bkg_" + "0" * 31 + "1")
    assert ids(cli.json("cdr", "list", *one, "--source", "14155550101")) == ["11"]


def test_all_bad_filters_are_refused_at_once(cli: Cli) -> None:
    said = cli.refused("cdr", "export", "--from", "yesterday", "--service", "mine", "--source", "him", "--booking", "1")
    assert [line.split()[1] for line in said.splitlines()] == ["--from", "--service", "--source", "--booking"]
    assert "there is no account 'nobody'" in cli.refused("cdr", "export", "--account", "nobody")


def test_an_export_has_every_record_with_its_destination(cli: Cli) -> None:
    file = cli.directory / "march.csv"
    done = cli("cdr", "export", "--output", str(file))
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "rented-numbers: 6 call records written\n"
    assert file.stat().st_mode & 0o777 == 0o600
    columns = (*COLUMNS, *NEW_COLUMNS)
    rows = [dict(zip(columns, row, strict=True)) for row in csv.reader(file.read_text().splitlines(), strict=True)]
    assert ids([{"id": row["uniqueid"]} for row in rows]) == ["01", "00", "13", "12", "11", "10"]
    assert {row["lastdata"] for row in rows} == {HIDDEN}
    assert [row["peeraccount"] for row in rows] == ["acc_1"] * 2 + ["acc_2"] * 4
    assert (rows[0]["linkedid"], rows[0]["sequence"]) == ("acc_1-1", "0")
    lines = cli("cdr", "export", "--format", "jsonl", "--account", "acc_2").stdout.splitlines()
    records = [json.loads(line) for line in lines]
    assert ids(records) == ["13", "12", "11", "10"]
    assert {record["destination"] for record in records} == {HIDDEN}


def test_the_list_of_all_accounts_has_no_simulated_calls(cli: Cli) -> None:
    everything = ("cdr", "export", "--format", "jsonl")
    cli.execute("UPDATE accounts SET test_of = 'acc_1' WHERE id = 'acc_2'")
    assert len(cli(*everything).stdout.splitlines()) == 2
    assert {row["accountId"] for row in cli.json("cdr", "list")} == {"acc_1"}
    assert len(cli(*everything, "--account", "acc_2").stdout.splitlines()) == 4


def test_an_export_ends_quietly_when_its_reader_closes(cli: Cli) -> None:
    with closing(sqlite3.connect(cli.data / "rented-numbers.sqlite3")) as database, database:
        insert(
            database, ([f"cdr_2{n:031}", *a_record(0, "acc_1", 0)[1:3], f"copy {n}", n, 0, *LAST] for n in range(5_000))
        )
    process = subprocess.Popen(
        cli.command("cdr", "export"),
        cwd=cli.directory,
        env=cli.settings(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with ended(process):
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().startswith('"bkg_')
        process.stdout.close()
        assert (process.stderr.read(), process.wait(timeout=30)) == ("", 0)
