"""The contract between the dialplan (asterisk_conf/drop_in/extensions_rented_numbers.conf) and these scripts.

AGI paths, their arguments in order, and the channel variables that carry the answers: each name stands here once. A
test compares the dialplan with this file.
"""

import datetime as dt
import re

from engine.domain.numbers import ANONYMOUS
from engine.domain.routing import Bridge, RouteDecision
from engine.domain.times import EpochMs

# AGI paths. The MAC follows as one more argument, see request_auth.py.
# `route`: dialled number, caller's number, its presentation, Privacy, Remote-Party-ID, and the URIs of both numbers.
ROUTE = "route"
ANSWERED = "answered"  # arguments: unique id of the caller's channel, booking, Asterisk's wall clock
ENDED = "ended"  # arguments: unique id of the caller's channel, answered time in ms, DIALSTATUS, Asterisk's wall clock

# `route` sets this last, to BRIDGE or REJECT. Without it the dialplan answers 503: Asterisk reports AGISTATUS=SUCCESS
# even when the engine closes early or sends garbage.
VERDICT = "RN_VERDICT"
# Set with BRIDGE.
DESTINATION = "RN_DESTINATION"
SHOWN = "RN_SHOWN"  # the caller's number that the destination sees; empty for none
BOOKING = "RN_BOOKING"
SECONDS = "RN_SECONDS"
RING_SECONDS = "RN_RING"
# Set with REJECT.
CAUSE = "RN_CAUSE"
ANNOUNCEMENT = "RN_ANNOUNCEMENT"
# `answered` sets these on the callee's channel, in this order: Asterisk's own limit in seconds with milliseconds, and
# RN_LIMIT=set. The script sets TIMEOUT itself and does not leave that to the dialplan: once the answer is booked, the
# limit may be changed over AMI, and the dialplan would overwrite that. RN_LIMIT=none: hang up.
TIMEOUT = "TIMEOUT(absolute)"
LIMIT = "RN_LIMIT"
# `ended` sets this once the call is settled. Without it the dialplan writes the end to the end spool.
SETTLED = "RN_SETTLED"


def wall_clock(text: str) -> EpochMs | None:
    """Parses Asterisk's wall clock.

    Args:
        text: UTC time with milliseconds in the dialplan's format, such as 20260301120000250.

    Returns:
        Epoch milliseconds; None if the text is not a time.
    """
    if re.fullmatch(r"[0-9]{17}", text) is None:
        return None
    try:
        second = dt.datetime.strptime(text[:14], "%Y%m%d%H%M%S").replace(tzinfo=dt.UTC)
    except ValueError:
        return None
    return EpochMs(int(second.timestamp()) * 1000 + int(text[14:]))


def verdict(decision: RouteDecision, expired_announcement: str) -> list[tuple[str, str]]:
    """Returns the variables that carry a decision to the dialplan, in the order in which they must be set.

    Args:
        decision: What to do with the call.
        expired_announcement: Asterisk's name of the sound played when the booking has expired; empty for none.
    """
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
    """Returns the variables with which `answered` limits a call to `left_ms` milliseconds from now.

    When no time is left, the dialplan has to hang up: TIMEOUT(absolute)=0 would mean "no limit".
    """
    if left_ms <= 0:
        return [(LIMIT, "none")]
    return [(TIMEOUT, f"{left_ms // 1000}.{left_ms % 1000:03}"), (LIMIT, "set")]


def limit_is_set() -> list[tuple[str, str]]:
    """Returns the variables with which `answered` confirms a limit that was set before and stays as it is."""
    return [(LIMIT, "set")]
