"""Which number the destination sees, and when a caller counts as anonymous."""

import pytest

from agi_scripts import dialplan
from agi_scripts.route import source_of
from engine.domain.booking import CallerId, shown_caller
from engine.domain.numbers import ANONYMOUS
from engine.domain.routing import Bridge, Facts, Reason, bridge, decide, judge
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


@pytest.mark.parametrize("privacy", ["id", "user", "header", "full", "idcritical", "headeruserid", "history", "x"])
def test_any_privacy_request_withholds_the_number(privacy: str) -> None:
    assert source_of(number=CALLER, presentation=ALLOWED, privacy=privacy) == ANONYMOUS


@pytest.mark.parametrize(
    ("party", "source"),
    [
        ("sippartycallingscreenyesprivacy=full", ANONYMOUS),
        ("sipparty=callingprivacy=off", CALLER),
        ("sip", CALLER),
    ],
)
def test_a_privacy_request_in_remote_party_id_withholds_the_number(party: str, source: str) -> None:
    assert source_of(number=CALLER, presentation=ALLOWED, party=party) == source


@pytest.mark.parametrize("presentation", ["prohib", "prohib_not_screened", "unavailable", ""])
def test_a_number_whose_presentation_is_not_allowed_is_withheld(presentation: str) -> None:
    assert source_of(number=CALLER, presentation=presentation) == ANONYMOUS


def test_without_a_privacy_request_the_number_is_the_source() -> None:
    assert source_of(number=CALLER, presentation=ALLOWED) == CALLER
    assert source_of(number=CALLER, presentation="allowed", privacy="none") == CALLER
    assert source_of(number="14155550123", presentation="allowed_passed_screen") == CALLER


def test_anonymous_callers_are_refused_only_if_the_booking_refuses_them() -> None:
    refusing = a_booking(refuse_anonymous=True)
    assert judge(Facts(refusing, ANONYMOUS), START, POLICY) is Reason.ANONYMOUS_REFUSED
    assert judge(Facts(refusing, CALLER), START, POLICY) is Reason.PUT_THROUGH
    assert judge(Facts(a_booking(), ANONYMOUS), START, POLICY) is Reason.PUT_THROUGH


def test_a_blocked_caller_is_refused_before_any_limit_but_after_expiry() -> None:
    blocked = Facts(a_booking(), CALLER, caller_blocked=True, caller_calls=10_000)
    assert judge(blocked, START, POLICY) is Reason.CALLER_BLOCKED
    assert judge(blocked, a_booking().end_at, POLICY) is Reason.END_REACHED
