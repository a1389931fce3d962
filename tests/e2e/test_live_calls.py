"""Live calls: several at once, and a DELETE during a call."""

import time

from phones.listener import CallbackListener
from phones.messages import by_call
from tests.e2e.calls import Caller, Outcome, is_charged, lasted, wait_talking
from tests.e2e.system import System

# A busy machine may take that long.
AT_ONCE_SECONDS = 5.0


def test_two_calls_at_once_share_an_odd_number_of_seconds_exactly(system: System, caller: Caller) -> None:
    booked = system.book("LARGE")  # 7 s; no call may last longer than 4
    with caller.hidden(calls=2), caller.dialling(booked.service, calls=2) as callers:
        callers.wait()
        outcomes = [Outcome(trace) for trace in by_call(callers.messages()).values()]
    assert [outcome.status for outcome in outcomes] == [200, 200]
    assert sorted(cdr["duration"] for cdr in booked.wait_settled(2)) == [3, 4]
    talked = sorted(outcome.talked or 0 for outcome in outcomes)
    assert all(lasted(*each) for each in zip(talked, (3, 4), strict=True))
    assert (booked.now["secondsRemaining"], booked.now["callsRemaining"]) == (0, 23)


def test_exactly_one_of_ten_calls_at_once_is_bridged_with_credit_for_one(system: System, caller: Caller) -> None:
    booked = system.book("MEDIUM")
    with caller.hidden(), caller.dialling(booked.service, "uac_hangs_up", calls=10, keys={"talk": 500}) as callers:
        system.until(lambda: len(booked.calls) == 10, "10 call records")
        outcomes = [Outcome(trace) for trace in by_call(callers.messages()).values()]
    assert sorted((outcome.status for outcome in outcomes), key=str) == [200] + [486] * 9
    dispositions = [cdr["disposition"] for cdr in booked.calls]
    assert sorted(dispositions) == ["ALL_SLOTS_HELD"] * 9 + ["ANSWERED"]
    [talked] = [outcome.talked for outcome in outcomes if outcome.status == 200]
    assert is_charged(60 - booked.now["secondsRemaining"], talked)
    assert booked.now["callsRemaining"] == 0


def test_a_delete_ends_a_live_call_at_once(system: System, caller: Caller, listener: CallbackListener) -> None:
    booked = system.book("LARGE", listener.url)
    with caller.hidden(), caller.dialling(booked.service) as callers:
        wait_talking(system, callers)
        time.sleep(1.2)
        deleted_at = time.time()
        assert system.request("DELETE", f"/bookings/{booked.id}").status == 204
        callers.wait()
        outcome = Outcome(callers.messages())
    bye = next(message for message in outcome.messages if message.method == "BYE")
    assert bye.at - deleted_at < AT_ONCE_SECONDS
    [cdr] = booked.wait_settled()
    assert (cdr["disposition"], is_charged(cdr["duration"], outcome.talked)) == ("ANSWERED", True)
    # The call was answered, so its callback is sent although the booking is gone.
    assert listener.wait()[0].content["duration"] == cdr["duration"]
    assert system.get(f"/bookings/{booked.id}").status == 404


def test_a_live_call_outlasts_the_suspension_of_its_account(
    system: System, caller: Caller, listener: CallbackListener
) -> None:
    booked, other = system.book("LARGE", listener.url), system.book("LARGE")
    with caller.hidden(), caller.dialling(booked.service) as callers:
        wait_talking(system, callers)
        system.command("accounts", "suspend", "demo", "--json")
        try:
            assert system.get("/bookings").status == 403
            assert caller.call(other.service).status == 480
            callers.wait()
            assert listener.wait()[0].content["duration"] == 4  # its limit
        finally:
            system.command("accounts", "resume", "demo", "--json")
    assert [cdr["disposition"] for cdr in other.wait_settled()] == ["ACCOUNT_SUSPENDED"]


def test_a_delete_ends_a_ringing_call(system: System, caller: Caller) -> None:
    booked = system.book("LARGE")
    with caller.hidden("uas_no_answer"), caller.dialling(booked.service, "uac_rejected") as callers:
        system.until(lambda: any(m.status == 180 for m in callers.messages()), "it rings")
        assert system.request("DELETE", f"/bookings/{booked.id}").status == 204
        callers.wait()
    assert [cdr["duration"] for cdr in booked.wait_settled()] == [0]
