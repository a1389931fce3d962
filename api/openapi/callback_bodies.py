"""The schemas of callbacks' bodies, made from the events that `engine.domain.event_kinds` describes."""

from collections.abc import Mapping
from typing import Annotated, Any, get_args

from pydantic import Field, create_model

from api.schemas.common import Outgoing
from api.schemas.fields import (
    BookingIdField,
    CdrIdField,
    Count,
    HangupCause,
    Instant,
    LeftOut,
    PastCaller,
    PastPhone,
    Phone,
    SipCode,
    described,
)
from engine.domain.event_kinds import FIELDS, CallbackTest, Envelope, Event, EventField
from engine.domain.ids import BookingId
from engine.domain.numbers import E164
from engine.domain.times import EpochMs

# How a value looks in JSON: by the field's name where its type does not say enough, else by its type.
BY_NAME: Mapping[str, Any] = {
    "id": CdrIdField,
    "source": PastCaller,
    "destination": PastPhone,
    "sip_code": SipCode,
    "hangup_cause": HangupCause,
    "sequence": Annotated[int, described(minimum=1)],
    "metadata": dict[str, str],
}
OPTIONAL: Any = LeftOut  # mypy takes no type arguments that are known at run time only
BY_TYPE: Mapping[Any, Any] = {EpochMs: Instant, int: Count, E164: Phone, BookingId: BookingIdField}


def _model_of(event: type) -> type[Outgoing]:
    envelope = () if event is CallbackTest else FIELDS[Envelope]
    fields: dict[str, Any] = {each.name: _field_of(each) for each in (*FIELDS[event], *envelope)}
    return create_model(f"{event.__name__}Body", __base__=Outgoing, __doc__=event.__doc__, **fields)


def _field_of(field: EventField) -> tuple[Any, Any]:
    kind = BY_NAME.get(field.name) or BY_TYPE.get(field.kind, field.kind)
    if field.is_optional:
        return OPTIONAL[kind], Field(None, description=field.description)
    return kind, Field(description=field.description)


# The model of each event's body, named after the event.
BODIES: Mapping[type, type[Outgoing]] = {event: _model_of(event) for event in (*get_args(Event), CallbackTest)}
