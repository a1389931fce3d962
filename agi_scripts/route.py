"""④ agi://…/route: a call has come in. Says BRIDGE (to where, for how long) or REJECT (with which cause)."""

import asyncio

import structlog

from agi_scripts import dialplan
from agi_scripts.context import CallContext
from agi_scripts.errors import AgiError
from agi_scripts.session import Session
from engine.calls import EndReport, IncomingCall, call_ended, route_call
from engine.domain.numbers import from_dialled
from engine.domain.routing import UNKNOWN_NUMBER, Bridge, Reject, RouteDecision

log = structlog.get_logger(__name__)

# The presentations of Asterisk that let the number be seen begin with this word.
PRESENTATION_ALLOWED = "allowed"


async def route(context: CallContext, session: Session) -> None:
    call = session.environment
    decision: RouteDecision | None = None
    try:
        decision = await _decide(context, session)
        kind = "bridge" if isinstance(decision, Bridge) else f"reject_{decision.cause}"
        log.info("call_routed", call=call.unique_id, decision=kind)
        *facts, verdict = dialplan.verdict(decision, context.expired_announcement)
        await session.set_variables(facts)
    except (AgiError, asyncio.CancelledError):
        # Hung up, refused or out of time: without a verdict nothing can have been bridged. (Once the verdict is sent,
        # only the end report may settle.) A lease that is being granted right now comes before this in the storage.
        # After a rejection there is none of ours, only perhaps that of another Asterisk's call with the same id.
        if not isinstance(decision, Reject):
            await context.storage.run(call_ended, EndReport(call.unique_id, 0, "CANCEL"), context.clock.now())
        raise
    await session.set_variables([verdict])


async def _decide(context: CallContext, session: Session) -> RouteDecision:
    call = session.environment
    service = from_dialled(call.argument(0))
    if service is None:
        return UNKNOWN_NUMBER
    source = source_of(number=call.argument(1), presentation=call.argument(2))
    incoming = IncomingCall(call.unique_id, call.channel, service, source)
    decision = await context.storage.run(route_call, incoming, context.clock.now(), context.policy)
    if not isinstance(decision, Bridge) and decision.notify_expired:
        context.wake_callbacks()
    return decision


def source_of(*, number: str, presentation: str) -> str:
    """The caller as the customer is told: E.164 where it is that, else as sent; withheld ones are anonymous."""
    if not number or not presentation.startswith(PRESENTATION_ALLOWED):
        return dialplan.ANONYMOUS
    return from_dialled(number) or number
