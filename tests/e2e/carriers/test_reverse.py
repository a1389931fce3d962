"""Reverse calls over a carrier: the hidden number calls the rented number, and reaches who called last."""

from dataclasses import dataclass
from typing import Any

import pytest

from phones.messages import Message
from phones.peer import Dialog
from tests.e2e.booking import Booking
from tests.e2e.carriers.system import PLAN, CarrierSystem, Line, identifying
from tests.e2e.carriers.variants import VARIANTS, Variant

[TRUSTED] = [each for each in VARIANTS if "asserts_identity" in each.trunk]
[UNTRUSTED] = [each for each in VARIANTS if each.name == "from"]


@dataclass(frozen=True)
class Pair:
    """A booking that takes reverse calls, and who called it last."""

    booked: Booking
    caller: str
    on: Line

    def call(self, source: str, *headers: str, over: Variant = TRUSTED) -> tuple[Dialog, Message]:
        return self.on.call(over, self.booked.service, headers, source)

    def rang(self, number: str) -> list[Message]:
        """The messages of the last call to a number; the next one starts anew."""
        dialog = self.on.carrier.calls.pop(number, None)
        return dialog.messages if dialog else []


def asserting(number: str) -> str:
    return f"P-Asserted-Identity: <sip:{number}@127.0.0.1>"


def spent(booked: Booking) -> tuple[int, int]:
    """The seconds and the calls that a booking has spent, none of them held."""
    now = booked.now
    return PLAN["seconds"] - now["secondsRemaining"], PLAN["calls"] - now["callsRemaining"]


def answered(records: list[dict[str, Any]]) -> int:
    """How many calls were answered: one that is hung up at once may not have been."""
    return sum(each["disposition"] == "ANSWERED" for each in records)


@pytest.fixture
def pair(carrier_system: CarrierSystem, on: Line) -> Pair:
    """The caller has called, and the hidden number has answered."""
    pair = Pair(carrier_system.book_over(TRUSTED, reverse=True), carrier_system.number_over(TRUSTED), on)
    carrier_system.hidden.add(pair.caller)  # no log has the number of a caller who is called back either
    dialog, final = pair.call(pair.caller)
    assert final.status == 200
    on.hang_up(dialog)
    assert pair.rang(pair.booked.destination)
    return pair


@pytest.mark.parametrize("withheld", [False, True], ids=["shown", "withheld"])
def test_the_hidden_number_calls_back_and_neither_side_learns_the_others_number(pair: Pair, withheld: bool) -> None:
    hidden, service = pair.booked.destination, pair.booked.service
    shown = "anonymous" if withheld else hidden
    dialog, final = pair.call(shown, asserting(hidden), *(["Privacy: id"] if withheld else []))
    assert final.status == 200
    pair.on.hang_up(dialog)
    received = pair.rang(pair.caller)
    invite = next(each for each in received if each.method == "INVITE" and each.status is None)
    expected = (line.format(n=service, h="127.0.0.1") for line in TRUSTED.shown)
    assert identifying(invite) == tuple(expected)
    assert not [each for each in received if hidden[-7:] in each.text]
    assert not [each for each in dialog.messages if pair.caller[-7:] in each.text]
    records = pair.booked.wait_settled(2)
    [record] = [each for each in records if each["direction"] == "reverse"]
    assert (record["source"], record["destination"], record["service"]) == (hidden, pair.caller, service)
    assert spent(pair.booked) == (sum(each["duration"] for each in records), answered(records))


@pytest.mark.parametrize(
    ("over", "headers"),
    [
        (TRUSTED, ()),
        (TRUSTED, ("P-Preferred-Identity: <sip:{hidden}@127.0.0.1>",)),
        (TRUSTED, ("Remote-Party-ID: <sip:{hidden}@127.0.0.1>;party=calling;screen=yes",)),
        (TRUSTED, (asserting("{hidden}"), asserting("+33199007999"))),
        (TRUSTED, ('P-Asserted-Identity: "<tel:{hidden}>" <sip:zoe@127.0.0.1>',)),
        (TRUSTED, (asserting("{hidden}"),) * 3),
        (UNTRUSTED, (asserting("{hidden}"),)),
    ],
    ids=["from", "preferred", "party", "two numbers", "in a name", "three headers", "another carrier's word"],
)
def test_who_only_shows_the_hidden_number_rings_it_and_reaches_nobody_else(
    pair: Pair, over: Variant, headers: tuple[str, ...]
) -> None:
    hidden = pair.booked.destination
    dialog, final = pair.call(hidden, *(each.format(hidden=hidden) for each in headers), over=over)
    assert final.status == 200
    pair.on.hang_up(dialog)
    assert pair.rang(hidden)
    assert pair.rang(pair.caller) == []


@pytest.mark.parametrize(("number", "status"), [("112", 403), ("anonymous", 480)])
def test_an_emergency_number_or_nobody_is_not_called_back(pair: Pair, number: str, status: int) -> None:
    hidden = pair.booked.destination
    dialog, final = pair.call(number)
    assert final.status == 200
    pair.on.hang_up(dialog)
    pair.rang(hidden)
    _, final = pair.call(hidden, asserting(hidden))
    assert final.status == status
    assert (pair.rang(hidden), pair.rang(pair.caller), "112" in pair.on.carrier.calls) == ([], [], False)


def test_two_calls_in_opposite_directions_at_once_are_two_calls(pair: Pair) -> None:
    hidden = pair.booked.destination
    calling, first = pair.call(pair.caller)
    calling_back, second = pair.call(hidden, asserting(hidden))
    assert (first.status, second.status) == (200, 200)
    assert pair.booked.now["callsRemaining"] <= PLAN["calls"] - 2
    for dialog in (calling, calling_back):
        pair.on.hang_up(dialog)
    records = pair.booked.wait_settled(3)
    assert sorted(each["direction"] for each in records) == ["forward", "forward", "reverse"]
    assert spent(pair.booked) == (sum(each["duration"] for each in records), answered(records))
