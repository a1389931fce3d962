"""Shares what is left of a booking among the calls that are up at the same time.

A lease is the most that a call can cost, because Asterisk cuts the call there. The sum of the leases never exceeds
what the booking has. The shares are computed again whenever something changes: a call comes, is answered or ends, the
booking is renewed. The rule is always the same: if nothing else happened, Asterisk would cut all calls at the same
moment and no second would stay unused.

The order of writes keeps this safe. A limit that shrinks is lowered in Asterisk first and in the database afterwards;
a limit that grows, the other way round. So a lease in the database is never below the limit in Asterisk.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from engine.domain.ids import CallId
from engine.domain.metering import CallState

# A ringing call leases one part in 20 of what is left, so that it can begin to talk even if the engine dies just then.
RESERVE_SHARE = 20
LONGEST_RESERVE_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Holding:
    """A call that is up, with its lease. All amounts are whole seconds.

    Attributes:
        call_id: The call.
        state: RINGING or LIVE.
        leased: Its lease.
        used: Seconds begun since its answer.
        longest: The largest lease that it may have.
    """

    call_id: CallId
    state: CallState
    leased: int
    used: int
    longest: int


def ring_reserve(unspent: int) -> int:
    """Returns the seconds that a call leases before it rings; 0 if none is left.

    That is enough to begin to talk, and so little that other calls hardly lose anything.

    Args:
        unspent: Seconds of the booking that are not settled, leased or not.
    """
    return min(unspent, max(1, min(unspent // RESERVE_SHARE, LONGEST_RESERVE_SECONDS)))


def fair_leases(remaining: int, holdings: Sequence[Holding], *, keep_free: int = 0) -> dict[CallId, int]:
    """Returns the lease that each talking call should have; ringing calls keep theirs.

    What a call cannot use, because it would exceed its `longest`, goes to the others. The sum of the leases never
    exceeds what there is.

    Args:
        remaining: Seconds of the booking that no call has leased.
        holdings: All calls that are up on the booking.
        keep_free: Seconds to set aside for a call that is about to ring.
    """
    talking = [each for each in holdings if each.state is CallState.LIVE]
    left = max(0, remaining + sum(_unused(each) for each in talking) - keep_free)
    leases: dict[CallId, int] = {}
    # Calls with the least room come first, so that the rest share what they leave.
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
