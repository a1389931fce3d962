"""A11: an attacker lets it ring and nobody answers him; honest callers get through, and so do other accounts'."""

import contextlib
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from phones.messages import by_call, final_status
from phones.sipp import SCENARIOS, Sipp
from tests.e2e.booking import Booking, fictional_number
from tests.e2e.calls import ANSWERS_SOME, SOURCE, Caller
from tests.e2e.system import System

LINES, AT_ONCE = 5, 7
HONEST_CALLS = 2
RING_MS = 1_000


@pytest.fixture(scope="module")
def attacked() -> Iterator[System]:
    plans = {"LARGE": {"seconds": 3_600, "calls": 100, "valid_for": 3_600}}
    with System(
        plans=plans,
        ring_timeout=40,
        longest_call=60,
        max_concurrent_calls=LINES,
        calls_at_once=AT_ONCE,
        max_ringing_calls_per_caller=1,
    ) as system:
        yield system


@pytest.fixture
def invented(tmp_path: Path) -> Path:
    """A caller with a new number for each call, who waits until he is refused."""
    scenario = tmp_path / "uac_invents.xml"
    text = (SCENARIOS / "uac_rejected.xml").read_text()
    scenario.write_text(text.replace("[source]", "+3319900[call_number]"))
    return scenario


@contextlib.contextmanager
def callee(system: System) -> Iterator[None]:
    """The network behind the trunk. It answers honest callers."""
    keys: dict[str, int | str] = {"answers": SOURCE[:-1], "ring": RING_MS}
    with Sipp(ANSWERS_SOME, port=system.trunk_port, calls=10_000, keys=keys, timeout=300, trace=False):
        yield


@contextlib.contextmanager
def attack(system: System, service: str, scenario: str | Path = "uac_rejected", *, calls: int) -> Iterator[Sipp]:
    keys = {"source": "+33199004000"}
    with Sipp(scenario, target=system.sip, number=service, calls=calls, rate=50, keys=keys, timeout=300) as attacker:
        yield attacker


def statuses(attacker: Sipp) -> Counter[int | None]:
    return Counter(final_status(trace) for trace in by_call(attacker.messages()).values())


def records(booked: Booking) -> Counter[str]:
    seen: Counter[str] = Counter()
    for record in booked.calls:
        seen[record["disposition"]] += 1 + record["furtherCalls"]
    return seen


def test_one_caller_whose_call_rings_takes_one_line(attacked: System) -> None:
    booked = attacked.book("LARGE")
    with callee(attacked), attack(attacked, booked.service, calls=12) as attacker:
        attacked.until(lambda: statuses(attacker)[486] == 11, "all but one are refused")
        assert Caller(attacked).call(booked.service, "uac_hangs_up", talk=300).status == 200
        assert statuses(attacker) == {486: 11, None: 1}
        attacked.until(lambda: records(booked) == {"CALLER_RINGING": 11, "ANSWERED": 1}, "they are settled")
        assert attacked.request("DELETE", f"/bookings/{booked.id}").status == 204


def test_ringing_calls_from_invented_numbers_give_way_to_honest_callers(attacked: System, invented: Path) -> None:
    booked, caller = attacked.book("LARGE"), Caller(attacked)
    with callee(attacked), attack(attacked, booked.service, invented, calls=20) as attacker, ExitStack() as calls:
        attacked.until(lambda: statuses(attacker) == {486: 20 - LINES, None: LINES}, "all lines ring")
        honest = []
        for number in range(HONEST_CALLS):
            time.sleep(2.5)  # only then has no call come in for a while
            keys: dict[str, int | str] = {"talk": 3_500, "source": f"{SOURCE[:-1]}{number}"}
            honest.append(calls.enter_context(caller.dialling(booked.service, "uac_hangs_up", keys=keys)))
        for each in honest:
            each.wait()
        assert [final_status(each.messages()) for each in honest] == [200] * HONEST_CALLS
        assert statuses(attacker) == {486: 20 - LINES + HONEST_CALLS, None: LINES - HONEST_CALLS}
        attacked.until(lambda: records(booked)["ANSWERED"] == HONEST_CALLS, "they are settled")
        assert records(booked) == {"CONCURRENCY_LIMIT": 15, "GAVE_WAY": HONEST_CALLS, "ANSWERED": HONEST_CALLS}
        ended = [record for record in booked.calls if record["disposition"] == "GAVE_WAY"]
        assert {(record["hungUpBy"], record["duration"]) for record in ended} == {("ENGINE", 0)}
        assert attacked.request("DELETE", f"/bookings/{booked.id}").status == 204
    assert attacked.command("ledger", "verify", "--json") == []


def test_a_booking_with_many_lines_leaves_room_for_other_accounts_and_for_its_own_account(
    attacked: System, invented: Path
) -> None:
    account = attacked.command("accounts", "create", "other", "--json")["id"]
    key = attacked.command("keys", "create", account, "--json")["key"]
    large, ours = _book(attacked, maxConcurrentCalls=1000), _book(attacked)
    theirs = _book(attacked, key=key)
    with callee(attacked), attack(attacked, large["service"], invented, calls=40) as attacker:
        attacked.until(lambda: statuses(attacker)[486] == 40 - AT_ONCE, "the account has no more lines")
        seen = attacked.get("/account").body
        assert (seen["maxCallsAtOnce"], seen["callsUp"]) == (AT_ONCE, AT_ONCE)
        assert Caller(attacked).call(theirs["service"], "uac_hangs_up", talk=300).status == 200
        assert statuses(attacker)[486] == 40 - AT_ONCE
        time.sleep(2)
        assert Caller(attacked).call(ours["service"], "uac_hangs_up", talk=300).status == 200
        assert statuses(attacker)[486] == 40 - AT_ONCE + 1
        assert attacked.request("DELETE", f"/bookings/{large['id']}").status == 204
    attacked.until(lambda: attacked.get("/account").body["callsUp"] == 0, "nothing is up")
    assert attacked.command("ledger", "verify", "--json") == []


def _book(system: System, *, key: str | None = None, **more: object) -> dict[str, Any]:
    destination = fictional_number()
    system.hidden.add(destination)
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    body = {"destination": destination, "usagePlan": "LARGE", "callback": "http://127.0.0.1:9/", **more}
    answer = system.request("POST", "/bookings", body, headers)
    assert answer.status == 201, answer
    booking: dict[str, Any] = answer.body
    return booking
