"""What comes in and goes out, as types. Incoming: nothing unknown, nothing coerced, everything bounded."""

from typing import Generic, TypeVar

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from api.schemas.fields import (
    BookingIdField,
    Caller,
    CdrIdField,
    Count,
    Cursor,
    Instant,
    LeftOut,
    Number,
    PastCaller,
    PastPhone,
    Phone,
)
from engine.domain.booking import BookingStatus, limits_in_force, longest_call, status_at
from engine.domain.explanation import Explanation, LimitedBy
from engine.domain.policy import Policy
from engine.domain.routing import Disposition, Reason
from engine.domain.times import EpochMs, rfc3339
from engine.storage.blocked_callers import BlockedCaller
from engine.storage.cdrs import Cdr

T = TypeVar("T")


class Incoming(BaseModel):
    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, alias_generator=to_camel, use_attribute_docstrings=True
    )


class NewBlockedCaller(Incoming):
    caller: Number
    """The caller to refuse from now on: E.164."""


class Outgoing(BaseModel):
    model_config = ConfigDict(
        frozen=True,
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=False,
        serialize_by_alias=True,
        use_attribute_docstrings=True,
    )


class ExplanationBody(Outgoing):
    booking_id: BookingIdField
    service: Phone
    source: Caller
    """The caller that was asked about."""
    at: Instant
    put_through: bool
    reason: Reason
    message: str
    """For people. Decide by `putThrough` and `reason`."""
    seconds: Count
    """How long the call could last if it were answered at once and nothing else happened; 0 if not put through."""
    limited_by: LimitedBy | None
    """What would end it then; `null` if it is not put through."""
    status: BookingStatus
    end_time: Instant
    seconds_remaining: Count
    seconds_held: Count
    """By the calls that are up now. They share them with a new call."""
    calls_remaining: Count
    calls_held: Count
    """How many calls are up now."""
    caller_calls_last_hour: Count
    """Calls of this caller that were let through within the last hour."""
    max_concurrent_calls: Count | None
    """The limit that counts: the booking's own, else the operator's."""
    max_calls_per_caller_per_hour: Count | None
    """The limit that counts: the booking's own, else the operator's."""
    max_call_seconds: Count
    """The limit that counts: the shorter of the booking's own and the operator's."""

    @classmethod
    def of(cls, explanation: Explanation, policy: Policy) -> "ExplanationBody":
        booking = explanation.booking
        limits = limits_in_force(booking, policy)
        return cls(
            booking_id=booking.id,
            service=booking.service,
            source=explanation.source,
            at=rfc3339(EpochMs(explanation.at)),
            put_through=explanation.put_through,
            reason=explanation.reason,
            message=explanation.sentence(policy),
            seconds=explanation.seconds,
            limited_by=explanation.limited_by,
            status=status_at(booking, EpochMs(explanation.at), policy),
            end_time=rfc3339(booking.end_at),
            seconds_remaining=booking.seconds.remaining,
            seconds_held=booking.seconds.leased,
            calls_remaining=booking.calls.remaining,
            calls_held=booking.calls.leased,
            caller_calls_last_hour=explanation.caller_calls,
            max_concurrent_calls=limits.max_concurrent_calls,
            max_calls_per_caller_per_hour=limits.max_calls_per_caller_per_hour,
            max_call_seconds=longest_call(booking, policy),
        )


class BlockedCallerBody(Outgoing):
    caller: Phone
    created_at: Instant

    @classmethod
    def of(cls, blocked: BlockedCaller) -> "BlockedCallerBody":
        return cls(caller=blocked.caller, created_at=rfc3339(blocked.created_at))


class CdrBody(Outgoing):
    id: CdrIdField
    timestamp: Instant
    """When the call came in."""
    duration: Count
    """Charged seconds, every second begun counting as one; 0 if the call was not answered."""
    source: PastCaller
    """The caller: E.164, as the carrier sent it, or `anonymous`; `erased` where it had to be."""
    destination: PastPhone
    """The hidden number; `erased` where it had to be."""
    service: Phone
    """The rented number that was called."""
    booking_id: BookingIdField
    """The booking, which may be gone by now."""
    disposition: Disposition

    @classmethod
    def of(cls, cdr: Cdr) -> "CdrBody":
        return cls(
            id=cdr.id,
            timestamp=rfc3339(cdr.started_at),
            duration=cdr.duration,
            source=cdr.source,
            destination=cdr.destination,
            service=cdr.service,
            booking_id=cdr.booking_id,
            disposition=cdr.disposition,
        )


class Page(Outgoing, Generic[T]):
    """No totals: counting a list costs more than reading a page."""

    data: list[T]
    has_more: bool
    next_cursor: Cursor | None
    """What the next page is asked for with; `null` on the last page."""


class HealthBody(Outgoing):
    status: str
    """`up` when every part is."""
    parts: dict[str, str]
    """Each part with `up`, or with what it is instead. Empty when the parts could not be asked in time."""


class FieldError(Outgoing):
    field: str
    """A field of the body, or a query parameter. Empty where the body as a whole is wrong."""
    message: str
    """For people."""


class ProblemBody(Outgoing):
    """RFC 9457. Decide by `code`; `title` and `detail` are for people and may be reworded."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    retryable: bool
    """Whether the same request may succeed later; `Retry-After` says when to try."""
    errors: LeftOut[list[FieldError]] = None
    """Where fields or parameters are to blame."""


BlockedCallerPage = Page[BlockedCallerBody]
CdrPage = Page[CdrBody]
