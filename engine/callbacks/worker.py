"""Delivers the outbox: at least once, each event under the same id, no receiver at another's expense.

A callback goes through three steps, each a transaction:

1. lined up: a due row's `due_at` is pushed ahead by a hold, and its id goes into its account's lane to the receiver,
   in memory (see lanes.py). This counts no attempt. A row that finds no room, or whose worker dies, is due again after
   the hold;
2. begun: when its turn comes, `attempts` is counted and `due_at` pushed to when this attempt must long be over. The
   count fences it: whoever else has the row in a lane can neither begin it nor record anything about it;
3. recorded: delivered, failed, or due again as the schedule says; with it, how the attempt went, and what that says of
   its endpoint. A worker that dies between sending and recording leaves a row that is due again: delivered twice, under
   one id, and the attempt that nobody recorded is missing in the log.

Of an endpoint that is disabled, rows are held when they come due, each once, and released in pages when it is enabled.

Claiming rows straight from the head of the queue was rejected: ten thousand for a dead receiver would fill each
claim, or have to be skipped by a scan of all of them in the one storage thread that calls depend on.
"""

import asyncio
import random
from collections.abc import Callable

import aiohttp
import structlog

from engine.callbacks import outbox
from engine.callbacks.attempt import attempt, open_session
from engine.callbacks.fair_queue import FairQueue, QueuedCallback, receiver_of
from engine.callbacks.outbox import DeliveryReport, Storage
from engine.domain.ids import AccountId
from engine.domain.policy import DeliveryRules
from engine.domain.retry import Delivered, GiveUp, HttpAnswer, RetryAfter, RetryDecision, decide
from engine.domain.times import EpochMs
from engine.runtime.backoff import Backoff
from engine.runtime.clock import Clock
from engine.runtime.periodic import wait_for
from engine.storage.errors import StorageError
from engine.storage.outbox import Delivery

PAGE = 128  # rows a transaction lines up: short, since calls wait for the same thread
LONGEST_NAP_SECONDS = 5.0
QUICK_SECONDS = 2.0
FIRST_BACKOFF_SECONDS = 0.1
LONGEST_BACKOFF_SECONDS = 5.0

log = structlog.get_logger(__name__)


