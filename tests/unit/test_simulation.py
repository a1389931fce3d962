"""A simulated call gets the same SIP answer as a real one from Asterisk."""

from dataclasses import replace

import pytest

from engine.domain.call_ends import unanswered_disposition
from engine.domain.dispositions import Cause, Disposition
from engine.domain.prompts import Prompt
from engine.domain.rejections import BOOKING_EXPIRED, GIVEN_UP, REJECTIONS, Reason, Reject
from engine.domain.routing import Bridge
from engine.domain.simulation import REPORTED, Outcome, lasts_ms, prompts_heard, sip_status
from tests.contract.samples import BOOKING, CALLER, POLICY

BRIDGE = Bridge(BOOKING, BOOKING.destination, seconds=3, ring_seconds=30, shown=CALLER)


@pytest.mark.parametrize("reason", REJECTIONS)
def test_every_rejection_has_asterisks_sip_status_for_its_cause(reason: Reason) -> None:
    """Asterisk's own table (hangup_cause2sip in chan_pjsip), for the causes that we use."""
    table = {1: 404, 17: 486, 18: 480, 19: 480, 20: 480, 21: 403, 22: 410, 27: 502, 34: 503, 42: 503}
    rejection = REJECTIONS[reason]
    assert {sip_status(rejection, outcome) for outcome in Outcome} == {table[rejection.cause]}


@pytest.mark.parametrize("outcome", Outcome)
def test_every_simulated_outcome_matches_a_real_one(outcome: Outcome) -> None:
    """With the disposition of the same name, and the status that the documents promise."""
    promised = {"answered": 200, "busy": 486, "no-answer": 480, "cancelled": 487}
    assert sip_status(BRIDGE, outcome) == promised[outcome]
    if outcome is not Outcome.ANSWERED:
        assert unanswered_disposition(REPORTED[outcome]) is Disposition(outcome.name)


def test_only_talk_and_unanswered_ringing_take_time() -> None:
    lasted = {outcome: lasts_ms(outcome, 0, 30) for outcome in Outcome}
    assert lasted == {**dict.fromkeys(Outcome, 0), Outcome.NO_ANSWER: 30_000}
    assert lasts_ms(Outcome.ANSWERED, 2_500, 30) == 2_500


@pytest.mark.parametrize("cause", Cause)
def test_every_cause_has_a_status_and_no_other_number_is_a_cause(cause: Cause) -> None:
    assert sip_status(Reject(cause, None), Outcome.BUSY) >= 400
    with pytest.raises(ValueError, match="99"):
        Cause(99)


@pytest.mark.parametrize(
    ("decision", "speaks", "heard"),
    [
        (BOOKING_EXPIRED, True, (Prompt.EXPIRED,)),
        (BOOKING_EXPIRED, False, ()),
        (GIVEN_UP, True, ()),
        (BRIDGE, True, ()),
    ],
)
def test_the_prompt_of_a_refusal_is_heard_where_the_operator_has_callers_told(
    decision: Bridge | Reject, speaks: bool, heard: tuple[Prompt, ...]
) -> None:
    assert prompts_heard(decision, replace(POLICY, speaks=speaks)) == heard
