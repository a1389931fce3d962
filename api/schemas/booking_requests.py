"""Bookings and changes to them, as they come in."""

from collections.abc import Mapping
from itertools import combinations
from typing import Annotated

from pydantic import ConfigDict, Field
from pydantic.config import JsonDict

from api.schemas.common import Conflict, Incoming
from api.schemas.fields import (
    WHOLE,
    Area,
    Callback,
    Destination,
    InstantSent,
    Kept,
    Label,
    Metadata,
    Plan,
    Prefix,
    Service,
    ShownCaller,
    SpokenLanguage,
    WantedCountry,
    WantedScreening,
)
from api.schemas.hours import Hours
from engine.domain.booking import CallerId
from engine.domain.hours import ANY_TIME, WeeklyHours
from engine.domain.number_choice import ANY_COUNTRY, NumberRequest
from engine.domain.numbers import E164
from engine.domain.pairs import Participant, Participants
from engine.domain.policy import (
    MAX_CALL_SECONDS,
    MAX_CALLS_PER_CALLER_PER_HOUR,
    MAX_CONCURRENT_CALLS,
)
from engine.domain.screening import Screening
from engine.domain.times import EpochMs, instant_from

# How a new booking may choose its number. Only an area goes together with another of these, with a country.
WANTED = ("service", "prefix", "country", "area")
EXCLUSIVE = [pair for pair in combinations(WANTED, 2) if pair != ("country", "area")]
# The same in JSON Schema.
EXCLUDED: list[JsonDict] = [{"required": list(pair)} for pair in EXCLUSIVE]
# Whom a new booking reaches: one number, or the two of a pair.
HIDES_NONE: JsonDict = {"not": {"anyOf": [{"required": ["destination"]}, {"required": ["participants"]}]}}
PINS_ALONE: JsonDict = {
    "required": ["pins"],
    "properties": {"pins": {"const": True}},
    "not": {"required": ["participants"]},
}
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
        json_schema_extra={
            "not": {"anyOf": [*EXCLUDED, AREA_OF_ANY, HIDES_NONE, HIDES_THREE, PINS_ALONE, *NOT_OF_PAIRS]}
        }
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
    pins: bool = False
    """With `participants`. `true`: each participant gets a PIN. Callers from other telephones are asked for one, before
    any answer, and reach the other participant. Then no carrier has to assert who calls."""
    accept_former_callers: bool = False
    """`true`: callers who reached a former owner of this rented number within a year reach you as well. Otherwise they
    hear that the number has changed hands, with 404."""
    beep: bool = False
    """`true`: both sides of a call hear a short beep when a minute of it is left."""
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
            if sent.get("pins", False) is not False:
                return Conflict("pins go with participants only")
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
    """Whether callers of the number's former owner get through from now on."""
    beep: Kept[bool] = None
    """Whether both sides hear a beep when a minute is left. Concerns calls that come in from now on."""
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
