"""A call of the model, and what can be wrong around it."""

import asyncio
from dataclasses import dataclass, field
from enum import Enum, auto

from engine.domain.times import Timestamp
from tests.contract.model_agi import Conversation
from tests.contract.model_dialplan import Channel


class Phase(Enum):
    ASKED = auto()  # the engine is asked for the destination
    RINGING = auto()
    ANNOUNCED = auto()  # the callee hears what comes before the connection
    PICKED_UP = auto()  # the limit is set
    TALKING = auto()
    OVER = auto()


CALLED = (Phase.RINGING, Phase.ANNOUNCED, Phase.PICKED_UP, Phase.TALKING)
UP = (Phase.ASKED, *CALLED)


class Events(Enum):
    """What happens to the events that Asterisk sends."""

    PROMPT = auto()
    LOST = auto()
    DOUBLED = auto()
    LATE = auto()  # until the state machine lets them through, in any order


class Ami(Enum):
    UP = auto()
    AWAY = auto()  # no connection
    DEAF = auto()  # what is sent to Asterisk is lost
    MUTE = auto()  # what is sent is done, but what Asterisk sends is lost


@dataclass(eq=False)
class Leg:
    """One call as Asterisk sees it. `talked_ms` is the true duration; `measured_ms` is Asterisk's measurement."""

    call_id: str
    service: str
    caller: Channel
    callee: Channel
    asked_at: int
    dialled: "asyncio.Future[str]"
    over: "asyncio.Future[None]"
    wall_ahead_ms: int
    phase: Phase = Phase.ASKED
    conversation: Conversation | None = None
    # The engine that is asked has not answered in time.
    timed_out: bool = False
    ring_until: int = 0
    # The key that the callee presses, empty for none; and when it can no more.
    pressed: "asyncio.Future[str] | None" = None
    # The RN_ASKED during which it presses none.
    silent_when: str | None = None
    announced_until: int = 0
    # The SIP status with which the last trunk refused the call before it rang, empty if it did not answer; else None.
    refused_with: str | None = None
    # The trunks that were tried, by Asterisk's names.
    trunks: list[str] = field(default_factory=list)
    # When the limit was set that its lease gives it.
    limit_set_at: int | None = None
    # How long after that the dialplan read the time that it reports.
    reported_after_ms: int = 0
    began: Timestamp | None = None
    talked_ms: int = 0
    measured_ms: int = 0
    was_held_up: bool = False
    # Its hangup handler has returned.
    gone: bool = False

    @property
    def ringtime(self) -> str:
        """What Dial() says about how long it took until it rang."""
        return "1" if self.refused_with is None else ""

    @property
    def booking_id(self) -> str:
        return self.caller.variables.get("RN_BOOKING", "")

    @property
    def is_bridged(self) -> bool:
        return self.caller.variables["RN_VERDICT"] == "BRIDGE"
