"""Numbers as a carrier writes them: read from it and written to it, by the trunk's format and country (T5)."""

from collections.abc import Iterator

import pytest

from tests.e2e.two_trunks import TwoTrunks, Ways, ways

# What the caller's From has → the call record, From on a trunk that writes E.164, and on one that writes nationally.
CALLERS = {
    "0199007777": ("+33199007777", "33199007777", "0199007777"),
    "33199007777": ("+33199007777", "33199007777", "0199007777"),
    "0033199007777": ("+33199007777", "33199007777", "0199007777"),
    "+33199007777": ("+33199007777", "33199007777", "0199007777"),
    "+33-1-99.00.77.77": ("+33199007777", "33199007777", "0199007777"),
    "0032475123456": ("+32475123456", "32475123456", "0032475123456"),
    "1000": ("1000", "1000", "1000"),
    "0000000000": ("anonymous", "anonymous", "anonymous"),
}
MANY = 18


@pytest.fixture(scope="module")
def national() -> Iterator[TwoTrunks]:
    # As many trunks as there may be, with the longest names: all of their ways fit into the answer to Asterisk.
    more = [{"name": f"a{'-very' * 5}-n{at:02}", "uri": "sip:127.0.0.9", "max_calls": 100_000} for at in range(MANY)]
    with TwoTrunks(
        {"number_format": "e164", "country": "FR", "dialled_number": "to"},
        {"number_format": "national", "country": "FR"},
        more,
    ) as system:
        yield system


@pytest.fixture
def way(national: TwoTrunks) -> Iterator[Ways]:
    with ways(national) as opened:
        opened.first.statuses, opened.second.statuses = (503,), (486,)
        opened.open(opened.first, opened.second)
        yield opened


@pytest.mark.parametrize(("sent", "numbers"), CALLERS.items())
def test_a_caller_is_one_number_in_records_and_is_shown_as_each_carrier_writes_it(
    way: Ways, sent: str, numbers: tuple[str, str, str]
) -> None:
    booked = way.book()
    assert way.call("trunk-account", source=sent, to=booked.service).status == 486
    [record] = booked.wait_settled()
    local = "0" + booked.destination.removeprefix("+33")
    assert (record["source"], way.first.shown, way.second.shown) == (numbers[0], [numbers[1]], [numbers[2]])
    assert (way.first.dialled, way.second.dialled) == ([booked.destination.removeprefix("+")], [local])


# The number in To, from that of E.164 without + → the answer. The Request-URI has our account's name.
DIALLED = {
    "<sip:+{n}@h>": 486,
    "<sip:{n}@h>": 486,
    "<sip:00{n}@h;user=phone>": 486,
    "<sip:0{l}@h>": 486,
    "<sip:+33-{l}@h>": 486,
    "<tel:+{n}>": 486,
    "sip:0{l}@h": 486,
    '"<sip:+33199000099@h>" <sip:0{l}@h>': 486,
    "<sip:{l};phone-context=+33@h>": 486,
    "<sip:0{l};phone-context=+33@h>": 404,
    "<sip:0{l};phone-context=example.com@h>": 404,
    "<sip:{n}x@h>": 404,
    "<sip:*{n}@h>": 404,
    "<sip:trunk-account@h>": 404,
    "<sip:h>": 404,
}


@pytest.mark.parametrize(("to", "status"), DIALLED.items())
def test_the_dialled_number_is_read_from_to_if_the_carrier_writes_it_there(way: Ways, to: str, status: int) -> None:
    booked = way.book()
    digits = booked.service.removeprefix("+")
    call = way.call("trunk-account", to=to.format(n=digits, l=digits.removeprefix("33")))
    assert call.status == status
    assert len(way.second.invites) == (status == 486)


def test_a_second_header_to_is_refused(way: Ways) -> None:
    booked = way.book()
    assert way.call("trunk-account", to=booked.service, headers=("To: <sip:+33199000099@h>",)).status == 404


def test_the_request_uri_does_not_count_then(way: Ways) -> None:
    booked = way.book()
    other = way.book()
    assert way.call(other.service, to=booked.service).status == 486
    assert booked.wait_settled()
    assert other.calls == []
