"""Which number the destination sees, and when a caller counts as anonymous."""

import pytest

from agi_scripts import dialplan
from agi_scripts.route import source_of
from engine.domain.booking import CallerId, shown_caller
from engine.domain.numbers import ANONYMOUS
from engine.domain.routing import Bridge, Facts, bridge, decide
from tests.contract.samples import CALLER, POLICY, START, a_booking

SERVICE = a_booking().service
ALLOWED = "allowed_not_screened"


@pytest.mark.parametrize(
    ("choice", "source", "shown"),
    [
        (CallerId.CALLER, CALLER, CALLER),
        (CallerId.SERVICE, CALLER, SERVICE),
        (CallerId.ANONYMOUS, CALLER, ANONYMOUS),
        (CallerId.CALLER, ANONYMOUS, ANONYMOUS),
        (CallerId.SERVICE, ANONYMOUS, SERVICE),
        (CallerId.ANONYMOUS, ANONYMOUS, ANONYMOUS),
    ],
)
def test_the_booking_chooses_the_shown_number_and_a_withheld_one_is_never_shown(
    choice: CallerId, source: str, shown: str
) -> None:
    assert shown_caller(choice, source, SERVICE) == shown
    decision = decide(Facts(a_booking(caller_id=choice), source), START, POLICY)
    assert isinstance(decision, Bridge)
    assert decision.shown == shown


@pytest.mark.parametrize(("shown", "value"), [(CALLER, CALLER), (ANONYMOUS, "")])
def test_the_dialplan_receives_the_shown_number_or_an_empty_value(shown: str, value: str) -> None:
    source = CALLER if shown == CALLER else ANONYMOUS
    variables = dict(dialplan.verdict(bridge(a_booking(), 10, source, POLICY), ""))
    assert variables[dialplan.SHOWN] == value


@pytest.mark.parametrize(
    ("sent", "source"),
    [
        # A Privacy header, whatever it asks for.
        *[({"privacy": privacy}, ANONYMOUS) for privacy in ("id", "user", "header", "full", "idcritical")],
        *[({"privacy": privacy}, ANONYMOUS) for privacy in ("headeruserid", "history", "x")],
        # Remote-Party-ID, its predecessor.
        ({"party": "sippartycallingscreenyesprivacy=full"}, ANONYMOUS),
        ({"party": "sipparty=callingprivacy=off"}, CALLER),
        ({"party": "sip"}, CALLER),
        # A presentation that Asterisk was not allowed to show.
        *[({"presentation": text}, ANONYMOUS) for text in ("prohib", "prohib_not_screened", "unavailable", "")],
        # No request for privacy.
        ({}, CALLER),
        ({"presentation": "allowed", "privacy": "none"}, CALLER),
        ({"presentation": "allowed_passed_screen", "number": "14155550123"}, CALLER),
    ],
)
def test_any_request_for_privacy_withholds_the_number(sent: dict[str, str], source: str) -> None:
    assert source_of(**{"number": CALLER, "presentation": ALLOWED} | sent) == source
