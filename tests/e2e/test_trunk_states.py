"""A trunk whose carrier stops to answer: known within seconds, calls refused at once, and back by itself (R3)."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from phones.sipp import SCENARIOS, Sipp
from tests.e2e.calls import Caller
from tests.e2e.system import System
from tests.prometheus import scraped

# Seconds between OPTIONS requests. One that is not answered within 3 s makes the trunk unavailable.
QUALIFY = 1
NOTICED_SECONDS = QUALIFY + 3 + 2 + 3  # that, the engine's next look, and a busy machine
REFUSED_SECONDS = 4.0
ANSWERS_OPTIONS = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE scenario SYSTEM "sipp.dtd">
<scenario name="answers OPTIONS">
  <recv request="OPTIONS"/>
  <send><![CDATA[
SIP/2.0 200 OK
[last_Via:]
[last_From:]
[last_To:];tag=[pid]carrier[call_number]
[last_Call-ID:]
[last_CSeq:]
Content-Length: 0

]]></send>
</scenario>
"""


class QualifiedSystem(System):
    """Its trunk is asked with OPTIONS whether it is there."""

    def __init__(self) -> None:
        super().__init__()
        del self._environment["RENTED_NUMBERS_TRUNK_URI"]
        self._environment["RENTED_NUMBERS_TRUNKS"] = (
            f'[{{"name": "main", "uri": "sip:127.0.0.1:{self.trunk_port}", "qualify": {QUALIFY},'
            ' "addresses": ["127.0.0.1"]}]'
        )


@pytest.fixture(scope="module")
def qualified() -> Iterator[QualifiedSystem]:
    with QualifiedSystem() as system:
        yield system


@pytest.fixture
def carrier(qualified: QualifiedSystem, tmp_path: Path) -> Callable[[], Sipp]:
    """Makes a carrier that answers OPTIONS."""
    scenario = tmp_path / "options.xml"
    scenario.write_text(ANSWERS_OPTIONS)
    return lambda: Sipp(scenario, port=qualified.trunk_port, calls=1000, timeout=120)


def state(system: System) -> str:
    return str(system.get("/health").body["trunks"]["main"])


def test_a_dead_trunk_is_noticed_calls_are_refused_at_once_and_it_comes_back_by_itself(
    qualified: QualifiedSystem, carrier: Callable[[], Sipp]
) -> None:
    booked, caller = qualified.book("LARGE"), Caller(qualified)
    with carrier():
        qualified.until(lambda: state(qualified) == "up", "the trunk is up")
        assert qualified.command("trunks", "list", "--json")[0]["state"] == "up"
    qualified.until(lambda: state(qualified) == "down", "the trunk is down", NOTICED_SECONDS)

    outcome = caller.call(booked.service, "uac_rejected")
    assert outcome.status == 503
    assert outcome.waited < REFUSED_SECONDS
    [record] = booked.wait_settled()
    assert (record["disposition"], record["duration"], record["sipCode"]) == ("UNREACHABLE", 0, None)
    assert booked.now["callsRemaining"] == 25

    # Said everywhere, and in the log once, not for each call.
    caller.call(booked.service, "uac_rejected")
    assert qualified.get("/health").status == 200
    [trunk] = qualified.command("trunks", "list", "--json")
    assert (trunk["trunk"], trunk["state"], trunk["calls"]) == ("main", "down", 0)
    found = qualified._command("doctor")
    assert found.returncode == 1
    assert "trunk main" in found.stdout
    log = qualified.engine_log
    assert (log.count('"trunk_down"'), log.count('"all_trunks_down"')) == (1, 1)
    assert 'trunk_state{state="down",trunk="main"} 1.0' in scraped(qualified.settings.metrics_address)
    explained = qualified.get(f"/bookings/{booked.id}/explain").body
    assert (explained["putThrough"], explained["reason"]) == (False, "no_trunk")

    with carrier():
        qualified.until(lambda: state(qualified) == "up", "the trunk is up again", NOTICED_SECONDS)
    assert qualified.engine_log.count('"trunk_back"') == 1


def test_a_test_call_says_the_carriers_answer_and_charges_nobody(
    system: System, caller: Caller, tmp_path: Path
) -> None:
    number, before = "+33199006543", system.get("/cdr?limit=1").body

    def tested(*options: str) -> tuple[bool, str, str | None]:
        done = system._command("trunks", "test", number, "--seconds", "2", "--json", *options)
        result = json.loads(done.stdout)
        assert (done.returncode == 0) == result["reached"], done
        return result["reached"], result["result"], result["sip"]

    refusing = tmp_path / "uas_refuses.xml"
    refusing.write_text((SCENARIOS / "uas_declines.xml").read_text().replace("603 Decline", "404 Not Found"))
    with caller.hidden("uas_no_answer"):
        assert tested() == (True, "rang, and was given up", "180 Ringing")
    with caller.hidden("uas_answer") as callee:
        assert tested("--trunk", "main")[:2] == (True, "answered, and hung up")
    assert any(message.method == "BYE" for message in callee.messages())
    with caller.hidden(refusing):
        assert tested("--caller", "+33199007777") == (False, "refused", "404 Not Found")
    assert tested() == (False, "no answer from the carrier", None)
    assert system.get("/cdr?limit=1").body == before
    assert "there is no trunk other" in system.failure_message("trunks", "test", number, "--trunk", "other")
    assert "not an E.164 number" in system.failure_message("trunks", "test", "0475")
