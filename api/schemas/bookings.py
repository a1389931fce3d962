"""Bookings and their blocked callers, as they come in and go out."""

import re
from collections.abc import Mapping
from itertools import combinations
from typing import Annotated

from pydantic import ConfigDict, Field
from pydantic.config import JsonDict

from api.schemas.common import Conflict, Incoming, Outgoing, Page
from api.schemas.fields import (
    WHOLE,
    Area,
    BookingIdField,
    Callback,
    CallerToBlock,
    Count,
    Destination,
    Instant,
    InstantSent,
    Kept,
    Label,
    Metadata,
    Phone,
    Plan,
    Prefix,
    Service,
    ShownCaller,
    SpokenLanguage,
    UrlOrNone,
    WantedCountry,
    WantedScreening,
    described,
)
from api.schemas.hours import Hours
from engine.domain.booking import Booking, BookingStatus, CallerId, status_at
from engine.domain.hours import ANY_TIME, WeeklyHours
from engine.domain.number_choice import ANY_COUNTRY, NumberRequest
from engine.domain.number_plan import national_spelling, tel_link
from engine.domain.numbers import E164
from engine.domain.pairs import Participant, Participants
from engine.domain.policy import (
    MAX_CALL_SECONDS,
    MAX_CALLS_PER_CALLER_PER_HOUR,
    MAX_CONCURRENT_CALLS,
    Policy,
    UsagePlan,
)
from engine.domain.prompts import Language
from engine.domain.screening import Screening
from engine.domain.times import EpochMs, instant_from, rfc3339
from engine.storage.blocked_callers import BlockedCaller

# How a new booking may choose its number. Only an area goes together with another of these, with a country.
WANTED = ("service", "prefix", "country", "area")
EXCLUSIVE = [pair for pair in combinations(WANTED, 2) if pair != ("country", "area")]
# The same in JSON Schema.
EXCLUDED: list[JsonDict] = [{"required": list(pair)} for pair in EXCLUSIVE]
# Whom a new booking reaches: one number, or the two of a pair.
HIDES_NONE: JsonDict = {"not": {"anyOf": [{"required": ["destination"]}, {"required": ["participants"]}]}}
HIDES_THREE: JsonDict = {"required": ["destination", "participants"]}
NOT_OF_PAIRS: list[JsonDict] = [
    {"required": ["participants", "reverse"], "properties": {"reverse": {"const": True}}},
    {
        "required": ["participants", "callerId"],
        "properties": {"callerId": {"enum": [CallerId.CALLER.value, CallerId.ANONYMOUS.value]}},
    },
]
AREA_OF_ANY: JsonDict = {"required": ["area", "country"], "properties": {"country": {"const": ANY_COUNTRY}}}


class LimitFields(Incoming):
    """The limits that a booking can set for itself."""

    max_concurrent_calls: Annotated[int, Field(ge=1, le=MAX_CONCURRENT_CALLS), WHOLE] | None = None
    """How many calls may be live at once, ringing ones included. `null`: the operator's limit applies."""
    max_calls_per_caller_per_hour: Annotated[int, Field(ge=1, le=MAX_CALLS_PER_CALLER_PER_HOUR), WHOLE] | None = None
    """How many calls of a caller are put through in an hour, answered or not. `null`: the operator's limit applies."""
    max_call_seconds: Annotated[int, Field(ge=1, le=MAX_CALL_SECONDS), WHOLE] | None = None
    """The seconds that a call may last. More than the operator's limit has no effect; `null`: that limit applies."""

    def limits_sent(self) -> dict[str, int | None]:
        """The limits that the body has, also as `null`; named as in `BookingLimits`."""
        return self.model_dump(include=set(LimitFields.model_fields), exclude_unset=True)


