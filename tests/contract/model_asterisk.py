"""A model of Asterisk for metering: its own limits and durations, no access to a booking's seconds.

Its calls carry out the real dialplan. The state machine can hold a call wherever somebody could notice how far it is.
"""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any, Protocol

from agi_scripts.session import Environment
from engine.domain.times import BootMs, EpochMs, Timestamp
from engine.runtime.authentication import is_authentic
from tests.contract import model_dialplan as dialplan
from tests.contract.model_agi import Conversation
from tests.contract.model_clocks import Clocks, Gate
from tests.contract.model_dialplan import TOKEN, Channel, HungUp, TimedOut
from tests.contract.model_leg import Ami, Events, Leg, Phase
from tests.contract.model_steps import Steps
from tests.contract.samples import CALLER, SECOND

# Who calls, by turns: the number, and whether it may be shown.
CALLERS = ((CALLER, "allowed_not_screened"), ("+14155550199", "allowed"), (CALLER, "prohib_not_screened"))
# How long the dialplan waits for an engine.
ENGINE_MS = int(dialplan.ENGINE_SECONDS * SECOND)
# The model's part of the dialplan begins here: what comes before only filters what callers can write.
FIRST = "CHANNEL(hangup_handler_push)="
# How long the callee's side hears an announcement and can press a key.
ANNOUNCEMENT_MS = 8 * SECOND


class Listener(Protocol):
    """An engine, as Asterisk reaches it."""

    def asked(self, conversation: Conversation) -> None:
        """Begins to answer an AGI request."""

    def told(self, report: str) -> None:
        """Takes an event."""


