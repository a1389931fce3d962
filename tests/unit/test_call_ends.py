"""What is kept of a call's end: disposition, the carrier's answer, and who hung up."""

from typing import get_args

import pytest

from engine.domain.call_ends import (
    GIVES_WAY,
    Attempt,
    CallEnd,
    DialplanEnd,
    HungUpBy,
    answered_end,
    unanswered_disposition,
    unanswered_end,
)
from engine.domain.dispositions import Disposition
from engine.domain.event_kinds import Unanswered
from engine.domain.rejections import REJECTIONS


@pytest.mark.parametrize(
    ("dial_status", "disposition"),
    [
        ("BUSY", Disposition.BUSY),
        ("NOANSWER", Disposition.NO_ANSWER),
        ("CANCEL", Disposition.CANCELLED),
        ("ANSWER", Disposition.CANCELLED),
        ("CHANUNAVAIL", Disposition.UNREACHABLE),
        ("CONGESTION", Disposition.UNREACHABLE),
        ("INVALIDARGS", Disposition.UNREACHABLE),
        ("", Disposition.UNREACHABLE),
        ("busy", Disposition.UNREACHABLE),
    ],
)
def test_without_a_sip_status_the_dial_status_decides(dial_status: str, disposition: Disposition) -> None:
    assert unanswered_disposition(DialplanEnd(dial_status)) is disposition


# SIP status, Q.850 cause and DIALSTATUS, as Asterisk 22 reported them together → disposition. It makes the causes from
# the statuses (hangup_sip2cause in chan_pjsip.c).
REFUSED = [
    (486, 17, "BUSY", Disposition.BUSY),
    (600, 17, "BUSY", Disposition.BUSY),
    (480, 19, "CHANUNAVAIL", Disposition.NO_ANSWER),
    (404, 1, "CHANUNAVAIL", Disposition.UNREACHABLE),
    (403, 21, "CHANUNAVAIL", Disposition.UNREACHABLE),
    (488, 58, "CHANUNAVAIL", Disposition.UNREACHABLE),
    (503, 34, "CONGESTION", Disposition.UNREACHABLE),
    # The dialplan writes BUSY for every 6xx, so that the caller's carrier tries no other route.
    (603, 21, "BUSY", Disposition.BUSY),
    (604, 1, "BUSY", Disposition.UNREACHABLE),
    # Whether it rang decides, and DIALSTATUS knows.
    (408, 18, "CHANUNAVAIL", Disposition.UNREACHABLE),
    (408, 18, "NOANSWER", Disposition.NO_ANSWER),
    # No SIP status came.
    (None, 17, "CHANUNAVAIL", Disposition.BUSY),
    (None, 3, "CHANUNAVAIL", Disposition.UNREACHABLE),
    (None, 3, "NOANSWER", Disposition.NO_ANSWER),
]


@pytest.mark.parametrize(("sip_code", "cause", "dial_status", "disposition"), REFUSED)
def test_the_sip_status_of_the_last_attempt_decides_and_is_kept(
    sip_code: int | None, cause: int, dial_status: str, disposition: Disposition
) -> None:
    tried = (Attempt("first", "CONGESTION", 500, 41), Attempt("main", dial_status, sip_code, cause))
    end = DialplanEnd(dial_status, "main", tried)
    kept = unanswered_end(end)
    assert unanswered_disposition(end) is disposition
    assert (kept.trunk, kept.sip_code, kept.cause) == ("main", sip_code, cause)
    assert tried[0].failed
    assert tried[1].failed == (disposition is Disposition.UNREACHABLE)


NO_ANSWER = Disposition.NO_ANSWER
FAILED = (Attempt("first", "CONGESTION", 503, 34),)


@pytest.mark.parametrize(
    ("end", "disposition", "by"),
    [
        # The second trunk rang when the call ended: the answer of the first one is not the call's.
        (DialplanEnd("CANCEL", "main", FAILED, "caller", 127), Disposition.CANCELLED, HungUpBy.CALLER),
        (DialplanEnd("CANCEL", "main", FAILED, "", 16), Disposition.CANCELLED, HungUpBy.ENGINE),
        (DialplanEnd("CANCEL", "main", FAILED, "", 17), Disposition.GAVE_WAY, HungUpBy.ENGINE),
        (DialplanEnd("CANCEL", "main", FAILED, "caller", 17), Disposition.CANCELLED, HungUpBy.CALLER),
        # The callee hung up as it answered.
        (DialplanEnd("ANSWER", "main", FAILED, "callee"), Disposition.CANCELLED, HungUpBy.CALLEE),
        (DialplanEnd("ANSWER", "main", (Attempt("main", "ANSWER", None, 16),), "", 19), NO_ANSWER, HungUpBy.CALLEE),
        # In the announcement the caller hung up, or the booking was deleted, or the call gave way to another one.
        (DialplanEnd("ANSWER", "main", (), "caller", 127), Disposition.CANCELLED, HungUpBy.CALLER),
        (DialplanEnd("ANSWER", "main", (), "", 16), Disposition.CANCELLED, HungUpBy.ENGINE),
        (DialplanEnd("ANSWER", "main", (), "", 17), Disposition.GAVE_WAY, HungUpBy.ENGINE),
        # The caller was faster than Dial().
        (DialplanEnd("", None, (), "caller"), Disposition.CANCELLED, HungUpBy.CALLER),
        (DialplanEnd("NOANSWER", "main", (), "", 19), Disposition.NO_ANSWER, HungUpBy.LIMIT),
        (DialplanEnd("CHANUNAVAIL", "main", (), "", 34), Disposition.UNREACHABLE, HungUpBy.UNKNOWN),
        (DialplanEnd(""), Disposition.UNREACHABLE, HungUpBy.UNKNOWN),
    ],
)
def test_a_call_that_ends_without_a_carriers_answer_has_no_sip_status(
    end: DialplanEnd, disposition: Disposition, by: HungUpBy
) -> None:
    assert unanswered_disposition(end) is disposition
    assert unanswered_end(end) == CallEnd(end.trunk, None, None, by)


@pytest.mark.parametrize(
    ("source", "cause", "reached_limit", "by"),
    [
        ("caller", 16, False, HungUpBy.CALLER),
        ("callee", 16, True, HungUpBy.CALLEE),
        ("", 16, True, HungUpBy.LIMIT),
        ("", 16, False, HungUpBy.ENGINE),
        ("", GIVES_WAY, False, HungUpBy.ENGINE),
        ("", 44, False, HungUpBy.UNKNOWN),  # silence
        ("", None, False, HungUpBy.UNKNOWN),
    ],
)
def test_who_ended_an_answered_call(source: str, cause: int | None, reached_limit: bool, by: HungUpBy) -> None:
    end = DialplanEnd("ANSWER", "main", FAILED, source, cause)
    assert answered_end(end, reached_limit=reached_limit) == CallEnd("main", 200, cause, by)


def test_callbacks_name_every_disposition_of_a_call_that_was_not_answered() -> None:
    not_put_through = {each.disposition for each in REJECTIONS.values()} - {Disposition.UNREACHABLE}
    assert set(get_args(Unanswered)) == set(Disposition) - not_put_through - {Disposition.ANSWERED}
