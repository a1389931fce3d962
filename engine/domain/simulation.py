"""Calls without telephones: what a customer may choose of one, and what its caller would hear."""

from dataclasses import dataclass
from enum import StrEnum

from engine.domain.numbers import E164
from engine.domain.routing import Bridge, RouteDecision


class Outcome(StrEnum):
    """What becomes of a simulated call that is put through."""

    ANSWERED = "answered"
    BUSY = "busy"
    NO_ANSWER = "no-answer"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class SimulatedCall:
    """`source`: E.164, as sent, or "anonymous". `seconds`: how long they would talk if nothing cut them; 0 unless it is
    answered."""

    service: E164
    source: str
    outcome: Outcome
    seconds: int


# What Asterisk's DIALSTATUS is for each, and what the caller's telephone is told.
DIAL_STATUS = {
    Outcome.ANSWERED: "ANSWER",
    Outcome.BUSY: "BUSY",
    Outcome.NO_ANSWER: "NOANSWER",
    Outcome.CANCELLED: "CANCEL",
}
SIP_OF_OUTCOME = {Outcome.ANSWERED: 200, Outcome.BUSY: 486, Outcome.NO_ANSWER: 480, Outcome.CANCELLED: 487}
# By ISDN cause, as Asterisk has it.
SIP_OF_CAUSE = {1: 404, 17: 486, 19: 480, 21: 403, 22: 410}


def sip_status(decision: RouteDecision, outcome: Outcome) -> int:
    """What the caller's telephone would be told last before the call is over or up."""
    return SIP_OF_OUTCOME[outcome] if isinstance(decision, Bridge) else SIP_OF_CAUSE[decision.cause]


def lasts_ms(outcome: Outcome, talked_ms: int, ring_seconds: int) -> int:
    """How far a call that was put through moves its world's clock: by the talk, or by all the ringing to no avail.

    An answer, a busy tone and a change of mind come at once.
    """
    return ring_seconds * 1000 if outcome is Outcome.NO_ANSWER else talked_ms
