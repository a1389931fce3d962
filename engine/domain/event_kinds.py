"""The kinds of events that callbacks report, each described once: its fields, their order and what they mean.

`engine.domain.events` makes the body that is sent from these descriptions, `api.openapi` the schema.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import NoneType
from typing import Annotated, Any, Literal, NamedTuple, TypeAlias, get_args, get_origin, get_type_hints

from engine.domain.call_ends import HungUpBy
from engine.domain.directions import Direction
from engine.domain.dispositions import Disposition
from engine.domain.ids import BookingId
from engine.domain.notes import Metadata
from engine.domain.notifications import EventType
from engine.domain.numbers import E164
from engine.domain.rejections import Reason
from engine.domain.times import EpochMs

ExpiredMessage: TypeAlias = Literal["Incoming call for expired booking"]
EXPIRED_MESSAGE: ExpiredMessage = "Incoming call for expired booking"
TrialMessage: TypeAlias = Literal["A test event: no call and no booking is behind it"]
TRIAL_MESSAGE: TrialMessage = "A test event: no call and no booking is behind it"
# What can become of a call that was put through and not answered, and why a booking can have expired.
Unanswered: TypeAlias = Literal[
    Disposition.BUSY,
    Disposition.NO_ANSWER,
    Disposition.CANCELLED,
    Disposition.UNREACHABLE,
    Disposition.GAVE_WAY,
    Disposition.LOST,
]
WhyExpired: TypeAlias = Literal[Reason.END_REACHED, Reason.SECONDS_SPENT, Reason.CALLS_SPENT]
NotForward: TypeAlias = Literal[Direction.REVERSE, Direction.PAIR]
_DIRECTION = (
    "`reverse`: the hidden number called, and `destination` is who had called last. `pair`: a participant called, and "
    "`destination` is the other one. Left out in all other calls."
)
_SIP_CODE = "The final SIP status that came from the hidden number's side. Left out if none came."
_HUNG_UP_BY = "Who ended the call, as in the call record. Left out if the call was not put through."
_HANGUP_CAUSE = "The hangup cause (ITU-T Q.850) of the hidden number's side. Left out if there was none."


class WhyGone(StrEnum):
    """Why a booking is gone.

    Attributes:
        DELETED: Its owner deleted it, or the operator did, for example to erase a person's data.
        GRACE_OVER: It was not renewed in its grace.
    """

    DELETED = "deleted"
    GRACE_OVER = "grace_over"


@dataclass(frozen=True, slots=True, kw_only=True)
class CallEnded:
    """An answered call has ended."""

    id: Annotated[str, "The id of the call record."]
    timestamp: Annotated[EpochMs, "When the call came in."]
    duration: Annotated[int, "Charged seconds."]
    source: str
    destination: E164
    booking_id: BookingId
    service: E164
    hung_up_by: Annotated[HungUpBy | None, _HUNG_UP_BY] = None
    hangup_cause: Annotated[int | None, _HANGUP_CAUSE] = None
    direction: Annotated[NotForward | None, _DIRECTION] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpiredCall:
    """A call came in for a booking that is expired and can still be renewed."""

    timestamp: Annotated[EpochMs, "When the call came in."]
    source: str
    destination: E164
    booking_id: BookingId
    message: ExpiredMessage = field(default=EXPIRED_MESSAGE, init=False)
    service: E164
    calls_not_reported: Annotated[
        int | None,
        "Calls to this booking since the last callback of this kind that had no callback of their own. Each has its "
        "call record. Left out if there were none.",
    ] = None
    direction: Annotated[NotForward | None, _DIRECTION] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallStarted:
    """A call was answered. The callback about its end has the same `timestamp`."""

    type: Literal[EventType.CALL_STARTED] = field(default=EventType.CALL_STARTED, init=False)
    timestamp: Annotated[EpochMs, "When the call came in."]
    answered_at: EpochMs
    source: str
    destination: E164
    booking_id: BookingId
    service: E164
    direction: Annotated[NotForward | None, _DIRECTION] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallMissed:
    """A call was put through and ended without an answer."""

    type: Literal[EventType.CALL_MISSED] = field(default=EventType.CALL_MISSED, init=False)
    id: Annotated[str, "The id of the call record."]
    timestamp: Annotated[EpochMs, "When the call came in."]
    disposition: Annotated[Unanswered, "Why, as in the call record."]
    source: str
    destination: E164
    booking_id: BookingId
    service: E164
    sip_code: Annotated[int | None, _SIP_CODE] = None
    hung_up_by: Annotated[HungUpBy | None, _HUNG_UP_BY] = None
    hangup_cause: Annotated[int | None, _HANGUP_CAUSE] = None
    direction: Annotated[NotForward | None, _DIRECTION] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _OfBooking:
    type: EventType = field(init=False)
    timestamp: Annotated[EpochMs, "When it happened."]
    booking_id: BookingId
    service: E164


@dataclass(frozen=True, slots=True, kw_only=True)
class _OfCredit(_OfBooking):
    """The credit has the names and meanings that it has in the API."""

    end_time: Annotated[EpochMs, "When the booking expires at the latest."]
    seconds_remaining: Annotated[int, "Seconds left, without those that live calls hold."]
    seconds_held: Annotated[int, "Seconds that live calls hold."]
    calls_remaining: Annotated[int, "Calls left, without the live calls."]


@dataclass(frozen=True, slots=True, kw_only=True)
class BookingExpiringSoon(_OfCredit):
    """A booking ends soon: within a day, unless the operator has set another time."""

    type: Literal[EventType.BOOKING_EXPIRING_SOON] = field(default=EventType.BOOKING_EXPIRING_SOON, init=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class BookingLowSeconds(_OfCredit):
    """A call has ended, or the operator has changed the credit, and few seconds are left, but at least 1.

    Few means fewer than 60, unless the operator has set another number.
    """

    type: Literal[EventType.BOOKING_LOW_SECONDS] = field(default=EventType.BOOKING_LOW_SECONDS, init=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class BookingExpired(_OfBooking):
    """A booking has expired: its calls are refused until it is renewed."""

    type: Literal[EventType.BOOKING_EXPIRED] = field(default=EventType.BOOKING_EXPIRED, init=False)
    reason: Annotated[WhyExpired, "As in `GET /bookings/{id}/explain`."]
    revivable_until: Annotated[EpochMs, "Until then a `PUT` renews the booking. After that it is gone."]


@dataclass(frozen=True, slots=True, kw_only=True)
class BookingNumberSwapped(_OfBooking):
    """A booking has another rented number. Calls to the previous one do not reach it any more."""

    type: Literal[EventType.BOOKING_NUMBER_SWAPPED] = field(default=EventType.BOOKING_NUMBER_SWAPPED, init=False)
    previous_service: Annotated[E164, "The number that the booking had before."]


@dataclass(frozen=True, slots=True, kw_only=True)
class BookingGone(_OfBooking):
    """A booking is gone for good. Its number will be rented to somebody else."""

    type: Literal[EventType.BOOKING_GONE] = field(default=EventType.BOOKING_GONE, init=False)
    reason: Annotated[
        WhyGone, "`deleted`: by a `DELETE`, or by the operator. `grace_over`: it was not renewed in time."
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """The fields that every callback has after those of its event."""

    sequence: Annotated[int, "1, 2, 3 … for each booking, in the order of the events."]
    metadata: Annotated[Metadata | None, "Your own notes on the booking. Left out if it has none."] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackTest:
    """You have asked for a test event. It is about no booking, and so it has neither `sequence` nor `metadata`."""

    type: Literal["callback.test"] = field(default="callback.test", init=False)
    timestamp: Annotated[EpochMs, "When you asked for it."]
    message: TrialMessage = field(default=TRIAL_MESSAGE, init=False)


Event: TypeAlias = (
    CallEnded
    | ExpiredCall
    | CallStarted
    | CallMissed
    | BookingExpiringSoon
    | BookingLowSeconds
    | BookingExpired
    | BookingNumberSwapped
    | BookingGone
)


class EventField(NamedTuple):
    """One field of an event.

    Attributes:
        name: The name in Python.
        public_name: The name in JSON, in camelCase.
        kind: The type of its value. EpochMs is sent as RFC 3339 text.
        is_optional: Whether the field is left out of the body when its value is None.
        description: What customers read about it; None if the name says it all.
    """

    name: str
    public_name: str
    kind: Any
    is_optional: bool
    description: str | None


def _field(name: str, hint: Any) -> EventField:  # noqa: ANN401  type hints have no common type
    description = None
    if get_origin(hint) is Annotated:
        hint, description = hint.__origin__, hint.__metadata__[0]
    kinds = [kind for kind in get_args(hint) if kind is not NoneType]
    is_optional = NoneType in get_args(hint)
    first, *others = name.split("_")
    public_name = first + "".join(word.capitalize() for word in others)
    return EventField(name, public_name, kinds[0] if is_optional else hint, is_optional, description)


# The fields of each event, in the order in which they are sent. Read once: reading type hints is slow.
FIELDS: Mapping[type, tuple[EventField, ...]] = {
    event: tuple(_field(name, hint) for name, hint in get_type_hints(event, include_extras=True).items())
    for event in (*get_args(Event), CallbackTest, Envelope)
}
