"""Shares what is left of a booking among the calls that are up at the same time.

A lease is the most that a call can cost, because Asterisk cuts the call there. The sum of the leases never exceeds
what the booking has. Calls that ring have the same shares as calls that talk: a call that is answered while the engine
is away talks for its share. The shares are computed again whenever something changes: a call comes or ends, the booking
is renewed. The rule is always the same: if nothing else happened, Asterisk would cut all calls at the same moment and
no second would stay unused.

The order of writes keeps this safe. A limit that shrinks is lowered in Asterisk first and in the database afterwards;
a limit that grows, the other way round. So a lease in the database is never below the limit in Asterisk.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from engine.domain.ids import CallId

# Sorts before the id of every call: of calls that may last equally long from now, the newcomer gets none of the seconds
# that cannot be shared evenly.
NEWCOMER = CallId("")


@dataclass(frozen=True, slots=True)
class Holding:
    """A call that is up, with its lease. All amounts are whole seconds.

    Attributes:
        call_id: The call.
        leased: Its lease.
        used: Seconds begun since its answer.
        longest: The largest lease that it may have.
    """

    call_id: CallId
    leased: int
    used: int
    longest: int


def newcomers_share(remaining: int, holdings: Sequence[Holding], longest: int) -> int:
    """Returns the seconds that a call which comes in now may lease; 0 if the others need them all.

    Args:
        remaining: Seconds of the booking that no call has leased.
        holdings: All calls that are up on the booking.
        longest: The largest lease that the call may have.
    """
    newcomer = Holding(NEWCOMER, leased=0, used=0, longest=longest)
    return fair_leases(remaining, [*holdings, newcomer])[NEWCOMER]


def fair_leases(remaining: int, holdings: Sequence[Holding], *, keep_free: int = 0) -> dict[CallId, int]:
    """Returns the lease that each call should have.

    What a call cannot use, because it would exceed its `longest`, goes to the others. The sum of the leases never
    exceeds what there is.

    Args:
        remaining: Seconds of the booking that no call has leased.
        holdings: All calls that are up on the booking.
        keep_free: Seconds to set aside for a call that comes in.
    """
    left = max(0, remaining + sum(_unused(each) for each in holdings) - keep_free)
    leases: dict[CallId, int] = {}
    # Calls with the least room come first, so that the rest share what they leave.
    by_room = sorted(holdings, key=lambda each: (_room(each), each.call_id))
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
