"""`privacy erase` on a running system ends a live call to the number and removes the number from every file."""

import json
import subprocess
import sys
from collections.abc import Iterator
from os import environ
from pathlib import Path
from typing import Any

import pytest

from engine.domain.numbers import ERASED
from phones.listener import CallbackListener
from tests.e2e.booking import fictional_number
from tests.e2e.calls import Caller, wait_talking
from tests.e2e.system import System


def _erase(system: System, number: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "engine", "privacy", "erase", "--yes", "--json"],
        env={**environ, **system._environment},
        input=f"{number}\n".encode(),
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    removed: dict[str, Any] = json.loads(done.stdout)["removed"]
    return removed


def _holding(system: System, number: str) -> list[Path | str]:
    """The files that hold the number, those of a SQLite database included, and "rows" if rows of the database do."""
    files = [path for path in system.data_dir.rglob("*") if path.is_file()]
    holding: list[Path | str] = [path for path in files if number[1:].encode() in path.read_bytes()]
    return holding + system.ask(lambda database: ["rows"] * any(number[1:] in line for line in database.iterdump()))


@pytest.fixture(scope="module")
def patient() -> Iterator[System]:
    """A system in which only the erasure ends a call early."""
    system = System(longest_call=60, plans={"LARGE": {"seconds": 600, "calls": 25, "valid_for": 3600}})
    try:
        system.start()
        yield system
    finally:
        system.stop()


def test_a_number_is_erased_during_a_call_to_it(patient: System, listener: CallbackListener) -> None:
    system, caller = patient, Caller(patient)
    booked, source = system.book("LARGE", listener.url), fictional_number()
    log = system.data_dir / "asterisk" / "log" / "messages"
    with log.open("a") as asterisk:
        asterisk.write(f"as if Asterisk had written {source}\n")
    with caller.hidden(calls=2):
        assert caller.call(booked.service, "uac_hangs_up", talk=100, source=source).status == 200
        with caller.dialling(booked.service, keys={"source": source}) as callers:
            wait_talking(system, callers)
            assert _holding(system, booked.destination) != []
            erased = _erase(system, booked.destination)
            callers.wait()
    assert (erased["bookings"], erased["calls"]) == (1, 2)
    # The second call's record is written without the number, or is erased too if the call ends during the erasure.
    assert erased["call_records"] in {1, 2}
    assert system.get(f"/bookings/{booked.id}").status == 404
    assert _erase(system, source)["files"] == 1

    records = booked.wait_settled(2)
    assert records[0]["duration"] < 55, "the erasure ended the call, not its limit"
    assert {record["destination"] for record in records} == {ERASED}
    _erase(system, source)
    assert _holding(system, booked.destination) == []
    assert _holding(system, source) == []
    first, second = (callback.content["destination"] for callback in listener.wait(2))
    assert first == booked.destination
    # The callback of that end may be sent at once, before the erasure reaches the outbox.
    assert second == ERASED or (second, erased["call_records"]) == (booked.destination, 2)
    assert system.command("ledger", "verify", "--json") == []
