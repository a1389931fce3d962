"""Sessions as Twilio Proxy has them: two people who reach each other through a rented number, until the session closes.

Theory of operation: a session waits until its second participant joins, and is a pair's booking from then on. Its state
is not stored. A session is closed when its booking takes no calls; so it closes in the call path itself, at its expiry
to the millisecond, without a sweep. Closing it means that the booking ends now, in whose grace period it can be opened
again.
"""

from dataclasses import dataclass
from enum import StrEnum

from engine.domain.booking import Booking, BookingStatus, status_at
from engine.domain.dispositions import Disposition
from engine.domain.errors import RentedNumbersError
from engine.domain.ids import AccountId, BookingId
from engine.domain.numbers import E164
from engine.domain.policy import Policy
from engine.domain.times import EpochMs

MAX_PARTICIPANTS = 2
# Of Twilio.
MAX_UNIQUE_NAME = 191
# A year: longer than any usage plan lasts.
MAX_TTL = 366 * 24 * 3_600


def sid(kind: str, own_id: str) -> str:
    """Returns Twilio's form of one of our ids: two letters and its 32 hexadecimal digits."""
    return kind + own_id.rpartition("_")[2]


def number_sid(number: E164) -> str:
    """Returns the SID of a rented number, which has no id: its digits behind as many `f` as are missing."""
    return "PN" + number[1:].rjust(32, "f")


class SessionStatus(StrEnum):
    """`open` until the first call, then `in-progress`; in a `closed` one all calls are refused."""

    OPEN = "open"
    IN_PROGRESS = "in-progress"
    CLOSED = "closed"


class ClosedReason(StrEnum):
    """Why a session is closed: by a request, by its time to live or its date of expiry, or its plan is used up."""

    API = "api"
    EXPIRED = "expired"
    USAGE_PLAN = "usage-plan"


@dataclass(frozen=True, slots=True)
class ProxyService:
    """What sessions have in common.

    Attributes:
        unique_name: The customer's name for it.
        default_ttl: The time to live of sessions that have none of their own, in seconds; 0: no limit.
        callback_url: Where callbacks about calls go; empty if nowhere.
        out_of_session_callback_url: Where callbacks about calls to closed sessions go; empty if nowhere.
    """

    id: str
    account_id: AccountId
    unique_name: str
    default_ttl: int
    callback_url: str
    out_of_session_callback_url: str
    created_at: EpochMs
    updated_at: EpochMs


@dataclass(frozen=True, slots=True)
class ProxySession:
    """A session, without what its booking has.

    Attributes:
        ttl: Seconds without a call after which it closes; 0: no limit.
        expires_at: When it closes, whatever its time to live; None if no such time was asked for.
        booking_id: The pair; None as long as a participant is missing.
        paid_until: How long the booking's usage plan lasts, while its own end is earlier; None without a booking.
        idle_until: The booking's end, if a call moves it.
        closed_at: When a request closed it; None if none did since it was opened.
    """

    id: str
    service_id: str
    unique_name: str | None
    ttl: int
    expires_at: EpochMs | None
    booking_id: BookingId | None
    paid_until: EpochMs | None
    idle_until: EpochMs | None
    created_at: EpochMs
    updated_at: EpochMs
    closed_at: EpochMs | None

    def closes_at(self, last_active: EpochMs) -> EpochMs | None:
        """Returns when it closes by what was asked for; None if nothing was.

        Args:
            last_active: When its last call came in, or it was created.
        """
        if self.expires_at is not None:
            return self.expires_at
        return EpochMs(last_active + self.ttl * 1_000) if self.ttl else None


@dataclass(frozen=True, slots=True)
class ProxyParticipant:
    """A participant. Once the session is a pair, the booking has the number and the name, in the order of the ids.

    Attributes:
        number: The hidden number.
        name: The customer's name for this person.
        wanted: The rented number that was asked for.
    """

    id: str
    session_id: str
    number: E164 | None
    name: str | None
    wanted: E164 | None
    created_at: EpochMs


@dataclass(frozen=True, slots=True)
class SessionState:
    """What becomes of a session by its booking and the time.

    Attributes:
        status: Its status.
        reason: Why it is closed; None if it is not.
        expires_at: When it closes by itself, or has closed; None if it does not before it is a pair.
        ended_at: Since when it is closed.
        last_call: When its last call came in; None if there was none.
    """

    status: SessionStatus
    reason: ClosedReason | None
    expires_at: EpochMs | None
    ended_at: EpochMs | None
    last_call: EpochMs | None


def state_of(
    session: ProxySession, booking: Booking | None, last_call: EpochMs | None, now: EpochMs, policy: Policy
) -> SessionState:
    """Returns the state of a session at `now`.

    Args:
        session: The session.
        booking: Its booking; None if it is no pair.
        last_call: When its last call came in; None if there was none.
        now: The present time by the account's clock.
        policy: The operator's rules.
    """
    expires_at = session.closes_at(session.created_at) if booking is None else booking.end_at
    if booking is None:
        ends = [each for each in (session.closed_at, expires_at) if each is not None and each <= now]
        is_open, ended_at = not ends, min(ends, default=None)
    else:
        is_open = status_at(booking, now, policy) is BookingStatus.ACTIVE
        ended_at = None if is_open else min(booking.expires_at, booking.gone_at or booking.expires_at)
    if is_open:
        status = SessionStatus.OPEN if last_call is None else SessionStatus.IN_PROGRESS
        return SessionState(status, None, expires_at, None, last_call)
    return SessionState(SessionStatus.CLOSED, why_closed(session, booking), expires_at, ended_at, last_call)


def why_closed(session: ProxySession, booking: Booking | None) -> ClosedReason:
    """Returns why a session is closed that is closed. A renewal of its booking may have opened it in the meantime."""
    if session.closed_at is not None and (booking is None or booking.end_at == session.closed_at):
        return ClosedReason.API
    return ClosedReason.USAGE_PLAN if booking is not None and booking.exhausted_at is not None else ClosedReason.EXPIRED


# Twilio's statuses of calls that rang a participant. All other calls rang no telephone.
_OUTBOUND = {
    Disposition.ANSWERED: "completed",
    Disposition.BUSY: "busy",
    Disposition.NO_ANSWER: "no-answer",
    Disposition.CANCELLED: "canceled",
}


def outbound_status(disposition: Disposition) -> str:
    """Returns Twilio's status of the leg to who was called."""
    return _OUTBOUND.get(disposition, "failed")


class ProxyRefusal(RentedNumbersError):
    """What Twilio Proxy refuses too, or what does not exist here.

    Attributes:
        status: The HTTP status.
        code: Twilio's error code, or the HTTP status where Twilio has none.
    """

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


# Twilio's codes: https://www.twilio.com/docs/api/errors.
PARAMETER_INVALID = 80701
ALREADY_IN_SESSION = 80103
NAME_NOT_UNIQUE = 80603
NUMBER_IN_USE = 80604
TOO_MANY_PARTICIPANTS = 80609
CANNOT_REOPEN = 80801


def invalid(field: str, why: str) -> ProxyRefusal:
    """The refusal of a field's value."""
    return ProxyRefusal(400, PARAMETER_INVALID, f"'{field}' is invalid: {why}")
