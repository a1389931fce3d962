"""One story in examples: a booking, a call to it, and what is told of both. The answers' are made by their models."""

from typing import Any

from pydantic import BaseModel

from api.booking_schemas import BookingBody, BookingChange, BookingPatch, NewBooking
from api.catalogue import CountryBody, NumbersBody, PlanBody, PlansBody
from api.openapi.callback_bodies import CallEndedBody, ExpiredCallBody
from api.schemas import (
    BlockedCallerBody,
    CdrBody,
    ExplanationBody,
    HealthBody,
    NewBlockedCaller,
    Outgoing,
    Page,
)
from engine.domain.booking import Status
from engine.domain.caller_id import CallerId
from engine.domain.events import EXPIRED_MESSAGE
from engine.domain.explanation import LimitedBy
from engine.domain.plans import UsagePlan
from engine.domain.routing import Disposition, Reason

BOOKING_ID = "bkg_01a206bf7ae277579d190ae0d5b05f1a"
CDR_ID = "cdr_01a206bf8c1d7a1190a6f0f2b7a1c9d3"
CURSOR = "eyJ2ZXJzaW9uIjoxLCJsaXN0IjoiYm9va2luZ3MiLCJhZnRlciI6ImJrZ18wMWEyMDZiZjdhZTI3NzU3OWQxOTBhZTBkNWIwNWYxYSJ9"
HIDDEN = "+32470123456"
SERVICE = "+3225550000"
CALLER = "+14155550123"
CALLBACK = "https://customer.example/calls"
BOOKED_AT = "2026-03-01T12:00:00.000Z"
CALLED_AT = "2026-03-01T12:00:01.000Z"
ENDS_AT = "2026-03-08T12:00:00.000Z"
CALLED_TOO_LATE = "2026-03-09T08:15:00.000Z"

BOOKING = BookingBody(
    id=BOOKING_ID,
    service=SERVICE,
    end_time=ENDS_AT,
    seconds_remaining=1800,
    minutes_remaining=30,
    calls_remaining=25,
    destination=HIDDEN,
    usage_plan=UsagePlan.SMALL,
    status=Status.ACTIVE,
    callback=CALLBACK,
    created_at=BOOKED_AT,
    max_concurrent_calls=5,
    max_calls_per_caller_per_hour=None,
    max_call_seconds=None,
    caller_id=CallerId.CALLER,
    refuse_anonymous=False,
    paused=False,
    label="Order 1871",
    metadata={"order": "1871"},
)
BLOCKED = BlockedCallerBody(caller=CALLER, created_at=BOOKED_AT)
CDR = CdrBody(
    id=CDR_ID,
    timestamp=CALLED_AT,
    duration=12,
    source=CALLER,
    destination=HIDDEN,
    service=SERVICE,
    disposition=Disposition.ANSWERED,
)
EXPLANATION = ExplanationBody(
    booking_id=BOOKING_ID,
    service=SERVICE,
    source=CALLER,
    at=BOOKED_AT,
    put_through=True,
    reason=Reason.PUT_THROUGH,
    message="The call would be put through; answered at once, it could last 895 s.",
    seconds=895,
    limited_by=LimitedBy.SECONDS_LEFT,
    status=Status.ACTIVE,
    end_time=ENDS_AT,
    seconds_remaining=0,
    seconds_held=1790,
    calls_remaining=23,
    calls_held=1,
    caller_calls_last_hour=1,
    max_concurrent_calls=5,
    max_calls_per_caller_per_hour=60,
    max_call_seconds=14400,
)
CALL_ENDED = CallEndedBody(
    id=CDR_ID,
    timestamp=CALLED_AT,
    duration=12,
    source=CALLER,
    destination=HIDDEN,
    booking_id=BOOKING_ID,
    service=SERVICE,
    metadata={"order": "1871"},
)
EXPIRED_CALL = ExpiredCallBody(
    timestamp=CALLED_TOO_LATE,
    source=CALLER,
    destination=HIDDEN,
    booking_id=BOOKING_ID,
    message=EXPIRED_MESSAGE,
    service=SERVICE,
    metadata={"order": "1871"},
)
PLANS = PlansBody(data=[PlanBody(id=UsagePlan.SMALL, seconds=1800, minutes=30, calls=25, days=7)])
NUMBERS = NumbersBody(
    free=37,
    days_left=12,
    countries=[CountryBody(country="BE", free=25), CountryBody(country="FR", free=12)],
)


def _shown(body: Outgoing) -> dict[str, Any]:
    return body.model_dump(mode="json")


EXAMPLES: dict[type[BaseModel], list[dict[str, Any]]] = {
    NewBooking: [
        {"destination": HIDDEN, "usagePlan": "SMALL", "callback": CALLBACK},
        {"destination": HIDDEN, "usagePlan": "SMALL", "callback": CALLBACK, "maxConcurrentCalls": 5},
        {
            "destination": HIDDEN,
            "usagePlan": "SMALL",
            "callback": CALLBACK,
            "country": "BE",
            "label": "Order 1871",
            "metadata": {"order": "1871"},
        },
    ],
    BookingChange: [{"usagePlan": "MEDIUM"}, {"usagePlan": "SMALL", "maxCallSeconds": None, "callback": CALLBACK}],
    BookingPatch: [{"paused": True}, {"label": None, "metadata": {"order": "1871", "desk": "north"}}],
    BookingBody: [_shown(BOOKING)],
    Page[BookingBody]: [_shown(Page(data=[BOOKING], has_more=True, next_cursor=CURSOR))],
    NewBlockedCaller: [{"caller": CALLER}],
    BlockedCallerBody: [_shown(BLOCKED)],
    Page[BlockedCallerBody]: [_shown(Page(data=[BLOCKED], has_more=False, next_cursor=None))],
    CdrBody: [_shown(CDR)],
    Page[CdrBody]: [_shown(Page(data=[CDR], has_more=False, next_cursor=None))],
    ExplanationBody: [_shown(EXPLANATION)],
    PlansBody: [_shown(PLANS)],
    PlanBody: [_shown(plan) for plan in PLANS.data],
    NumbersBody: [_shown(NUMBERS)],
    CountryBody: [_shown(country) for country in NUMBERS.countries],
    HealthBody: [_shown(HealthBody(status="up", parts={"database": "up", "ami": "up", "asterisk": "up"}))],
    CallEndedBody: [_shown(CALL_ENDED)],
    ExpiredCallBody: [_shown(EXPIRED_CALL)],
}
