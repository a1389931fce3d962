"""Simulated calls of the sandbox: what a customer chooses, and what the caller's telephone would get."""

from dataclasses import dataclass, replace
from enum import StrEnum

from engine.domain.call_ends import Attempt, DialplanEnd
from engine.domain.directions import Direction
from engine.domain.dispositions import Cause
from engine.domain.numbers import E164
from engine.domain.policy import Policy
from engine.domain.prompts import Prompt
from engine.domain.rejections import Reject
from engine.domain.routing import Bridge
from engine.domain.screening import Screening


class Outcome(StrEnum):
    """How a simulated call goes on after it is put through."""

    ANSWERED = "answered"
    BUSY = "busy"
    NO_ANSWER = "no-answer"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class SimulatedCall:
    """A call that a customer asks the sandbox to simulate.

    Attributes:
        service: The dialled number.
        source: The caller: E.164, as sent, or "anonymous".
        outcome: What happens if the call is put through.
        seconds: How long the two would talk without a limit; 0 unless `outcome` is ANSWERED.
        key: The telephone key that the callee presses, if the booking asks for one; None for none.
        direction: REVERSE, PAIR: the caller's carrier asserts `source`, so that a hidden number may call.
        pins: The PINs that the caller keys in, one for each question for a PIN.
    """

    service: E164
    source: str
    outcome: Outcome
    seconds: int
    key: str | None = "1"
    direction: Direction = Direction.FORWARD
    pins: tuple[str, ...] = ()

    def screened(self, screening: Screening) -> "SimulatedCall":
        """Returns the call as it goes on where an answer needs a key: without that, nobody gets it."""
        if screening.key in {None, self.key} or self.outcome is not Outcome.ANSWERED:
            return self
        return replace(self, outcome=Outcome.NO_ANSWER, seconds=0)


# What the dialplan would report for each outcome, and the final SIP status. An answered call is ended by its caller,
# unless it reaches its limit.
REPORTED = {
    Outcome.ANSWERED: DialplanEnd("ANSWER", source="caller", cause=16),
    Outcome.BUSY: DialplanEnd("BUSY", tried=(Attempt("", "BUSY", 486, 17),)),
    Outcome.NO_ANSWER: DialplanEnd("NOANSWER"),
    Outcome.CANCELLED: DialplanEnd("CANCEL", source="caller"),
}
CUT_AT_LIMIT = DialplanEnd("ANSWER", cause=16)
SIP_OF_OUTCOME = {Outcome.ANSWERED: 200, Outcome.BUSY: 486, Outcome.NO_ANSWER: 480, Outcome.CANCELLED: 487}
# Asterisk's table (hangup_cause2sip in chan_pjsip.c), as far as the engine uses it.
SIP_OF_CAUSE = {
    Cause.UNALLOCATED: 404,
    Cause.USER_BUSY: 486,
    Cause.NO_ANSWER: 480,
    Cause.CALL_REJECTED: 403,
    Cause.NUMBER_CHANGED: 410,
    Cause.NO_CIRCUIT: 503,
}


def sip_status(decision: Bridge | Reject, outcome: Outcome) -> int:
    """Returns the final SIP status that the caller's telephone would get."""
    return SIP_OF_OUTCOME[outcome] if isinstance(decision, Bridge) else SIP_OF_CAUSE[decision.cause]


def prompts_heard(decision: Bridge | Reject, policy: Policy) -> tuple[Prompt, ...]:
    """Returns what the caller would hear before the final SIP status. A call that is put through reaches its trunk."""
    if isinstance(decision, Bridge) or decision.prompt is None or not policy.speaks:
        return ()
    return (decision.prompt,)


def lasts_ms(outcome: Outcome, talked_ms: int, ring_seconds: int) -> int:
    """Returns by how many milliseconds a call that was put through moves the sandbox's clock.

    A call without an answer takes the whole ring time; any other outcome comes at once, and only talking takes time.
    """
    return ring_seconds * 1000 if outcome is Outcome.NO_ANSWER else talked_ms
