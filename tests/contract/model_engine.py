"""One life of an engine for the state machine: the engine's own parts over a database in memory.

Gates around them let the state machine delay or kill them.
"""

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any, cast

from agi_scripts.errors import AgiError
from agi_scripts.route import route
from agi_scripts.session import CallContext, Session
from engine.asterisk.errors import AmiError
from engine.asterisk.limit_keeper import LimitKeeper
from engine.asterisk.reconciler import Reconciler
from engine.asterisk.silent_trunks import SilentTrunks
from engine.asterisk.trunk_states import TrunkStates
from engine.asterisk.wall_clock import ClockWatch
from engine.bookings.adjustments import Adjustment
from engine.calls.end_spool import EndSpool
from engine.calls.report_intake import ReportIntake
from engine.calls.reports import ReportReader
from engine.domain.errors import BookingGone
from engine.domain.policy import Policy
from engine.domain.times import EpochMs, Timestamp
from engine.storage.errors import StorageError
from tests.contract.model_agi import Conversation
from tests.contract.model_asterisk import Asterisk
from tests.contract.model_books import Books, Storage
from tests.contract.model_clocks import Clocks
from tests.contract.model_dialplan import TOKEN
from tests.contract.model_link import Link

# So short that some examples begin a new file.
ROTATE_BYTES = 600


class Clock:
    def __init__(self, clocks: Clocks) -> None:
        self._clocks = clocks

    def now(self) -> EpochMs:
        return self._clocks.now

    def timestamp(self) -> Timestamp:
        return self._clocks.timestamp()


class InLine(ThreadPoolExecutor):
    """Runs what asyncio.to_thread is given at once, so that the order does not depend on threads."""

    def submit(self, call: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        done: Future[Any] = Future()
        try:
            done.set_result(call(*args, **kwargs))
        except OSError as error:
            done.set_exception(error)
        return done


class Engine:
    """Only the state machine runs `loop`."""

    def __init__(self, loop: asyncio.AbstractEventLoop, books: Books, asterisk: Asterisk, policy: Policy) -> None:
        self._loop = loop
        self._clocks = asterisk.clocks
        self.storage = Storage(books, asterisk.gate)
        clock = Clock(asterisk.clocks)
        storage, link = cast("Any", self.storage), cast("Any", Link(asterisk))
        self.keeper = LimitKeeper(storage, link, clock, policy)
        self.intake = ReportIntake(ReportReader([TOKEN]), storage, clock, policy, self.keeper)
        self._spool = EndSpool(asterisk.spool.parent, self.intake, ROTATE_BYTES)
        self._reconciler = Reconciler(storage, link, clock, policy, self.keeper, self._spool, 5.0)
        self._watch = ClockWatch(link, clock, self.keeper)
        trunks = TrunkStates(link, clock, {})
        self._context = CallContext(storage, clock, policy, trunks, self.keeper, SilentTrunks(link))
        self._scripts: dict[asyncio.Task[None], Conversation] = {}
        self._rounds: set[asyncio.Task[None]] = set()
        self._one_round = asyncio.Lock()
        never = asyncio.Event()
        self._running = [loop.create_task(each) for each in (self.keeper.run(never), self.intake.run(never))]

    @property
    def is_idle(self) -> bool:
        return not self._scripts and not self._rounds

    def check(self) -> None:
        """What always runs must survive everything."""
        for task in self._running:
            if task.done():
                task.result()

    def nap_ends(self) -> None:
        self.keeper._wake.set()
        self._begin(self._look())

    def asked(self, conversation: Conversation) -> None:
        task = self._loop.create_task(self._serve(conversation))
        self._scripts[task] = conversation
        task.add_done_callback(self._served)

    def told(self, report: str) -> None:
        self.intake.take(report)

    async def _serve(self, conversation: Conversation) -> None:
        with suppress(AgiError, StorageError):
            await route(self._context, cast("Session", conversation))

    def _served(self, task: asyncio.Task[None]) -> None:
        self._scripts.pop(task).close()
        if not task.cancelled():
            task.result()

    def reconcile(self) -> None:
        self._begin(self._round())

    def adjust(self, adjustment: Adjustment) -> None:
        self._begin(self._adjusted(adjustment))

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._rounds.add(task)
        task.add_done_callback(self._over)

    def _over(self, task: asyncio.Task[None]) -> None:
        self._rounds.discard(task)
        if not task.cancelled():
            task.result()

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
        async with self._one_round:
            try:
                await self._spool.take_in()
                await self._reconciler._round()
            except (AmiError, StorageError):
                self._reconciler._forget_last_list()

    def cut_off(self, begun_before: int) -> None:
        """These scripts have used up their time, or their engine has died."""
        for task, conversation in list(self._scripts.items()):
            if conversation.began <= begun_before:
                task.cancel()

    def kill(self) -> None:
        self.storage.dead = True
        self.cut_off(self._clocks.ticks)
        for task in (*self._rounds, *self._running):
            task.cancel()
