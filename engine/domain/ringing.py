"""Which ringing call gives way when a limit of calls at once is reached, so that ringing calls alone close nothing.

Theory of operation: a call that rings costs its caller nothing, and callers' numbers can be invented. If newcomers were
refused because of ringing calls, one attacker could keep all of them out. Instead the call that has rung longest ends,
and the newcomer takes its place. Calls that talk never give way.

Calls must not give way so fast that nobody has the time to answer. So the oldest gives way once it has rung for
SPARED_MS, or once no call has come in for SPARED_MS / n, where n calls ring: then their places go round in SPARED_MS,
however many newcomers there are. After a burst of calls the first of them gives way sooner: otherwise the burst would
close the line for as long as SPARED_MS.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from engine.domain.ids import CallId
from engine.domain.times import BootMs

# Most people who answer a call do so within this time.
SPARED_MS = 10_000


@dataclass(frozen=True, slots=True)
class RingingCall:
    """A call that rings.

    Attributes:
        call_id: The call.
        started: When it came in, in milliseconds since the machine's start.
    """

    call_id: CallId
    started: BootMs


def gives_way(ringing: Sequence[RingingCall], now: BootMs) -> CallId | None:
    """Returns the call that ends so that a newcomer can take its place; None if none has to yet.

    Args:
        ringing: All ringing calls that count for the limit.
        now: Milliseconds since the machine's start.
    """
    if not ringing:
        return None
    oldest = min(ringing, key=lambda each: (each.started, each.call_id))
    newest = max(each.started for each in ringing)
    may = now - oldest.started >= SPARED_MS or (now - newest) * len(ringing) >= SPARED_MS
    return oldest.call_id if may else None
