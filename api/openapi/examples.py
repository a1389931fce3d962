"""One story in examples: a booking, a call to it, and what is told of both. The answers' are made by their models."""

from typing import Any

from pydantic import BaseModel

from api.account import AccountBody, AccountChange
from api.booking_schemas import BookingBody, BookingChange, BookingPatch, NewBooking
from api.callback_schemas import (
    CallbackAttemptBody,
    CallbackBody,
    CallbackDetailBody,
    CallbackRequestBody,
    EndpointBody,
    NewWebhookSecret,
    RedeliveredBody,
    Redelivery,
    WebhookSecretBody,
)
from api.catalogue import CountryBody, NumbersBody, PlanBody, PlansBody
from api.openapi.callback_bodies import (
    BookingExpiredBody,
    BookingExpiringSoonBody,
    BookingGoneBody,
    BookingLowSecondsBody,
    CallEndedBody,
    CallMissedBody,
    CallStartedBody,
    ExpiredCallBody,
)
from api.schemas import (
    BlockedCallerBody,
    CdrBody,
    ExplanationBody,
    HealthBody,
    NewBlockedCaller,
    Outgoing,
    Page,
)
from api.world_bodies import ClockBody, ClockChange, NewSimulatedCall, SimulatedCallBody
from engine.callbacks.attempt import HEADERS
from engine.domain.booking import Status
from engine.domain.caller_id import CallerId
from engine.domain.delivery import CallbackState, WhyDisabled
from engine.domain.events import EXPIRED_MESSAGE, EventType, WhyGone, as_json
from engine.domain.explanation import LimitedBy
from engine.domain.plans import UsagePlan
from engine.domain.routing import Disposition, Reason
from engine.storage.delivery_rows import WebhookSecrets

ACCOUNT_ID = "acc_01a206bf6f0e7c3b8a3f5b6c7d8e9f01"
BOOKING_ID = "bkg_01a206bf7ae277579d190ae0d5b05f1a"
CDR_ID = "cdr_01a206bf8c1d7a1190a6f0f2b7a1c9d3"
CURSOR = "eyJ2ZXJzaW9uIjoxLCJsaXN0IjoiYm9va2luZ3MiLCJhZnRlciI6ImJrZ18wMWEyMDZiZjdhZTI3NzU3OWQxOTBhZTBkNWIwNWYxYSJ9"
HIDDEN = "+32470123456"
SERVICE = "+3225550000"
CALLER = "+14155550123"
CALLBACK = "https://customer.example/calls"
BOOKED_AT = "2026-03-01T12:00:00.000Z"
CALLED_AT = "2026-03-01T12:00:01.000Z"
ANSWERED_AT = "2026-03-01T12:00:08.250Z"
ENDS_AT = "2026-03-08T12:00:00.000Z"
CALLED_TOO_LATE = "2026-03-09T08:15:00.000Z"
GONE_AT = "2026-03-15T12:00:00.000Z"

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
    booking_id=BOOKING_ID,
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
    sequence=1,
    metadata={"order": "1871"},
)
EXPIRED_CALL = ExpiredCallBody(
    timestamp=CALLED_TOO_LATE,
    source=CALLER,
    destination=HIDDEN,
    booking_id=BOOKING_ID,
    message=EXPIRED_MESSAGE,
    service=SERVICE,
    sequence=2,
    metadata={"order": "1871"},
)
CALLBACK_FACTS: dict[str, Any] = {
    "id": "evt_01a206bf8c3e7b4480c7d2b5f1e0a9c3",
    "booking_id": BOOKING_ID,
    "url": CALLBACK,
    "state": CallbackState.DELIVERED,
    "created_at": "2026-03-01T12:00:17.000Z",
    "attempt_count": 2,
    "next_attempt_at": None,
    "finished_at": "2026-03-01T12:00:22.480Z",
    "last_outcome": "HTTP 204",
}
CALLBACK_SENT = CallbackBody(**CALLBACK_FACTS)
CALLBACK_LOG = CallbackDetailBody(
    **CALLBACK_FACTS,
    request=CallbackRequestBody(
        method="POST",
        url=CALLBACK,
        headers=HEADERS | {"webhook-id": CALLBACK_FACTS["id"]},
        body=as_json(CALL_ENDED.model_dump(mode="json")),
    ),
    attempts=[
        CallbackAttemptBody(
            attempt=1,
            began_at="2026-03-01T12:00:17.010Z",
            took_ms=84,
            status=503,
            trouble=None,
            response="upstream is down",
        ),
        CallbackAttemptBody(
            attempt=2, began_at="2026-03-01T12:00:22.410Z", took_ms=70, status=204, trouble=None, response=""
        ),
    ],
)
ENDPOINT = EndpointBody(
    id="cep_01a206bf8c4f7d2290b1e3a5c7d9f0b2",
    url=CALLBACK,
    state="DISABLED",
    failing_since="2026-03-01T12:00:17.094Z",
    disabled_at="2026-03-06T12:00:31.000Z",
    reason=WhyDisabled.FAILING,
)
# Nobody's: that of the standard's own example, and one like it.
SECRETS = WebhookSecretBody.of(
    WebhookSecrets(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_plJ3nmyCDGBKInavdOK15jsl4kmUqwXA", 1_772_452_800_000
    ),
    now=0,
)
PLANS = PlansBody(data=[PlanBody(id=UsagePlan.SMALL, seconds=1800, minutes=30, calls=25, days=7)])
NUMBERS = NumbersBody(
    free=37,
    days_left=12,
    countries=[CountryBody(country="BE", free=25), CountryBody(country="FR", free=12)],
)


