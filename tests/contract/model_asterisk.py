"""A model of Asterisk for metering: two clocks, its own limits and durations, no access to a booking's seconds."""

import asyncio
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum, auto
from itertools import count

from panoramisk.message import Message

from engine.asterisk.errors import AmiRefused, AmiUnavailable
from engine.domain.times import BootMs, EpochMs, Timestamp
from tests.contract.samples import SECOND, START

RING_MS = 30 * SECOND
# An action that was delayed for longer counts as lost; until then a limit may arrive this much too late.
PROMPT_MS = 40
# How long a script, or an answer, may take.
PATIENCE_MS = 2 * SECOND


class Clocks:
    """The wall clock and the boot clock. They diverge when the wall clock is set."""

    def __init__(self) -> None:
        self._now: int = START
        self.ticks = 1_000

    @property
    def now(self) -> EpochMs:
        return EpochMs(self._now)

    @now.setter
    def now(self, instant: int) -> None:
        self._now = instant

    @property
    def wall_ahead_ms(self) -> int:
        return self.now - self.ticks

    def timestamp(self) -> Timestamp:
        return Timestamp(EpochMs(self.now), BootMs(self.ticks))

    @property
    def in_utc(self) -> str:
        """Returns the time as the dialplan reports it."""
        return datetime.fromtimestamp(self.now // 1000, UTC).strftime("%Y%m%d%H%M%S") + f"{self.now % 1000:03}"


class Gate:
    """Where everything that leaves or enters the engine can be delayed."""

    def __init__(self) -> None:
        self.held = False
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def passed(self) -> None:
        if self.held:
            waiting = asyncio.get_running_loop().create_future()
            self._waiting.append(waiting)
            await waiting

    def let_pass(self, turn: int = 0) -> None:
        self._waiting = deque(each for each in self._waiting if not each.done())
        if self._waiting:
            self._waiting.rotate(-(turn % len(self._waiting)))
            self._waiting.popleft().set_result(None)

    def open(self) -> None:
        self.held = False
        while self._waiting:
            self.let_pass()


class Phase(Enum):
    ASKED = auto()  # the engine is asked for the destination
    RINGING = auto()
    PICKED_UP = auto()  # the engine is asked for the limit
    TALKING = auto()
    OVER = auto()


UP = (Phase.ASKED, Phase.RINGING, Phase.PICKED_UP, Phase.TALKING)


@dataclass(eq=False)
class Leg:
    """One call as Asterisk sees it. `talked_ms` is the true duration; `measured_ms` is Asterisk's measurement."""

    call_id: str
    service: str
    phase: Phase = Phase.ASKED
    variables: dict[str, str] = field(default_factory=dict)
    ring_until: int = 0
    began: Timestamp | None = None
    # By the wall clock, as Asterisk stores it.
    cut_at: int | None = None
    talked_ms: int = 0
    measured_ms: int = 0
    dial_status: str = ""
    was_held_up: bool = False
    # The wall clock was set during the talk, before the engine received the answer.
    immeasurable: bool = False
    # How far the wall clock was ahead at the end: a later report must use the same clocks.
    wall_ahead_ms: int = 0

    @property
    def channel(self) -> str:
        return f"PJSIP/carrier-{self.call_id}"

    @property
    def callee_id(self) -> str:
        """Returns the unique id of the channel that carries the limit."""
        return f"{self.call_id}-callee"

    @property
    def callee_channel(self) -> str:
        return f"PJSIP/trunk-{self.call_id}"

    @property
    def booking_id(self) -> str:
        return self.variables.get("RN_BOOKING", "")

    @property
    def reserve(self) -> int:
        return int(self.variables["RN_SECONDS"])


class Ami(Enum):
    UP = auto()
    AWAY = auto()  # no connection
    DEAF = auto()  # what is sent is lost
    MUTE = auto()  # what is sent is done, but its answer is lost


class Asterisk:
    def __init__(self, clocks: Clocks, gate: Gate) -> None:
        self.clocks = clocks
        self.gate = gate
        self.legs: list[Leg] = []
        self._ami = Ami.UP
        self.connections = 1
        self.cuts_lists = False
        # Legs that have ended and whose end is not reported yet.
        self.ended: list[Leg] = []
        # Callers' channels whose hangup handler still runs: they are still listed.
        self.hanging_up: set[str] = set()
        self._names = count()

    @property
    def ami(self) -> Ami:
        return self._ami

    @ami.setter
    def ami(self, ami: Ami) -> None:
        self.connections += self._ami is Ami.AWAY and ami is not Ami.AWAY
        self._ami = ami

    def in_phase(self, *phases: Phase) -> list[Leg]:
        return [leg for leg in self.legs if leg.phase in phases]

    def dialled(self, service: str) -> Leg:
        leg = Leg(f"c{next(self._names)}", service)
        self.legs.append(leg)
        return leg

    def rings(self, leg: Leg) -> None:
        leg.phase = Phase.RINGING
        leg.ring_until = self.clocks.ticks + RING_MS

    def talks(self, leg: Leg, limit_ms: int) -> None:
        leg.phase = Phase.TALKING
        leg.began = self.clocks.timestamp()
        leg.cut_at = self.clocks.now + limit_ms

    def hang_up(self, leg: Leg, dial_status: str = "ANSWER", at: Timestamp | None = None) -> None:
        """Ends the call as of `at`, if that is in the past."""
        moment = at or self.clocks.timestamp()
        if leg.began is not None:
            leg.talked_ms = moment.boot_ms - leg.began.boot_ms
            leg.measured_ms = moment.wall_ms - leg.began.wall_ms
        bridged, leg.phase, leg.dial_status = leg.phase is not Phase.ASKED, Phase.OVER, dial_status
        leg.wall_ahead_ms = self.clocks.wall_ahead_ms
        if bridged:
            self.ended.append(leg)

    def elapse(self, step: int) -> None:
        """Advances the clocks, and with them limits and ring times."""
        before = self.clocks.timestamp()
        self.clocks.now += step
        self.clocks.ticks += step
        for leg in self.in_phase(Phase.RINGING):
            if leg.ring_until <= self.clocks.ticks:
                self.hang_up(leg, "NOANSWER")
        self._cut(before)

    def set_wall_clock(self, by: int) -> None:
        self.clocks.now += by
        self._cut(self.clocks.timestamp())

    def _cut(self, before: Timestamp) -> None:
        for leg in self.in_phase(Phase.TALKING):
            assert leg.cut_at is not None
            if leg.cut_at <= self.clocks.now:
                late = max(0, leg.cut_at - before.wall_ms)
                self.hang_up(leg, at=Timestamp(EpochMs(before.wall_ms + late), BootMs(before.boot_ms + late)))

    def limit_ms(self, leg: Leg) -> int:
        """Returns how long they will have talked when they are cut."""
        assert leg.cut_at is not None
        assert leg.began is not None
        return leg.cut_at - self.clocks.now + self.clocks.ticks - leg.began.boot_ms

    def talked_so_far(self, leg: Leg) -> int:
        return self.clocks.ticks - leg.began.boot_ms if leg.phase is Phase.TALKING and leg.began else leg.talked_ms

    def channels(self) -> list[Message]:
        return [channel for leg in self.legs for channel in self._channels_of(leg)]

    def _channels_of(self, leg: Leg) -> list[Message]:
        shown = [_listed(leg.call_id, leg.call_id, leg.channel, "")]
        if leg.phase is Phase.OVER:
            return shown if leg.call_id in self.hanging_up else []
        if leg.phase is not Phase.ASKED:
            bridge = "bridge" if leg.phase is Phase.TALKING else ""
            shown.append(_listed(leg.callee_id, leg.call_id, leg.callee_channel, bridge))
        return shown


class Link:
    """The engine's side of the link, in place of an AmiLink."""

    def __init__(self, asterisk: Asterisk) -> None:
        self._asterisk = asterisk
        self._clocks = asterisk.clocks

    @property
    def is_up(self) -> bool:
        return self._asterisk.ami is not Ami.AWAY

    @property
    def connections(self) -> int:
        return self._asterisk.connections

    async def action(self, name: str, **fields: str) -> Message:
        await self._send()
        if name == "Ping":
            return await self._answer(Timestamp=f"{self._clocks.now / 1000:.6f}")
        up = self._asterisk.in_phase(Phase.RINGING, Phase.PICKED_UP, Phase.TALKING)
        found = [leg for leg in up if leg.callee_id == fields["Channel"]]
        if not found:
            await self._answer()
            raise AmiRefused("no such channel")
        [leg] = found
        if (name, fields.get("Variable")) == ("Getvar", "TIMEOUT(absolute)"):
            left_ms = 0 if leg.cut_at is None else max(0, leg.cut_at - self._clocks.now)
            return await self._answer(Value=f"{left_ms / 1000:.3f}")
        assert name == "AbsoluteTimeout"
        leg.cut_at = self._clocks.now + round(float(fields["Timeout"]) * 1000)
        return await self._answer()

    async def hang_up(self, call_id: str) -> None:
        await self._send()
        found = [leg for leg in self._asterisk.in_phase(*UP) if leg.call_id == call_id]
        for leg in found:
            self._asterisk.hang_up(leg)
        await self._answer()
        if not found:
            raise AmiRefused("no such channel")

    async def _send(self) -> None:
        sent = self._clocks.ticks
        if self._asterisk.ami is Ami.AWAY:
            raise AmiUnavailable("no link")
        await self._asterisk.gate.passed()
        if self._asterisk.ami is Ami.DEAF or self._clocks.ticks - sent > PROMPT_MS:
            raise AmiUnavailable("lost")

    async def _answer(self, **fields: str) -> Message:
        done = self._clocks.ticks
        if self._asterisk.ami is Ami.MUTE:
            raise AmiUnavailable("answer lost")
        await self._asterisk.gate.passed()
        if self._clocks.ticks - done > PATIENCE_MS:
            raise AmiUnavailable("too late")
        return Message({"Response": "Success", **fields})

    async def list(self, name: str) -> list[Message]:
        assert name == "Status"
        await self._send()
        channels = self._asterisk.channels()
        end = Message({"Event": "StatusComplete", "ListItems": str(len(channels))})
        if self._asterisk.cuts_lists and channels:
            channels.pop()
        await self._answer()
        return [Message({"Response": "Success"}), *channels, end]


def _listed(unique_id: str, linked_id: str, channel: str, bridge: str) -> Message:
    names = {"Uniqueid": unique_id, "Linkedid": linked_id, "Channel": channel, "BridgeID": bridge}
    return Message({"Event": "Status", **names})
