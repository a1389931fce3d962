"""A call that goes through: metered to the second, cut at its limit, recorded, told, and nothing shown."""

import math


from phones.listener import CallbackListener
from tests.e2e.calls import SOURCE, Caller, assert_nothing_shown
from tests.e2e.system import System


def test_a_call_is_bridged_metered_and_told(system: System, caller: Caller, listener: CallbackListener) -> None:
    booked = system.book("LARGE", listener.url)
    with caller.hidden():
        outcome = caller.call(booked.service, "uac_hangs_up", talk=2400)
    assert outcome.status == 200
    assert outcome.talked is not None

    [cdr] = booked.wait_settled()
    assert cdr["duration"] == math.ceil(outcome.talked) == 3
    assert (cdr["source"], cdr["destination"], cdr["disposition"]) == (SOURCE, booked.destination, "ANSWERED")
    assert (booked.now["secondsRemaining"], booked.now["callsRemaining"]) == (4, 24)

    [callback] = listener.wait()
    expected = {name: cdr[name] for name in ("id", "timestamp", "duration", "source", "destination", "service")}
    assert callback.content == {**expected, "bookingId": booked.id}
    assert_nothing_shown(outcome.messages, booked)
