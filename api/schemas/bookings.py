"""Bookings as they go out, and their blocked callers."""

import re
from typing import Annotated

from pydantic import Field

from api.schemas.common import Incoming, Outgoing, Page
from api.schemas.fields import (
    BookingIdField,
    CallerToBlock,
    Count,
    Instant,
    Phone,
    UrlOrNone,
    described,
)
from api.schemas.hours import Hours
from engine.domain.booking import Booking, BookingStatus, CallerId, status_at
from engine.domain.number_plan import national_spelling, tel_link
from engine.domain.pairs import PIN_DIGITS, Participant
from engine.domain.policy import (
    Policy,
    UsagePlan,
)
from engine.domain.prompts import Language
from engine.domain.screening import Screening
from engine.domain.times import EpochMs, rfc3339
from engine.storage.blocked_callers import BlockedCaller


class ParticipantBody(Outgoing):
    """One of the two people of a pair."""

    number: Phone
    """The hidden number."""
    label: str | None
    pin: Annotated[str, Field(pattern=rf"^[0-9]{{{PIN_DIGITS}}}$")] | None
    """With this PIN, a caller from any telephone stands for this person. `null` without `pins`. Another number means
    another PIN."""

    @classmethod
    def of(cls, participant: Participant) -> "ParticipantBody":
        """The participant."""
        return cls(number=participant.number, label=participant.label or None, pin=participant.pin)


class BookingBody(Outgoing):
    """A booking."""

    id: BookingIdField
    service: Phone
    """The rented number. Calls to it reach `destination`, or those of a participant the other one."""
    service_national: str
    """`service` as people of its country write it."""
    service_link: Annotated[str, described(re.compile(r"tel:\+[1-9][0-9]{6,14}"), format="uri")]
    """A link that dials `service`. `GET /bookings/{id}/qr` has it as a QR code."""
    start_time: Instant
    """When the booking begins, or began, to take calls: `createdAt` unless it was booked for later."""
    end_time: Instant
    """When the booking expires at the latest. It does not change if the credit is used up earlier."""
    seconds_remaining: Count
    """Seconds left, without those that live calls hold. What a call does not use comes back when it ends."""
    minutes_remaining: Count
    """Whole minutes of `secondsRemaining`."""
    calls_remaining: Count
    """Calls left, without the live calls."""
    destination: Phone | None
    """The hidden number. `null` if two are hidden."""
    participants: Annotated[list[ParticipantBody], Field(min_length=2, max_length=2)] | None
    """The two people of a pair, who reach each other. `null` if it is no pair."""
    usage_plan: UsagePlan
    """The plan of the last booking or renewal."""
    status: BookingStatus
    """`EXPIRED`: calls are refused; a `PUT` still renews the booking."""
    callback: UrlOrNone
    """The URL that receives callbacks. Empty: there is none, as for a session of Twilio Proxy's API that names none."""
    created_at: Instant
    max_concurrent_calls: Count | None
    """The booking's own limit. `null`: the operator's limit applies."""
    max_calls_per_caller_per_hour: Count | None
    """The booking's own limit. `null`: the operator's limit applies."""
    max_call_seconds: Count | None
    """The booking's own limit. `null`: the operator's limit applies."""
    caller_id: CallerId
    """What the destination sees as the caller's number."""
    refuse_anonymous: bool
    """Whether callers who withhold their number are refused."""
    paused: bool
    """Whether calls are refused for now. This does not change `status`."""
    hours: Hours | None
    """The times of the week at which it takes calls. `null`: at any time."""
    label: str | None
    metadata: dict[str, str]
    language: Language
    """The language of what is spoken in the booking's calls, if the operator has switched that on."""
    whisper: bool
    """Whether the hidden number's side hears, before the two are connected, that the call comes through its rented
    number."""
    screening: Screening
    """What the hidden number's side must do before the two are connected. Nothing is charged until then."""
    reverse: bool
    """Whether the hidden number may call the rented number, and reaches who called last."""
    greeting: bool
    """Whether the caller hears a greeting while the hidden number rings."""
    accept_former_callers: bool
    """Whether callers get through who reached a former owner of the rented number within a year."""
    beep: bool
    """Whether both sides of a call hear a beep when a minute of it is left."""

    @classmethod
    def of(cls, booking: Booking, now: EpochMs, policy: Policy) -> "BookingBody":
        """The booking as it is at `now`."""
        return cls(
            id=booking.id,
            service=booking.service,
            service_national=national_spelling(booking.service),
            service_link=tel_link(booking.service),
            start_time=rfc3339(booking.begins_at),
            end_time=rfc3339(booking.end_at),
            seconds_remaining=booking.seconds.remaining,
            minutes_remaining=booking.seconds.remaining // 60,
            calls_remaining=booking.calls.remaining,
            destination=None if booking.is_pair else booking.destination,
            participants=booking.participants and [ParticipantBody.of(each) for each in booking.participants],
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
            hours=None if booking.hours is None else Hours.of(booking.hours),
            label=booking.label or None,
            metadata=dict(booking.metadata),
            language=booking.language or policy.language,
            whisper=booking.whisper,
            screening=booking.screening,
            reverse=booking.reverse,
            greeting=booking.greeting,
            accept_former_callers=booking.accept_former_callers,
            beep=booking.beep,
        )


BookingPage = Page[BookingBody]


class NewBlockedCaller(Incoming):
    """A caller to block."""

    caller: CallerToBlock
    """The caller to refuse from now on: an E.164 number."""


class BlockedCallerBody(Outgoing):
    """A caller whose calls to the booking are refused."""

    caller: Phone
    created_at: Instant

    @classmethod
    def of(cls, blocked: BlockedCaller) -> "BlockedCallerBody":
        """The entry of a booking's list."""
        return cls(caller=blocked.caller, created_at=rfc3339(blocked.created_at))


BlockedCallerPage = Page[BlockedCallerBody]
