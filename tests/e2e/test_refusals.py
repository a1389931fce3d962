"""Calls that are not put through: the SIP answer, the price (nothing), and the callback if there is one."""

import time
from pathlib import Path

import pytest

from engine.config.secrets import load
from engine.domain.caller_digests import person_digest, reached_digest
from engine.domain.numbers import E164
from engine.domain.times import DAY_MS
from phones.listener import CallbackListener
from phones.sipp import SCENARIOS
from tests.e2e.booking import Booking
from tests.e2e.calls import SOURCE, Caller, assert_destination_hidden, is_charged
from tests.e2e.system import System


def _untouched(booked: Booking, seconds: int = 7, calls: int = 25) -> bool:
    now = booked.now
    return (now["secondsRemaining"], now["callsRemaining"]) == (seconds, calls)


def test_an_unknown_number_gets_404(caller: Caller) -> None:
    assert caller.call("+33199006666").status == 404


def test_a_free_number_gets_404_and_no_call_record(system: System, caller: Caller) -> None:
    free = "+33199000099"  # the last of the pool, which is rented last
    before = system.get("/cdr?limit=1").body
    assert caller.call(free).status == 404
    assert system.get("/cdr?limit=1").body == before


def test_a_dialled_string_that_is_no_number_gets_404(caller: Caller) -> None:
    for dialled in ("123", "+", "0", "+33199006666%26x", "%2B33199006666%2Cx", "+33199006666%22%24%7BEXTEN%7D"):
        assert caller.call(dialled).status == 404, dialled


def test_a_deleted_booking_gets_404(system: System, caller: Caller, listener: CallbackListener) -> None:
    booked = system.book("LARGE", listener.url)
    assert system.request("DELETE", f"/bookings/{booked.id}").status == 204
    assert caller.call(booked.service).status == 404
    assert booked.calls == []
    assert listener.received() == []


def test_a_caller_of_a_former_owner_gets_404_until_the_next_one_accepts_such_callers(
    system: System, caller: Caller, listener: CallbackListener
) -> None:
    former, booked = system.book("LARGE"), system.book("LARGE", listener.url)
    digest = reached_digest(person_digest(load(system.data_dir / "secrets").key_pepper, SOURCE), E164(booked.service))
    reached_at = int(time.time() * 1000) - 300 * DAY_MS
    row = (booked.service, digest, former.id, reached_at)
    system.change("INSERT INTO reached_callers VALUES (?, ?, ?, ?)", *row)
    with caller.hidden():
        outcome = caller.call(booked.service)
        assert outcome.status == 404
        assert [(cdr["disposition"], cdr["duration"]) for cdr in booked.wait_settled()] == [("CHANGED_HANDS", 0)]
        assert _untouched(booked)
        assert_destination_hidden(outcome.messages, booked)
        assert listener.received() == []

        path = f"/bookings/{booked.id}"
        assert system.request("PATCH", path, {"acceptFormerCallers": True}).status == 200
        assert caller.call(booked.service, "uac_hangs_up", talk=100).status == 200


def test_an_expired_booking_gets_410_and_sends_a_callback(
    system: System, caller: Caller, listener: CallbackListener
) -> None:
    booked = system.book("SMALL", listener.url)
    with caller.hidden():
        caller.call(booked.service)
    booked.wait_settled()
    outcome = caller.call(booked.service)
    assert outcome.status == 410

    expired, answered = booked.wait_settled(2)
    assert (expired["disposition"], expired["duration"]) == ("EXPIRED", 0)
    assert answered["disposition"] == "ANSWERED"
    contents = {callback.content.get("message"): callback.content for callback in listener.wait(2)}
    assert contents["Incoming call for expired booking"] == {
        "timestamp": expired["timestamp"],
        "source": SOURCE,
        "destination": booked.destination,
        "bookingId": booked.id,
        "message": "Incoming call for expired booking",
        "service": booked.service,
        "sequence": 2,
    }
    assert_destination_hidden(outcome.messages, booked)


def test_a_put_revives_an_expired_booking(system: System, caller: Caller) -> None:
    booked = system.book("SMALL")
    with caller.hidden():
        caller.call(booked.service)
    booked.wait_settled()
    assert system.request("PUT", f"/bookings/{booked.id}", {"usagePlan": "LARGE"}).status == 200
    assert booked.now["status"] == "ACTIVE"
    with caller.hidden():
        assert caller.call(booked.service, "uac_hangs_up", talk=100).status == 200


def test_a_booking_without_calls_left_gets_410(system: System, caller: Caller) -> None:
    booked = system.book("MEDIUM")
    with caller.hidden():
        outcome = caller.call(booked.service, "uac_hangs_up", talk=100)
    booked.wait_settled()
    assert is_charged(60 - booked.now["secondsRemaining"], outcome.talked)
    assert (booked.now["callsRemaining"], booked.now["status"]) == (0, "EXPIRED")
    assert caller.call(booked.service).status == 410


