"""Optional events of real calls, as a customer who has chosen them receives them."""

from collections.abc import Iterator

import pytest

from phones.listener import CallbackListener
from tests.e2e.calls import SOURCE, Caller
from tests.e2e.system import System


@pytest.fixture
def choosing(system: System) -> Iterator[System]:
    """The system with chosen events. At the end no event is chosen, so that other tests get only their callbacks."""
    chosen = ["call.started", "call.missed", "booking.gone"]
    assert system.request("PUT", "/account", {"events": chosen}).body["events"] == chosen
    yield system
    assert system.request("PUT", "/account", {"events": []}).status == 200


def test_an_answered_call_a_missed_call_and_a_deleted_booking_send_their_events_in_order(
    choosing: System, caller: Caller, listener: CallbackListener
) -> None:
    system, booked = choosing, choosing.book("LARGE", listener.url)
    with caller.hidden(), caller.dialling(booked.service, "uac_hangs_up", keys={"talk": 2000}) as callers:
        # The two are still talking, so this cannot be the callback of the end.
        [started] = listener.wait()
        assert started.content["type"] == "call.started"
        assert booked.calls == []
        callers.wait()
        _, ended = listener.wait(2)
    with caller.hidden("uas_busy"):
        assert caller.call(booked.service).status == 486
        missed = listener.wait(3)[2]
    assert system.request("DELETE", f"/bookings/{booked.id}").status == 204
    callbacks = listener.wait(4)
    assert [each.content.get("type") for each in callbacks] == ["call.started", None, "call.missed", "booking.gone"]
    assert len({each.headers["webhook-id"] for each in callbacks}) == 4

    busy, answered = booked.wait_settled(2)
    of_call = {"source": SOURCE, "destination": booked.destination, "bookingId": booked.id, "service": booked.service}
    assert ended.content == {
        **of_call,
        "id": answered["id"],
        "timestamp": answered["timestamp"],
        "duration": answered["duration"],
        "hungUpBy": "CALLER",
        "hangupCause": 16,
        "sequence": 2,
    }
    assert started.content.pop("answeredAt") > answered["timestamp"]
    assert started.content == {**of_call, "type": "call.started", "timestamp": answered["timestamp"], "sequence": 1}
    assert missed.content == {
        **of_call,
        "type": "call.missed",
        "id": busy["id"],
        "timestamp": busy["timestamp"],
        "disposition": "BUSY",
        "sipCode": 486,
        "hungUpBy": "CALLEE",
        "hangupCause": 17,
        "sequence": 3,
    }
    assert callbacks[3].content["reason"] == "deleted"
