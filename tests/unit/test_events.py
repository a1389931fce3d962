"""Callback bodies exactly as the contract has them: other people's programs read these names."""

import json

from engine.domain.events import as_json, call_ended_body, expired_call_body
from tests.contract.samples import CALLER, HIDDEN, START


def test_the_body_of_an_ended_call_is_flat_json_with_the_contracts_names() -> None:
    body = call_ended_body(
        cdr_id="cdr_1",
        started_at=START,
        duration=42,
        source=CALLER,
        destination=HIDDEN,
        booking_id="bkg_1",
        service="+3225550001",
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


def test_the_body_of_a_call_to_an_expired_booking_says_so_in_the_contracts_words() -> None:
    body = expired_call_body(
        called_at=START + 7, source=CALLER, destination=HIDDEN, booking_id="bkg_1", service="+3225550001"
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
    hostile = 'x", "destination": "+1\n\0\u2028é'
    body = expired_call_body(
        called_at=START, source=hostile, destination=HIDDEN, booking_id="bkg_1", service="+3225550001"
    )
    text = as_json(body)
    assert json.loads(text) == body
    assert text.isascii()
    assert "\n" not in text