class CallbackWorker:
    """Made by the composition root; `run(stop)` delivers until `stop` is set. Runs once, in one event loop."""

    def __init__(
        self,
        storage: Storage,
        clock: Clock,
        config: DeliveryRules,
        *,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """`jitter` gives numbers from 0 to 1."""
        self._storage = storage
        self._clock = clock
        self._config = config
        self._jitter = jitter
        self._lanes = FairQueue(config.workers)
        self._wake = asyncio.Event()
        self._under_way: set[asyncio.Task[None]] = set()

    def wake(self) -> None:
        """There is something to do: called in the event loop after a commit that wrote to the outbox."""
        self._wake.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Deliver until `stop`; then let attempts under way finish for `drain_ms` and leave the rest to the next
        start. Storage that fails for a while is waited for. Raises only for bugs."""
        config = self._config
        backoff = Backoff(FIRST_BACKOFF_SECONDS, LONGEST_BACKOFF_SECONDS)
        async with (
            open_session(rules=config.rules, lookups_at_once=config.workers) as session,
            asyncio.TaskGroup() as tasks,
        ):
            tasks.create_task(self._wake_at(stop))
            while not stop.is_set():
                self._wake.clear()
                try:
                    nap = await self._round(session, tasks)
                    backoff.reset()
                except StorageError as error:
                    seconds = backoff.next()
                    log.warning("callbacks_wait_for_storage", error=type(error).__name__, seconds=seconds)
                    await wait_for(stop, seconds)
                    continue
                await wait_for(self._wake, nap)
            await self._drain()

    async def _wake_at(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._wake.set()

    async def _round(self, session: aiohttp.ClientSession, tasks: asyncio.TaskGroup) -> float:
        """Line up what is due and begin what has its turn. Returns after how many seconds to look again."""
        now = self._clock.now()
        hold_ms = self._config.hold_ms + int(self._config.hold_ms * self._jitter())
        found = await self._storage.run(outbox.line_up, now, EpochMs(now + hold_ms), PAGE)
        for event_id, url, attempts, account_id in found.due:
            self._lanes.add(QueuedCallback(event_id, receiver_of(url), attempts, AccountId(account_id)))
        chosen = self._lanes.choose()
        if chosen:
            await self._begin(chosen, session, tasks)
        if found.is_full:
            return 0.0
        until_due = LONGEST_NAP_SECONDS if found.next_due_at is None else (found.next_due_at - now) / 1000
        return min(max(until_due, 0.0), LONGEST_NAP_SECONDS)

    async def _begin(
        self, chosen: list[QueuedCallback], session: aiohttp.ClientSession, tasks: asyncio.TaskGroup
    ) -> None:
        claimed_until = self._clock.now() + self._config.timeout_ms + self._config.margin_ms
        try:
            begun = await self._storage.run(outbox.begin_all, chosen, claimed_until)
        except StorageError:
            for waiting in chosen:
                self._lanes.leave(waiting)
            raise  # the rows are due again when their hold is over
        for waiting, delivery in zip(chosen, begun, strict=True):
            if delivery is None:
                self._lanes.leave(waiting)
                self.wake()
                continue
            task = tasks.create_task(self._deliver(session, waiting, delivery, claimed_until))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)

    async def _deliver(
        self, session: aiohttp.ClientSession, waiting: QueuedCallback, delivery: Delivery, claimed_until: int
    ) -> None:
        loop = asyncio.get_running_loop()
        quick = False
        try:
            began, began_at = loop.time(), self._clock.now()
            attempted = await attempt(
                session,
                delivery,
                now=began_at,
                timeout_ms=self._config.timeout_ms,
                rules=self._config.rules,
            )
            took = loop.time() - began
            decision = decide(attempted.outcome, delivery.tries, self._config.waits_ms, self._jitter())
            quick = isinstance(decision, Delivered) and took <= QUICK_SECONDS
            tried = DeliveryReport(attempted.outcome, attempted.response, began_at, int(took * 1000))
            _report(delivery, waiting, tried, decision)
            await self._record(delivery, tried, decision, claimed_until)
        finally:
            self._lanes.leave(waiting, quick=quick)
            self.wake()

    async def _record(
        self, delivery: Delivery, tried: DeliveryReport, decision: RetryDecision, claimed_until: int
    ) -> None:
        """Try to record until the row is anybody's again. Its slot stays taken: storage that is down for long
        must not be answered with more deliveries that cannot be recorded."""
        backoff = Backoff(FIRST_BACKOFF_SECONDS, LONGEST_BACKOFF_SECONDS)
        while True:
            seconds = backoff.next()
            try:
                disabled = await self._storage.run(
                    outbox.record, delivery, tried, decision, self._clock.now(), self._config.disable_after_ms
                )
            except StorageError as error:
                if self._clock.now() + int(seconds * 1000) >= claimed_until:
                    log.error("callback_not_recorded", event_id=delivery.id, error=type(error).__name__)
                    return
            else:
                if disabled is not None:
                    host, _ = receiver_of(delivery.url)
                    log.warning(
                        "callback_endpoint_disabled", account=delivery.account_id, host=host, reason=disabled.value
                    )
                return
            await asyncio.sleep(seconds)

    async def _drain(self) -> None:
        if not self._under_way:
            return
        _, late = await asyncio.wait(self._under_way, timeout=self._config.drain_ms / 1000)
        if late:
            log.warning("callbacks_cut_off", attempts=len(late))
        for task in late:
            task.cancel()


def _report(delivery: Delivery, waiting: QueuedCallback, tried: DeliveryReport, decision: RetryDecision) -> None:
    """Never the URL's path or query, nor a body: they are the customer's, with telephone numbers in them."""
    outcome = tried.outcome
    context = log.bind(
        event_id=delivery.id,
        host=waiting.receiver[0],
        attempt=delivery.attempts,
        outcome=str(outcome),
        status=outcome.status if isinstance(outcome, HttpAnswer) else None,
    )
    match decision:
        case Delivered():
            context.info("callback_delivered")
        case GiveUp():
            context.warning("callback_given_up")
        case RetryAfter(ms):
            context.info("callback_postponed", retry_ms=ms)
