"""agi://…/answered: the hidden number has answered. Sets how long the call may last, on the callee's channel."""

from agi_scripts import dialplan
from agi_scripts.session import CallContext, Session
from engine.calls.lease_rebalancing import TalkLimit
from engine.domain.ids import BookingId, CallId


async def answered(context: CallContext, session: Session) -> None:
    """Notes that a call was answered and sets its limit in Asterisk."""
    call = session.environment
    # Read both clocks first: any delay between the two readings would look like a difference between the clocks.
    boot_ms, asterisk_ms = context.clock.timestamp().boot_ms, dialplan.wall_clock(call.argument(2))

    async def set_limit(limit: TalkLimit | None) -> None:
        await session.set_variables(dialplan.talk_limit(limit.left_ms if limit else 0))

    was_set = await context.limits.answered(
        booking_id=BookingId(call.argument(1)),
        call_id=CallId(call.argument(0)),
        callee_channel=call.unique_id,
        set_limit=set_limit,
        asterisk_ahead=None if asterisk_ms is None else asterisk_ms - boot_ms,
    )
    if not was_set:
        await session.set_variables(dialplan.limit_is_set())
