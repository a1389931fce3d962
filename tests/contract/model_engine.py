"""One life of an engine for the state machine: the real scripts, limit keeper and reconciler over a database in memory.

Gates around them let the state machine delay or kill them.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, cast

from agi_scripts.answered import answered
from agi_scripts.ended import ended
from agi_scripts.errors import AgiError, CallerGone
from agi_scripts.route import route
from agi_scripts.session import CallContext, Environment, Session
from engine.asterisk.errors import AmiError
from engine.asterisk.limit_keeper import LimitKeeper
from engine.asterisk.reconciler import Reconciler
from engine.asterisk.wall_clock import ClockWatch
from engine.bookings.adjustments import Adjustment
from engine.calls.lifecycle import EndReport, Settlement, call_ended
from engine.domain.errors import BookingGone
from engine.domain.ids import CallId
from engine.domain.policy import Policy
from engine.domain.times import EpochMs, Timestamp
from engine.storage.errors import StorageError
from tests.contract.model_asterisk import Asterisk, Clocks, Gate, Leg, Link, Phase
from tests.contract.model_books import Books, Storage
from tests.contract.samples import CALLER

ALLOWED = "allowed_not_screened"


class Clock:
    def __init__(self, clocks: Clocks) -> None:
        self._clocks = clocks

    def now(self) -> EpochMs:
        return self._clocks.now

    def timestamp(self) -> Timestamp:
        return self._clocks.timestamp()


class Kept:
    """The end spool without its files. It survives every engine too."""

    def __init__(self) -> None:
        self.ends: list[EndReport] = []

    def keep(self, leg: Leg, at: Timestamp) -> None:
        self.ends.append(EndReport(CallId(leg.call_id), leg.measured_ms, leg.dial_status, at))


class SpoolInMemory:
    def __init__(
        self, kept: Kept, storage: Storage, clock: Clock, policy: Policy, settled: Callable[[Settlement], None]
    ) -> None:
        self._kept = kept
        self._storage = storage
        self._clock = clock
        self._policy = policy
        self._settled = settled

    async def take_in(self) -> None:
        for report in list(self._kept.ends):
            settlement: Settlement | None = await self._storage.run(
                call_ended, report, EpochMs(self._clock.now()), self._policy
            )
            with suppress(ValueError):  # another pass has settled it meanwhile
                self._kept.ends.remove(report)
            if settlement is not None:
                self._settled(settlement)


class Conversation:
    """Stands for one AGI connection: the variables that the script sets, and a peer that may be gone."""

    def __init__(self, gate: Gate, channel: str, unique_id: str, *arguments: str) -> None:
        self.environment = Environment("", channel, unique_id, arguments)
        self.variables: dict[str, str] = {}
        self.closed = False
        self.began = 0
        self._gate = gate

    async def set_variables(self, variables: list[tuple[str, str]]) -> None:
        await self._gate.passed()
        if self.closed:
            raise CallerGone("closed")
        self.variables |= dict(variables)


class Engine:
    """Only the state machine runs `loop`."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, books: Books, kept: Kept, asterisk: Asterisk, policy: Policy
    ) -> None:
        self._loop = loop
        self.asterisk = asterisk
        self._kept = kept
        self.storage = Storage(books, asterisk.gate)
        clock = Clock(asterisk.clocks)
        storage, link = cast("Any", self.storage), cast("Any", Link(asterisk))
        self.keeper = LimitKeeper(storage, link, clock, policy)
        self._spool = SpoolInMemory(kept, self.storage, clock, policy, self.keeper.settled)
        self._reconciler = Reconciler(storage, link, clock, policy, self.keeper, cast("Any", self._spool), 5.0)
        self._watch = ClockWatch(link, clock, self.keeper)
        self._context = CallContext(storage, clock, policy, self.keeper, "")
        self._scripts: dict[asyncio.Task[None], Conversation] = {}
        self._rounds: set[asyncio.Task[None]] = set()
        self._keeping = self._loop.create_task(self.keeper.run(asyncio.Event()))

    @property
    def is_idle(self) -> bool:
        return not self._scripts and not self._rounds

    def check(self) -> None:  # the keeper must survive everything
        if self._keeping.done():
            self._keeping.result()

    def nap_ends(self) -> None:
        self.keeper._wake.set()
        self._begin(self._look())

    def route(self, leg: Leg) -> None:
        talk = self._comes_in(leg)
        self._start(route(self._context, cast("Session", talk)), talk, lambda: self._routed(leg, talk))

    def route_again(self, leg: Leg) -> None:
        talk = self._comes_in(leg)
        self._start(route(self._context, cast("Session", talk)), talk, lambda: self._routed_again(leg, talk))

    def answered(self, leg: Leg) -> None:
        talk = self._picks_up(leg)
        self._start(answered(self._context, cast("Session", talk)), talk, lambda: self._picked_up(leg, talk))

    def answered_again(self, leg: Leg) -> None:
        """Sends the report of an earlier answer."""
        talk = self._picks_up(leg)
        self._start(answered(self._context, cast("Session", talk)), talk, lambda: self._limited_again(leg, talk))

    def _comes_in(self, leg: Leg) -> Conversation:
        return Conversation(self.asterisk.gate, leg.channel, leg.call_id, leg.service, CALLER, ALLOWED)

    def _picks_up(self, leg: Leg) -> Conversation:
        arguments = (leg.call_id, leg.booking_id, self.asterisk.clocks.in_utc)
        return Conversation(self.asterisk.gate, leg.callee_channel, leg.callee_id, *arguments)

    def ended(self, leg: Leg) -> None:
        talked = str(leg.measured_ms) if leg.began else ""
        arguments = (leg.call_id, talked, leg.dial_status, self.asterisk.clocks.in_utc)
        talk = Conversation(self.asterisk.gate, leg.channel, leg.call_id, *arguments)
        self.asterisk.hanging_up.add(leg.call_id)
        self._start(ended(self._context, cast("Session", talk)), talk, lambda: self._hung_up(leg, talk))

    def reconcile(self) -> None:
        self._begin(self._round())

    def adjust(self, adjustment: Adjustment) -> None:
        self._begin(self._adjusted(adjustment))

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._rounds.add(task)
        task.add_done_callback(self._rounds.discard)

    async def _look(self) -> None:
        """Runs one iteration of ClockWatch.run."""
        with suppress(StorageError):
            await self._watch._check()

    async def _adjusted(self, adjustment: Adjustment) -> None:
        """Does what the control socket asks of the engine."""
        with suppress(BookingGone, StorageError):
            await self.keeper.adjust(adjustment)

    async def _round(self) -> None:
        """Runs one iteration of Reconciler.run."""
        try:
            await self._spool.take_in()
            await self._reconciler._round()
        except (AmiError, StorageError):
            self._reconciler._missing.clear()

    def cut_off(self, begun_before: int) -> None:
        """These scripts have used up their time, or their engine has died: Asterisk continues without them."""
        for task, talk in list(self._scripts.items()):
            if talk.began <= begun_before:
                talk.closed = True
                task.cancel()

    def caller_left(self, leg: Leg) -> None:
        for talk in self._scripts.values():
            if talk.environment.unique_id in {leg.call_id, leg.callee_id}:
                talk.closed = True

    def kill(self) -> None:
        self.storage.dead = True
        self.cut_off(self.asterisk.clocks.ticks)
        for task in (*self._rounds, self._keeping):
            task.cancel()

    def _start(self, script: Coroutine[Any, Any, None], talk: Conversation, then: Callable[[], None]) -> None:
        async def serve() -> None:
            with suppress(AgiError, StorageError, asyncio.CancelledError):
                await script

        talk.began = self.asterisk.clocks.ticks
        task = self._loop.create_task(serve())
        self._scripts[task] = talk

        def over(task: asyncio.Task[None]) -> None:
            del self._scripts[task]
            then()
            if not task.cancelled():
                task.result()

        task.add_done_callback(over)

    def _routed(self, leg: Leg, talk: Conversation) -> None:
        leg.variables = talk.variables
        if leg.phase is not Phase.ASKED:
            if talk.variables.get("RN_VERDICT") == "BRIDGE":
                self.asterisk.ended.append(leg)  # the caller left at the last moment: the end is reported
        elif talk.variables.get("RN_VERDICT") == "BRIDGE":
            self.asterisk.rings(leg)
        else:
            self.asterisk.hang_up(leg, "")

    def _routed_again(self, leg: Leg, talk: Conversation) -> None:
        if leg.phase is Phase.RINGING and talk.variables.get("RN_VERDICT") == "BRIDGE":
            leg.variables = talk.variables

    def _picked_up(self, leg: Leg, talk: Conversation) -> None:
        if leg.phase is not Phase.PICKED_UP:
            return
        limit = talk.variables.get("RN_LIMIT")
        if limit == "none":
            self.asterisk.hang_up(leg)
        elif limit == "set":
            self.asterisk.talks(leg, round(float(talk.variables["TIMEOUT(absolute)"]) * 1000))
        else:
            self.asterisk.talks(leg, leg.reserve * 1000)

    def _limited_again(self, leg: Leg, talk: Conversation) -> None:
        if leg.phase is not Phase.TALKING:
            return
        if talk.variables.get("RN_LIMIT") == "none":
            self.asterisk.hang_up(leg)
        elif "TIMEOUT(absolute)" in talk.variables:
            leg.cut_at = self.asterisk.clocks.now + round(float(talk.variables["TIMEOUT(absolute)"]) * 1000)

    def _hung_up(self, leg: Leg, talk: Conversation) -> None:
        self.asterisk.hanging_up.discard(leg.call_id)
        if "RN_SETTLED" not in talk.variables:
            self._kept.keep(leg, self.asterisk.clocks.timestamp())
