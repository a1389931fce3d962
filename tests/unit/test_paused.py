"""A paused booking: what its callers get, and where that stands among the reasons to refuse a call."""

from dataclasses import replace

import pytest

from engine.domain.metering import Credit
from engine.domain.numbers import ANONYMOUS, E164
from engine.domain.routing import Bridge, Cause, Disposition, Facts, Reason, Reject, decide, judge
from tests.contract.samples import CALLER, POLICY, START, a_booking

PAUSED = a_booking(paused=True)


def test_a_call_to_a_paused_booking_gets_480_without_a_callback() -> None:
    assert decide(Facts(PAUSED, CALLER), START, POLICY) == Reject(Cause(19), Disposition.PAUSED, notify_expired=False)
    assert isinstance(decide(Facts(replace(PAUSED, paused=False), CALLER), START, POLICY), Bridge)


@pytest.mark.parametrize(
    "facts",
    [
        Facts(PAUSED, CALLER, destination_is_ours=True),
        Facts(PAUSED, CALLER, caller_blocked=True),
        Facts(PAUSED, CALLER, caller_calls=10**6),
        Facts(replace(PAUSED, refuse_anonymous=True), ANONYMOUS),
        Facts(replace(PAUSED, destination=E164("+88213000000")), CALLER),
        Facts(replace(PAUSED, calls=Credit(1, 0, 1, 0)), CALLER),
        Facts(replace(PAUSED, seconds=Credit(60, 0, 60, 0)), CALLER),
    ],
)
def test_a_pause_comes_before_every_other_refusal_of_a_live_booking(facts: Facts) -> None:
    assert judge(facts, START, POLICY) is Reason.PAUSED


def test_expiry_comes_before_a_pause() -> None:
    assert judge(Facts(PAUSED, CALLER), PAUSED.end_at, POLICY) is Reason.END_REACHED
    spent = replace(PAUSED, exhausted_at=START, calls=Credit(1, 0, 0, 1))
    assert judge(Facts(spent, CALLER), START, POLICY) is Reason.CALLS_SPENT
    assert judge(Facts(replace(PAUSED, gone_at=START), CALLER), START, POLICY) is Reason.NO_BOOKING
