"""A registration that is refused or gets no answer: calls go on, the state is seen, and it comes back by itself."""

import re
import time
from collections.abc import Callable

import pytest

from engine.local.findings import Finding, Verdict
from engine.local.running_asterisk import running_asterisk
from phones.messages import Message
from phones.peer import Reply
from tests.e2e.carriers.system import REGISTERED, RETRY_SECONDS, CarrierSystem, Line
from tests.e2e.carriers.variants import PASSWORD, VARIANTS

[OVER_LINE] = [variant for variant in VARIANTS if variant.name == "line"]
[NUMBER_IN_TO] = [variant for variant in VARIANTS if variant.name == "line-to"]
USER = "line@1"
# A registration is back so long after the carrier accepts it again; its own request comes in addition to the interval.
BACK_SECONDS = RETRY_SECONDS + 2.0


def challenge_always(line: Line) -> Callable[[Message], Reply]:
    account = OVER_LINE.account
    assert account is not None
    return lambda request: Reply(401, headers=(account.challenge(),))


TROUBLES: dict[str, Callable[[Line], Callable[[Message], Reply | None]]] = {
    "no answer": lambda line: lambda request: None,
    "wrong password": challenge_always,
    "403": lambda line: lambda request: Reply(403),
    "404": lambda line: lambda request: Reply(404),
    "423": lambda line: lambda request: Reply(423, headers=("Min-Expires: 7200",)),
    "503": lambda line: lambda request: Reply(503),
}


def state(system: CarrierSystem) -> str:
    """The state of the registration, as Asterisk shows it."""
    [found] = re.findall(r"trunk-line/\S+ +\S+ +(\w+)", system.asterisk_console("pjsip show registrations"))
    return str(found)


def finding(system: CarrierSystem) -> Finding:
    """What `doctor` says of the registration."""
    found = [each for each in running_asterisk(system.settings) if each.part == "asterisk registrations"]
    return next((each for each in found if "trunk line is" in each.what), found[0])


@pytest.mark.parametrize("trouble", TROUBLES)
def test_a_lost_registration_ends_no_call_is_seen_and_comes_back(
    carrier_system: CarrierSystem, on: Line, trouble: str
) -> None:
    booked = carrier_system.book_over(OVER_LINE)
    dialog, final = on.call(OVER_LINE, booked.service)
    assert final.status == 200
    assert (finding(carrier_system).verdict, state(carrier_system)) == (Verdict.OK, "Registered")

    on.carrier.on_register = TROUBLES[trouble](on)
    try:
        carrier_system.until(lambda: state(carrier_system) == "Rejected", "the registration is lost")
        failed = finding(carrier_system)
        on.carrier.contacts.clear()
    finally:
        on.carrier.on_register = on.carrier.accept
        restored = time.monotonic()
    carrier_system.until(lambda: on.carrier.contacts.keys() >= REGISTERED, "the registrations are back")
    assert time.monotonic() - restored < BACK_SECONDS
    assert failed.verdict is Verdict.FAILED
    assert "line is not registered" in failed.what
    assert "rented-numbers trunks password line" in failed.fix

    # The call is still up, on both sides, and another one can come in.
    assert [each.method for each in dialog.messages if each.status is None] == []
    assert on.ask(dialog, "OPTIONS") == on.ask(on.carrier.calls[booked.destination], "OPTIONS") == 200
    on.hang_up(dialog)
    assert booked.wait_settled()[0]["duration"] > 0
    again, final = on.call(OVER_LINE, carrier_system.book_over(OVER_LINE).service)
    assert final.status == 200
    on.hang_up(again)
    assert PASSWORD[:4] not in carrier_system.asterisk_log + carrier_system.engine_log


def test_a_call_over_the_line_is_known_by_the_line_alone(carrier_system: CarrierSystem, on: Line) -> None:
    """From whatever address it comes; without the line's parameter, or with another, it is a stranger's."""
    booked = carrier_system.book_over(OVER_LINE)
    contact, expires = on.carrier.contacts[USER]
    for changed in (contact.partition(";line=")[0], f"{contact}x", f"{contact.partition(';line=')[0]};line=guessed"):
        on.carrier.contacts[USER] = changed, expires
        _, final = on.call(OVER_LINE, booked.service)
        assert final.status == 401
    assert booked.calls == []


def test_over_a_line_the_dialled_number_may_be_in_to_alone(carrier_system: CarrierSystem, on: Line) -> None:
    booked, other = carrier_system.book_over(NUMBER_IN_TO), carrier_system.book_over(NUMBER_IN_TO)
    dialog, final = on.call(NUMBER_IN_TO, booked.service)
    assert final.status == 200
    on.hang_up(dialog)
    assert booked.wait_settled()[0]["duration"] > 0
    assert other.calls == []


def test_a_call_from_the_registrars_address_without_the_line_reaches_nobody(
    carrier_system: CarrierSystem, on: Line
) -> None:
    booked = carrier_system.book_over(OVER_LINE)
    assert on.call_from_carrier(booked.service).status == 404
    assert booked.calls == []
