"""What the routes of test worlds take and answer."""

from typing import Annotated

from pydantic import AfterValidator, ConfigDict, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from api.schemas.bookings import BookingBody
from api.schemas.common import CdrBody, Incoming, Outgoing
from api.schemas.fields import CALLER, MAX_NUMBER, WHOLE, Instant, Number, told
from engine.domain.numbers import is_caller, is_e164
from engine.domain.policy import MAX_CALL_SECONDS, Policy
from engine.domain.routing import Reason
from engine.domain.simulation import Outcome
from engine.domain.times import rfc3339
from engine.sandbox.simulation import Simulation

MAX_ADVANCE = 366 * 86_400


def _e164(text: str) -> str:
    if not is_e164(text):
        raise PydanticCustomError("not_e164", "must be an E.164 number, such as +3225551234")
    return text


def _caller(text: str) -> str:
    if not is_caller(text):
        raise PydanticCustomError("no_caller", "must be a telephone number, such as +3225551234, or anonymous")
    return text


class NewSimulatedCall(Incoming):
    model_config = ConfigDict(
        json_schema_extra={
            "if": {"properties": {"outcome": {"const": Outcome.ANSWERED.value}}},
            "then": {"required": ["seconds"], "properties": {"seconds": {"type": "integer"}}},
            "else": {"properties": {"seconds": {"type": "null"}}},
        }
    )

    service: Annotated[Number, AfterValidator(_e164)]
    """The rented number that is called."""
    source: Annotated[str, Field(min_length=1, max_length=MAX_NUMBER), AfterValidator(_caller), told(CALLER)]
    """The caller's number, or `anonymous`: a caller who withholds it."""
    outcome: Annotated[Outcome, Field(strict=False)]
    """What becomes of the call, if it is put through."""
    seconds: Annotated[int, Field(ge=1, le=MAX_CALL_SECONDS), WHOLE] | None = Field(default=None, validate_default=True)
    """How long they talk, if nothing cuts the call. With `answered`, and with no other outcome."""

    @field_validator("seconds")
    @classmethod
    def _goes_with_answered(cls, seconds: int | None, info: ValidationInfo) -> int | None:
        outcome = info.data.get("outcome")
        if outcome is Outcome.ANSWERED and seconds is None:
            raise PydanticCustomError("seconds_missing", "must be given with the outcome answered")
        if outcome not in {None, Outcome.ANSWERED} and seconds is not None:
            raise PydanticCustomError("seconds_unheard", "may be given with the outcome answered only")
        return seconds


class SimulatedCallBody(Outgoing):
    put_through: bool
    """Whether the hidden number would have rung."""
    reason: Reason
    sip_status: Annotated[int, told(minimum=200, maximum=699)]
    """What the caller's telephone would have been told: 200 where the call was answered."""
    cdr: CdrBody | None
    """The call record; `null` where nobody holds the number: nothing is recorded of such a call."""
    booking: BookingBody | None
    """After the call; `null` where nobody holds the number."""
    now: Instant
    """When the call was over, by the test world's clock."""

    @classmethod
    def of(cls, simulation: Simulation, policy: Policy) -> "SimulatedCallBody":
        booking, record = simulation.booking, simulation.record
        return cls(
            put_through=simulation.put_through,
            reason=simulation.reason,
            sip_status=simulation.sip_status,
            cdr=None if record is None else CdrBody.of(record),
            booking=None if booking is None else BookingBody.of(booking, simulation.now, policy),
            now=rfc3339(simulation.now),
        )


class ClockChange(Incoming):
    advance: Annotated[int, Field(ge=1, le=MAX_ADVANCE), WHOLE]
    """By how many seconds the clock is set forward."""


class ClockBody(Outgoing):
    now: Instant
    """What the test world's clock says."""
