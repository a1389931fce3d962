"""What the answers of carriers and telephones mean, in words for people. docs/asterisk.md says what to do about them.

A SIP status says it all: Asterisk makes the cause (Q.850) of it, and does not read the carrier's own. Without a status,
the cause is Asterisk's: it had nobody to call.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from engine.domain.call_ends import FULL, Attempt
from engine.domain.dispositions import Disposition
from engine.storage.cdrs import Cdr

NOT_ANSWERED: Mapping[Disposition, str] = {
    Disposition.BUSY: "the hidden number was busy, or declined the call",
    Disposition.NO_ANSWER: "nobody picked up, or the telephone is switched off or has no network",
    Disposition.GAVE_WAY: "it gave way to a newer call, because as many calls were up as were allowed at once",
}


@dataclass(frozen=True, slots=True)
class Words:
    """Why a call did not get through, in the words of one kind of reader.

    Attributes:
        by_status: By the final SIP status (RFC 3261 section 21).
        by_class: By the first digit, of statuses that are not in `by_status`.
        full: Every trunk had as many calls as it may have.
        no_address: Asterisk has no address of the carrier.
        silent: The carrier gave no answer.
        switched_off: Asterisk has no address of the telephone, which gives it by registering.
    """

    by_status: Mapping[int, str]
    by_class: Mapping[int, str]
    full: str
    no_address: str
    silent: str
    switched_off: str


OPERATORS_WORDS = Words(
    by_status={
        **dict.fromkeys((401, 407), "the carrier does not accept our user name and password"),
        402: "our account with the carrier has no credit",
        403: "the carrier does not allow this call, for example because of credit, the destination or the caller's "
        "number",
        **dict.fromkeys((404, 604), "the carrier does not know the hidden number"),
        408: "the carrier got no answer in time",
        410: "the hidden number is no longer in use",
        484: "the hidden number is incomplete for the carrier",
        **dict.fromkeys((488, 606), "the two sides have no codec or no encryption in common"),
        500: "the carrier's system has failed",
        502: "a network behind the carrier has failed",
        503: "the carrier cannot take calls now",
        504: "a network behind the carrier gave no answer in time",
    },
    by_class={4: "the carrier refused the call", 5: "the carrier has failed"},
    full="as many calls were up on the trunk as it may have",
    no_address="Asterisk has no address of the carrier that can be reached",
    silent="the carrier gave no answer",
    switched_off="the telephone is switched off, or not connected: it is not registered with Asterisk",
)
# What is between the operator and the carrier is not the customer's matter, and a customer can do nothing about it.
CUSTOMERS_WORDS = Words(
    by_status={
        **dict.fromkeys(
            (401, 402, 403, 407, 488, 606), "the operator's line did not take the call; the operator sees why"
        ),
        **dict.fromkeys((404, 604), "the telephone network does not know the hidden number"),
        **dict.fromkeys((408, 504), "the telephone network got no answer in time"),
        410: "the hidden number is no longer in use",
        484: "the hidden number is incomplete",
        500: "the operator's line has failed",
        502: "the telephone network has failed",
        503: "the operator's line cannot take calls now",
    },
    by_class={4: "the telephone network refused the call", 5: "the telephone network has failed"},
    full="all lines of the operator were in use",
    no_address="the operator's line cannot be reached",
    silent="the operator's line gave no answer",
    switched_off="the telephone is switched off, or not connected",
)
NO_ROUTE = 3
HUNG_UP_AT_ONCE = "the hidden number's side hung up as it answered"
NOT_REACHED = "the hidden number could not be reached"
# ITU-T Q.850, of causes that a carrier's line is likely to show.
CAUSES: Mapping[int, str] = {
    1: "unallocated number",
    2: "no route to network",
    3: "no route to destination",
    16: "normal call clearing",
    17: "user busy",
    18: "no user responding",
    19: "no answer",
    20: "subscriber absent",
    21: "call rejected",
    22: "number changed",
    27: "destination out of order",
    28: "invalid number format",
    29: "facility rejected",
    31: "normal, unspecified",
    34: "no circuit available",
    38: "network out of order",
    41: "temporary failure",
    42: "switching equipment congestion",
    44: "requested circuit not available",
    47: "resource unavailable",
    50: "facility not subscribed",
    57: "bearer capability not authorized",
    58: "bearer capability not available",
    63: "service not available",
    88: "incompatible destination",
    102: "recovery on timer expiry",
    111: "protocol error",
    127: "interworking",
}


def why_not_answered(cdr: Cdr, words: Words) -> str | None:
    """Returns why a call that was put through was not answered; None where only who ended it says so."""
    if cdr.disposition is Disposition.UNREACHABLE:
        # The records of earlier versions have no attempts.
        last = cdr.tried[-1] if cdr.tried else Attempt(cdr.end.trunk or "", "", cdr.end.sip_code, cdr.end.cause)
        return _why_unreachable(last, words)
    return NOT_ANSWERED.get(cdr.disposition)


def why_it_failed(attempt: Attempt) -> str:
    """Returns why an attempt to reach the hidden number failed, for the operator."""
    if attempt.disposition is Disposition.UNREACHABLE:
        return _why_unreachable(attempt, OPERATORS_WORDS)
    return NOT_ANSWERED.get(attempt.disposition, HUNG_UP_AT_ONCE)


def _why_unreachable(attempt: Attempt, words: Words) -> str:
    status, cause = attempt.sip_code, attempt.cause
    if attempt.dial_status == FULL:
        return words.full
    if status is not None:
        return words.by_status.get(status) or words.by_class.get(status // 100, NOT_REACHED)
    if cause == NO_ROUTE:
        return words.no_address if attempt.trunk else words.switched_off
    return words.silent if attempt.trunk and cause is None else NOT_REACHED


def codes(sip_code: int | None, cause: int | None) -> str:
    """Returns the codes as they stand behind a reason: `, SIP 486, cause 17 (user busy)`."""
    parts = [f"SIP {sip_code}"] if sip_code else []
    if cause:
        parts.append(f"cause {cause} ({CAUSES[cause]})" if cause in CAUSES else f"cause {cause}")
    return f", {', '.join(parts)}" if parts else ""
