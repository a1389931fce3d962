"""Callback bodies exactly as docs/api.md shows them: customers' programs read these names."""

import json
from dataclasses import replace

import pytest

from engine.domain import events
from engine.domain.booking import Booking
from engine.domain.events import WhyGone, as_json, call_ended_body, expired_call_body, in_envelope
from engine.domain.ids import BookingId
from engine.domain.metering import Credit
from engine.domain.notifications import EventType
from engine.domain.numbers import E164
from engine.domain.times import EpochMs, rfc3339
from tests.contract.samples import BOOKING, CALLER, DAY, HIDDEN, HOUR, START


def test_an_ended_calls_body_is_flat_json_with_the_contracts_names() -> None:
    body = call_ended_body(
        cdr_id="cdr_1",
        started_at=START,
        duration=42,
        source=CALLER,
        destination=HIDDEN,
        booking_id=BookingId("bkg_1"),
        service=E164("+3225550001"),
    )
    assert body == {
        "id": "cdr_1",
        "timestamp": "2026-03-01T12:00:00.000Z",
        "duration": 42,
        "source": CALLER,
        "destination": HIDDEN,
        "bookingId": "bkg_1",
        "service": "+3225550001",
    }


def test_an_expired_calls_body_has_the_contracts_message() -> None:
    body = expired_call_body(
        called_at=EpochMs(START + 7),
        source=CALLER,
        destination=HIDDEN,
        booking_id=BookingId("bkg_1"),
        service=E164("+3225550001"),
    )
    assert body == {
        "timestamp": "2026-03-01T12:00:00.007Z",
        "source": CALLER,
        "destination": HIDDEN,
        "bookingId": "bkg_1",
        "message": "Incoming call for expired booking",
        "service": "+3225550001",
    }


def test_a_hostile_caller_name_stays_one_json_string() -> None:
    hostile = 'x", "destination": "+1\n\0\u2028\x85\ud800é'
    body = expired_call_body(
        called_at=START, source=hostile, destination=HIDDEN, booking_id=BookingId("bkg_1"), service=E164("+3225550001")
    )
    text = as_json(body)
    assert json.loads(text) == body
    assert text.encode().splitlines() == [text.encode()]
    assert text.splitlines() == [text]


def test_notes_are_sent_as_they_are_and_not_as_escapes() -> None:
    text = as_json(in_envelope({}, sequence=1, metadata={"a": "\U0001f600é"}))
    assert len(text.encode()) == len('{"sequence": 1, "metadata": {"a": ""}}') + 6


def test_calls_not_reported_appears_only_if_calls_were_left_out() -> None:
    none, some = (
        expired_call_body(
            called_at=START,
            source=CALLER,
            destination=HIDDEN,
            booking_id=BookingId("bkg_1"),
            service=E164("+3225550001"),
            not_reported=left_out,
        )
        for left_out in (0, 7)
    )
    assert some == none | {"callsNotReported": 7}


@pytest.mark.parametrize(
    ("booking", "expired_at", "reason"),
    [
        (BOOKING, BOOKING.end_at, "end_reached"),
        (replace(BOOKING, exhausted_at=EpochMs(START + 5), seconds=Credit(300, 0, 0, 300)), START + 5, "seconds_spent"),
        (replace(BOOKING, exhausted_at=EpochMs(START + 5), calls=Credit(10, 0, 0, 10)), START + 5, "calls_spent"),
    ],
)
def test_booking_expired_states_when_and_why_and_until_when_it_can_be_renewed(
    booking: Booking, expired_at: EpochMs, reason: str
) -> None:
    body = events.booking_expired_body(booking, 7 * DAY)
    assert body == {
        "type": "booking.expired",
        "timestamp": rfc3339(expired_at),
        "bookingId": "bkg_1",
        "service": "+3225550001",
        "reason": reason,
        "revivableUntil": rfc3339(EpochMs(expired_at + 7 * DAY)),
    }


def test_no_event_of_a_booking_contains_the_hidden_number() -> None:
    bodies = [
        events.expiring_soon_body(BOOKING, START),
        events.low_seconds_body(BOOKING, START),
        events.booking_expired_body(BOOKING, HOUR),
        events.number_swapped_body(BOOKING, BOOKING.service, START),
        events.booking_gone_body(BOOKING, WhyGone.DELETED, START),
    ]
    assert [body["type"] for body in bodies] == [kind for kind in EventType if kind.startswith("booking.")]
    assert HIDDEN[1:] not in "".join(map(as_json, bodies))
