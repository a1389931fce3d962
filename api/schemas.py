"""What comes in and goes out, as types. Incoming: nothing unknown, nothing coerced, everything bounded."""

from dataclasses import asdict
from typing import Annotated, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from api.fields import (
    WHOLE,
    BookingId,
    Callback,
    Caller,
    CdrId,
    Count,
    Cursor,
    Instant,
    Kept,
    LeftOut,
    Number,
    PastCaller,
    PastPhone,
    Phone,
    Plan,
    ShownCaller,
    Url,
)
from engine.domain.booking import Booking, Status, limits_in_force, longest_call, status_at
from engine.domain.caller_id import CallerId
from engine.domain.explanation import Explanation, LimitedBy
from engine.domain.limits import MAX_CALL_SECONDS, MAX_CALLS_PER_CALLER_PER_HOUR, MAX_CONCURRENT_CALLS
from engine.domain.plans import UsagePlan
from engine.domain.policy import Policy
from engine.domain.routing import Disposition, Reason
from engine.domain.times import rfc3339
from engine.storage.rows import BlockedCaller, Cdr

T = TypeVar("T")


class Incoming(BaseModel):
    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, alias_generator=to_camel, use_attribute_docstrings=True
    )


class LimitFields(Incoming):
    max_concurrent_calls: Annotated[int, Field(ge=1, le=MAX_CONCURRENT_CALLS), WHOLE] | None = None
    """How many calls may be up at once, ringing ones included. `null`: the operator's limit counts."""
    max_calls_per_caller_per_hour: Annotated[int, Field(ge=1, le=MAX_CALLS_PER_CALLER_PER_HOUR), WHOLE] | None = None
    """How many calls of one caller are let through within any hour, answered or not. `null`: the operator's counts."""
    max_call_seconds: Annotated[int, Field(ge=1, le=MAX_CALL_SECONDS), WHOLE] | None = None
    """How long one call may last. More than the operator allows changes nothing. `null`: the operator's counts."""

    def limits_sent(self) -> dict[str, int | None]:
        """Those that stand in the body, also as `null`; named as in `Limits`."""
        return self.model_dump(include=set(LimitFields.model_fields), exclude_unset=True)


class NewBooking(LimitFields):
    destination: Number
    """The number to hide: E.164, one that exists and may be called, none of the rented numbers."""
    usage_plan: Plan
    callback: Callback
    """The URL that is told of calls: `https`, a public host, no user name, no fragment."""
    caller_id: ShownCaller = CallerId.CALLER
    """What the destination sees as the caller's number: the caller's own, the rented one, or none."""
    refuse_anonymous: bool = False
    """`true`: callers who withhold their number are refused."""


class BookingChange(LimitFields):
    """What is left out stays as it was. `null` removes a limit; there is no removing of anything else."""

    usage_plan: Plan
    """The plan whose seconds, calls and days are added."""
    destination: Kept[Number] = None
    """The number to hide from now on."""
    callback: Kept[Callback] = None
    """The URL that is told of calls from now on."""
    caller_id: Kept[ShownCaller] = None
    """What the destination sees as the caller's number, of calls that come from now on."""
    refuse_anonymous: Kept[bool] = None
    """Whether callers who withhold their number are refused from now on."""


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


class BookingBody(Outgoing):
    id: BookingId
    service: Phone
    """The rented number: who calls it reaches `destination`."""
    end_time: Instant
    """When the booking expires at the latest; it stays as it is when the credit is spent earlier."""
    seconds_remaining: Count
    """What is left, without what calls that are up now hold. What such a call does not use comes back at its end."""
    minutes_remaining: Count
    """Whole minutes of `secondsRemaining`."""
    calls_remaining: Count
    """What is left, without the calls that are up now."""
    destination: Phone
    """The hidden number."""
    usage_plan: UsagePlan
    """The plan that was booked last."""
    status: Status
    """`EXPIRED`: calls are refused, `PUT` still revives it."""
    callback: Url
    created_at: Instant
    max_concurrent_calls: Count | None
    """The booking's own limit. `null`: the operator's counts."""
    max_calls_per_caller_per_hour: Count | None
    """The booking's own limit. `null`: the operator's counts."""
    max_call_seconds: Count | None
    """The booking's own limit. `null`: the operator's counts."""
    caller_id: CallerId
    """What the destination sees as the caller's number."""
    refuse_anonymous: bool
    """Whether callers who withhold their number are refused."""

    @classmethod
    def of(cls, booking: Booking, now: int, policy: Policy) -> "BookingBody":
        return cls(
            id=booking.id,
            service=booking.service,
            end_time=rfc3339(booking.end_at),
            seconds_remaining=booking.seconds.remaining,
            minutes_remaining=booking.seconds.remaining // 60,
            calls_remaining=booking.calls.remaining,
            destination=booking.destination,
            usage_plan=booking.usage_plan,
            status=status_at(booking, now, policy),
            callback=booking.callback,
            created_at=rfc3339(booking.created_at),
            **asdict(booking.limits),
            caller_id=booking.caller_id,
            refuse_anonymous=booking.refuse_anonymous,
        )


class ExplanationBody(Outgoing):
    booking_id: BookingId
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
    status: Status
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
            at=rfc3339(explanation.at),
            put_through=explanation.put_through,
            reason=explanation.reason,
            message=explanation.sentence(policy),
            seconds=explanation.seconds,
            limited_by=explanation.limited_by,
            status=status_at(booking, explanation.at, policy),
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
    id: CdrId
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
    booking_id: BookingId
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