SIMULATED = SimulatedCallBody(
    put_through=True, reason=Reason.PUT_THROUGH, sip_status=200, cdr=CDR, booking=BOOKING, now=CALLED_AT
)
# Of a flood of calls.
EXPIRED_CALLS = EXPIRED_CALL.model_copy(update={"calls_not_reported": 990})
ACCOUNT = AccountBody(
    id=ACCOUNT_ID,
    name="Customer Ltd",
    events=[EventType.CALL_MISSED, EventType.BOOKING_EXPIRING_SOON],
    created_at=BOOKED_AT,
    max_bookings=1000,
    bookings_held=1,
)
CALL_STARTED = CallStartedBody(
    type="call.started",
    timestamp=CALLED_AT,
    answered_at=ANSWERED_AT,
    source=CALLER,
    destination=HIDDEN,
    booking_id=BOOKING_ID,
    service=SERVICE,
    sequence=3,
)
CALL_MISSED = CallMissedBody(
    type="call.missed",
    id=CDR_ID,
    timestamp=CALLED_AT,
    disposition=Disposition.NO_ANSWER,
    source=CALLER,
    destination=HIDDEN,
    booking_id=BOOKING_ID,
    service=SERVICE,
    sequence=4,
)
EXPIRING_SOON = BookingExpiringSoonBody(
    type="booking.expiring_soon",
    timestamp="2026-03-07T12:00:04.000Z",
    booking_id=BOOKING_ID,
    service=SERVICE,
    end_time=ENDS_AT,
    seconds_remaining=1788,
    seconds_held=0,
    calls_remaining=24,
    sequence=5,
)
LOW_SECONDS = BookingLowSecondsBody(
    type="booking.low_seconds",
    timestamp="2026-03-05T09:30:00.000Z",
    booking_id=BOOKING_ID,
    service=SERVICE,
    end_time=ENDS_AT,
    seconds_remaining=42,
    seconds_held=0,
    calls_remaining=11,
    sequence=6,
)
BOOKING_EXPIRED = BookingExpiredBody(
    type="booking.expired",
    timestamp=ENDS_AT,
    booking_id=BOOKING_ID,
    service=SERVICE,
    reason=Reason.END_REACHED,
    revivable_until=GONE_AT,
    sequence=7,
)
BOOKING_GONE = BookingGoneBody(
    type="booking.gone",
    timestamp=GONE_AT,
    booking_id=BOOKING_ID,
    service=SERVICE,
    reason=WhyGone.GRACE_OVER,
    sequence=9,
)


def _shown(body: Outgoing) -> dict[str, Any]:
    return body.model_dump(mode="json", exclude_unset=True)


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
    CallbackBody: [_shown(CALLBACK_SENT)],
    Page[CallbackBody]: [_shown(Page(data=[CALLBACK_SENT], has_more=False, next_cursor=None))],
    CallbackDetailBody: [_shown(CALLBACK_LOG)],
    Redelivery: [{"since": "2026-03-01T00:00:00Z"}, {"since": "2026-03-01T00:00:00Z", "state": "DELIVERED"}],
    RedeliveredBody: [_shown(RedeliveredBody(redelivered=200, has_more=True, next_cursor=CURSOR))],
    EndpointBody: [_shown(ENDPOINT)],
    Page[EndpointBody]: [_shown(Page(data=[ENDPOINT], has_more=False, next_cursor=None))],
    NewWebhookSecret: [{"overlapSeconds": 3600}, {}],
    WebhookSecretBody: [_shown(SECRETS)],
    NewSimulatedCall: [
        {"service": SERVICE, "source": CALLER, "outcome": "answered", "seconds": 12},
        {"service": SERVICE, "source": "anonymous", "outcome": "busy"},
    ],
    SimulatedCallBody: [_shown(SIMULATED)],
    ClockChange: [{"advance": 604_800}],
    ClockBody: [_shown(ClockBody(now=ENDS_AT))],
    HealthBody: [_shown(HealthBody(status="up", parts={"database": "up", "ami": "up", "asterisk": "up"}))],
    CallEndedBody: [_shown(CALL_ENDED)],
    ExpiredCallBody: [_shown(EXPIRED_CALL), _shown(EXPIRED_CALLS)],
    CallStartedBody: [_shown(CALL_STARTED)],
    CallMissedBody: [_shown(CALL_MISSED)],
    BookingExpiringSoonBody: [_shown(EXPIRING_SOON)],
    BookingLowSecondsBody: [_shown(LOW_SECONDS)],
    BookingExpiredBody: [_shown(BOOKING_EXPIRED)],
    BookingGoneBody: [_shown(BOOKING_GONE)],
    AccountChange: [{"events": ["call.missed", "booking.expiring_soon"]}, {"events": []}],
    AccountBody: [_shown(ACCOUNT)],
}

# By media type: what is sent as it is made.
STREAMED = {
    "text/csv": f'"{BOOKING_ID}","{CALLER}","{SERVICE}","","{CALLER}","","","","{HIDDEN}","2026-03-01 12:00:01",'
    f'"2026-03-01 12:00:05","2026-03-01 12:00:17",16,12,"ANSWERED","","{CDR_ID}","ANSWERED"\n',
    "application/jsonl": CDR.model_dump_json() + "\n",
}
