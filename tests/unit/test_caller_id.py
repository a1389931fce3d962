"""Which number the destination sees, and when a caller counts as anonymous."""

import pytest

from agi_scripts import dialplan
from agi_scripts.route import source_of
from engine.domain.booking import CallerId, shown_caller
from engine.domain.numbers import ANONYMOUS
from engine.domain.routing import Bridge, Facts, bridge, decide
from tests.contract.samples import CALLER, HIDDEN, POLICY, START, a_booking

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
    decision = decide(Facts(a_booking(caller_id=choice), source, share=60), START, POLICY)
    assert isinstance(decision, Bridge)
    assert decision.shown == shown


@pytest.mark.parametrize(("shown", "value"), [(CALLER, CALLER), (ANONYMOUS, "")])
def test_the_dialplan_receives_the_shown_number_or_an_empty_value(shown: str, value: str) -> None:
    source = CALLER if shown == CALLER else ANONYMOUS
    variables = dict(dialplan.verdict(bridge(a_booking(), HIDDEN, 10, source, POLICY), POLICY))
    assert variables[dialplan.ROUTES].split("/") == ["main", a_booking().destination, value]


# Headers Privacy as the dialplan passes them on → whether the number is withheld. RFC 3323 section 4.2: each priv-value
# asks for privacy, but `none`. RFC 3261 section 7.3.1: repeated headers are one list.
PRIVACY = {
    "": False,
    "..0": False,
    "none..1": False,
    "off..1": False,
    "none.none.2": False,
    "id..1": True,
    "user..1": True,
    "header..1": True,
    "session..1": True,
    "history..1": True,
    "idcritical..1": True,
    "headeruserid..1": True,
    "x..1": True,
    "1..1": True,
    "nonecritical..1": True,
    "none.id.2": True,
    "id.none.2": True,
    # A third header, one that is too long to be read, one without letters, and what the dialplan never sends.
    "none.none.3": True,
    "..1": True,
    "none..2": True,
    "none..": True,
    "none": True,
    "none.none.none.2": True,
}

# Headers Remote-Party-ID, likewise: draft-ietf-sip-privacy-04 section 5.1, privacy = full, name, uri, off or a token.
PARTY = {
    "": False,
    "..0": False,
    "<sip..1": False,
    "<sip;party=calling;privacy=off..1": False,
    "<sip;privacy=none;screen=yes..1": False,
    "<sip;privacy=off.<sip;party=called;privacy=off.2": False,
    "<sip;privacy=off<sip;privacy=off..1": False,
    "<sipprivacy1..1": False,
    "<sip;party=calling;screen=yes;privacy=full..1": True,
    "<sip;privacy=uri..1": True,
    "<sip;privacy=name..1": True,
    "<sip;privacy=yes..1": True,
    "<sip;privacy=urinetwork..1": True,
    "<sip;privacy=office..1": True,
    "<sip;privacy=;screen=yes..1": True,
    "<sip;privacy..1": True,
    "<sip;privacy=off;privacy=full..1": True,
    "<sip;privacy=off<sip;privacy=full..1": True,
    "<sip;privacy=off.<sip;privacy=full.2": True,
    "<sip;privacy=full.<sip;privacy=off.2": True,
    "<sip;privacy=off.<sip;privacy=off.3": True,
    "..1": True,
}


@pytest.mark.parametrize(("privacy", "withheld"), PRIVACY.items())
def test_any_privacy_in_any_of_its_headers_withholds_the_number(privacy: str, withheld: bool) -> None:
    assert source_of(number=CALLER, presentation=ALLOWED, privacy=privacy) == (ANONYMOUS if withheld else CALLER)


@pytest.mark.parametrize(("party", "withheld"), PARTY.items())
def test_any_privacy_in_a_remote_party_id_withholds_the_number(party: str, withheld: bool) -> None:
    assert source_of(number=CALLER, presentation=ALLOWED, party=party) == (ANONYMOUS if withheld else CALLER)


@pytest.mark.parametrize("presentation", ["prohib", "prohib_not_screened", "unavailable", ""])
def test_a_number_that_asterisk_was_not_allowed_to_show_is_withheld(presentation: str) -> None:
    assert source_of(number=CALLER, presentation=presentation) == ANONYMOUS


def test_a_caller_without_any_such_header_shows_the_number() -> None:
    assert source_of(number=CALLER, presentation=ALLOWED) == CALLER
    assert source_of(number=CALLER, presentation="allowed", privacy="none..1") == CALLER
    assert source_of(number="14155550123", presentation="allowed_passed_screen") == CALLER
