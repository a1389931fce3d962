"""The bodies of the sandbox's routes."""

from typing import Annotated

from pydantic import AfterValidator, ConfigDict, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from api.schemas.bookings import BookingBody
from api.schemas.cdrs import CdrBody
from api.schemas.common import Incoming, Outgoing
from api.schemas.fields import CALLER, MAX_NUMBER, WHOLE, Instant, Number, SipCode, described
from engine.domain.directions import Direction
from engine.domain.number_plan import is_caller
from engine.domain.numbers import is_e164
from engine.domain.pairs import PIN_DIGITS, PIN_QUESTIONS
from engine.domain.policy import MAX_CALL_SECONDS, Policy
from engine.domain.prompts import Prompt
from engine.domain.rejections import Reason
from engine.domain.simulation import Outcome
from engine.domain.times import rfc3339
from engine.sandbox.simulation import Simulation

MAX_ADVANCE = 366 * 86_400
EnteredPin = Annotated[str, Field(pattern=rf"^[0-9]{{{PIN_DIGITS}}}$")]


def _e164(text: str) -> str:
    if not is_e164(text):
        raise PydanticCustomError("not_e164", "must be an E.164 number, such as +3225551234")
    return text


def _caller(text: str) -> str:
    if not is_caller(text):
        raise PydanticCustomError("no_caller", "must be a telephone number, such as +3225551234, or anonymous")
    return text


class NewSimulatedCall(Incoming):
    """A call to simulate."""

    model_config = ConfigDict(
        json_schema_extra={
            "if": {"properties": {"outcome": {"const": Outcome.ANSWERED.value}}},
            "then": {"required": ["seconds"], "properties": {"seconds": {"type": "integer"}}},
            "else": {"properties": {"seconds": {"type": "null"}}},
        }
    )

    service: Annotated[Number, AfterValidator(_e164)]
    """The rented number to call."""
    source: Annotated[str, Field(min_length=1, max_length=MAX_NUMBER), AfterValidator(_caller), described(CALLER)]
    """The caller's number, or `anonymous` for a caller who withholds it."""
    direction: Annotated[Direction, Field(strict=False)] = Direction.FORWARD
    """`reverse`, `pair`: the carrier asserts `source`. Then the hidden number calls back, if the booking has `reverse`,
    and a participant of a pair reaches the other."""
    outcome: Annotated[Outcome, Field(strict=False)]
    """What happens to the call if it is put through."""
    seconds: Annotated[int, Field(ge=1, le=MAX_CALL_SECONDS), WHOLE] | None = Field(default=None, validate_default=True)
    """How long the call lasts unless a limit ends it earlier. Required with `answered`, refused with other outcomes."""

    key: Annotated[str, Field(pattern=r"^[0-9*#]$")] | None = "1"
    """The telephone key that the callee presses if the booking has `screening`; `null`: none, as voicemail."""
    pins: Annotated[list[EnteredPin], Field(max_length=PIN_QUESTIONS)] = Field(default_factory=list)
    """The PINs that the caller keys in, one for each question for a PIN. When none is left, the caller hangs up."""

    @field_validator("seconds")
    @classmethod
    def _goes_with_answered(cls, seconds: int | None, info: ValidationInfo) -> int | None:
        outcome = info.data.get("outcome")
        if outcome is Outcome.ANSWERED and seconds is None:
            raise PydanticCustomError("seconds_missing", "is required with the outcome answered")
        if outcome not in {None, Outcome.ANSWERED} and seconds is not None:
            raise PydanticCustomError("seconds_unheard", "is allowed with the outcome answered only")
        return seconds


class SimulatedCallBody(Outgoing):
    """The result of a simulated call."""

    put_through: bool
    """Whether the hidden number, or in a reverse call the last caller, would have rung."""
    reason: Reason
    sip_status: SipCode
    """The SIP status that the caller would have received; 200 if the call was answered."""
    prompts_heard: list[Prompt]
    """What the caller would have heard before that status, in the booking's language."""
    cdr: CdrBody | None
    """The call record; `null` if the number is not booked, because such calls are not recorded."""
    booking: BookingBody | None
    """The booking after the call; `null` if the number is not booked."""
    now: Instant
    """When the call ended, by the sandbox's clock."""

    @classmethod
    def of(cls, simulation: Simulation, policy: Policy) -> "SimulatedCallBody":
        """The result of a simulation under `policy`."""
        booking, record = simulation.booking, simulation.record
        return cls(
            put_through=simulation.put_through,
            reason=simulation.reason,
            sip_status=simulation.sip_status,
            prompts_heard=list(simulation.prompts),
            cdr=None if record is None else CdrBody.of(record),
            booking=None if booking is None else BookingBody.of(booking, simulation.now, policy),
            now=rfc3339(simulation.now),
        )


class ClockChange(Incoming):
    """How far to move the sandbox's clock."""

    advance: Annotated[int, Field(ge=1, le=MAX_ADVANCE), WHOLE]
    """The seconds by which to set the clock forward."""


class ClockBody(Outgoing):
    """The sandbox's clock."""

    now: Instant
    """The present time in the sandbox."""
