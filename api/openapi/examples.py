"""Examples of all bodies. They are about one booking and its calls. The models of the answers make the JSON."""

from typing import Any

from pydantic import BaseModel

from api.openapi import callback_examples as story
from api.openapi.callback_bodies import BODIES
from api.openapi.callback_examples import (
    ACCOUNT_ID,
    BOOKING_ID,
    CALLBACK,
    CALLBACK_TEST,
    CALLBACKS,
    CALLER,
    CDR_ID,
    HIDDEN,
    SERVICE,
)
from api.openapi.delivery_examples import CALLBACK_LOG, CALLBACK_SENT, CALLED_AT, TRACE
from api.resources.account import AccountBody, AccountChange
from api.resources.catalogue import CountryBody, NumbersBody, PlanBody, PlansBody
from api.resources.health import HealthBody
from api.resources.portal_links import NewPortalLink, PortalLinkBody
from api.resources.usage import CostBody, UsageBody, UsageLineBody
from api.schemas.booking_requests import (
    BookingChange,
    BookingPatchBody,
    NewBooking,
    NewParticipant,
    NumberWish,
)
from api.schemas.bookings import (
    BlockedCallerBody,
    BlockedCallerPage,
    BookingBody,
    BookingPage,
    NewBlockedCaller,
    ParticipantBody,
)
from api.schemas.callbacks import (
    CallbackBody,
    CallbackDetailBody,
    CallbackPage,
    EndpointBody,
    EndpointPage,
    NewTestEvent,
    NewWebhookSecret,
    RedeliveredBody,
    Redelivery,
    WebhookSecretBody,
)
from api.schemas.cdrs import CdrBody, CdrPage
from api.schemas.common import Outgoing, Page
from api.schemas.explanations import ExplanationBody
from api.schemas.hours import Hours, OpenTime
from api.schemas.sandbox import ClockBody, ClockChange, NewSimulatedCall, SimulatedCallBody
from api.schemas.traces import TraceBody
from engine.domain.account_state import AccountState
from engine.domain.booking import BookingStatus, CallerId
from engine.domain.call_ends import HungUpBy
from engine.domain.directions import Direction
from engine.domain.dispositions import Disposition
from engine.domain.event_kinds import CallbackTest
from engine.domain.explanation import LimitedBy
from engine.domain.hours import hours_as_json, hours_from_text
from engine.domain.notifications import EventType
from engine.domain.number_plan import national_spelling, tel_link
from engine.domain.policy import UsagePlan
from engine.domain.prompts import Language
from engine.domain.rejections import Reason
from engine.domain.retry import WhyDisabled
from engine.domain.screening import Screening
from engine.domain.times import EpochMs, rfc3339
from engine.domain.web_access import Scope
from engine.storage.webhook_secrets import SigningSecrets

CURSOR = "eyJ2ZXJzaW9uIjoxLCJsaXN0IjoiYm9va2luZ3MiLCJhZnRlciI6ImJrZ18wMWEyMDZiZjdhZTI3NzU3OWQxOTBhZTBkNWIwNWYxYSJ9"
PARTS = ("database", "ami", "asterisk")

BOOKED_AT = rfc3339(story.BOOKED_AT)
ENDS_AT = rfc3339(story.BOOKING.end_at)
OPEN = hours_from_text("Europe/Brussels", ["mon-fri 09:00-17:30", "sat 10:00-12:00"])


def shown(body: Outgoing) -> dict[str, Any]:
    """The JSON of an answer."""
    return body.model_dump(mode="json", exclude_unset=True)


