"""Pairs over a carrier: two participants call one shared number and reach each other, and nobody else does."""

from dataclasses import dataclass

import pytest

from phones.messages import Message
from phones.peer import Dialog
from tests.e2e.booking import Booking, share
from tests.e2e.carriers.system import PLAN, SOURCE, CarrierSystem, Line, identifying
from tests.e2e.carriers.test_reverse import TRUSTED, UNTRUSTED, answered, asserting, spent
from tests.e2e.carriers.variants import Variant

# No other test books it: it is shared before any of them runs here.
SHARED = "+33199000999"


@dataclass(frozen=True)
class Pair:
    """A pair, and the carrier's side of the trunks."""

    booked: Booking
    first: str
    second: str
    on: Line

    def call(self, source: str, *headers: str, over: Variant = TRUSTED) -> tuple[Dialog, Message]:
        return self.on.call(over, self.booked.service, headers, source)

    def rang(self, number: str) -> list[Message]:
        """The messages of the last call to a number; the next one starts anew."""
        dialog = self.on.carrier.calls.pop(number, None)
        return dialog.messages if dialog else []


@pytest.fixture(scope="module")
def shared(carrier_system: CarrierSystem) -> str:
    return share(carrier_system, SHARED)


def a_pair(system: CarrierSystem, on: Line) -> Pair:
    first, second = system.number_over(TRUSTED), system.number_over(TRUSTED)
    body = {
        "participants": [{"number": first}, {"number": second}],
        "usagePlan": "LARGE",
        "callback": "http://127.0.0.1:9/",
    }
    answer = system.request("POST", "/bookings", body)
    assert (answer.status, answer.body["service"]) == (201, SHARED), answer
    system.hidden.update((first, second))
    return Pair(Booking(system, answer.body["id"], SHARED, second), first, second, on)


@pytest.fixture
def pair(carrier_system: CarrierSystem, on: Line, shared: str) -> Pair:
    return a_pair(carrier_system, on)


def records_of(pair: Pair, calls: int) -> list[dict[str, object]]:
    """Waits for this number of records of the pair, and returns them: other pairs share the number."""

    def found() -> list[dict[str, object]]:
        return [each for each in pair.booked.calls if each["bookingId"] == pair.booked.id]

    pair.booked.system.until(lambda: len(found()) >= calls, f"{calls} call records")
    return found()


def test_each_reaches_the_other_and_neither_side_learns_the_others_number(
    pair: Pair, carrier_system: CarrierSystem, on: Line
) -> None:
    other = a_pair(carrier_system, on)  # on the same number
    for one in (pair, other):
        for caller, callee, withheld in ((one.first, one.second, False), (one.second, one.first, True)):
            hiding = ["Privacy: id"] if withheld else []
            dialog, final = one.call("anonymous" if withheld else caller, asserting(caller), *hiding)
            assert final.status == 200
            on.hang_up(dialog)
            received = one.rang(callee)
            invite = next(each for each in received if each.method == "INVITE" and each.status is None)
            expected = (line.format(n=SHARED, h="127.0.0.1") for line in TRUSTED.shown)
            assert identifying(invite) == tuple(expected)
            assert not [each for each in received if caller[-7:] in each.text]
            assert not [each for each in dialog.messages if callee[-7:] in each.text]
            assert [one.rang(number) for number in (pair.first, pair.second, other.first, other.second)] == [[]] * 4
        records = records_of(one, 2)
        assert sorted((each["direction"], each["source"], each["destination"]) for each in records) == sorted(
            [("pair", one.first, one.second), ("pair", one.second, one.first)]
        )
        assert spent(one.booked) == (sum(int(str(each["duration"])) for each in records), answered(records))


@pytest.mark.parametrize(
    ("over", "source", "headers"),
    [
        (TRUSTED, SOURCE, (asserting(SOURCE),)),
        (TRUSTED, "anonymous", ()),
        (TRUSTED, "{first}", ()),
        (TRUSTED, "{first}", ("P-Preferred-Identity: <sip:{first}@127.0.0.1>",)),
        (TRUSTED, "{first}", ("Remote-Party-ID: <sip:{first}@127.0.0.1>;party=calling;screen=yes",)),
        (TRUSTED, "{first}", (asserting("{first}"), asserting("{second}"))),
        (TRUSTED, "{first}", ('P-Asserted-Identity: "<tel:{first}>" <sip:zoe@127.0.0.1>',)),
        (UNTRUSTED, "{first}", (asserting("{first}"),)),
    ],
    ids=["stranger", "withheld", "from", "preferred", "party", "both", "in a name", "another carrier's word"],
)
def test_whoever_is_no_participant_by_the_carriers_word_reaches_nobody(
    pair: Pair, over: Variant, source: str, headers: tuple[str, ...]
) -> None:
    names = {"first": pair.first, "second": pair.second}
    _, final = pair.call(source.format(**names), *(each.format(**names) for each in headers), over=over)
    assert final.status == 404
    assert (pair.rang(pair.first), pair.rang(pair.second)) == ([], [])
    assert spent(pair.booked) == (0, 0)


def test_two_calls_in_opposite_directions_at_once_are_two_calls_on_one_credit(pair: Pair) -> None:
    calling, first = pair.call(pair.first, asserting(pair.first))
    calling_back, second = pair.call(pair.second, asserting(pair.second))
    assert (first.status, second.status) == (200, 200)
    assert pair.booked.now["callsRemaining"] <= PLAN["calls"] - 2
    for dialog in (calling, calling_back):
        pair.on.hang_up(dialog)
    records = records_of(pair, 2)
    assert {each["direction"] for each in records} == {"pair"}
    assert spent(pair.booked) == (sum(int(str(each["duration"])) for each in records), answered(records))


def test_a_deleted_pair_ends_its_calls_and_reaches_nobody_from_then_on(pair: Pair) -> None:
    dialog, final = pair.call(pair.first, asserting(pair.first))
    assert final.status == 200
    assert pair.booked.system.request("DELETE", f"/bookings/{pair.booked.id}").status == 204
    pair.on.stage.run(dialog.requested("BYE"))
    pair.rang(pair.second)
    for caller in (pair.first, pair.second):
        _, final = pair.call(caller, asserting(caller))
        assert final.status == 404
    assert (pair.rang(pair.first), pair.rang(pair.second)) == ([], [])
