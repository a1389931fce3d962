"""agi://…/answered: the hidden number has picked up. Sets how long the two may talk, on the callee's channel."""

from agi_scripts import dialplan
from agi_scripts.session import CallContext, Session
from engine.calls.lease_rebalancing import TalkLimit
from engine.domain.ids import BookingId, CallId


async def answered(context: CallContext, session: Session) -> None:
    call = session.environment
    # At once: what lies between Asterisk's reading of its clock and ours of the ticks would pass for the clock's doing.
    ticks, now = context.clock.timestamp().boot_ms, dialplan.wall_clock(call.argument(2))

    async def set_limit(limit: TalkLimit | None) -> None:
        await session.set_variables(dialplan.talk_limit(limit.left_ms if limit else 0))

    was_set = await context.limits.answered(
        booking_id=BookingId(call.argument(1)),
        call_id=CallId(call.argument(0)),
        callee_channel=call.unique_id,
        set_limit=set_limit,
        asterisk_ahead=None if now is None else now - ticks,
    )
    if not was_set:
        await session.set_variables(dialplan.limit_stands())
