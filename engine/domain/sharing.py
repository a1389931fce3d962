"""How calls that are up at the same time share what is left of their booking.

A lease is what a call has been allowed so far: Asterisk cuts it there, so it is the most it can cost. Together the
leases never exceed what there is. Shares are worked out anew whenever something changes (a call comes, is answered
or ends, a renewal), always by the same rule, so that all calls would be cut at the same moment if nothing else
happened, with nothing left unused.

To move a limit safely takes an order: one that shrinks is lowered in Asterisk first and in the books after, one
that grows the other way round. So a lease in the books is never below the limit in Asterisk.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from engine.domain.ids import CallId
from engine.domain.metering import CallState

# A ringing call holds this share of what is left, so that it can begin to talk even if the engine is lost just then.
RESERVE_SHARE = 20
LONGEST_RESERVE_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Holding:
    """A call that is up, with its lease. `used`: seconds begun since its answer; `longest`: the most it may lease."""

    call_id: CallId
    state: CallState
    leased: int
    used: int
    longest: int


def ring_reserve(unspent: int) -> int:
    """Seconds that a call leases before it rings: enough to begin, too little for others to miss; 0 if none is left."""
    return min(unspent, max(1, min(unspent // RESERVE_SHARE, LONGEST_RESERVE_SECONDS)))


def fair_leases(remaining: int, holdings: Sequence[Holding], *, keep_free: int = 0) -> dict[CallId, int]:
    """The lease that each talking call should have, by call id; ringing calls keep what they hold.

    `remaining`: seconds that nobody holds; `keep_free`: so many of them are wanted for a call that is to come.
    What a call cannot use (it would pass its `longest`) goes to the others; the sum is never more than there is.
    """
    talking = [each for each in holdings if each.state is CallState.LIVE]
    left = max(0, remaining + sum(_unused(each) for each in talking) - keep_free)
    leases: dict[CallId, int] = {}
    # Those with the least room first: what they leave is shared by the rest.
    by_room = sorted(talking, key=lambda each: (_room(each), each.call_id))
    for index, holding in enumerate(by_room):
        share = min(_room(holding), left // (len(by_room) - index))
        left -= share
        leases[holding.call_id] = _used(holding) + share
    return leases


def _used(holding: Holding) -> int:
    return min(holding.used, holding.leased)


def _unused(holding: Holding) -> int:
    return holding.leased - _used(holding)


def _room(holding: Holding) -> int:
    return max(0, holding.longest - _used(holding))
