"""The lifecycle of bookings and numbers, on a system whose plans last for seconds."""

from collections.abc import Iterator

import pytest

from phones.listener import CallbackListener
from tests.e2e.booking import Booking
from tests.e2e.calls import Caller
from tests.e2e.system import System

VALID, GRACE, QUARANTINE = 2.0, 4.0, 3.0


@pytest.fixture(scope="module")
def short_lived() -> Iterator[System]:
    with System(
        plans={
            "SMALL": {"seconds": 60, "calls": 25, "valid_for": VALID},
            "LARGE": {"seconds": 60, "calls": 25, "valid_for": "PT1H"},
        },
        grace=GRACE,
        quarantine=QUARANTINE,
        quarantine_silence=QUARANTINE,
    ) as system:
        yield system


def _gone(system: System, booked: Booking) -> bool:
    return system.get(f"/bookings/{booked.id}").status == 404


def test_a_booking_is_active_then_in_grace_then_gone(short_lived: System, listener: CallbackListener) -> None:
    system, caller = short_lived, Caller(short_lived)
    booked = system.book("SMALL", listener.url)
    with caller.hidden():
        assert caller.call(booked.service, "uac_hangs_up", talk=100).status == 200

    system.until(lambda: booked.now["status"] == "EXPIRED", "it expires", VALID + 1)
    assert caller.call(booked.service).status == 410
    assert listener.wait(2)[1].content["message"] == "Incoming call for expired booking"
    listed = {each["id"] for each in system.get("/bookings").body["data"]}
    in_grace = {each["id"] for each in system.get("/bookings?includeExpired=true").body["data"]}
    assert booked.id not in listed
    assert booked.id in in_grace

    system.until(lambda: _gone(system, booked), "the grace ends", GRACE + 1)
    assert caller.call(booked.service).status == 404
    assert system.request("PUT", f"/bookings/{booked.id}", {"usagePlan": "LARGE"}).status == 404
    # The call records remain after the booking has gone.
    assert len(booked.calls) == 2


def test_a_live_call_is_cut_when_its_booking_ends(short_lived: System) -> None:
    booked = short_lived.book("SMALL")
    caller = Caller(short_lived)
    with caller.hidden():
        outcome = caller.call(booked.service)
    assert outcome.status == 200
    assert outcome.talked is not None
    assert outcome.talked < VALID
    # Cut at endTime, although seconds remain.
    [cdr] = booked.wait_settled()
    assert cdr["duration"] <= 2
    assert caller.call(booked.service).status == 410


def test_a_number_of_a_deleted_booking_is_quarantined_and_then_rented_again(short_lived: System) -> None:
    system, caller = short_lived, Caller(short_lived)
    before = system.book("LARGE")
    assert system.request("DELETE", f"/bookings/{before.id}").status == 204
    assert _pool(system)[before.service] == "QUARANTINED"
    assert caller.call(before.service).status == 404
    system.until(lambda: _pool(system)[before.service] == "FREE", "the quarantine ends")

    # Least recently used first: every other number comes before it.
    after = system.book("LARGE")
    assert after.service != before.service
    while after.service != before.service:
        after = system.book("LARGE")
    with caller.hidden() as hidden:
        assert caller.call(after.service, "uac_hangs_up", talk=100).status == 200
        hidden.wait()
    invite = next(message for message in hidden.messages() if message.method == "INVITE")
    assert after.destination in invite.start_line
    assert before.destination not in invite.start_line


def _pool(system: System) -> dict[str, str]:
    """Reads the database: a command takes longer to start than the quarantine lasts."""
    with system.database() as database:
        return dict(database.execute("SELECT e164, state FROM numbers"))
