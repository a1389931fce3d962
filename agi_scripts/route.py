"""agi://…/route: a call has come in. Answers BRIDGE (to which number, for how long) or REJECT (with which cause)."""

import asyncio

import structlog

from agi_scripts import dialplan
from agi_scripts.errors import CommandRefused, HungUp, UnsafeValue
from agi_scripts.session import CallContext, Session
from engine.calls.lifecycle import IncomingCall, abandon_call, route_call
from engine.domain.ids import CallId
from engine.domain.numbers import caller_of, from_dialled
from engine.domain.routing import UNKNOWN_NUMBER, Bridge, MakeRoom, Reject, RouteDecision

log = structlog.get_logger(__name__)

# Asterisk's presentations that allow the number to be shown begin with this word.
PRESENTATION_ALLOWED = "allowed"
NO_PRIVACY = ("", "none")
HIDDEN_PARTY = "privacy=full"
# Attempts to make room for a call. If the last one finds no room either, the line is busy.
ROOM_ATTEMPTS = 3


async def route(context: CallContext, session: Session) -> None:
    """Decides on a call and sends the decision to the dialplan.

    If the decision does not reach Asterisk, the call cannot have been bridged, so the lease that it got is given back.
    """
    call = session.environment
    decision: RouteDecision | None = None
    try:
        decision = await _decide(context, session)
        kind = "bridge" if isinstance(decision, Bridge) else f"reject_{decision.cause}"
        log.info("call_routed", call=call.unique_id, decision=kind)
    except asyncio.CancelledError:
        # Out of time: without a verdict the dialplan cannot have bridged the call.
        await _abandon(context, CallId(call.unique_id), decision)
        raise
    try:
        await session.set_variables(dialplan.verdict(decision, context.expired_announcement))
    except (UnsafeValue, HungUp, CommandRefused):
        # Only these errors mean that Asterisk did not execute the command. After any other one it may have bridged the
        # call, and then only the end report may settle it.
        await _abandon(context, CallId(call.unique_id), decision)
        raise


async def _abandon(context: CallContext, call_id: CallId, decision: RouteDecision | None) -> None:
    """Settles a call that was not bridged, if it got a lease.

    A lease that is being granted at this moment is committed before this runs: storage is sequential. After a rejection
    this call has no lease, but a call of another Asterisk with the same id may have one, so nothing is done.
    """
    if isinstance(decision, Reject):
        return
    settlement = await context.storage.run(abandon_call, call_id, context.clock.now(), context.policy)
    if settlement is not None:
        context.limits.settled(settlement)


async def _decide(context: CallContext, session: Session) -> RouteDecision:
    call = session.environment
    service = from_dialled(call.argument(0))
    if service is None:
        return UNKNOWN_NUMBER
    source = source_of(
        number=call.argument(1), presentation=call.argument(2), privacy=call.argument(3), party=call.argument(4)
    )
    incoming = IncomingCall(CallId(call.unique_id), service, source)
    decision = await _route(context, incoming)
    for attempt in range(1, ROOM_ATTEMPTS + 1):
        if isinstance(decision, MakeRoom):
            decision = await _route_with_room(context, incoming, decision, is_last=attempt == ROOM_ATTEMPTS)
    assert not isinstance(decision, MakeRoom)  # noqa: S101  the last attempt never answers MakeRoom
    return decision


async def _route_with_room(
    context: CallContext, incoming: IncomingCall, room: MakeRoom, *, is_last: bool
) -> RouteDecision | MakeRoom:
    """Takes seconds back from live calls of the booking, then routes the call again.

    Another call may take the room first, and the decision is MakeRoom again; with `is_last` it is "busy" instead.
    """
    try:
        await context.limits.make_room(room.booking_id, room.seconds)
        return await _route(context, incoming, is_last=is_last)
    finally:
        context.limits.changed(room.booking_id)  # shares what this call did not take among the others


async def _route(context: CallContext, incoming: IncomingCall, *, is_last: bool = False) -> RouteDecision | MakeRoom:
    at = context.clock.timestamp()
    return await context.storage.run(route_call, incoming, at, context.policy, room_was_made=is_last)


def source_of(*, number: str, presentation: str, privacy: str = "", party: str = "") -> str:
    """Returns the caller's number as the customer sees it.

    Args:
        number: The caller's number as it was received.
        presentation: Asterisk's CALLERID(num-pres), such as `allowed_not_screened`.
        privacy: The letters of the SIP header Privacy. Any value but `none` counts as full privacy.
        party: The letters and `=` of the SIP header Remote-Party-ID.

    Returns:
        E.164 where the number can be read as that, else the number as received; "anonymous" if it is withheld.
    """
    withheld = privacy not in NO_PRIVACY or HIDDEN_PARTY in party or not presentation.startswith(PRESENTATION_ALLOWED)
    return caller_of("" if withheld else number)
