"""How a call that was put through ended: its disposition, the carrier's answer, and who hung up."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from engine.domain.dispositions import Cause, Disposition

# Asterisk's DIALSTATUS (application Dial) of a call that was not answered. Any other value means UNREACHABLE.
UNANSWERED: Mapping[str, Disposition] = {
    "BUSY": Disposition.BUSY,
    "NOANSWER": Disposition.NO_ANSWER,
    "CANCEL": Disposition.CANCELLED,
    # The callee's side picked up, and the caller hung up before the two could talk. `_who_gave_up` knows other cases.
    "ANSWER": Disposition.CANCELLED,
}

# Final SIP statuses that say by themselves what became of the call (RFC 3261 section 21; RFC 8197 for 607, RFC 8688 for
# 608). DIALSTATUS is coarser: it is CHANUNAVAIL for 403, 404, 603 and 604 alike. A status that is not here, such as
# 408, leaves the decision to DIALSTATUS, which depends on whether it rang.
OF_SIP_STATUS: Mapping[int, Disposition] = {
    403: Disposition.UNREACHABLE,  # Forbidden
    404: Disposition.UNREACHABLE,  # Not Found
    410: Disposition.UNREACHABLE,  # Gone
    480: Disposition.NO_ANSWER,  # Temporarily Unavailable: switched off, or nobody there
    484: Disposition.UNREACHABLE,  # Address Incomplete
    486: Disposition.BUSY,  # Busy Here
    488: Disposition.UNREACHABLE,  # Not Acceptable Here
    500: Disposition.UNREACHABLE,  # Server Internal Error
    502: Disposition.UNREACHABLE,  # Bad Gateway
    503: Disposition.UNREACHABLE,  # Service Unavailable
    504: Disposition.UNREACHABLE,  # Server Time-out
    600: Disposition.BUSY,  # Busy Everywhere
    603: Disposition.BUSY,  # Decline: the callee does not want the call now, as with 486
    604: Disposition.UNREACHABLE,  # Does Not Exist Anywhere
    606: Disposition.UNREACHABLE,  # Not Acceptable
    607: Disposition.BUSY,  # Unwanted
    608: Disposition.BUSY,  # Rejected
}

# Causes of ITU-T Q.850, for an attempt that failed without a SIP status. RFC 3398 section 7.2.4.1 maps them to the
# statuses above: 17 to 486, 18 to 408, 19 to 480, 21 to 603 where the user rejects.
OF_CAUSE: Mapping[int, Disposition] = {
    17: Disposition.BUSY,
    19: Disposition.NO_ANSWER,
}

# In place of DIALSTATUS: the trunk had as many calls as it may have, and was not tried.
FULL = "FULL"
NORMAL_CLEARING = 16
# The cause with which the engine ends a call that rings, so that another takes its place. Its caller gets 486, as when
# the line is busy. Every other call that the engine ends has NORMAL_CLEARING.
GIVES_WAY = Cause.USER_BUSY
ENGINE_CAUSES = frozenset({NORMAL_CLEARING, GIVES_WAY})
# Asterisk cuts a call at its limit, but measures it as a few milliseconds shorter or longer.
LIMIT_TOLERANCE_MS = 500

_ATTEMPT = re.compile(r"([a-z0-9-]{0,31}):([A-Z]{0,32}):([1-6][0-9]{2})?:([0-9]{1,3})?")
# Provisional answers, such as 180, and 2xx do not end an attempt that failed.
_LEAST_FINAL = 300
_MOST_CAUSE = 127


class HungUpBy(StrEnum):
    """Who ended a call.

    Attributes:
        CALLER: The caller hung up, or gave up before the answer.
        CALLEE: The hidden number's side: it hung up, or it or its carrier refused the call.
        LIMIT: The time was over: the credit, the booking, the longest call, or the time to ring.
        ENGINE: A `DELETE` of the booking, an erasure, or the operator ended the call, or it gave way while it rang.
        UNKNOWN: It is not known, for example because nothing was heard of the call any more.
    """

    CALLER = "CALLER"
    CALLEE = "CALLEE"
    LIMIT = "LIMIT"
    ENGINE = "ENGINE"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt to reach a hidden number.

    Attributes:
        trunk: The trunk's name.
        dial_status: Asterisk's DIALSTATUS.
        sip_code: The final SIP status of the trunk; None if it gave none.
        cause: The hangup cause (Q.850); None if there is none.
    """

    trunk: str
    dial_status: str
    sip_code: int | None = None
    cause: int | None = None

    @property
    def disposition(self) -> Disposition:
        """The disposition of a call that ends with this attempt."""
        return _disposition(self.dial_status, self)

    @property
    def failed(self) -> bool:
        """Whether the attempt failed at the trunk, and not because of the two who wanted to talk."""
        return self.dial_status != FULL and self.disposition is Disposition.UNREACHABLE