class Asterisk:
    def __init__(self, loop: asyncio.AbstractEventLoop, clocks: Clocks, gate: Gate, spool: Path) -> None:
        self._loop = loop
        self.clocks = clocks
        self.gate = gate
        self.spool = spool
        self.legs: list[Leg] = []
        self.engine: Listener | None = None
        self._ami = Ami.UP
        self.connections = 1
        self.cuts_lists = False
        self.events = Events.PROMPT
        self.late: list[str] = []
        # None: lines of the end spool are written whole. Else only so many bytes of each, without the line end.
        self.disk_takes: int | None = None
        self._names = count()
        self._tasks: set[asyncio.Task[None]] = set()

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
        number = next(self._names)
        name, (source, presentation) = f"c{number}", CALLERS[number % len(CALLERS)]
        caller, callee = Channel(f"PJSIP/carrier-{name}", name), Channel(f"PJSIP/trunk-{name}", f"{name}-callee")
        caller.variables |= {"RN_VERDICT": "", "RN_ASK": f"{service},{source},{presentation},,,,,carrier-main,,"}
        ends = self._loop.create_future(), self._loop.create_future()
        leg = Leg(name, service, caller, callee, self.clocks.ticks, *ends, self.clocks.wall_ahead_ms)
        self.legs.append(leg)
        self._begin(self._call(leg))
        return leg

    def new_attempt(self) -> "asyncio.Future[str]":
        """Returns the outcome of a call to one more trunk."""
        return self._loop.create_future()

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _call(self, leg: Leg) -> None:
        steps, lines = Steps(self, leg), dialplan.contexts()["rented-numbers"]
        first = next(index for index, line in enumerate(lines) if line.data.startswith(FIRST))
        with suppress(HungUp):
            await dialplan.run(leg.caller, "rented-numbers", steps, start=first)
        leg.phase, leg.caller.hung_up = Phase.OVER, False
        await dialplan.run(leg.caller, "rented-numbers-ended", steps)
        leg.gone = True

    async def ask(self, leg: Leg, question: list[str], mac: str) -> None:
        assert is_authentic([TOKEN], ",".join([leg.call_id, "route", *question]), mac)
        """Asks an engine of the list. All of its addresses lead to the one engine of the model."""
        leg.asked_at, leg.timed_out = self.clocks.ticks, False
        if self.engine is not None:
            environment = Environment("route", leg.caller.name, leg.call_id, tuple(question), mac)
            leg.conversation = Conversation(self.gate, environment, self.clocks.ticks)
            self.engine.asked(leg.conversation)
            await leg.conversation.serve(leg.caller)
            if leg.timed_out:
                raise TimedOut

    def emit(self, report: str) -> None:
        if self.events is Events.LATE:
            self.late.append(report)
        elif self.events is not Events.LOST:
            for _ in range(2 if self.events is Events.DOUBLED else 1):
                self.deliver(report)

    def deliver(self, report: str) -> None:
        if self.gate.held:
            self._begin(self._told_later(report))
        else:
            self._told(report)

    async def _told_later(self, report: str) -> None:
        await self.gate.passed()
        self._told(report)

    def _told(self, report: str) -> None:
        if self.engine is not None and self.ami in {Ami.UP, Ami.DEAF}:
            self.engine.told(report)

    def write_end(self, line: str) -> None:
        with self.spool.open("ab") as file:
            file.write(f"{line}\n".encode() if self.disk_takes is None else line.encode()[: self.disk_takes])

    def hang_up(self, leg: Leg, dial_status: str = "CANCEL", at: Timestamp | None = None) -> None:
        """Ends the call as of `at`, if that is in the past. Its channel then runs the hangup handler."""
        if leg.phase is Phase.RINGING and not leg.dialled.done():
            leg.dialled.set_result(dial_status)
        leg.caller.hung_up = leg.phase is not Phase.RINGING or dial_status == "CANCEL"
        if leg.conversation is not None:
            leg.conversation.notice()
        if leg.phase is Phase.TALKING and leg.began is not None:
            moment = at or self.clocks.timestamp()
            leg.talked_ms = moment.boot_ms - leg.began.boot_ms
            leg.measured_ms = moment.wall_ms - leg.began.wall_ms
            leg.phase = Phase.OVER
            leg.over.set_result(None)

    def caller_leaves(self, leg: Leg) -> None:
        leg.caller.variables["CHANNEL(hangupsource)"] = leg.caller.name
        self.hang_up(leg)

    def engine_hangs_up(self, leg: Leg) -> None:
        self.hang_up(leg)
        if leg.phase is Phase.ANNOUNCED:
            self.callee_leaves(leg)

    def callee_leaves(self, leg: Leg) -> None:
        """The callee hangs up in the announcement."""
        leg.callee.hung_up = True
        self.press(leg, "")

    def press(self, leg: Leg, key: str) -> None:
        if leg.pressed is not None and not leg.pressed.done():
            leg.pressed.set_result(key)

    def new_key(self, leg: Leg) -> "asyncio.Future[str]":
        """Begins an announcement."""
        leg.phase, leg.announced_until = Phase.ANNOUNCED, self.clocks.ticks + ANNOUNCEMENT_MS
        leg.pressed = self._loop.create_future()
        return leg.pressed

    def trunk_fails(self, leg: Leg, status: str) -> None:
        """The trunk that is tried refuses the call before anything has rung."""
        if leg.phase is Phase.RINGING and not leg.dialled.done():
            leg.refused_with = status
            leg.dialled.set_result({"486": "BUSY", "503": "CONGESTION"}.get(status, "CHANUNAVAIL"))

    def elapse(self, step: int) -> None:
        """Advances the clocks, and with them limits and ring times."""
        before = self.clocks.timestamp()
        self.clocks.now += step
        self.clocks.ticks += step
        for leg in self.in_phase(Phase.RINGING):
            if leg.ring_until <= self.clocks.ticks:
                self.hang_up(leg, "NOANSWER")
        for leg in self.in_phase(Phase.ANNOUNCED):
            if leg.announced_until <= self.clocks.ticks:
                self.press(leg, "")
        for leg in self.in_phase(Phase.ASKED):
            if leg.asked_at + ENGINE_MS <= self.clocks.ticks and leg.conversation is not None:
                leg.timed_out = True
                leg.conversation.leave()
        self._cut(before)

    def set_wall_clock(self, by: int) -> None:
        self.clocks.now += by
        self._cut(self.clocks.timestamp())

    def _cut(self, before: Timestamp) -> None:
        for leg in self.in_phase(Phase.TALKING):
            cut_at = leg.callee.cut_at
            if cut_at is not None and cut_at <= self.clocks.now:
                late = max(0, cut_at - before.wall_ms)
                self.hang_up(leg, at=Timestamp(EpochMs(before.wall_ms + late), BootMs(before.boot_ms + late)))

    def limit_ms(self, leg: Leg) -> int:
        """Returns how long they will have talked when they are cut; what a call that rings would get."""
        if leg.callee.cut_at is None or leg.limit_set_at is None:
            return int(leg.callee.variables.get("RN_SECONDS", leg.caller.variables["RN_SECONDS"])) * SECOND
        since = leg.began.boot_ms if leg.began else leg.limit_set_at
        return leg.callee.cut_at - self.clocks.now + self.clocks.ticks - since

    def talked_so_far(self, leg: Leg) -> int:
        return self.clocks.ticks - leg.began.boot_ms if leg.phase is Phase.TALKING and leg.began else leg.talked_ms