class NumberWish(Incoming):
    """Which number to take. Without any of these it is one of the destination's country, if one is free."""

    model_config = ConfigDict(json_schema_extra={"not": {"anyOf": [*EXCLUDED, AREA_OF_ANY]}})

    service: Kept[Service] = None
    """The rented number to take. If it is not free, the request is refused."""
    prefix: Kept[Prefix] = None
    """The first digits of the rented number. Send at most one of `service`, `prefix` and `country`."""
    country: Kept[WantedCountry] = None
    """The country of the rented number (ISO 3166). `any`: of whatever country."""
    area: Kept[Area] = None
    """The digits after the country code of the rented number, as in `2` for +32 2. It is a number of `country`, or else
    of the destination's country."""

    @classmethod
    def conflict_in(cls, sent: Mapping[str, object]) -> Conflict | None:
        """Refuses a body that chooses its number in ways that exclude each other."""
        chosen = {name for name in WANTED if sent.get(name) is not None}
        if any(chosen.issuperset(pair) for pair in EXCLUSIVE):
            return Conflict(
                "at most one of service, prefix and country can be given, and area only with country or alone"
            )
        if "area" in chosen and sent.get("country") == ANY_COUNTRY:
            return Conflict("area belongs to one country, not to any")
        return None

    @property
    def wanted(self) -> NumberRequest:
        """Which number to take."""
        service = None if self.service is None else E164(self.service)
        return NumberRequest(service, self.prefix, self.country, self.area)


class NewParticipant(Incoming):
    """One of the two people of a pair."""

    number: Destination
    """The number to hide, as `destination` of other bookings."""
    label: Label | None = None
    """Your name for this person."""


class NewBooking(NumberWish, LimitFields):
    """A number to book, for one hidden number (`destination`) or for a pair (`participants`)."""

    model_config = ConfigDict(
        json_schema_extra={"not": {"anyOf": [*EXCLUDED, AREA_OF_ANY, HIDES_NONE, HIDES_THREE, *NOT_OF_PAIRS]}}
    )

    destination: Kept[Destination] = None
    """The number to hide: an E.164 number that exists, that may be called, and that is not a rented number."""
    participants: Kept[Annotated[list[NewParticipant], Field(min_length=2, max_length=2)]] = None
    """Two people who reach each other, in place of `destination`: each calls the rented number from the own number, as
    the carrier asserts it, and the other's telephone rings and shows the rented number. Many pairs may share one rented
    number. `callerId` is `service` then, and `reverse` is not needed."""
    usage_plan: Plan
    callback: Callback
    """The URL that receives callbacks: `https`, with a public host, without user name and fragment."""
    caller_id: ShownCaller = CallerId.CALLER
    """What the destination sees as the caller's number: the caller's own, the rented number, or none."""
    refuse_anonymous: bool = False
    """`true`: callers who withhold their number are refused."""
    paused: bool = False
    """`true`: calls are refused until it is `false` again. The booking's time goes on."""
    label: Label | None = None
    """A name for people."""
    metadata: Metadata = Field(default_factory=dict)
    """Your own notes. Callbacks repeat them."""
    language: Kept[SpokenLanguage] = None
    """The language of what is spoken in the booking's calls. Without it, the operator's language."""
    whisper: bool = False
    """`true`: before the two are connected, the hidden number's side hears that the call comes through its rented
    number. The caller hears ringing meanwhile, and nothing is charged."""
    screening: WantedScreening = Screening.NONE
    """`press1`: the hidden number's side must press 1 before the two are connected. A voicemail box cannot, so it gets
    no call and costs nothing: seconds count from the key on."""
    hours: Kept[Hours] = None
    """The times of the week at which it takes calls. Without it: at any time."""
    reverse: bool = False
    """`true`: the hidden number may call the rented number, and reaches who called last, who sees the rented number."""
    greeting: bool = False
    """`true`: while the hidden number rings, the caller hears a greeting in place of a ringing tone, free of charge."""
    accept_former_callers: bool = False
    """`true`: whoever reached this rented number within a year when somebody else had it reaches you as well. Otherwise
    such callers hear that the number has changed hands, with 404."""
    start_time: Kept[InstantSent] = None
    """When the booking begins: its plan's days count from then, and calls before are refused. It holds its number from
    now on. At most a year ahead; a time that has passed means now."""

    def start_sent(self) -> EpochMs | None:
        """When the booking begins; None if the body has no start."""
        return None if self.start_time is None else instant_from(self.start_time)

    @classmethod
    def conflict_in(cls, sent: Mapping[str, object]) -> Conflict | None:
        """Refuses a body without anybody to reach, and one of a pair with what pairs do not have."""
        if conflict := super().conflict_in(sent):
            return conflict
        if "participants" not in sent:
            return (
                None
                if "destination" in sent
                else Conflict("Field required, unless participants are given", "destination")
            )
        if "destination" in sent:
            return Conflict("either destination or participants can be given")
        if sent.get("callerId", CallerId.SERVICE) != CallerId.SERVICE or sent.get("reverse", False) is not False:
            return Conflict("with participants, callerId can only be service, and reverse only false")
        return Conflict("the two participants have the same number") if _are_equal(sent["participants"]) else None

    @property
    def pair(self) -> Participants | None:
        """The two participants; None if the booking hides one number."""
        if self.participants is None:
            return None
        first, second = (Participant(E164(each.number), each.label or "") for each in self.participants)
        return first, second


