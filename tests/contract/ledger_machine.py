"""The system of the ledger's state machine: engines that start and die, one Asterisk, one database."""

import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

from hypothesis.stateful import RuleBasedStateMachine

from engine.accounts.accounts import create_account
from engine.bookings import lifecycle as bookings
from engine.bookings.adjustments import Adjustment, adjust
from engine.bookings.endings import sweep
from engine.bookings.lifecycle import BookingRequest, Renewal
from engine.bookings.number_pool import import_numbers
from engine.bookings.swapping import swap_number
from engine.callbacks import notifications
from engine.calls.end_spool import CURRENT
from engine.domain.account_limits import AccountLimits
from engine.domain.booking import Booking
from engine.domain.errors import BookingGone, BookingTooLong, NoNumberFree
from engine.domain.ids import CallId
from engine.domain.metering import CallState
from engine.domain.notifications import EventType
from engine.domain.numbers import E164
from engine.domain.policy import Allowance, BookingLimits, Policy, UsagePlan
from engine.domain.screening import Screening
from engine.domain.trunks import Trunk
from engine.storage.calls import Call
from tests.contract.model_asterisk import Asterisk
from tests.contract.model_books import Books
from tests.contract.model_clocks import Clocks, Gate, Loop
from tests.contract.model_engine import Engine, InLine
from tests.contract.model_leg import CALLED, Ami, Events, Leg, Phase
from tests.contract.model_link import PATIENCE_MS
from tests.contract.samples import CALLBACK, DAY, POLICY, SECOND, START

# Enough numbers that some are free, and few enough that they are recycled.
NUMBERS = [f"+3225550{n:03}" for n in range(6)]


TRUNKS = (Trunk("first"), Trunk("second"), Trunk("third"))


def policy_of_the_machine(lines: int) -> Policy:
    """Few seconds, so that they run out, and several calls, so that they overlap.

    Args:
        lines: How many calls a booking may have at once.
    """
    plans = {
        UsagePlan.SMALL: Allowance(seconds=20, calls=4, valid_for_ms=DAY),
        UsagePlan.MEDIUM: Allowance(seconds=100, calls=6, valid_for_ms=7 * DAY),
        UsagePlan.LARGE: Allowance(seconds=600, calls=9, valid_for_ms=30 * DAY),
    }
    return Policy(
        plans,
        POLICY.grace_ms,
        POLICY.quarantine_ms,
        longest_call_seconds=240,
        ring_seconds=30,
        lost_call_margin_ms=60 * SECOND,
        horizon_ms=90 * DAY,
        default_limits=BookingLimits(max_concurrent_calls=lines),
        account_limits=AccountLimits(calls_at_once=lines + 1),
        max_ringing_calls_per_caller=2,
        trunks=TRUNKS,
        speaks=True,
    )


