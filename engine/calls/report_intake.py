"""Takes in the dialplan's reports of answers and ends, which the link to Asterisk hands over as they come.

No call waits for it. A report that is lost on the way only costs time: an end is in the end spool as well, and
reconciliation finds an answer. So the queue is bounded, and reports that do not fit are dropped and counted.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Protocol

import structlog

from engine.calls.lifecycle import AnswerNoted, Settlement, call_ended, note_answer
from engine.calls.reports import AnswerReport, BadReport, EndReport, Report, ReportReader
from engine.domain.call_ends import DialplanEnd
from engine.domain.ids import CallId
from engine.domain.masking import masked
from engine.domain.policy import Policy
from engine.runtime.clock import Clock
from engine.runtime.periodic import wait_for, woken_to_stop
from engine.storage.errors import StorageError
from engine.storage.interface import Storage

log = structlog.get_logger(__name__)

MAX_QUEUED = 10_000
# Reports that the storage has at once. They share commits, and callers who wait for a decision wait behind them.
AT_ONCE = 128
# Ends that the end spool has still to show. Beyond them an end is looked up once more in the database.
MAX_REMEMBERED = 100_000
REFUSALS_LOGGED_EVERY_MS = 60_000
LONGEST_WAIT_SECONDS = 1.0


class Limits(Protocol):
    """What follows for the limits of calls; the limit keeper."""

    def answered(self, report: AnswerReport, noted: AnswerNoted) -> None:
        """Takes note of an answer."""

    def settled(self, settlement: Settlement) -> None:
        """Takes note of a settled call."""


class ReportIntake:
    """Queues reports and notes them in the database.

    Attributes:
        dropped: Reports that found the queue full.
        refused: Lines that were no reports of our Asterisks.
        lost: Ends that only the end spool has shown, because their events were lost.
    """

    def __init__(
        self,
        reader: ReportReader,
        storage: Storage,
        clock: Clock,
        policy: Policy,
        limits: Limits,
        note_end: Callable[[DialplanEnd], None] = lambda end: None,
        stops_ringing: Callable[[CallId], None] = lambda call_id: None,
    ) -> None:
        self._reader = reader
        self._storage = storage
        self._clock = clock
        self._policy = policy
        self._limits = limits
        self._note_end = note_end
        self._stops_ringing = stops_ringing
        self._queue: deque[Report] = deque()
        self._given = 0  # reports that the storage has
        self._wake = asyncio.Event()
        # Settled by an event; the end spool has the same ends. The first set was complete before its present reading.
        self._settled: set[CallId] = set()
        self._settled_since: set[CallId] = set()
        # Settled by the present reading of the end spool; their events may still come until the next one.
        self._spooled: set[CallId] = set()
        self._readings = 0
        self.dropped = 0
        self.refused = 0
        self.lost = 0
        self._refusal_logged_ms: int | None = None

    def take(self, line: str) -> None:
        """Queues a report that has just come."""
        try:
            report = self._reader.read(line)
        except BadReport as error:
            self._refuse(error)
            return
        if len(self._queue) >= MAX_QUEUED:
            self.dropped += 1
            return
        if self._spooled:
            if isinstance(report, EndReport):
                self._spooled.discard(report.call_id)
            elif report.call_id in self._spooled:
                return  # the end spool was faster: the call is over, and its lease settled
        self._queue.append(report)
        self._wake.set()

    def _refuse(self, error: BadReport) -> None:
        self.refused += 1
        now = self._clock.timestamp().boot_ms
        if self._refusal_logged_ms is None or now - self._refusal_logged_ms >= REFUSALS_LOGGED_EVERY_MS:
            self._refusal_logged_ms = now
            log.warning("report_refused", reason=str(error), refused=self.refused)

    async def run(self, stop: asyncio.Event) -> None:
        """Notes reports as they come, until `stop` is set and all are noted."""
        with woken_to_stop(self._wake, stop):
            while not stop.is_set() or self._queue or self._given:
                self._wake.clear()
                self._give_some()
                await wait_for(self._wake, LONGEST_WAIT_SECONDS)

    def _give_some(self) -> None:
        """Gives the storage as many reports as it may have at once."""
        while self._queue and self._given < AT_ONCE:
            report = self._queue.popleft()
            self._given += 1
            # Not a task: each report would cost a turn of the event loop more.
            asyncio.ensure_future(self._give(report)).add_done_callback(partial(self._noted, report))

    def _noted(self, report: Report, noted: "asyncio.Future[AnswerNoted | Settlement | None]") -> None:
        """Does what follows from a report that the storage has answered, and gives it others."""
        self._given -= 1
        if not noted.cancelled():
            try:
                self._follow_up(report, noted.result())
            except StorageError as error:
                # The end spool and reconciliation will show it again.
                log.warning("report_not_noted", call=report.call_id, reason=str(error))
            except Exception:
                log.exception("report_failed", call=report.call_id)
        if self._queue:
            self._give_some()
        elif not self._given:
            self._wake.set()  # `run` may wait for the last one

    def _give(self, report: Report, *, late: bool = False) -> Awaitable[AnswerNoted | Settlement | None]:
        at = self._clock.timestamp()
        if isinstance(report, EndReport):
            return self._storage.run_keyed(report.call_id, call_ended, report, at, self._policy, late=late)
        return self._storage.run_keyed(report.call_id, note_answer, report, at)

    def _follow_up(self, report: Report, result: AnswerNoted | Settlement | None) -> bool:
        """Does what follows from a noted report. Returns whether it settled a call."""
        self._stops_ringing(report.call_id)
        if isinstance(report, AnswerReport):
            assert isinstance(result, AnswerNoted)  # noqa: S101  that is what `note_answer` returns
            self._limits.answered(report, result)
            return False
        if not isinstance(result, Settlement):
            return False  # it was settled before
        self._limits.settled(result)
        self._note_end(report.end)
        if len(self._settled_since) < MAX_REMEMBERED:
            self._settled_since.add(report.call_id)
        cdr = result.cdr
        log.info(
            "call_ended",
            call=cdr.call_id,
            sip_call_id=cdr.sip_call_id,
            cdr=cdr.id,
            booking=cdr.booking_id,
            number=masked(cdr.service),
            disposition=cdr.disposition,
            seconds=cdr.duration,
            trunk=cdr.end.trunk,
            sip_code=cdr.end.sip_code,
            hangup_cause=cdr.end.cause,
            hung_up_by=cdr.end.hung_up_by,
        )
        return True

    def begin_spool(self) -> None:
        """Prepares for a reading of the end spool from where the last one stopped.

        Asterisk writes an end into the spool before it sends the event, so this reading shows every end whose event has
        come by now.
        """
        self._settled, self._settled_since = self._settled_since, set()
        if self._readings > 1:  # what the first one has settled ended while there was no engine
            self.lost += len(self._spooled)
        self._readings += 1
        self._spooled = set()

    async def take_spooled(self, lines: Sequence[str]) -> int:
        """Settles ends that stand in the end spool, except those whose events have come.

        Returns:
            How many calls it settled. Their events were lost, or are still to come.

        Raises:
            StorageError: The database failed.
        """
        ends = []
        for line in lines:
            # The MAC of an end whose event has come was checked then: its id is enough.
            call_id = CallId(line.partition(" ")[2].partition(" ")[0])
            if call_id not in self._settled and call_id not in self._settled_since:
                ends += self._end_in(line)
        settled, failure = 0, None
        for end, result in [(end, self._give(end, late=True)) for end in ends]:
            try:
                if self._follow_up(end, await result):
                    settled += 1
                    self._spooled.add(end.call_id)
            except StorageError as error:
                failure = error  # the others may be settled
            except Exception:
                log.exception("report_failed", call=end.call_id)
        if failure is not None:
            raise failure
        return settled

    def _end_in(self, line: str) -> list[EndReport]:
        try:
            report = self._reader.read(line)
        except BadReport as error:
            log.error("end_spool_line_unreadable", reason=str(error))
            return []
        return [report] if isinstance(report, EndReport) else []
