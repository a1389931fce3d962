"""The torture messages of RFC 4475: Asterisk survives them, and only valid calls reach the engine."""

import itertools
import time

import pytest

from phones.ports import Transport
from tests.e2e.attacked_system import AttackedSystem, numbers
from tests.e2e.booking import Booking
from tests.e2e.sip_sockets import SipSocket, read_all
from tests.e2e.torture import CASES, Case, Fate

UNKNOWN_ADDRESS = "127.0.0.3"
CARRIER_ADDRESS = "127.0.0.1"
# Asterisk handles each message in milliseconds. The hidden number refuses a call that is put through.
ANSWER_SECONDS = 2.0

_serial = itertools.count(1)


@pytest.fixture(scope="module")
def bookings(attacked: AttackedSystem) -> dict[str, Booking]:
    """A rented number for each message, so that an AGI request shows which message caused it."""
    return dict(zip((case.name for case in CASES), numbers(attacked.system, len(CASES)), strict=True))


def _send_all(
    attacked: AttackedSystem, bookings: dict[str, Booking], source: str, transport: Transport
) -> dict[str, SipSocket]:
    """Sends every message on a socket of its own. Returns the closed sockets with their answers."""
    attacked.tap.forget()
    wires: dict[str, SipSocket] = {}
    try:
        for case in CASES:
            if transport == "tcp":
                time.sleep(0.02)  # PJSIP's queue holds five TCP connections
            wire = wires[case.name] = SipSocket(attacked.system.sip, source=source, transport=transport)
            wire.send(
                case.bytes_for(
                    service=bookings[case.name].service,
                    target=attacked.system.sip,
                    peer=wire.peer,
                    transport=transport.upper(),
                    unique=f"{next(_serial)}",
                )
            )
        read_all(wires.values(), ANSWER_SECONDS)
    finally:
        for wire in wires.values():
            wire.socket.close()
    return wires


def _asked(attacked: AttackedSystem, booking: Booking) -> list[str]:
    """The spellings in which AGI requests named this booking's number."""
    return [asked.arguments[0] for asked in attacked.requests() if asked.arguments[0].endswith(booking.service[1:])]


def _as_it_should(case: Case, transport: Transport, asked: list[str], booking: Booking) -> bool:
    fate = case.over(transport)
    if fate is Fate.ROUTED:
        return asked == [booking.service]
    return asked == [] or (fate is Fate.GUESSED and asked == [booking.service])


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_only_valid_calls_reach_the_engine(
    attacked: AttackedSystem, bookings: dict[str, Booking], transport: Transport
) -> None:
    with attacked.good_calls(calls=6, rate=3) as callers:
        wires = _send_all(attacked, bookings, CARRIER_ADDRESS, transport)
        outcome = callers.wait()
    wrong = {
        case.name: asked
        for case in CASES
        if not _as_it_should(case, transport, asked := _asked(attacked, bookings[case.name]), bookings[case.name])
    }
    assert wrong == {}
    assert attacked.malformed_requests() == []
    known = {booking.service for booking in bookings.values()} | {attacked.good.service}
    assert {asked.arguments[0] for asked in attacked.requests()} <= known
    refusals = {case.name: wires[case.name].final for case in CASES if case.answers}
    assert {name: status for name, status in refusals.items() if status not in _case(name).answers} == {}
    never = [bookings[case.name] for case in CASES if case.fate is Fate.NEVER]
    assert [booking.service for booking in never if booking.calls] == []
    attacked.assert_unharmed(outcome)


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_no_message_from_an_unknown_address_reaches_the_engine(
    attacked: AttackedSystem, bookings: dict[str, Booking], transport: Transport
) -> None:
    with attacked.good_calls(calls=6, rate=3) as callers:
        wires = _send_all(attacked, bookings, UNKNOWN_ADDRESS, transport)
        outcome = callers.wait()
    assert {asked.arguments[0] for asked in attacked.requests()} == {attacked.good.service}
    # No call rings or is answered, and no answer shows which numbers exist.
    assert {name: wire.statuses for name, wire in wires.items() if not set(wire.statuses) <= REFUSALS} == {}
    attacked.assert_unharmed(outcome)


# Statuses with which PJSIP refuses before authentication (400, 405, 416, 481, 501), and the challenge (401).
REFUSALS = {400, 401, 405, 416, 481, 501}


def _case(name: str) -> Case:
    return next(case for case in CASES if case.name == name)
