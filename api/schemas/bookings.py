"""A booking as it comes in and goes out."""

from itertools import combinations
from typing import Annotated, Self

from pydantic import ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from api.schemas.common import Incoming, Outgoing, Page
from api.schemas.fields import (
    WHOLE,
    BookingIdField,
    Callback,
    Count,
    Country,
    Instant,
    Kept,
    Label,
    Metadata,
    Number,
    Phone,
    Plan,
    Prefix,
    Service,
    ShownCaller,
    Url,
)
from engine.domain.booking import Booking, BookingStatus, CallerId, status_at
from engine.domain.numbers import E164, NumberRequest
from engine.domain.policy import (
    MAX_CALL_SECONDS,
    MAX_CALLS_PER_CALLER_PER_HOUR,
    MAX_CONCURRENT_CALLS,
    Policy,
    UsagePlan,
)
from engine.domain.times import EpochMs, rfc3339

# What a new booking may ask of its number: one of these.
WANTED = ("service", "prefix", "country")


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
    model_config = ConfigDict(
        json_schema_extra={"not": {"anyOf": [{"required": list(pair)} for pair in combinations(WANTED, 2)]}}
    )

    destination: Number
    """The number to hide: E.164, one that exists and may be called, none of the rented numbers."""
    usage_plan: Plan
    callback: Callback
    """The URL that is told of calls: `https`, a public host, no user name, no fragment."""
    caller_id: ShownCaller = CallerId.CALLER
    """What the destination sees as the caller's number: the caller's own, the rented one, or none."""
    refuse_anonymous: bool = False
    """`true`: callers who withhold their number are refused."""
    paused: bool = False
    """`true`: calls are refused until it is `false`; the booking's time goes on."""
    label: Label | None = None
    """A name for people."""
    metadata: Metadata = Field(default_factory=dict)
    """Your own notes; callbacks repeat them."""
    service: Kept[Service] = None
    """The rented number to have, and no other."""
    prefix: Kept[Prefix] = None
    """What the rented number begins with. At most one of `service`, `prefix` and `country`."""
    country: Kept[Country] = None
    """The country of the rented number (ISO 3166)."""

    @model_validator(mode="after")
    def _one_wish(self) -> Self:
        if sum(getattr(self, name) is not None for name in WANTED) > 1:
            raise PydanticCustomError("several_wishes", "at most one of service, prefix and country can be given")
        return self

    @property
    def wanted(self) -> NumberRequest:
        service = None if self.service is None else E164(self.service)
        return NumberRequest(service, self.prefix, self.country)


class BookingPatchBody(LimitFields):
    """What is left out stays as it was. `null` removes a limit or the label; nothing else can be removed."""

    destination: Kept[Number] = None
    """The number to hide from now on."""
    callback: Kept[Callback] = None
    """The URL that is told of calls from now on."""
    caller_id: Kept[ShownCaller] = None
    """What the destination sees as the caller's number, of calls that come from now on."""
    refuse_anonymous: Kept[bool] = None
    """Whether callers who withhold their number are refused from now on."""
    paused: Kept[bool] = None
    """Whether calls are refused from now on. Those that are up go on."""
    label: Label | None = None
    """A name for people."""
    metadata: Kept[Metadata] = None
    """Your own notes, in the place of all that were there."""

    def label_sent(self) -> str | None:
        """None: it was not. Empty: it is to be removed."""
        return (self.label or "") if "label" in self.model_fields_set else None


class BookingChange(BookingPatchBody):
    """What is left out stays as it was. `null` removes a limit or the label; nothing else can be removed."""

    usage_plan: Plan
    """The plan whose seconds, calls and days are added."""


class BookingBody(Outgoing):
    id: BookingIdField
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
    status: BookingStatus
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
    paused: bool
    """Whether calls are refused for now. The status does not depend on it."""
    label: str | None
    metadata: dict[str, str]

    @classmethod
    def of(cls, booking: Booking, now: EpochMs, policy: Policy) -> "BookingBody":
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
            max_concurrent_calls=booking.limits.max_concurrent_calls,
            max_calls_per_caller_per_hour=booking.limits.max_calls_per_caller_per_hour,
            max_call_seconds=booking.limits.max_call_seconds,
            caller_id=booking.caller_id,
            refuse_anonymous=booking.refuse_anonymous,
            paused=booking.paused,
            label=booking.label or None,
            metadata=dict(booking.metadata),
        )


BookingPage = Page[BookingBody]
