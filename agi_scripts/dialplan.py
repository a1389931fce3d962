"""The contract between asterisk_conf/extensions_rented_numbers.conf and these scripts, each name once.

AGI paths, their arguments in order, and the channel variables that carry the answer. A test reads the dialplan
and holds it against this file.
"""

from engine.domain.routing import Bridge, RouteDecision

ROUTE = "route"  # arguments: dialled number, caller's number, its presentation
ANSWERED = "answered"  # argument: unique id of the caller's channel
ENDED = "ended"  # arguments: unique id, answered milliseconds, dial status

# Set last by `route`, to BRIDGE or REJECT. Without it the dialplan answers 503: Asterisk says AGISTATUS=SUCCESS
# even when the engine closed early or talked nonsense.
VERDICT = "RN_VERDICT"
DESTINATION = "RN_DESTINATION"
SECONDS = "RN_SECONDS"
RING_SECONDS = "RN_RING"
CAUSE = "RN_CAUSE"
ANNOUNCEMENT = "RN_ANNOUNCEMENT"
# Set by `answered` on the callee's channel, in seconds with milliseconds; 0: hang up.
LIMIT = "RN_LIMIT"

ANONYMOUS = "anonymous"


def verdict(decision: RouteDecision, expired_announcement: str) -> list[tuple[str, str]]:
    """The variables that tell the dialplan what to do, in the order in which they must be set."""
    if isinstance(decision, Bridge):
        return [
            (DESTINATION, decision.booking.destination),
            (SECONDS, str(decision.seconds)),
            (RING_SECONDS, str(decision.ring_seconds)),
            (VERDICT, "BRIDGE"),
        ]
    announcement = expired_announcement if decision.notify_expired else ""
    return [(CAUSE, str(decision.cause)), (ANNOUNCEMENT, announcement), (VERDICT, "REJECT")]
