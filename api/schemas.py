"""What comes in and goes out, as types. Incoming: nothing unknown, nothing coerced, everything bounded."""

from dataclasses import asdict
from typing import Annotated, Generic, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from engine.domain.booking import Booking, Status, limits_in_force, longest_call, status_at
from engine.domain.caller_id import CallerId
from engine.domain.explanation import Explanation, LimitedBy
from engine.domain.limits import MAX_CALL_SECONDS, MAX_CALLS_PER_CALLER_PER_HOUR, MAX_CONCURRENT_CALLS
from engine.domain.plans import UsagePlan
from engine.domain.policy import Policy
from engine.domain.routing import Disposition, Reason
from engine.domain.times import rfc3339
from engine.storage.rows import BlockedCaller, Cdr

# E.164 has 16 characters at most; a little more lets the domain say what is wrong with a longer number.
MAX_NUMBER = 32
MAX_CALLBACK = 2048

T = TypeVar("T")


def _printable(text: str) -> str:
    """NUL, line ends, direction marks: nothing that could change what a log or a header line says."""
    if not text.isprintable():
        raise PydanticCustomError("not_printable", "has control or other unprintable characters")
    return text


Number = Annotated[str, Field(min_length=1, max_length=MAX_NUMBER), AfterValidator(_printable)]
Callback = Annotated[str, Field(min_length=1, max_length=MAX_CALLBACK), AfterValidator(_printable)]
# Not strict: in strict mode pydantic takes the enum's own objects only, never their JSON strings.
Plan = Annotated[UsagePlan, Field(strict=False)]
ShownCaller = Annotated[CallerId, Field(strict=False)]


class Incoming(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, alias_generator=to_camel)


class LimitFields(Incoming):
    """`null`: none of its own, the operator's counts."""

    max_concurrent_calls: Annotated[int, Field(ge=1, le=MAX_CONCURRENT_CALLS)] | None = None
    max_calls_per_caller_per_hour: Annotated[int, Field(ge=1, le=MAX_CALLS_PER_CALLER_PER_HOUR)] | None = None
    max_call_seconds: Annotated[int, Field(ge=1, le=MAX_CALL_SECONDS)] | None = None

    def limits_sent(self) -> dict[str, int | None]:
        """Those that stand in the body, also as `null`; named as in `Limits`."""
        return self.model_dump(include=set(LimitFields.model_fields), exclude_unset=True)


class NewBooking(LimitFields):
    destination: Number
    usage_plan: Plan
    callback: Callback
    caller_id: ShownCaller = CallerId.CALLER
    refuse_anonymous: bool = False


class BookingChange(LimitFields):
    """What is left out stays as it was. `null` removes a limit; there is no removing of anything else."""

    usage_plan: Plan
    destination: Number | None = None
    callback: Callback | None = None
    caller_id: ShownCaller | None = None
    refuse_anonymous: bool | None = None

    @field_validator("destination", "callback", "caller_id", "refuse_anonymous", mode="before")
    @classmethod
    def _not_null(cls, value: object) -> object:
        if value is None:
            raise PydanticCustomError("null", "must not be null; leave it out to keep it as it is")
        return value


class NewBlockedCaller(Incoming):
    caller: Number


class Outgoing(BaseModel):
    model_config = ConfigDict(
        frozen=True,
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=False,
        serialize_by_alias=True,
    )


class BookingBody(Outgoing):
    """`…_remaining`: what no live call holds now. `end_time` stays even if the credit is spent before. `max_…`: the
    booking's own limits."""

    id: str
    service: str
    end_time: str
    seconds_remaining: int
    minutes_remaining: int
    calls_remaining: int
    destination: str
    usage_plan: UsagePlan
    status: Status
    callback: str
    created_at: str
    max_concurrent_calls: int | None
    max_calls_per_caller_per_hour: int | None
    max_call_seconds: int | None
    caller_id: CallerId
    refuse_anonymous: bool

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
    """`…_held`: by the calls that are up. `max_…`: the limits that count, whoever set them."""

    booking_id: str
    service: str
    source: str
    at: str
    put_through: bool
    reason: Reason
    message: str
    seconds: int
    limited_by: LimitedBy | None
    status: Status
    end_time: str
    seconds_remaining: int
    seconds_held: int
    calls_remaining: int
    calls_held: int
    caller_calls_last_hour: int
    max_concurrent_calls: int | None
    max_calls_per_caller_per_hour: int | None
    max_call_seconds: int

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
    caller: str
    created_at: str

    @classmethod
    def of(cls, blocked: BlockedCaller) -> "BlockedCallerBody":
        return cls(caller=blocked.caller, created_at=rfc3339(blocked.created_at))


class CdrBody(Outgoing):
    """`timestamp`: when the call came in. `duration`: charged seconds, 0 for a call that was not answered."""

    id: str
    timestamp: str
    duration: int
    source: str
    destination: str
    service: str
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
            disposition=cdr.disposition,
        )


class Page(Outgoing, Generic[T]):
    """`next_cursor` is null on the last page. No totals: counting a list costs more than reading a page."""

    data: list[T]
    has_more: bool
    next_cursor: str | None


class HealthBody(Outgoing):
    status: str
    parts: dict[str, str]


class FieldError(Outgoing):
    """`field` is empty where the body as a whole is wrong."""

    field: str
    message: str


class ProblemBody(Outgoing):
    """RFC 9457, and ours: `code`, `retryable`, and `errors` where fields are to blame."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    retryable: bool
    errors: list[FieldError] | None