def _are_equal(participants: object) -> bool:
    """Returns whether both have the same number, in a body that may be wrong."""
    match participants:
        case [{"number": first}, {"number": second}]:
            return bool(first == second)
        case _:
            return False


class BookingPatchBody(LimitFields):
    """Fields that are left out stay. `null` removes a limit, the hours or the label, and is refused elsewhere."""

    destination: Kept[Destination] = None
    """The number to hide from now on."""
    callback: Kept[Callback] = None
    """The URL that receives callbacks from now on."""
    caller_id: Kept[ShownCaller] = None
    """What the destination sees as the caller's number in calls from now on."""
    refuse_anonymous: Kept[bool] = None
    """Whether callers who withhold their number are refused from now on."""
    paused: Kept[bool] = None
    """Whether calls are refused from now on. Live calls go on."""
    label: Label | None = None
    """A name for people."""
    metadata: Kept[Metadata] = None
    """Your own notes. They replace all earlier ones."""
    language: Kept[SpokenLanguage] = None
    """The language of what is spoken in the booking's calls from now on."""
    whisper: Kept[bool] = None
    """Whether the hidden number's side hears from now on that a call comes through its rented number."""
    screening: Kept[WantedScreening] = None
    """What the hidden number's side must do from now on before the two are connected."""
    hours: Hours | None = None
    """The times of the week at which it takes calls from now on. Live calls go on."""
    reverse: Kept[bool] = None
    """Whether the hidden number may call back from now on."""
    greeting: Kept[bool] = None
    """Whether the caller hears from now on a greeting while the hidden number rings."""
    accept_former_callers: Kept[bool] = None
    """Whether callers get through from now on who reached the rented number when somebody else had it."""
    start_time: Kept[InstantSent] = None
    """When the booking begins. Its `endTime` moves along, so that its days stay. Only until it has begun."""

    def label_sent(self) -> str | None:
        """The label; None if the body has none, empty if it removes the label, as `BookingPatch` has it."""
        return (self.label or "") if "label" in self.model_fields_set else None

    def start_sent(self) -> EpochMs | None:
        """When the booking begins; None if the body has no start."""
        return None if self.start_time is None else instant_from(self.start_time)

    def hours_sent(self) -> WeeklyHours | None:
        """The hours; None if the body has none, ANY_TIME if it removes them, as `BookingPatch` has it."""
        if "hours" not in self.model_fields_set:
            return None
        return ANY_TIME if self.hours is None else self.hours.weekly()


class BookingChange(BookingPatchBody):
    """Fields that are left out stay. `null` removes a limit, the hours or the label, and is refused elsewhere."""

    usage_plan: Plan
    """The plan whose seconds, calls and days are added."""


class ParticipantBody(Outgoing):
    """One of the two people of a pair."""

    number: Phone
    """The hidden number."""
    label: str | None

    @classmethod
    def of(cls, participant: Participant) -> "ParticipantBody":
        """The participant."""
        return cls(number=participant.number, label=participant.label or None)


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
    """Whether callers get through who reached the rented number within a year when somebody else had it."""

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
