"""What becomes of a call that came in: facts in, decision out."""

from dataclasses import dataclass
from enum import StrEnum

from engine.domain.booking import Booking, Status, status_at
from engine.domain.metering import seconds_to_lease
from engine.domain.policy import Policy
from engine.domain.sharing import ring_reserve


class Disposition(StrEnum):
    """How a call ended, as its CDR says it."""

    ANSWERED = "ANSWERED"
    BUSY = "BUSY"
    NO_ANSWER = "NO_ANSWER"
    CANCELLED = "CANCELLED"
    UNREACHABLE = "UNREACHABLE"
    EXPIRED = "EXPIRED"
    ALL_SLOTS_HELD = "ALL_SLOTS_HELD"
    FORBIDDEN = "FORBIDDEN"
    LOST = "LOST"


# The words of Asterisk's DIALSTATUS for a call that was not answered. What is not listed counts as UNREACHABLE.
UNANSWERED = {
    "BUSY": Disposition.BUSY,
    "NOANSWER": Disposition.NO_ANSWER,
    "CANCEL": Disposition.CANCELLED,
    # Dial had begun, or even connected, and the caller went away before anybody could talk.
    "ANSWER": Disposition.CANCELLED,
}


class Cause:
    """ISDN (Q.850) hangup causes; Asterisk makes the SIP answer of them: 1→404, 17→486, 21→403, 22→410."""

    UNALLOCATED = 1
    USER_BUSY = 17
    CALL_REJECTED = 21
    NUMBER_CHANGED = 22


@dataclass(frozen=True, slots=True)
class Bridge:
    """Ring `destination` for `ring_seconds`. `seconds` are leased for the beginning; more come once it is answered."""

    booking: Booking
    seconds: int
    ring_seconds: int


@dataclass(frozen=True, slots=True)
class Reject:
    """End the call with `cause`. `disposition` None: no account is concerned, nothing is recorded."""

    cause: int
    disposition: Disposition | None
    notify_expired: bool = False


@dataclass(frozen=True, slots=True)
class MakeRoom:
    """Every second is leased to calls that are up and do not need them all: take some back, then ask again."""

    booking_id: str
    seconds: int


RouteDecision = Bridge | Reject

UNKNOWN_NUMBER = Reject(Cause.UNALLOCATED, None)
BOOKING_EXPIRED = Reject(Cause.NUMBER_CHANGED, Disposition.EXPIRED, notify_expired=True)
ALL_SLOTS_HELD = Reject(Cause.USER_BUSY, Disposition.ALL_SLOTS_HELD)
FORBIDDEN = Reject(Cause.CALL_REJECTED, Disposition.FORBIDDEN)


def decide(booking: Booking | None, *, destination_is_ours: bool, now: int, policy: Policy) -> RouteDecision | MakeRoom:
    """`booking`: the one that holds the dialled number, if any.

    `destination_is_ours`: its hidden number has meanwhile become one of our own; bridging would make a loop.
    """
    status = Status.GONE if booking is None else status_at(booking, now, policy)
    if booking is None or status is Status.GONE:
        return UNKNOWN_NUMBER
    if status is Status.EXPIRED:
        return BOOKING_EXPIRED
    if destination_is_ours:
        return FORBIDDEN
    return _with_credit(booking, now, policy)


def _with_credit(booking: Booking, now: int, policy: Policy) -> RouteDecision | MakeRoom:
    if booking.calls.remaining < 1:
        return ALL_SLOTS_HELD
    reserve = ring_reserve(booking.seconds.unspent)
    if booking.seconds.remaining < 1:
        return MakeRoom(booking.id, reserve)
    wanted = min(reserve, booking.seconds.remaining)
    seconds = seconds_to_lease(wanted, booking.end_at - now, policy.longest_call_seconds)
    return Bridge(booking, seconds, policy.ring_seconds)


def unanswered_disposition(dial_status: str) -> Disposition:
    return UNANSWERED.get(dial_status, Disposition.UNREACHABLE)
