"""The callback worker: delivers the outbox at least once, and keeps slow receivers from delaying the others.

A callback goes through three steps, each a transaction:

1. Line up: the worker reads due rows, moves their `due_at` ahead by a hold, and puts them into the fair queue in memory
   (see fair_queue.py). This does not count as an attempt. A row that finds no room in the queue, or whose worker dies,
   is due again after the hold.
2. Begin: when the callback's turn comes, the worker increments `attempts` and moves `due_at` to a time when the attempt
   must be over. The count is a fencing token: a worker that has an older count can neither begin nor record the row.
3. Record: the worker marks the row as delivered, as failed, or as due again by the schedule, logs the attempt, and
   updates the endpoint. If it dies between sending and recording, the row falls due again. The receiver then gets the
   callback twice, with the same id, and the log lacks the first attempt.

Rows of a disabled endpoint are held when they fall due, and released in pages when the endpoint is enabled.

Claiming rows directly from the head of the table was rejected: ten thousand rows for a dead receiver would fill every
claim, or a scan would have to skip them all in the storage thread that calls depend on.
"""

import asyncio
import random
from collections.abc import Callable

import aiohttp
import structlog

from engine.callbacks import outbox
from engine.callbacks.attempt import attempt, open_session
from engine.callbacks.fair_queue import FairQueue, QueuedCallback, receiver_of
from engine.callbacks.outbox import DeliveryReport
from engine.domain.policy import DeliveryRules
from engine.domain.retry import Delivered, GiveUp, HttpAnswer, RetryAfter, RetryDecision, decide
from engine.domain.times import EpochMs
from engine.runtime.backoff import Backoff
from engine.runtime.clock import Clock
from engine.runtime.periodic import wait_for
from engine.storage.errors import StorageError
from engine.storage.interface import Storage
from engine.storage.outbox import Delivery

PAGE = 128  # rows that one transaction lines up; few, because calls wait for the same thread
LONGEST_NAP_SECONDS = 5.0
# A 2xx within this time makes a queue responsive.
RESPONSIVE_SECONDS = 2.0
FIRST_BACKOFF_SECONDS = 0.1
LONGEST_BACKOFF_SECONDS = 5.0

log = structlog.get_logger(__name__)


class CallbackWorker:
    """Delivers callbacks. `run` can be called once, in one event loop."""

    def __init__(
        self,
        storage: Storage,
        clock: Clock,
        config: DeliveryRules,
        *,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """Creates a worker.

        Args:
            storage: The database.
            clock: The machine's clock.
            config: Slots, timeouts and the retry schedule.
            jitter: Returns a random number from 0 to 1.
        """
        self._storage = storage
        self._clock = clock
        self._config = config
        self._jitter = jitter
        self._queue = FairQueue(config.workers)
        self._wake = asyncio.Event()
        self._under_way: set[asyncio.Task[None]] = set()

    def wake(self) -> None:
        """Ends the worker's nap. To be called in the event loop after a commit that wrote to the outbox."""
        self._wake.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Delivers until `stop`, then gives attempts under way `drain_ms` to finish.

        The rest is delivered after the next start. When the storage fails, the worker waits and tries again. It raises
        only for bugs.
        """
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
        """Lines up due callbacks and begins those whose turn it is. Returns the seconds until the next round."""
        now = self._clock.now()
        hold_ms = self._config.hold_ms + int(self._config.hold_ms * self._jitter())
        found = await self._storage.run(outbox.line_up, now, EpochMs(now + hold_ms), PAGE)
        for due in found.due:
            self._queue.add(QueuedCallback(due.event_id, receiver_of(due.url), due.attempts, due.account_id))
        chosen = self._queue.choose()
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
            for callback in chosen:
                self._queue.release(callback)
            raise  # the rows are due again when their hold is over
        for callback, delivery in zip(chosen, begun, strict=True):
            if delivery is None:
                self._queue.release(callback)
                self.wake()
                continue
            task = tasks.create_task(self._deliver(session, callback, delivery, claimed_until))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)

    async def _deliver(
        self, session: aiohttp.ClientSession, callback: QueuedCallback, delivery: Delivery, claimed_until: int
    ) -> None:
        loop = asyncio.get_running_loop()
        responsive = False
        try:
            began, began_at = loop.time(), self._clock.now()
            result = await attempt(
                session,
                delivery,
                now=began_at,
                timeout_ms=self._config.timeout_ms,
                rules=self._config.rules,
            )
            took = loop.time() - began
            decision = decide(result.outcome, delivery.tries, self._config.waits_ms, self._jitter())
            responsive = isinstance(decision, Delivered) and took <= RESPONSIVE_SECONDS
            report = DeliveryReport(result.outcome, result.response, began_at, int(took * 1000))
            _log_attempt(delivery, callback, report, decision)
            await self._record(delivery, report, decision, claimed_until)
        finally:
            self._queue.release(callback, responsive=responsive)
            self.wake()

    async def _record(
        self, delivery: Delivery, report: DeliveryReport, decision: RetryDecision, claimed_until: int
    ) -> None:
        """Records the attempt; while the storage fails, tries again until the claim on the row ends.

        The slot stays occupied meanwhile, so that a long failure causes no more deliveries that cannot be recorded.
        """
        backoff = Backoff(FIRST_BACKOFF_SECONDS, LONGEST_BACKOFF_SECONDS)
        while True:
            seconds = backoff.next()
            try:
                now, disable_after_ms = self._clock.now(), self._config.disable_after_ms
                disabled = await self._storage.run_keyed(
                    delivery.id, outbox.record, delivery, report, decision, now, disable_after_ms
                )
            except StorageError as error:
                if self._clock.now() + int(seconds * 1000) >= claimed_until:
                    log.error("callback_not_recorded", event_id=delivery.id, error=type(error).__name__)
                    return
            else:
                if disabled is not None:
                    log.warning(
                        "callback_endpoint_disabled",
                        account=delivery.account_id,
                        host=receiver_of(delivery.url).host,
                        reason=disabled.value,
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


def _log_attempt(delivery: Delivery, callback: QueuedCallback, report: DeliveryReport, decision: RetryDecision) -> None:
    """Logs an attempt without the URL's path and query and without the body: they may contain telephone numbers."""
    outcome = report.outcome
    context = log.bind(
        event_id=delivery.id,
        host=callback.receiver.host,
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
