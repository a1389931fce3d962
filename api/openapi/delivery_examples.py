"""Examples of what became of one call and of the callback about it."""

from typing import Any

from api.openapi import callback_examples as story
from api.openapi.callback_examples import BOOKING_ID, CALL_ENDED, CALLBACK, CALLER, CDR_ID, SERVICE
from api.schemas.callbacks import CallbackAttemptBody, CallbackBody, CallbackDetailBody, CallbackRequestBody
from api.schemas.traces import TraceBody, TracedCallbackBody, TraceStepBody
from engine.callbacks.attempt import HEADERS
from engine.cdr.timeline import TraceEvent, TraceState
from engine.cdr.trace import CALL_ENDED as CALL_ENDED_TYPE
from engine.domain.call_ends import HungUpBy
from engine.domain.directions import Direction
from engine.domain.dispositions import Disposition
from engine.domain.events import as_json
from engine.domain.rejections import Reason
from engine.domain.retry import CallbackState
from engine.domain.times import rfc3339

CALLED_AT = rfc3339(story.CALLED_AT)
ANSWERED_AT = "2026-03-01T12:00:05.000Z"

CALLBACK_FACTS: dict[str, Any] = {
    "id": "evt_01a206bf8c3e7b4480c7d2b5f1e0a9c3",
    "booking_id": BOOKING_ID,
    "test": False,
    "url": CALLBACK,
    "state": CallbackState.DELIVERED,
    "created_at": "2026-03-01T12:00:17.000Z",
    "attempt_count": 2,
    "next_attempt_at": None,
    "finished_at": "2026-03-01T12:00:22.480Z",
    "last_outcome": "HTTP 204",
}
CALLBACK_SENT = CallbackBody(**CALLBACK_FACTS)
ATTEMPTS = [
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
]
CALLBACK_LOG = CallbackDetailBody(
    **CALLBACK_FACTS,
    request=CallbackRequestBody(
        method="POST",
        url=CALLBACK,
        headers=HEADERS | {"webhook-id": CALLBACK_FACTS["id"]},
        body=as_json(CALL_ENDED),
    ),
    attempts=ATTEMPTS,
)
ENDED_AT = CALLBACK_FACTS["created_at"]
STEPS = (
    (CALLED_AT, TraceEvent.CAME_IN, "The call came in."),
    (CALLED_AT, TraceEvent.PUT_THROUGH, "Put through; it could last 895 s."),
    (CALLED_AT, TraceEvent.RINGING, "Dialling and ringing took 4.0 s."),
    (ANSWERED_AT, TraceEvent.ANSWERED, "The hidden number's side answered."),
    (ENDED_AT, TraceEvent.ENDED, "The call ended: the caller hung up, SIP 200, cause 16 (normal call clearing)."),
    (ENDED_AT, TraceEvent.SETTLED, "12 s of 895 s were charged."),
    (ENDED_AT, TraceEvent.CALLBACK, f"Callback {CALL_ENDED_TYPE} was created: {CALLBACK_FACTS['id']}."),
    (ATTEMPTS[0].began_at, TraceEvent.CALLBACK_ATTEMPT, "Attempt 1: HTTP 503 after 84 ms."),
    (ATTEMPTS[1].began_at, TraceEvent.CALLBACK_ATTEMPT, "Attempt 2: HTTP 204 after 70 ms."),
)
TRACE = TraceBody(
    id=CDR_ID,
    state=TraceState.ENDED,
    timestamp=CALLED_AT,
    source=CALLER,
    direction=Direction.FORWARD,
    service=SERVICE,
    booking_id=BOOKING_ID,
    put_through=True,
    reason=Reason.PUT_THROUGH,
    message="Put through; it could last 895 s.",
    seconds_leased=895,
    wait_ms=4000,
    answered_at=ANSWERED_AT,
    ended_at=ENDED_AT,
    duration=12,
    disposition=Disposition.ANSWERED,
    hung_up_by=HungUpBy.CALLER,
    sip_code=200,
    hangup_cause=16,
    timeline=[TraceStepBody(at=at, event=event, message=message) for at, event, message in STEPS],
    callbacks=[TracedCallbackBody(**CALLBACK_FACTS, type=CALL_ENDED_TYPE, attempts=ATTEMPTS)],
)
