"""The callback worker: delivers the outbox at least once, and lets no account or receiver delay the others.

A callback goes through three steps, each a transaction:

1. Line up: the worker reads due rows, of each account the same number, moves their `due_at` ahead by a hold, and puts
   them into the fair queue in memory (see fair_queue.py). This does not count as an attempt. A row that finds no room
   in the queue, or whose worker dies, is due again after the hold.
2. Begin: when the callback's turn comes, the worker increments `attempts` and moves `due_at` to a time when the attempt
   must be over. The count is a fencing token: a worker that has an older count can neither begin nor record the row.
3. Record: the worker marks the row as delivered, as failed, or as due again by the schedule, logs the attempt, and
   updates the endpoint. If it dies between sending and recording, the row falls due again. The receiver then gets the
   callback twice, with the same id, and the log lacks the first attempt.

The storage says for which accounts it has posted callbacks. What others change, such as the command line, the worker
finds by a scan of the accounts every few seconds.

Rows of a disabled endpoint are held when they fall due, and released in pages when the endpoint is enabled.

Claiming rows directly from the head of the table was rejected: ten thousand rows for a dead receiver would fill every
claim, or a scan would have to skip them all in the storage thread that calls depend on.
"""

import asyncio
import random
from collections.abc import Callable, Collection

import aiohttp
import structlog

from engine.callbacks import outbox
from engine.callbacks.attempt import attempt, open_session
from engine.callbacks.due_accounts import DueAccounts
from engine.callbacks.failing_hosts import FailingHosts
from engine.callbacks.fair_queue import FairQueue, Turn
from engine.callbacks.outbox import DeliveryReport
from engine.callbacks.receiver import receiver_of
from engine.callbacks.tallies import DeliveryTallies
from engine.domain.ids import AccountId
from engine.domain.policy import DeliveryRules
from engine.domain.retry import Delivered, HttpAnswer, RetryAfter, RetryDecision, decide
from engine.domain.times import EpochMs
from engine.runtime.backoff import Backoff
from engine.runtime.clock import Clock
from engine.runtime.periodic import wait_for
from engine.storage.errors import StorageError
from engine.storage.interface import Storage
from engine.storage.outbox import Delivery

