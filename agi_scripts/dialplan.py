"""The contract between asterisk_conf/extensions_rented_numbers.conf and these scripts, each name once.

AGI paths, their arguments in order, and the channel variables that carry the answer. A test reads the dialplan
and holds it against this file.
"""

import datetime as dt
import re

from engine.domain.numbers import ANONYMOUS
from engine.domain.routing import Bridge, RouteDecision
from engine.domain.times import EpochMs

ROUTE = "route"  # arguments: dialled number, caller's number, its presentation, Privacy, Remote-Party-ID
ANSWERED = "answered"  # arguments: unique id of the caller's channel, booking, wall clock
ENDED = "ended"  # arguments: unique id, answered milliseconds, dial status, wall clock

# Set last by `route`, to BRIDGE or REJECT. Without it the dialplan answers 503: Asterisk says AGISTATUS=SUCCESS
# even when the engine closed early or talked nonsense.
VERDICT = "RN_VERDICT"
DESTINATION = "RN_DESTINATION"
# The number that the destination sees as the caller's; empty: none.
SHOWN = "RN_SHOWN"
BOOKING = "RN_BOOKING"
SECONDS = "RN_SECONDS"
RING_SECONDS = "RN_RING"
CAUSE = "RN_CAUSE"
ANNOUNCEMENT = "RN_ANNOUNCEMENT"
# Set by `answered` on the callee's channel, in this order: Asterisk's own limit, in seconds with milliseconds, and
# that it is set. At once and not by the dialplan: from then on it may be moved over AMI. LIMIT "none": hang up.
TIMEOUT = "TIMEOUT(absolute)"
LIMIT = "RN_LIMIT"
# Set by `ended` once the end is settled; without it the dialplan keeps the end in the journal.
SETTLED = "RN_SETTLED"


def wall_clock(text: str) -> EpochMs | None:
    """Asterisk's wall clock in epoch milliseconds, from 20260301120000250 in UTC; None: it does not say."""
    if re.fullmatch(r"[0-9]{17}", text) is None:
        return None
    try:
        second = dt.datetime.strptime(text[:14], "%Y%m%d%H%M%S").replace(tzinfo=dt.UTC)
    except ValueError:
        return None
    return EpochMs(int(second.timestamp()) * 1000 + int(text[14:]))


def verdict(decision: RouteDecision, expired_announcement: str) -> list[tuple[str, str]]:
    """The variables that tell the dialplan what to do, in the order in which they must be set."""
    if isinstance(decision, Bridge):
        return [
            (DESTINATION, decision.booking.destination),
            (SHOWN, "" if decision.shown == ANONYMOUS else decision.shown),
            (BOOKING, decision.booking.id),
            (SECONDS, str(decision.seconds)),
            (RING_SECONDS, str(decision.ring_seconds)),
            (VERDICT, "BRIDGE"),
        ]
    announcement = expired_announcement if decision.notify_expired else ""
    return [(CAUSE, str(decision.cause)), (ANNOUNCEMENT, announcement), (VERDICT, "REJECT")]


def talk_limit(left_ms: int) -> list[tuple[str, str]]:
    """What `answered` sets. TIMEOUT(absolute)=0 would mean "for ever", so no time left is said in another way."""
    if left_ms <= 0:
        return [(LIMIT, "none")]
    return [(TIMEOUT, f"{left_ms // 1000}.{left_ms % 1000:03}"), (LIMIT, "set")]


def limit_stands() -> list[tuple[str, str]]:
    """What `answered` sets where the limit is set already."""
    return [(LIMIT, "set")]
