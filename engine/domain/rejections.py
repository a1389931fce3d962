"""The reasons to reject a call, and what its caller and its record get for each."""

from dataclasses import dataclass, field, replace
from enum import StrEnum

from engine.domain.dispositions import Cause, Disposition
from engine.domain.ids import BookingId
from engine.domain.prompts import Language, Prompt


class Reason(StrEnum):
    """Why a call is put through or rejected, in the order in which the rules are checked."""

    NO_BOOKING = "no_booking"
    NOT_A_PARTICIPANT = "not_a_participant"
    PIN_NEEDED = "pin_needed"
    PINS_CLOSED = "pins_closed"
    CHANGED_HANDS = "changed_hands"
    ACCOUNT_SUSPENDED = "account_suspended"
    END_REACHED = "end_reached"
    SECONDS_SPENT = "seconds_spent"
    CALLS_SPENT = "calls_spent"
    NOT_BEGUN = "not_begun"
    PAUSED = "paused"
    OUTSIDE_HOURS = "outside_hours"
    DESTINATION_IS_OURS = "destination_is_ours"
    DESTINATION_NOT_ALLOWED = "destination_not_allowed"
    NO_LAST_CALLER = "no_last_caller"
    LAST_CALLER_NOT_ALLOWED = "last_caller_not_allowed"
    CALLER_BLOCKED = "caller_blocked"
    ANONYMOUS_REFUSED = "anonymous_refused"
    CALLER_LIMIT = "caller_limit"
    CALLER_RINGING = "caller_ringing"
    CONCURRENCY_LIMIT = "concurrency_limit"
    ACCOUNT_LIMIT = "account_limit"
    CALLS_HELD = "calls_held"
    SECONDS_HELD = "seconds_held"
    NO_TRUNK = "no_trunk"
    PUT_THROUGH = "put_through"


@dataclass(frozen=True, slots=True)
class Reject:
    """End the call without ringing anybody.

    Attributes:
        cause: Decides the caller's SIP answer.
        disposition: For the call record; None if the call concerns no account and is not recorded.
        prompt: What the caller hears before the answer; None for nothing.
        notify_expired: Whether the customer gets the callback about calls to an expired booking.
        reason: Which rule rejected the call, for its record and the log; None if it was not judged.
        booking_id: The booking that was called, for the log; None if there is none.
        language: The booking's language, if it has one of its own.
        closed_pins: Whether this call had the wrong PIN that closed the number to PINs, for the log.
    """

    cause: Cause
    disposition: Disposition | None
    prompt: Prompt | None = None
    notify_expired: bool = False
    reason: Reason | None = field(default=None, compare=False)
    booking_id: BookingId | None = field(default=None, compare=False)
    language: Language | None = field(default=None, compare=False)
    closed_pins: bool = field(default=False, compare=False)


