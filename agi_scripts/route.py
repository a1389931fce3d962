"""agi://…/route: a call has come in. Answers BRIDGE (to which number, for how long) or REJECT (with which cause)."""

import asyncio
import re
import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from agi_scripts import dialplan
from agi_scripts.asserted_identity import asserted_number
from agi_scripts.errors import CommandRefused, HungUp, UnsafeValue
from agi_scripts.session import CallContext, Environment, Session
from engine.calls.facts import IncomingCall
from engine.calls.lifecycle import abandon_call, route_call
from engine.calls.reports import sip_call_id_from
from engine.domain.ids import CallId
from engine.domain.masking import masked, masked_text
from engine.domain.number_plan import INTERNATIONAL, NumberPlan, caller_of
from engine.domain.numbers import dialled, in_context
from engine.domain.pairs import is_pin
from engine.domain.rejections import UNKNOWN_NUMBER, Reject
from engine.domain.routing import AskPin, Bridge, EndRinging, MakeRoom, Preparation, RouteDecision
from engine.domain.times import EpochMs
from engine.domain.trunks import trunk_of_endpoint
from engine.storage.errors import StorageUnsure

log = structlog.get_logger(__name__)

# Asterisk's presentations that allow the number to be shown begin with this word.
PRESENTATION_ALLOWED = "allowed"
# Values of a Privacy header (RFC 3323, section 4.2) and of the parameter `privacy` of a Remote-Party-ID header
# (draft-ietf-sip-privacy-04, section 5.1) that do not withhold the number. Every other value does, also an unknown one.
SHOWING = ("off", "none")
# The value of each parameter `privacy`, as the dialplan passes a header on.
_PARTY_PRIVACY = re.compile(r"(?<![a-z0-9])privacy(?![a-z0-9])=?([a-z0-9]*)")
# Of the headers of one name, the dialplan reads this many.
_HEADERS_READ = 2
# The place of the PIN among the arguments. A dialplan of an earlier version has none, and cannot ask for it.
PIN_ARGUMENT = 10
# Attempts to make room for a call: one for a ringing call that gives way, the others for seconds. If the last one finds
# no room either, the line is busy.
ROOM_ATTEMPTS = 4


async def route(context: CallContext, session: Session) -> None:
    """Decides on a call and sends the decision to the dialplan."""
    call_id = CallId(session.environment.unique_id)
    began, told = time.perf_counter(), None
    try:
        decision = told = await _tell(context, session, call_id)
    finally:
        context.tallies.note(told, time.perf_counter() - began)
    _log_decision(session.environment, call_id, decision)
    if isinstance(decision, Bridge) and decision.routes:
        context.silent_trunks.watch(call_id)


@dataclass(slots=True)
class _Question:
    """A call that this engine is asked about.

    Attributes:
        call_id: Its id.
        at: When it was last put to the database; a lease that it was granted by this question has this start.
    """

    call_id: CallId
    at: EpochMs | None = None


async def _tell(context: CallContext, session: Session, call_id: CallId) -> RouteDecision:
    """Decides on a call, and returns once Asterisk has the decision.

    If the decision does not reach Asterisk, the call cannot have been bridged, so the lease that it got is given back.
    """
    with context.limits.sending_route(call_id):
        decision: RouteDecision | None = None
        question = _Question(call_id)
        try:
            decision = await _decide(context, session, question)
        except (asyncio.CancelledError, StorageUnsure):
            # The time is over, or the lease may have been stored or not. Without a verdict the dialplan cannot have
            # bridged the call, and asks the next engine or refuses it: it does not wait for the database, as we must.
            session.close()
            await _abandon(context, question, decision)
            raise
        try:
            await session.set_variables(dialplan.verdict(decision, context.policy))
        except (UnsafeValue, HungUp, CommandRefused):
            # Only these errors mean that Asterisk did not execute the command. After any other one it may have bridged
            # the call, and then only the end report may settle it.
            await _abandon(context, question, decision)
            raise
    return decision


def _log_decision(call: Environment, call_id: CallId, decision: RouteDecision) -> None:
    """Logs a decision with what `call_ended` has too: the ids, and the rented number, masked."""
    sip_call_id = sip_call_id_from(call.argument(8))
    if isinstance(decision, Bridge):
        log.info(
            "call_routed",
            call=call_id,
            sip_call_id=sip_call_id,
            booking=decision.booking.id,
            number=masked(decision.booking.service),
            seconds=decision.seconds,
        )
    elif isinstance(decision, AskPin):
        log.info(
            "call_asked_for_pin",
            call=call_id,
            sip_call_id=sip_call_id,
            number=masked_text(dialled(call.argument(0), call.argument(5))),
            prompt=decision.prompt,
        )
    else:
        log.info(
            "call_rejected",
            call=call_id,
            sip_call_id=sip_call_id,
            booking=decision.booking_id,
            # As the carrier sent it: it may be no number at all.
            number=masked_text(dialled(call.argument(0), call.argument(5))),
            reason=decision.reason or "unknown_number",
            cause=decision.cause,
        )
        if decision.closed_pins:
            # As rare as it can be: the number takes one more PIN every 15 minutes, and a wrong one closes it again.
            log.warning("number_closed_to_pins", number=masked_text(dialled(call.argument(0), call.argument(5))))