class Machine(RuleBasedStateMachine):
    """`_hidden` and `_holder` are a separate, much simpler model of where each number must lead."""

    make_books: Callable[[], Books]

    def __init__(self) -> None:
        super().__init__()
        self.policy = policy_of_the_machine(lines=4)
        self.clocks, self.gate = Clocks(), Gate()
        self.loop = Loop(self.clocks)
        self.loop.set_default_executor(InLine(1))
        self._crashes: list[dict[str, Any]] = []
        self.loop.set_exception_handler(lambda _, context: self._crashes.append(context))
        self._directory = Path(tempfile.mkdtemp())
        self.asterisk = Asterisk(self.loop, self.clocks, self.gate, self._directory / CURRENT)
        self.books = self.make_books()
        self.engine: Engine | None = None
        self.held: list[Booking] = []
        self._names = count()
        self._hidden: dict[str, str] = {}
        self._holder: dict[str, str] = {}
        # Call id → the booking and hidden number that its service number led to when it was dialled.
        self.leads_to: dict[str, tuple[str, str]] = {}
        self._account = self.books.run(create_account, "Ann", START).id
        self.books.run(notifications.choose_events, self._account, list(EventType))
        self.books.run(import_numbers, list(enumerate(NUMBERS, 1)), START)

    def teardown(self) -> None:
        self.kill()
        self.gate.open()
        self.turn()
        self.loop.close()
        self.books.close()
        shutil.rmtree(self._directory)

    def turn(self) -> None:
        """Runs all tasks until each waits for a gate, a time or an event."""
        self.loop.run_until_all_wait()
        if self.engine is not None:
            self.engine.check()
        assert not self._crashes, self._crashes

    # The engine.

    def start(self) -> None:
        if self.engine is None:
            self.engine = self.asterisk.engine = Engine(self.loop, self.books, self.asterisk, self.policy)
            self.engine.reconcile()

    def kill(self) -> None:
        if self.engine is not None:
            self.engine.kill()
            self.engine = self.asterisk.engine = None
            self.turn()

    # The API answers while the engine runs.

    def book(self, plan: UsagePlan, screening: Screening = Screening.NONE, *, whisper: bool = False) -> None:
        hidden = E164(self._a_hidden_number())
        request = BookingRequest(self._account, hidden, plan, CALLBACK, whisper=whisper, screening=screening)
        try:
            booking = self.books.run(bookings.book, request, self.clocks.now, self.policy)
        except NoNumberFree:
            return
        self.held.append(booking)
        self._hidden[booking.id] = hidden
        self._holder[booking.service] = booking.id

    def renew(self, booking: Booking, plan: UsagePlan, *, moved: bool) -> None:
        renewal = Renewal(plan, destination=E164(self._a_hidden_number()) if moved else None)
        arguments = (self._account, booking.id, renewal, self.clocks.now, self.policy)
        try:
            renewed = self.books.run(bookings.renew, *arguments)
        except (BookingGone, BookingTooLong):
            return
        assert renewed.end_at > self.clocks.now
        self._hidden[booking.id] = renewal.destination or self._hidden[booking.id]
        if self.engine is not None:
            self.engine.keeper.changed(booking.id)

    def adjust(self, booking: Booking, seconds: int, calls: int) -> None:
        """The command line asks the engine, or writes to the database itself if no engine runs."""
        adjustment = Adjustment(f"grt_{next(self._names)}", booking.id, seconds, calls, "a complaint")
        if self.engine is not None:
            self.engine.adjust(adjustment)
            return
        with suppress(BookingGone):
            self.books.run(adjust, adjustment, self.clocks.timestamp(), self.policy)

    def swap(self, booking: Booking) -> None:
        try:
            swapped = self.books.run(swap_number, self._account, booking.id, self.clocks.now, self.policy)
        except (BookingGone, NoNumberFree):
            return
        self.held[self.held.index(booking)] = swapped
        self._holder[swapped.service] = booking.id

    def cancel(self, booking: Booking) -> None:
        self.held.remove(booking)
        try:
            channels = self.books.run(bookings.cancel, self._account, booking.id, self.clocks.now, self.policy)
        except BookingGone:
            return
        self.hang_up(channels)
        holder = self.books.run(lambda tx: tx.bookings.holding(booking.service))
        assert holder is None or holder.id != booking.id

    def sweep(self) -> None:
        self.hang_up(self.books.run(sweep, self.clocks.timestamp(), self.policy).channels)

    def hang_up(self, channels: list[CallId]) -> None:
        if self.asterisk.ami is Ami.UP:
            for leg in self.asterisk.in_phase(*CALLED):
                if leg.call_id in channels:
                    self.asterisk.engine_hangs_up(leg)

    def _a_hidden_number(self) -> str:
        return f"+324701{next(self._names):05}"

    # Calls.

    def come_in(self, booking: Booking, calls: int) -> list[Leg]:
        assert self.engine is not None
        legs = [self.asterisk.dialled(booking.service) for _ in range(calls)]
        for leg in legs:
            holder = self._holder[leg.service]
            leg.was_held_up = self.gate.held
            self.leads_to[leg.call_id] = holder, self._hidden[holder]
        self.turn()
        return legs

    def pick_up(self, leg: Leg) -> None:
        if not leg.dialled.done():
            leg.dialled.set_result("ANSWER")

    def people_talk(self, booking: Booking, calls: int) -> None:
        for leg in self.come_in(booking, calls):
            if leg.phase is Phase.RINGING:
                self.pick_up(leg)
        self.turn()
        for leg in self.asterisk.in_phase(Phase.ANNOUNCED):
            self.asterisk.press(leg, "1")
        self.turn()

    def call_of(self, leg: Leg) -> Call | None:
        return self.books.run(lambda tx: tx.calls.by_id(CallId(leg.call_id)))

    def elapse(self, step: int) -> None:
        """A script that would exceed its time limit is cancelled at once."""
        if self.engine is not None:
            self.engine.cut_off(self.clocks.ticks + step - PATIENCE_MS)
            self.turn()
        self.asterisk.elapse(step)

    def pick(self, turn: int, *phases: Phase) -> Leg:
        legs = self.asterisk.in_phase(*phases)
        return legs[-1 - turn % len(legs)]

    def can_take_a_clock_step(self) -> bool:
        """Only if the engine can react: a wall clock that is set back while Asterisk cannot be reached gives
        its calls an hour more, and no program outside Asterisk can prevent that."""
        if self.engine is None or self.gate.held or not self.engine.is_idle or self.asterisk.ami is not Ami.UP:
            return False
        if self.engine.storage.failing or self.asterisk.late:
            return False
        return all(self._can_take_a_clock_step(leg) for leg in self.asterisk.legs)

    def _can_take_a_clock_step(self, leg: Leg) -> bool:
        """Not if its answer is unknown, if nothing lowers its limit, or if the clock was set since it came in."""
        call = self.call_of(leg)
        if leg.phase is Phase.TALKING:
            held = {booking.id for booking in self.held}
            return call is not None and call.state is CallState.LIVE and leg.booking_id in held
        return call is None or call.ended_at is not None or leg.wall_ahead_ms == self.clocks.wall_ahead_ms

    def set_wall_clock(self, by: int) -> None:
        assert self.engine is not None
        self.asterisk.set_wall_clock(by)
        self.turn()
        self.engine.nap_ends()
        self.turn()

    def come_to_rest(self) -> None:
        self.gate.open()
        self.turn()
        self.asterisk.ami, self.asterisk.cuts_lists, self.asterisk.events = Ami.UP, False, Events.PROMPT
        self.asterisk.disk_takes = None
        self.start()
        assert self.engine is not None
        self.engine.storage.failing = 0
        for _ in range(3):
            # The keeper waits for the report of an answer for up to a second.
            self.elapse(SECOND)
            self.turn()
            self.engine.reconcile()
            self.turn()
            self.engine.nap_ends()
            self.turn()