def attempts_from(text: str) -> tuple[Attempt, ...]:
    """Reads attempts, each `TRUNK:DIALSTATUS:SIP-STATUS:CAUSE`, joined by `/`. What is no attempt is left out."""
    found = map(_ATTEMPT.fullmatch, text.split("/"))
    return tuple(
        Attempt(trunk, dial_status, int(sip_code) if _is_final(sip_code) else None, cause_from(cause))
        for trunk, dial_status, sip_code, cause in (match.groups() for match in found if match)
    )


def attempts_as_text(attempts: Sequence[Attempt]) -> str:
    """Writes attempts as `attempts_from` reads them."""
    return "/".join(f"{a.trunk}:{a.dial_status}:{a.sip_code or ''}:{a.cause or ''}" for a in attempts)


def cause_from(text: str | None) -> int | None:
    """Returns a hangup cause; None for 0, which Asterisk uses for none, and for what is no cause."""
    is_number = text is not None and text.isascii() and text.isdecimal()
    return int(text) if text and is_number and 0 < int(text) <= _MOST_CAUSE else None


def _is_final(sip_code: str | None) -> bool:
    return sip_code is not None and int(sip_code) >= _LEAST_FINAL


@dataclass(frozen=True, slots=True)
class CallEnd:
    """What is known of a call's end. Everything is None for a call that was not put through.

    Attributes:
        trunk: The trunk that was tried last.
        sip_code: The final SIP status that came from the hidden number's side: 200 for an answered call. None if there
            was none.
        cause: The hangup cause (ITU-T Q.850) of the hidden number's side.
        hung_up_by: Who ended the call.
    """

    trunk: str | None = None
    sip_code: int | None = None
    cause: int | None = None
    hung_up_by: HungUpBy | None = None


NOT_PUT_THROUGH = CallEnd()
LOST = CallEnd(hung_up_by=HungUpBy.UNKNOWN)


@dataclass(frozen=True, slots=True)
class DialplanEnd:
    """What the dialplan reports about the end of a call.

    Attributes:
        dial_status: Asterisk's DIALSTATUS of the last attempt; empty if nothing was dialled.
        trunk: The trunk that was tried last; None if none was.
        tried: The attempts that failed, in their order.
        source: `caller` or `callee` if that side ended the call; empty for all else.
        cause: The hangup cause of the caller's channel.
    """

    dial_status: str
    trunk: str | None = None
    tried: tuple[Attempt, ...] = ()
    source: str = ""
    cause: int | None = None

    @property
    def failed_last(self) -> Attempt | None:
        """The attempt that ended the call, if it failed."""
        return self.tried[-1] if self.tried and self.tried[-1].trunk == (self.trunk or "") else None


class AttemptResult(StrEnum):
    """What came of an attempt to reach a hidden number over a trunk: the class of the trunk's final SIP status.

    Attributes:
        NO_ANSWER: The trunk gave no final status: it is silent, or it rang until the time was over.
        GIVEN_UP: The caller or the engine gave the call up before the trunk's final status.
        FULL: The trunk had as many calls as it may have, and was not tried.
    """

    SUCCESS = "2xx"
    REDIRECTED = "3xx"
    CLIENT_ERROR = "4xx"
    SERVER_ERROR = "5xx"
    GLOBAL_ERROR = "6xx"
    NO_ANSWER = "no_answer"
    GIVEN_UP = "given_up"
    FULL = "full"


# By the first digit of the final SIP status.
_RESULTS = {int(result.value[0]): result for result in AttemptResult if result.value.endswith("xx")}


def attempt_results(end: DialplanEnd) -> list[tuple[str, AttemptResult]]:
    """Returns the trunk of each attempt of a call that has ended, and what came of it."""
    results = [(attempt.trunk, _result(attempt)) for attempt in end.tried] if end.tried else []
    if end.trunk and end.failed_last is None:
        # The last attempt did not fail, or was given up before it could.
        results.append((end.trunk, AttemptResult.SUCCESS if end.dial_status == "ANSWER" else AttemptResult.GIVEN_UP))
    return results