BOOKING = BookingBody(
    id=BOOKING_ID,
    service=SERVICE,
    service_national=national_spelling(SERVICE),
    service_link=tel_link(SERVICE),
    start_time=BOOKED_AT,
    end_time=ENDS_AT,
    seconds_remaining=1800,
    minutes_remaining=30,
    calls_remaining=25,
    destination=HIDDEN,
    participants=None,
    usage_plan=UsagePlan.SMALL,
    status=BookingStatus.ACTIVE,
    callback=CALLBACK,
    created_at=BOOKED_AT,
    max_concurrent_calls=5,
    max_calls_per_caller_per_hour=None,
    max_call_seconds=None,
    caller_id=CallerId.CALLER,
    refuse_anonymous=False,
    paused=False,
    hours=None,
    label="Order 1871",
    metadata={"order": "1871"},
    language=Language.EN,
    whisper=False,
    screening=Screening.NONE,
    reverse=False,
    greeting=False,
    accept_former_callers=False,
    beep=False,
)
PARTICIPANTS = [
    ParticipantBody(number=HIDDEN, label="Courier", pin="40718352"),
    ParticipantBody(number=CALLER, label=None, pin="93365107"),
]
PAIR = BOOKING.model_copy(
    update={"destination": None, "participants": PARTICIPANTS, "caller_id": CallerId.SERVICE, "label": None}
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
    hung_up_by=HungUpBy.CALLER,
    sip_code=200,
    hangup_cause=16,
    further_calls=0,
    direction=Direction.FORWARD,
)
EXPLANATION = ExplanationBody(
    booking_id=BOOKING_ID,
    service=SERVICE,
    source=CALLER,
    direction=Direction.FORWARD,
    at=BOOKED_AT,
    put_through=True,
    reason=Reason.PUT_THROUGH,
    message="The call would be put through; answered at once, it could last 895 s.",
    seconds=895,
    limited_by=LimitedBy.SECONDS_LEFT,
    status=BookingStatus.ACTIVE,
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
ENDPOINT = EndpointBody(
    id="cep_01a206bf8c4f7d2290b1e3a5c7d9f0b2",
    url=CALLBACK,
    state="DISABLED",
    failing_since="2026-03-01T12:00:17.094Z",
    disabled_at="2026-03-06T12:00:31.000Z",
    reason=WhyDisabled.FAILING,
)
# Not real secrets: the example of the Standard Webhooks specification, and a similar one.
SECRETS = WebhookSecretBody.of(
    SigningSecrets(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_plJ3nmyCDGBKInavdOK15jsl4kmUqwXA", 1_772_452_800_000
    ),
    now=EpochMs(0),
)
PLANS = PlansBody(
    data=[PlanBody(id=UsagePlan.SMALL, seconds=1800, minutes=30, calls=25, days=7, price=990, currency="EUR")]
)
NUMBERS = NumbersBody(
    free=37,
    in_quarantine=5,
    days_left=12,
    countries=[CountryBody(country="BE", free=25), CountryBody(country="FR", free=12)],
)


USAGE = UsageBody(
    since=BOOKED_AT,
    until=ENDS_AT,
    answered=3,
    missed=1,
    refused=0,
    seconds=96,
    cost=[CostBody(amount=990, currency="EUR")],
    data=[
        UsageLineBody(
            day="2026-03-01",
            booking_id=BOOKING_ID,
            service=SERVICE,
            answered=1,
            missed=0,
            refused=0,
            seconds=12,
            cost=[CostBody(amount=990, currency="EUR")],
        ),
        UsageLineBody(
            day="2026-03-02",
            booking_id=BOOKING_ID,
            service=SERVICE,
            answered=2,
            missed=1,
            refused=0,
            seconds=84,
            cost=[],
        ),
    ],
)
PORTAL_LINK = PortalLinkBody(
    url=f"https://numbers.example/portal/sign-in?account={ACCOUNT_ID}#5Vv3bZ0YxJ8m2rQnW4tLkS7dPqXc1uHgEaTfNoRiMyB",
    scope=Scope.FULL,
    use_before="2026-03-01T12:10:00.000Z",
    session_ends_at="2026-03-01T13:00:00.000Z",
)
SIMULATED = SimulatedCallBody(
    put_through=True,
    reason=Reason.PUT_THROUGH,
    sip_status=200,
    prompts_heard=[],
    cdr=CDR,
    booking=BOOKING,
    now=CALLED_AT,
)
ACCOUNT = AccountBody(
    id=ACCOUNT_ID,
    name="Customer Ltd",
    state=AccountState.ACTIVE,
    suspended_at=None,
    events=[EventType.CALL_MISSED, EventType.BOOKING_EXPIRING_SOON],
    frame_origin="https://www.customer.example",
    created_at=BOOKED_AT,
    max_bookings=1000,
    bookings_held=1,
    numbers_in_quarantine=3,
    max_new_bookings_a_day=200,
    new_bookings_last_day=2,
    max_calls_at_once=100,
    calls_up=1,
)
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
        {"destination": HIDDEN, "usagePlan": "SMALL", "callback": CALLBACK, "country": "BE", "area": "2"},
        {"destination": HIDDEN, "usagePlan": "SMALL", "callback": CALLBACK, "country": "any"},
        {
            "destination": HIDDEN,
            "usagePlan": "SMALL",
            "callback": CALLBACK,
            "startTime": "2026-06-01T08:00:00+02:00",
        },
        {
            "participants": [{"number": HIDDEN, "label": "Courier"}, {"number": CALLER}],
            "usagePlan": "SMALL",
            "callback": CALLBACK,
            "pins": True,
        },
    ],
    NewParticipant: [{"number": HIDDEN, "label": "Courier"}, {"number": CALLER}],
    NumberWish: [{}, {"country": "BE", "area": "2"}, {"service": story.SWAPPED}],
    BookingChange: [{"usagePlan": "MEDIUM"}, {"usagePlan": "SMALL", "maxCallSeconds": None, "callback": CALLBACK}],
    Hours: [hours_as_json(OPEN)],
    OpenTime: hours_as_json(OPEN)["open"],
    BookingPatchBody: [
        {"paused": True},
        {"hours": hours_as_json(OPEN)},
        {"hours": None},
        {"label": None, "metadata": {"order": "1871", "desk": "north"}},
    ],
    BookingBody: [shown(BOOKING), shown(PAIR)],
    ParticipantBody: [shown(each) for each in PARTICIPANTS],
    BookingPage: [shown(Page(data=[BOOKING], has_more=True, next_cursor=CURSOR))],
    NewBlockedCaller: [{"caller": CALLER}],
    BlockedCallerBody: [shown(BLOCKED)],
    BlockedCallerPage: [shown(Page(data=[BLOCKED], has_more=False, next_cursor=None))],
    CdrBody: [shown(CDR)],
    TraceBody: [shown(TRACE)],
    CdrPage: [shown(Page(data=[CDR], has_more=False, next_cursor=None))],
    ExplanationBody: [shown(EXPLANATION)],
    NewPortalLink: [{"scope": "full"}, {"scope": "read", "sessionSeconds": 900}],
    PortalLinkBody: [shown(PORTAL_LINK)],
    UsageBody: [shown(USAGE)],
    UsageLineBody: [shown(line) for line in USAGE.data],
    CostBody: [shown(line) for line in USAGE.cost],
    PlansBody: [shown(PLANS)],
    PlanBody: [shown(plan) for plan in PLANS.data],
    NumbersBody: [shown(NUMBERS)],
    CountryBody: [shown(country) for country in NUMBERS.countries],
    CallbackBody: [shown(CALLBACK_SENT)],
    CallbackPage: [shown(Page(data=[CALLBACK_SENT], has_more=False, next_cursor=None))],
    CallbackDetailBody: [shown(CALLBACK_LOG)],
    NewTestEvent: [{"url": CALLBACK}],
    Redelivery: [{"from": "2026-03-01T00:00:00Z"}, {"from": "2026-03-01T00:00:00Z", "state": "DELIVERED"}],
    RedeliveredBody: [shown(RedeliveredBody(redelivered=200, has_more=True, next_cursor=CURSOR))],
    EndpointBody: [shown(ENDPOINT)],
    EndpointPage: [shown(Page(data=[ENDPOINT], has_more=False, next_cursor=None))],
    NewWebhookSecret: [{"overlapSeconds": 3600}, {}],
    WebhookSecretBody: [shown(SECRETS)],
    NewSimulatedCall: [
        {"service": SERVICE, "source": CALLER, "outcome": "answered", "seconds": 12},
        {"service": SERVICE, "source": "anonymous", "outcome": "busy"},
        {"service": SERVICE, "source": HIDDEN, "direction": "reverse", "outcome": "no-answer"},
    ],
    SimulatedCallBody: [shown(SIMULATED)],
    ClockChange: [{"advance": 604_800}],
    ClockBody: [shown(ClockBody(now=ENDS_AT))],
    HealthBody: [
        shown(
            HealthBody(
                status="up",
                parts={"engine": "up", "database": "up", "ami": "up", "asterisk": "up"},
                last_commit="2026-03-01T12:00:01.250Z",
                trunks={"main": "up"},
            )
        )
    ],
    AccountChange: [
        {"events": ["call.missed", "booking.expiring_soon"]},
        {"events": [], "frameOrigin": "https://www.customer.example"},
    ],
    AccountBody: [shown(ACCOUNT)],
    BODIES[CallbackTest]: [CALLBACK_TEST],
    **CALLBACKS,
}

# Examples of streamed answers, by media type.
STREAMED = {
    "text/csv": f'"{BOOKING_ID}","{CALLER}","{SERVICE}","","{CALLER}","","","","{HIDDEN}","2026-03-01 12:00:01",'
    f'"2026-03-01 12:00:05","2026-03-01 12:00:17",16,12,"ANSWERED","","{CDR_ID}","ANSWERED"\n',
    "application/jsonl": CDR.model_dump_json() + "\n",
}