# What one transaction lines up; little, because calls wait for the same thread.
PAGE = 128
ACCOUNTS_AT_ONCE = 32
# Accounts that one scan reads, and the seconds between two scans.
SCAN = 1_000
SCAN_SECONDS = 5.0
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
        self.tallies = DeliveryTallies()
        self._queue = FairQueue(config.workers, config.paces)
        self._due = DueAccounts()
        self._scan_at = 0.0  # monotonic seconds
        self._scanned_to = ""  # the last account of the last scan; empty if that was the last one of all
        self._wake = asyncio.Event()
        self._under_way: set[asyncio.Task[None]] = set()
        self._failing = FailingHosts()

    def wake(self, accounts: Collection[AccountId] | None = None) -> None:
        """Ends the worker's nap. To be called in the event loop after a commit that wrote to the outbox.

        Args:
            accounts: Those that have a callback to deliver now. None: not known.
        """
        if accounts is None:
            self._scan_at = 0.0
        for account_id in accounts or ():
            self._due.note(account_id, self._clock.now())
        self._wake.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Delivers until `stop`, then gives attempts under way `drain_ms` to finish.

        The rest is delivered after the next start. When the storage fails, the worker waits and tries again. It raises
        only for bugs.
        """
        config = self._config
        backoff = Backoff(FIRST_BACKOFF_SECONDS, LONGEST_BACKOFF_SECONDS)
        async with (
            open_session(rules=config.rules, lookups_at_once=self._queue.slots) as session,
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
        await self._scan()
        is_releasing = await self._line_up()
        turns = self._queue.choose(self._clock.now())
        if turns:
            await self._begin(turns, session, tasks)
        if is_releasing:
            return 0.0
        next_at = [at for at in (self._due.next_due_at(), self._queue.next_turn_at()) if at is not None]
        naps = [(at - self._clock.now()) / 1000 for at in next_at]
        return max(0.0, min([*naps, self._scan_at - asyncio.get_running_loop().time()]))

    async def _scan(self) -> None:
        """Looks for accounts with callbacks to deliver, if it is time to."""
        now = asyncio.get_running_loop().time()
        if now < self._scan_at:
            return
        self._scan_at = now + SCAN_SECONDS
        found = await self._storage.run(outbox.accounts_waiting, self._scanned_to, SCAN)
        for account_id, due_at in found:
            self._due.note(account_id, due_at)
        self._scanned_to = ""
        if len(found) == SCAN:
            self._scanned_to, self._scan_at = found[-1][0], now

    async def _line_up(self) -> bool:
        """Lines up callbacks of the accounts whose turn it is. Returns whether more may be held for an endpoint."""
        now = self._clock.now()
        hold_ms = self._config.hold_ms + int(self._config.hold_ms * self._jitter())
        accounts = self._due.take(now, ACCOUNTS_AT_ONCE)
        try:
            found = await self._storage.run(outbox.line_up, accounts, now, EpochMs(now + hold_ms), PAGE)
        except StorageError:
            for account_id in accounts:
                self._due.note(account_id, now)
            raise
        for account_id, due_at in found.next_due_at.items():
            self._due.note(account_id, max(due_at, now))  # an account with a backlog is the last in turn
        for callback, known in found.callbacks:
            self._queue.add(callback, known)
        return found.is_releasing

    async def _begin(self, turns: list[Turn], session: aiohttp.ClientSession, tasks: asyncio.TaskGroup) -> None:
        now = self._clock.now()
        claimed_until = now + self._config.timeout_ms + self._config.margin_ms
        try:
            begun = await self._storage.run(outbox.begin_all, turns, now, claimed_until)
        except StorageError:
            for turn in turns:
                self._queue.release(turn)
            raise  # the rows are due again when their hold is over
        for turn, delivery in zip(turns, begun, strict=True):
            if delivery is None:
                self._queue.release(turn)
                self._wake.set()
                continue
            task = tasks.create_task(self._deliver(session, turn, delivery, claimed_until))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)

    async def _deliver(
        self, session: aiohttp.ClientSession, turn: Turn, delivery: Delivery, claimed_until: int
    ) -> None:
        loop = asyncio.get_running_loop()
        is_quick = has_agreed = False
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
            waits_ms = () if delivery.is_test else self._config.waits_ms
            decision = decide(result.outcome, delivery.tries, waits_ms, self._jitter())
            report = DeliveryReport(result.outcome, result.response, began_at, int(took * 1000))
            is_quick, has_agreed = report.is_quick, report.has_agreed
            if not turn.callback.is_sandbox:
                self.tallies.note(delivery, report)
            self._log_attempt(delivery, turn.callback.receiver.host, report, decision)
            await self._record(delivery, report, decision, claimed_until)
            self._retry_later(delivery, decision)
        finally:
            self._queue.release(turn, is_quick=is_quick, has_agreed=has_agreed)
            self._wake.set()

    def _log_attempt(self, delivery: Delivery, host: str, report: DeliveryReport, decision: RetryDecision) -> None:
        """Logs an attempt without the URL's path and query and without the body: they may contain telephone numbers."""
        outcome, now = report.outcome, self._clock.now()
        context = log.bind(
            event_id=delivery.id,
            host=host,
            attempt=delivery.attempts,
            outcome=str(outcome),
            status=outcome.status if isinstance(outcome, HttpAnswer) else None,
        )
        if isinstance(decision, Delivered):
            self._failing.succeeded(host, now)
            context.info("callback_delivered")
            return
        if delivery.is_test:  # its sender learns of it, and it is no reason to warn the operator
            context.info("callback_test_failed")
            return
        self._failing.failed(host, now, outcome=str(outcome), event_id=delivery.id)
        if isinstance(decision, RetryAfter):
            context.debug("callback_postponed", retry_ms=decision.ms)
        else:
            context.warning("callback_given_up")

    def _retry_later(self, delivery: Delivery, decision: RetryDecision) -> None:
        """Remembers when the next attempt is due, earlier than the next scan would find it."""
        if isinstance(decision, RetryAfter):
            self._due.note(delivery.account_id, EpochMs(self._clock.now() + decision.ms))

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