def _result(attempt: Attempt) -> AttemptResult:
    if attempt.dial_status == FULL:
        return AttemptResult.FULL
    if attempt.dial_status == "ANSWER":
        return AttemptResult.SUCCESS  # the callee hung up as soon as it had answered
    return AttemptResult.NO_ANSWER if attempt.sip_code is None else _RESULTS[attempt.sip_code // 100]


class EndedCall(NamedTuple):
    """What the metrics count of a call that has its record.

    Attributes:
        disposition: How it ended, in a word.
        trunk: The trunk that was tried last; None if none was.
        ring_ms: How long that trunk took to ring; None if it did not ring, or it is not known.
        answer_ms: How long it took from the call's arrival until it was answered; None if it was not.
        overrun_ms: For how long it talked beyond its lease.
    """

    disposition: Disposition
    trunk: str | None = None
    ring_ms: int | None = None
    answer_ms: int | None = None
    overrun_ms: int = 0


def answered_end(end: DialplanEnd, *, reached_limit: bool) -> CallEnd:
    """Returns the end of a call that was answered.

    Args:
        end: The dialplan's report.
        reached_limit: Whether the call lasted as long as it was allowed to.
    """
    if end.source:
        by = HungUpBy(end.source.upper())
    elif reached_limit:
        by = HungUpBy.LIMIT
    else:
        # GIVES_WAY: it was answered just when it was to give way.
        by = HungUpBy.ENGINE if end.cause in ENGINE_CAUSES else HungUpBy.UNKNOWN
    return CallEnd(end.trunk, 200, end.cause, by)


def unanswered_end(end: DialplanEnd) -> CallEnd:
    """Returns the end of a call that was not answered."""
    if end.source == "caller" or end.dial_status in {"CANCEL", "ANSWER", ""}:
        return CallEnd(end.trunk, hung_up_by=HungUpBy(end.source.upper()) if end.source else _who_gave_up(end))
    attempt = end.failed_last
    sip_code = attempt.sip_code if attempt else None
    if sip_code is not None:
        by = HungUpBy.CALLEE
    else:
        by = HungUpBy.LIMIT if end.dial_status == "NOANSWER" else HungUpBy.UNKNOWN
    return CallEnd(end.trunk, sip_code, attempt.cause if attempt else None, by)


def _who_gave_up(end: DialplanEnd) -> HungUpBy:
    """Returns who ended a call before the two could talk, where Asterisk names no side.

    Asterisk itself ends a call that rings, or whose callee listens to an announcement, only if the engine makes it do
    so. Where the callee's side hangs up as soon as it has answered, or during the announcement, the dialplan gives the
    caller the cause of a call that nobody answers.
    """
    if end.dial_status == "ANSWER" and end.cause == Cause.NO_ANSWER:
        return HungUpBy.CALLEE
    is_engine = end.dial_status == "CANCEL" or (end.dial_status == "ANSWER" and end.cause in ENGINE_CAUSES)
    return HungUpBy.ENGINE if is_engine else HungUpBy.UNKNOWN


def unanswered_disposition(end: DialplanEnd) -> Disposition:
    """Returns the disposition of a call that was not answered."""
    if end.source == "caller":
        return Disposition.CANCELLED
    if not end.source and end.dial_status in {"CANCEL", "ANSWER"}:
        if end.cause == GIVES_WAY:
            return Disposition.GAVE_WAY
        if _who_gave_up(end) is HungUpBy.CALLEE:
            return Disposition.NO_ANSWER
    return _disposition(end.dial_status, end.failed_last)


def _disposition(dial_status: str, attempt: Attempt | None) -> Disposition:
    by_status = UNANSWERED.get(dial_status, Disposition.UNREACHABLE)
    if attempt is None or by_status is Disposition.CANCELLED:
        return by_status
    if attempt.sip_code is not None:
        return OF_SIP_STATUS.get(attempt.sip_code, by_status)
    # Without a status, the cause counts only where nothing better is known.
    return OF_CAUSE.get(attempt.cause or 0, by_status) if by_status is Disposition.UNREACHABLE else by_status
