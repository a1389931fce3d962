"""The table of call detail records, and the order in which lists and exports read it."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from engine.domain.call_ends import NOT_PUT_THROUGH, Attempt, CallEnd, HungUpBy, attempts_as_text, attempts_from
from engine.domain.directions import Direction
from engine.domain.dispositions import Disposition
from engine.domain.ids import AccountId, BookingId, CallId
from engine.domain.numbers import E164
from engine.domain.rejections import Reason
from engine.domain.times import EpochMs
from engine.storage.columns import COLUMNS, direction_columns, direction_from
from engine.storage.filters import EARLIEST, LATEST
from engine.storage.table import Row, Table

# Looking a member up by its value in an enumeration itself takes several times as long.
_DISPOSITIONS = {disposition.value: disposition for disposition in Disposition}
_HUNG_UP_BY = {by.value: by for by in HungUpBy}
_REASONS = {reason.value: reason for reason in Reason}
_WIDTH = len(COLUMNS["cdrs"])


@dataclass(frozen=True, slots=True)
class Cdr:
    """A call record. It is written once, and changes only when further calls are counted on it or a number is erased.

    Attributes:
        started_at: When the call came in.
        duration: Answered time in whole seconds; 0 for a call that was not answered.
        end: What is known of the call's end besides its disposition.
        sip_call_id: The SIP Call-ID of the caller's leg; None if it is not known.
        callee_sip_call_id: The SIP Call-ID of the leg to the hidden number, if it was answered.
        further_calls: Refused calls of the same booking, disposition and minute that have no record of their own.
        incoming_trunk: The trunk over which the call came in; None if it came from something else, or is not known.
        reason: Why the call was refused; None if it was put through, and in records of earlier versions.
        tried: The attempts to reach the hidden number that failed, in their order.
        direction: The direction of the call: `source` and `destination` are the two, whatever the direction.
    """

    id: str
    account_id: AccountId
    booking_id: BookingId
    call_id: CallId
    started_at: EpochMs
    duration: int
    source: str
    service: E164
    destination: E164
    disposition: Disposition
    end: CallEnd = NOT_PUT_THROUGH
    sip_call_id: str | None = None
    callee_sip_call_id: str | None = None
    further_calls: int = 0
    incoming_trunk: str | None = None
    reason: Reason | None = None
    tried: tuple[Attempt, ...] = ()
    direction: Direction = Direction.FORWARD


@dataclass(frozen=True, slots=True)
class CallRecord:
    """A call record, and when its call was answered and ended. Both are None for a call that was not put through."""

    cdr: Cdr
    answered_at: EpochMs | None
    ended_at: EpochMs | None


@dataclass(frozen=True, slots=True)
class Usage:
    """What the calls of one booking within a span have used.

    Attributes:
        service: The booking's number at one of these calls.
        answered: Calls that were answered, and are charged.
        missed: Calls that were put through and not answered.
        refused: Calls that were not put through.
        seconds: The charged seconds.
    """

    booking_id: BookingId
    service: E164
    answered: int = 0
    missed: int = 0
    refused: int = 0
    seconds: int = 0


class CdrPosition(NamedTuple):
    """A record's position in the list: ordered by when its call came in, then by its id. Later ones are greater."""

    started_at: EpochMs
    id: str


@dataclass(frozen=True, slots=True)
class Between:
    """A range of positions: older than `before`, not older than `last`."""

    before: CdrPosition
    last: CdrPosition

    def parameters(self) -> dict[str, Any]:
        """Returns the parameters of cdrs.sql."""
        return {
            "before_at": self.before.started_at,
            "before_id": self.before.id,
            "last_at": self.last.started_at,
            "last_id": self.last.id,
        }


@dataclass(frozen=True, slots=True)
class WantedRecords:
    """Which call records of an account to list: calls that came in from `since` on and before `until`.

    A filter that is None lets everything through.

    Attributes:
        party: The caller or the rented number.
    """

    account_id: AccountId
    since: EpochMs = EARLIEST
    until: EpochMs = LATEST
    booking_id: BookingId | None = None
    service: E164 | None = None
    source: str | None = None
    disposition: Disposition | None = None
    party: str | None = None

    @property
    def is_filtered(self) -> bool:
        """Whether the list may leave out records of the range."""
        return any((self.booking_id, self.service, self.source, self.disposition, self.party))

    def parameters(self) -> dict[str, Any]:
        """Returns the parameters of cdrs.sql."""
        return {
            "account_id": self.account_id,
            "booking_id": self.booking_id,
            "service": self.service,
            "source": self.source,
            "disposition": self.disposition,
            "party": self.party,
        }


class Cdrs(Table):
    """Call records, as commands use them. Lists are in `Reads`."""

    def insert(self, cdr: Cdr) -> None:
        """Adds a call record."""
        self._sql.insert_cdr(
            self._db,
            id=cdr.id,
            account_id=cdr.account_id,
            booking_id=cdr.booking_id,
            call_id=cdr.call_id,
            started_at=cdr.started_at,
            duration=cdr.duration,
            source=cdr.source,
            service=cdr.service,
            destination=cdr.destination,
            disposition=str(cdr.disposition),  # SQLite would look for an adapter of the enumeration
            trunk=cdr.end.trunk,
            sip_code=cdr.end.sip_code,
            hangup_cause=cdr.end.cause,
            hung_up_by=cdr.end.hung_up_by and str(cdr.end.hung_up_by),
            sip_call_id=cdr.sip_call_id,
            callee_sip_call_id=cdr.callee_sip_call_id,
            further_calls=cdr.further_calls,
            incoming_trunk=cdr.incoming_trunk,
            reason=cdr.reason and str(cdr.reason),
            tried=attempts_as_text(cdr.tried) if cdr.tried else None,
            **direction_columns(cdr.direction),
        )

    def by_id(self, cdr_id: str) -> Cdr | None:
        """Returns a call record of any account."""
        row = self._sql.cdr_of_any_account(self._db, id=cdr_id)
        return cdr_from_row(row) if row else None


def cdr_from_row(row: Row) -> Cdr:
    """Builds a call record from a row that begins with the columns `{cdrs}`."""
    cdr_id, account_id, booking_id, call_id, started_at, duration, source, service, destination, *how = row[:_WIDTH]
    disposition, trunk, sip_code, cause, hung_up_by, sip_call_id, callee_sip_call_id, *rest = how
    further_calls, incoming_trunk, reason, tried, direction, of_pair = rest
    return Cdr(
        cdr_id,
        account_id,
        booking_id,
        call_id,
        started_at,
        duration,
        source,
        service,
        destination,
        _DISPOSITIONS[disposition],
        CallEnd(trunk, sip_code, cause, hung_up_by and _HUNG_UP_BY[hung_up_by]),
        sip_call_id,
        callee_sip_call_id,
        further_calls,
        incoming_trunk,
        reason and _REASONS[reason],
        attempts_from(tried) if tried else (),
        direction_from(direction, of_pair),
    )


def call_record_from_row(row: Row) -> CallRecord:
    """Builds a record from a row of `cdrs_between`."""
    return CallRecord(cdr_from_row(row), row["answered_at"], row["ended_at"])