UNKNOWN_NUMBER = Reject(Cause.UNALLOCATED, None, Prompt.UNKNOWN)
CHANGED_HANDS = Reject(Cause.UNALLOCATED, Disposition.CHANGED_HANDS, Prompt.CHANGED_HANDS)
BOOKING_EXPIRED = Reject(Cause.NUMBER_CHANGED, Disposition.EXPIRED, Prompt.EXPIRED, notify_expired=True)
CREDIT_SPENT = replace(BOOKING_EXPIRED, prompt=Prompt.SPENT)
# SIP 480 "Temporarily Unavailable": the number is neither wrong nor busy.
ACCOUNT_SUSPENDED = Reject(Cause.NO_ANSWER, Disposition.ACCOUNT_SUSPENDED, Prompt.PAUSED)
BOOKING_NOT_BEGUN = Reject(Cause.NO_ANSWER, Disposition.NOT_BEGUN, Prompt.PAUSED)
BOOKING_PAUSED = Reject(Cause.NO_ANSWER, Disposition.PAUSED, Prompt.PAUSED)
OUTSIDE_HOURS = Reject(Cause.NO_ANSWER, Disposition.OUTSIDE_HOURS, Prompt.CLOSED)
ALL_SLOTS_HELD = Reject(Cause.USER_BUSY, Disposition.ALL_SLOTS_HELD, Prompt.LINES)
CONCURRENCY_LIMIT = Reject(Cause.USER_BUSY, Disposition.CONCURRENCY_LIMIT, Prompt.LINES)
ACCOUNT_LIMIT = Reject(Cause.USER_BUSY, Disposition.ACCOUNT_LIMIT, Prompt.LINES)
# These callers hear only that the number is busy, not that it refuses them.
CALLER_LIMIT = Reject(Cause.CALL_REJECTED, Disposition.CALLER_LIMIT, Prompt.BUSY)
CALLER_RINGING = Reject(Cause.USER_BUSY, Disposition.CALLER_RINGING, Prompt.BUSY)
CALLER_BLOCKED = Reject(Cause.CALL_REJECTED, Disposition.CALLER_BLOCKED, Prompt.BUSY)
ANONYMOUS_REFUSED = Reject(Cause.CALL_REJECTED, Disposition.ANONYMOUS_REFUSED, Prompt.ANONYMOUS)
FORBIDDEN = Reject(Cause.CALL_REJECTED, Disposition.FORBIDDEN, Prompt.UNREACHABLE)
# Of reverse calls. The caller is the hidden number, so it may hear more than others.
NO_LAST_CALLER = Reject(Cause.NO_ANSWER, Disposition.NO_LAST_CALLER, Prompt.NOBODY)
LAST_CALLER_FORBIDDEN = replace(FORBIDDEN, prompt=Prompt.NO_CALLBACK)
# SIP 503, as if the trunk had been tried: the caller's carrier may try another route.
NO_TRUNK = Reject(Cause.NO_CIRCUIT, Disposition.UNREACHABLE, Prompt.UNREACHABLE)
# The call has its record already, and its caller's carrier may try another route.
GIVEN_UP = Reject(Cause.NO_CIRCUIT, None)

_ANSWERS: dict[Reason, Reject] = {
    Reason.NO_BOOKING: UNKNOWN_NUMBER,
    # To callers who are no participants, a number of pairs is an unknown number.
    Reason.NOT_A_PARTICIPANT: UNKNOWN_NUMBER,
    Reason.PIN_NEEDED: UNKNOWN_NUMBER,
    Reason.PINS_CLOSED: UNKNOWN_NUMBER,
    Reason.CHANGED_HANDS: CHANGED_HANDS,
    Reason.ACCOUNT_SUSPENDED: ACCOUNT_SUSPENDED,
    Reason.END_REACHED: BOOKING_EXPIRED,
    Reason.SECONDS_SPENT: CREDIT_SPENT,
    Reason.CALLS_SPENT: CREDIT_SPENT,
    Reason.NOT_BEGUN: BOOKING_NOT_BEGUN,
    Reason.PAUSED: BOOKING_PAUSED,
    Reason.OUTSIDE_HOURS: OUTSIDE_HOURS,
    Reason.DESTINATION_IS_OURS: FORBIDDEN,
    Reason.DESTINATION_NOT_ALLOWED: FORBIDDEN,
    Reason.NO_LAST_CALLER: NO_LAST_CALLER,
    Reason.LAST_CALLER_NOT_ALLOWED: LAST_CALLER_FORBIDDEN,
    Reason.CALLER_BLOCKED: CALLER_BLOCKED,
    Reason.ANONYMOUS_REFUSED: ANONYMOUS_REFUSED,
    Reason.CALLER_LIMIT: CALLER_LIMIT,
    Reason.CALLER_RINGING: CALLER_RINGING,
    Reason.CONCURRENCY_LIMIT: CONCURRENCY_LIMIT,
    Reason.ACCOUNT_LIMIT: ACCOUNT_LIMIT,
    Reason.CALLS_HELD: ALL_SLOTS_HELD,
    Reason.SECONDS_HELD: ALL_SLOTS_HELD,
    Reason.NO_TRUNK: NO_TRUNK,
}
REJECTIONS: dict[Reason, Reject] = {reason: replace(answer, reason=reason) for reason, answer in _ANSWERS.items()}