async def _abandon(context: CallContext, question: _Question, decision: RouteDecision | None) -> None:
    """Settles a call that was not bridged, if this question got it a lease.

    A lease that is being granted at this moment is committed before this runs: storage keeps the order of a call's
    commands. After a rejection this call has no lease, but a call of another Asterisk with the same id may have one, so
    nothing is done.
    """
    if isinstance(decision, Reject | AskPin) or question.at is None:
        return
    now = context.clock.now()
    settlement = await context.storage.run_keyed(
        question.call_id, abandon_call, question.call_id, question.at, now, context.policy
    )
    if settlement is not None:
        context.limits.settled(settlement)


async def _decide(context: CallContext, session: Session, question: _Question) -> RouteDecision:
    call = session.environment
    trunk = trunk_of_endpoint(call.argument(7), context.policy.trunks)
    plan = INTERNATIONAL if trunk is None else trunk.plan
    service = plan.read(dialled(call.argument(0), call.argument(5)))
    if service is None:
        return UNKNOWN_NUMBER
    source = source_of(
        number=in_context(call.argument(1), call.argument(6)),
        presentation=call.argument(2),
        privacy=call.argument(3),
        party=call.argument(4),
        plan=plan,
    )
    incoming = IncomingCall(
        question.call_id,
        service,
        source,
        sip_call_id=sip_call_id_from(call.argument(8)),
        dead_trunks=context.trunks.dead,
        trunk=None if trunk is None else trunk.name,
        asterisk=call.asterisk,
        asserted=None if trunk is not None and not trunk.asserts_identity else asserted_number(call.argument(9), plan),
        can_enter_pin=len(call.arguments) > PIN_ARGUMENT,
        pin=_pin_of(call.argument(PIN_ARGUMENT)),
    )
    decision = await _route(context, incoming, question)
    for attempt in range(1, ROOM_ATTEMPTS + 1):
        if isinstance(decision, EndRinging):
            is_done = await context.limits.end_ringing(decision.call_id)
            is_last = attempt == ROOM_ATTEMPTS or not is_done
            decision = await _route(context, incoming, question, is_last=is_last)
        elif isinstance(decision, MakeRoom):
            decision = await _route_with_room(context, incoming, question, decision, is_last=attempt == ROOM_ATTEMPTS)
    assert not isinstance(decision, Preparation)  # noqa: S101  the last attempt never answers that
    return decision


def _pin_of(keyed: str) -> str | None:
    return keyed if is_pin(keyed) else None


async def _route_with_room(
    context: CallContext, incoming: IncomingCall, question: _Question, room: MakeRoom, *, is_last: bool
) -> RouteDecision | Preparation:
    """Takes seconds back from the calls that are up on the booking, then routes the call again.

    Another call may take the room first, and the decision is MakeRoom again; with `is_last` it is "busy" instead, and
    so it is if the keeper of an Asterisk does not answer: a call's decision has no time to ask it four times.
    """
    try:
        async with context.limits.room_made(room.booking_id, room.seconds) as is_made:
            return await _route(context, incoming, question, is_last=is_last or not is_made)
    finally:
        context.limits.changed(room.booking_id)  # shares what this call did not take among the others


async def _route(
    context: CallContext, incoming: IncomingCall, question: _Question, *, is_last: bool = False
) -> RouteDecision | Preparation:
    at = context.clock.timestamp()
    question.at = at.wall_ms
    return await context.storage.run_keyed(
        incoming.call_id, route_call, incoming, at, context.policy, room_was_made=is_last
    )


def source_of(
    *, number: str, presentation: str, privacy: str = "", party: str = "", plan: NumberPlan = INTERNATIONAL
) -> str:
    """Returns the caller's number as the customer sees it.

    Args:
        number: The caller's number as it was received.
        presentation: Asterisk's CALLERID(num-pres), such as `allowed_not_screened`.
        privacy: The SIP headers Privacy, as the dialplan passes them on; empty if there is none.
        party: The SIP headers Remote-Party-ID, likewise.
        plan: How the caller's carrier writes numbers.

    Returns:
        E.164 where the number can be read as that, else the number as received; "anonymous" if it is withheld.
    """
    withheld = _withholds(privacy, _by_privacy) or _withholds(party, _by_party)
    withheld = withheld or not presentation.startswith(PRESENTATION_ALLOWED)
    return caller_of("" if withheld else number, plan)


def _withholds(headers: str, one_withholds: Callable[[str], bool]) -> bool:
    """Returns whether any header of a name asks to withhold the number. Repeated headers are one list (RFC 3261 7.3.1).

    Args:
        headers: `first.second.count`, or empty. A header that is counted but was not read withholds the number: it may
            ask for that.
        one_withholds: Whether one header, in the dialplan's letters, asks to withhold the number.
    """
    if not headers:
        return False
    *read, count = headers.split(".")
    if not count.isdecimal() or int(count) > len(read) or len(read) != _HEADERS_READ:
        return True
    return any(not header or one_withholds(header) for header in read[: int(count)])


def _by_privacy(header: str) -> bool:
    return header not in SHOWING


def _by_party(header: str) -> bool:
    return any(value not in SHOWING for value in _PARTY_PRIVACY.findall(header))
