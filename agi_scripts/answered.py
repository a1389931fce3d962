"""agi://…/answered: the hidden number has picked up. Sets how long the two may talk, on the callee's channel."""

from agi_scripts import dialplan
from agi_scripts.context import CallContext
from agi_scripts.session import Session
from engine.calls import call_answered


async def answered(context: CallContext, session: Session) -> None:
    call_id = session.environment.argument(0)
    limit_ms = await context.storage.run(call_answered, call_id, context.clock.now(), context.policy)
    await session.set_variables([(dialplan.LIMIT, f"{limit_ms // 1000}.{limit_ms % 1000:03}" if limit_ms else "0")])
