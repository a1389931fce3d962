"""④ agi://…/route: a call has come in. Says BRIDGE (to where, for how long) or REJECT (with which cause)."""

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

# The presentations of Asterisk that let the number be seen begin with this word.
PRESENTATION_ALLOWED = "allowed"
NO_PRIVACY = ("", "none")
HIDDEN_PARTY = "privacy=full"
# Room is made for a call up to three times; if it still finds none after the last, the line is busy.
LAST_ROUND = (False, False, True)


async def route(context: CallContext, session: Session) -> None:
    call = session.environment
    decision: RouteDecision | None = None
    try:
        decision = await _decide(context, session)
        kind = "bridge" if isinstance(decision, Bridge) else f"reject_{decision.cause}"
        log.info("call_routed", call=call.unique_id, decision=kind)
    except asyncio.CancelledError:
        # Out of time: without a verdict nothing can have been bridged.
        await _abandon(context, CallId(call.unique_id), decision)
        raise
    try:
        await session.set_variables(dialplan.verdict(decision, context.expired_announcement))
    except (UnsafeValue, HungUp, CommandRefused):
        # Not sent, or Asterisk says that it came to nothing. If it does not say so, only the end report may settle.
        await _abandon(context, CallId(call.unique_id), decision)
        raise


async def _abandon(context: CallContext, call_id: CallId, decision: RouteDecision | None) -> None:
    """A lease that is being granted right now comes before this in the storage. After a rejection there is none of
    ours, only perhaps that of another Asterisk's call with the same id."""
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
    for last in LAST_ROUND:
        if isinstance(decision, MakeRoom):
            decision = await _with_room(context, incoming, decision, last=last)
    assert not isinstance(decision, MakeRoom)  # noqa: S101  not in the last round
    return decision


async def _with_room(
    context: CallContext, incoming: IncomingCall, room: MakeRoom, *, last: bool
) -> RouteDecision | MakeRoom:
    """`last`: MakeRoom is not the answer again, which it may be when another call was quicker to take the room."""
    try:
        await context.limits.make_room(room.booking_id, room.seconds)
        return await _route(context, incoming, last=last)
    finally:
        context.limits.changed(room.booking_id)  # what this call did not take goes back to the others


async def _route(context: CallContext, incoming: IncomingCall, *, last: bool = False) -> RouteDecision | MakeRoom:
    at = context.clock.timestamp()
    return await context.storage.run(route_call, incoming, at, context.policy, room_was_made=last)


def source_of(*, number: str, presentation: str, privacy: str = "", party: str = "") -> str:
    """The caller as the customer is told: E.164 where it is that, else as sent; withheld ones are anonymous.

    `privacy`, `party`: the letters of the headers Privacy and (with `=`) Remote-Party-ID. Any privacy that is asked
    for counts as all of it.
    """
    withheld = privacy not in NO_PRIVACY or HIDDEN_PARTY in party or not presentation.startswith(PRESENTATION_ALLOWED)
    return caller_of("" if withheld else number)
