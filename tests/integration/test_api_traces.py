"""GET /calls/{id}/trace: an account sees what happened to its calls. Other accounts: test_api_isolation.py."""

import pytest

from api.openapi.delivery_examples import TRACE
from engine.domain.ids import CallId
from engine.domain.retry import HttpAnswer
from engine.domain.times import EpochMs
from tests.integration.api_helpers import CALLER, HIDDEN, SECOND, TESTED, Api
from tests.integration.callback_sending import attempt_due

pytest_plugins = ["tests.integration.api_fixtures"]


async def test_a_call_is_traced_by_its_own_id_while_it_is_up_and_by_its_records_afterwards(api: Api) -> None:
    booking = await api.book()
    await api.caller_rings(booking["service"], CallId("rn01-1772366400.7"))
    ringing = (await api.call("GET", "/calls/rn01-1772366400.7/trace")).body
    assert (ringing["state"], ringing["id"], ringing["source"]) == ("RINGING", None, CALLER)
    theirs = await api.call("GET", "/calls/rn01-1772366400.7/trace", account="theirs")
    assert (theirs.status, theirs.code) == (404, "not_found")
    booking = await api.book()
    await api.talk(booking["service"], CallId("c2"), 12)
    api.clock.advance(SECOND)
    await api.storage.run(attempt_due, EpochMs(api.clock.now()), HttpAnswer(204))
    [record] = (await api.call("GET", f"/bookings/{booking['id']}/calls")).body["data"]
    answer = await api.call("GET", f"/calls/{record['id']}/trace")
    trace = answer.body
    assert set(trace) == set(TRACE.model_dump(mode="json"))
    assert [step["event"] for step in trace["timeline"]] == [
        *("came_in", "put_through", "ringing", "answered", "ended", "settled", "callback", "callback_attempt"),
    ]
    assert {name: trace[name] for name in set(trace) & set(record)} == {
        name: record[name] for name in set(trace) & set(record)
    }
    [callback] = trace["callbacks"]
    listed = (await api.call("GET", f"/callbacks/{callback['id']}")).body
    assert {name: listed[name] for name in listed if name != "request"} == {
        name: callback[name] for name in callback if name != "type"
    }
    assert HIDDEN not in answer.text


async def test_a_simulated_call_is_traced(api: Api) -> None:
    booking = await api.book(account=TESTED)
    call = {"service": booking["service"], "source": CALLER, "outcome": "busy"}
    made = (await api.call("POST", "/test/calls", call, account=TESTED)).body
    trace = (await api.call("GET", f"/calls/{made['cdr']['id']}/trace", account=TESTED)).body
    assert (trace["disposition"], trace["putThrough"], trace["state"]) == ("BUSY", True, "ENDED")


@pytest.mark.parametrize("bad", ["cdr_1", "%00", "x" * 200, "cdr_" + "A" * 32, "a%20b", "%2B32"])
async def test_what_is_no_call_is_not_found(api: Api, bad: str) -> None:
    answer = await api.call("GET", f"/calls/{bad}/trace")
    assert (answer.status, answer.code) == (404, "not_found")