def test_a_paused_booking_gets_480_and_calls_go_through_again_when_it_is_resumed(
    system: System, caller: Caller, listener: CallbackListener
) -> None:
    booked = system.book("LARGE", listener.url)
    path = f"/bookings/{booked.id}"
    assert system.request("PATCH", path, {"paused": True, "metadata": {"order": "1871"}}).status == 200
    with caller.hidden():
        outcome = caller.call(booked.service)
        assert outcome.status == 480
        assert [(cdr["disposition"], cdr["duration"]) for cdr in booked.wait_settled()] == [("PAUSED", 0)]
        assert _untouched(booked)
        assert_destination_hidden(outcome.messages, booked)

        assert system.request("PATCH", path, {"paused": False}).status == 200
        assert caller.call(booked.service, "uac_hangs_up", talk=100).status == 200
    [callback] = listener.wait(1)
    answered, paused = booked.wait_settled(2)
    assert (callback.content["id"], callback.content["metadata"]) == (answered["id"], {"order": "1871"})
    assert paused["disposition"] == "PAUSED"


def test_a_busy_hidden_number_gets_486_and_costs_nothing(
    system: System, caller: Caller, listener: CallbackListener
) -> None:
    booked = system.book("LARGE", listener.url)
    with caller.hidden("uas_busy"):
        outcome = caller.call(booked.service)
    assert outcome.status == 486
    assert [(cdr["disposition"], cdr["duration"]) for cdr in booked.wait_settled()] == [("BUSY", 0)]
    assert _untouched(booked)
    assert listener.received() == []
    assert_destination_hidden(outcome.messages, booked)


# The callee's answer → the caller's, the disposition and the cause in the call record. RFC 3261 section 16.7 step 5: a
# 6xx ends the search, which the caller's carrier must not take up on another route; 486 ends it, too, and tells no more
# than that nobody talks. After any other failure another route may help: 503.
REFUSALS = {
    "480 Temporarily Unavailable": (503, "NO_ANSWER", 19),
    "486 Busy Here": (486, "BUSY", 17),
    "600 Busy Everywhere": (486, "BUSY", 17),
    "603 Decline": (486, "BUSY", 21),
    "604 Does Not Exist Anywhere": (486, "UNREACHABLE", 1),
    "606 Not Acceptable": (486, "UNREACHABLE", 58),
    "607 Unwanted": (486, "BUSY", 127),
    "608 Rejected": (486, "BUSY", 127),
    "403 Forbidden": (503, "UNREACHABLE", 21),
    "404 Not Found": (503, "UNREACHABLE", 1),
    "488 603 Decline": (503, "UNREACHABLE", 58),
    "500 Server Internal Error": (503, "UNREACHABLE", 38),
    "502 Bad Gateway": (503, "UNREACHABLE", 27),
    "503 Service Unavailable": (503, "UNREACHABLE", 34),
    "504 Server Time-out": (503, "UNREACHABLE", 102),
}


@pytest.mark.parametrize(("answer", "outcome"), REFUSALS.items())
def test_a_callee_who_declines_ends_the_search_and_a_failure_does_not(
    system: System, caller: Caller, tmp_path: Path, answer: str, outcome: tuple[int, str, int]
) -> None:
    booked = system.book("LARGE")
    # SIPp takes no key for a status.
    scenario = tmp_path / "uas_refuses.xml"
    scenario.write_text((SCENARIOS / "uas_declines.xml").read_text().replace("603 Decline", answer))
    with caller.hidden(scenario):
        seen = caller.call(booked.service, "uac_rejected")
    [record] = booked.wait_settled()
    assert (seen.status, record["disposition"], record["hangupCause"]) == outcome
    assert (record["sipCode"], record["hungUpBy"], record["duration"]) == (int(answer[:3]), "CALLEE", 0)
    assert _untouched(booked)
    assert_destination_hidden(seen.messages, booked)


def test_an_unanswered_call_gets_480_and_costs_nothing(system: System, caller: Caller) -> None:
    booked = system.book("LARGE")
    with caller.hidden("uas_no_answer"):
        outcome = caller.call(booked.service)
    assert outcome.status == 480
    assert [(cdr["disposition"], cdr["duration"]) for cdr in booked.wait_settled()] == [("NO_ANSWER", 0)]
    assert _untouched(booked)
    assert_destination_hidden(outcome.messages, booked)


def test_a_cancelled_call_costs_nothing(system: System, caller: Caller) -> None:
    booked = system.book("LARGE")
    with caller.hidden("uas_no_answer"):
        outcome = caller.call(booked.service, "uac_cancel", ring=600)
    assert outcome.status == 487
    assert [(cdr["disposition"], cdr["duration"]) for cdr in booked.wait_settled()] == [("CANCELLED", 0)]
    assert _untouched(booked)


def test_an_unreachable_trunk_gets_503_and_costs_nothing(system: System, caller: Caller) -> None:
    booked = system.book("LARGE")
    outcome = caller.call(booked.service)  # no program listens at the trunk's port
    assert outcome.status == 503
    assert [(cdr["disposition"], cdr["duration"]) for cdr in booked.wait_settled()] == [("UNREACHABLE", 0)]
    assert _untouched(booked)
    assert_destination_hidden(outcome.messages, booked)
