"""A policy with small, round figures and a booking under it, which most tests start from."""

from dataclasses import replace
from typing import Any

from engine.calls.reports import AnswerReport, EndReport
from engine.domain.booking import Booking
from engine.domain.call_ends import Attempt, DialplanEnd
from engine.domain.ids import AccountId, BookingId, CallId
from engine.domain.metering import Credit
from engine.domain.numbers import E164
from engine.domain.policy import Allowance, Policy, UsagePlan
from engine.domain.times import BootMs, EpochMs

SECOND = 1_000
HOUR = BootMs(3_600 * SECOND)
DAY = 24 * HOUR
# 2026-03-01T12:00:00.000Z
START = EpochMs(1_772_366_400_000)

POLICY = Policy(
    plans={
        UsagePlan.SMALL: Allowance(seconds=60, calls=1, valid_for_ms=DAY),
        UsagePlan.MEDIUM: Allowance(seconds=300, calls=10, valid_for_ms=7 * DAY),
        UsagePlan.LARGE: Allowance(seconds=3_600, calls=100, valid_for_ms=30 * DAY),
    },
    grace_ms=7 * DAY,
    quarantine_ms=30 * DAY,
    longest_call_seconds=60,
    ring_seconds=30,
    lost_call_margin_ms=60 * SECOND,
    horizon_ms=90 * DAY,
    may_assert_callers=True,
)

PEPPER = "a pepper of throw-away tests"
CALLER = "+14155550123"
HIDDEN = E164("+32470123456")
OTHER_HIDDEN = E164("+442079460958")
CALLBACK = "https://customer.example/calls"

BOOKING = Booking(
    id=BookingId("bkg_1"),
    account_id=AccountId("acc_1"),
    service=E164("+3225550001"),
    destination=HIDDEN,
    usage_plan=UsagePlan.MEDIUM,
    callback=CALLBACK,
    created_at=START,
    end_at=EpochMs(START + 7 * DAY),
    exhausted_at=None,
    gone_at=None,
    seconds=Credit.new(300),
    calls=Credit.new(10),
)


def a_booking(**changes: Any) -> Booking:
    return replace(BOOKING, **changes)


# How calls over the trunk `main` end, by DIALSTATUS.
ENDS = {
    "ANSWER": DialplanEnd("ANSWER", "main", source="caller", cause=16),
    "BUSY": DialplanEnd("BUSY", "main", (Attempt("main", "BUSY", 486, 17),), cause=17),
    "NOANSWER": DialplanEnd("NOANSWER", "main", (Attempt("main", "NOANSWER"),), cause=19),
    "CANCEL": DialplanEnd("CANCEL", "main", source="caller", cause=127),
    # The engine ended it, so that another call takes its place.
    "GAVE_WAY": DialplanEnd("CANCEL", "main", cause=17),
    "CHANUNAVAIL": DialplanEnd("CHANUNAVAIL", "main", (Attempt("main", "CHANUNAVAIL", 404, 1),), cause=34),
    "CONGESTION": DialplanEnd("CONGESTION", "main", (Attempt("main", "CONGESTION", 503, 34),), cause=34),
}


def answer_report(call_id: str, limit: int = 60, **changes: Any) -> AnswerReport:
    """Returns a report of an answer. The engine goes by the call's own booking, not by the reported one."""
    return replace(
        AnswerReport(
            CallId(call_id),
            BookingId("bkg_any"),
            f"{call_id}-callee",
            limit,
            callee_sip_call_id=f"{call_id}-callee@host",
        ),
        **changes,
    )


def end_report(call_id: str, answered_ms: int = 0, dial_status: str = "ANSWER", **changes: Any) -> EndReport:
    """Returns a report of an end."""
    return replace(EndReport(CallId(call_id), BookingId("bkg_any"), answered_ms, ENDS[dial_status]), **changes)
