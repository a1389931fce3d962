"""The trace of a call: what was decided, what happened when, and what became of its callbacks."""

from typing import Any

from api.schemas.callbacks import CallbackAttemptBody, CallbackBody
from api.schemas.common import Outgoing
from api.schemas.fields import BookingIdField, CdrIdField, Count, HangupCause, Instant, PastCaller, Phone, SipCode
from engine.cdr.timeline import TraceEvent, TraceState, outcome_of, state_of, timeline_of, verdict_of, wait_ms_of
from engine.cdr.trace import CallTrace, TracedCallback
from engine.domain.call_ends import HungUpBy
from engine.domain.directions import Direction
from engine.domain.dispositions import Disposition
from engine.domain.ids import CallId
from engine.domain.masking import masked, masked_text, shown_caller
from engine.domain.rejections import Reason
from engine.domain.times import EpochMs, rfc3339


class TraceStepBody(Outgoing):
    """One step of a call."""

    at: Instant | None
    """`null` if only the order of the steps is known. In a sandbox by its clock; of callbacks' attempts, by ours."""
    event: TraceEvent
    message: str
    """For people."""


class TracedCallbackBody(CallbackBody):
    """A callback about a call, with every attempt to deliver it."""

    type: str
    """The event; `call.ended` and `call.expired` for the two whose bodies have no `type`."""
    attempts: list[CallbackAttemptBody]
    """The last 50 attempts, oldest first."""

    @classmethod
    def traced(cls, callback: TracedCallback) -> "TracedCallbackBody":
        """The callback as it is stored."""
        shown = CallbackBody.of(callback.record).model_dump(by_alias=False)
        return cls(**shown, type=callback.kind, attempts=[CallbackAttemptBody.of(each) for each in callback.attempts])


class TraceBody(Outgoing):
    """All that is known of a call, ringing, live or ended."""

    id: CdrIdField | None
    """The id of the call record; `null` until the call has ended."""
    state: TraceState
    timestamp: Instant
    """When the call came in."""
    source: PastCaller
    """The caller: an E.164 number, another number as the carrier sent it, or `anonymous`; `erased` after an erasure.
    In a reverse call it is the hidden number, in a pair the participant who called."""
    direction: Direction
    """`reverse`: the hidden number called, and reached who had called last. `pair`: a participant called the other."""
    service: Phone
    """The rented number that was called."""
    booking_id: BookingIdField
    put_through: bool
    reason: Reason | None
    """Why it was put through or refused; `null` for calls that an earlier version refused."""
    message: str
    """The verdict in words, for people. Programs should use `putThrough` and `reason`."""
    seconds_leased: Count | None
    """How long the call could last; `null` if it was refused. Other calls at the same time may have changed it."""
    wait_ms: Count | None
    """How long the caller waited for an answer, in milliseconds. `null` as long as it rings, or if it was refused."""
    answered_at: Instant | None
    ended_at: Instant | None
    duration: Count | None
    """Charged seconds; `null` until the call has ended."""
    disposition: Disposition | None
    """`null` until the call has ended."""
    hung_up_by: HungUpBy | None
    sip_code: SipCode | None
    hangup_cause: HangupCause | None
    timeline: list[TraceStepBody]
    """The steps in the order of time. The attempts of a callback follow it."""
    callbacks: list[TracedCallbackBody]
    """The callbacks about this call that are still stored, oldest first. Those about the booking are not among them."""

    @classmethod
    def of(cls, trace: CallTrace, *, for_operator: bool = False) -> "TraceBody":
        """The trace; only for the operator does it name trunks and say what carriers answered."""
        known, call, cdr = trace.known, trace.call, trace.cdr
        end = cdr.end if cdr else None
        ended_at = call.ended_at if call else known.started_at
        return cls(
            id=cdr.id if cdr else None,
            state=state_of(trace),
            timestamp=rfc3339(known.started_at),
            source=known.source,
            direction=known.direction,
            service=trace.service,
            booking_id=known.booking_id,
            put_through=call is not None,
            reason=Reason.PUT_THROUGH if call else cdr and cdr.reason,
            message=verdict_of(trace, for_operator=for_operator),
            seconds_leased=call.seconds_leased if call else None,
            wait_ms=wait_ms_of(trace),
            answered_at=_time(call.answered.wall_ms if call and call.answered else None),
            ended_at=_time(ended_at),
            duration=cdr.duration if cdr else None,
            disposition=cdr.disposition if cdr else None,
            hung_up_by=end.hung_up_by if end else None,
            sip_code=end.sip_code if end else None,
            hangup_cause=end.cause if end else None,
            timeline=[
                TraceStepBody(at=_time(step.at), event=step.kind, message=step.message)
                for step in timeline_of(trace, for_operator=for_operator)
            ],
            callbacks=[TracedCallbackBody.traced(each) for each in trace.callbacks],
        )


def trace_record(trace: CallTrace, account: str) -> dict[str, Any]:
    """Returns a trace for the operator: that of the API with what customers do not see; texts of others are masked."""
    record = TraceBody.of(trace, for_operator=True).model_dump(mode="json")
    for callback in record["callbacks"]:
        callback["url"] = masked_text(callback["url"])
        for attempt in callback["attempts"]:
            attempt["response"] = masked_text(attempt["response"])
    known, cdr = trace.known, trace.cdr
    steps = {name: record.pop(name) for name in ("timeline", "callbacks")}
    return record | {
        "account": account,
        "callId": CallId(known.call_id),
        "source": shown_caller(known.source, known.direction),
        "destination": masked(known.destination),
        "incomingTrunk": known.incoming_trunk,
        "trunk": cdr and cdr.end.trunk,
        "tried": [
            {"trunk": each.trunk, "dialStatus": each.dial_status, "sipCode": each.sip_code, "hangupCause": each.cause}
            for each in (cdr.tried if cdr else ())
        ],
        "sipCallId": known.sip_call_id,
        "calleeSipCallId": known.callee_sip_call_id,
        **steps,
    }


def headline(trace: CallTrace, *, for_operator: bool) -> dict[str, Any]:
    """Returns a sentence for people: what became of a call; as long as it is up, what was decided on it."""
    cdr = trace.cdr
    is_good = cdr is None or cdr.disposition is Disposition.ANSWERED
    said = outcome_of(cdr, for_operator=for_operator) if cdr else verdict_of(trace, for_operator=for_operator)
    return {"outcome": said, "isGood": is_good}


def _time(instant: EpochMs | None) -> str | None:
    return None if instant is None else rfc3339(instant)
