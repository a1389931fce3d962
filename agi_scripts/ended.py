"""agi://…/ended: the call is over, answered or not. Settles its lease."""

import structlog

from agi_scripts import dialplan
from agi_scripts.errors import BadPeer
from agi_scripts.session import CallContext, Session
from engine.calls.lifecycle import EndReport, call_ended
from engine.domain.ids import CallId

log = structlog.get_logger(__name__)


async def ended(context: CallContext, session: Session) -> None:
    """Settles the call and confirms that to the dialplan, which otherwise writes the end to the end spool."""
    call = session.environment
    at = context.clock.timestamp()
    report = EndReport(
        call_id=CallId(call.argument(0)),
        answered_ms=_milliseconds(call.argument(1)),
        dial_status=call.argument(2),
        ended=at,
        asterisk_now=dialplan.wall_clock(call.argument(3)),
    )
    settlement = await context.storage.run(call_ended, report, at.wall_ms, context.policy)
    # The follow-up comes before the answer, because Asterisk may be gone by now.
    if settlement is None:
        log.info("call_ended_without_lease", call=report.call_id)
    else:
        context.limits.settled(settlement)
        log.info(
            "call_ended",
            call=report.call_id,
            cdr=settlement.cdr.id,
            disposition=settlement.cdr.disposition,
            seconds=settlement.cdr.duration,
        )
    await session.set_variables([(dialplan.SETTLED, "yes")])


def _milliseconds(text: str) -> int:
    """Parses ANSWEREDTIME_MS; empty means not answered. Raises BadPeer.

    A negative value is valid: the wall clock was set back during the call.
    """
    if not text:
        return 0
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 12):
        raise BadPeer("answered time is not a number of milliseconds")
    return int(text)
