"""One booking and its calls, whatever happens to them, for tests that ask what the next call would get."""

import sqlite3
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from engine.accounts.accounts import create_account
from engine.accounts.lifecycle import resume, suspend
from engine.bookings import lifecycle as bookings
from engine.bookings.adjustments import Adjustment, adjust_live
from engine.bookings.blocked_callers import block, unblock
from engine.bookings.explain import explain
from engine.bookings.lifecycle import BookingRequest, Renewal
from engine.bookings.number_pool import import_numbers
from engine.calls import lease_rebalancing
from engine.calls import lifecycle as calls
from engine.calls.facts import IncomingCall
from engine.domain.booking import Booking
from engine.domain.errors import BookingGone, BookingTooLong, NotFound
from engine.domain.explanation import Explanation
from engine.domain.ids import CallId
from engine.domain.numbers import ANONYMOUS
from engine.domain.policy import Allowance, BookingLimits, Policy, UsagePlan
from engine.domain.routing import EndRinging, MakeRoom, Preparation, RouteDecision
from engine.domain.times import BootMs, EpochMs, Timestamp
from engine.runtime.ids import new_id
from engine.storage import queries
from engine.storage.transaction import Transaction
from tests.contract.samples import CALLBACK, CALLER, DAY, HIDDEN, POLICY, START, answer_report, end_report

SQL = queries.load("sqlite3")
CALLERS = (CALLER, "+14155550199", ANONYMOUS)
# So few that calls compete for them.
TIGHT = replace(
    POLICY,
    plans={
        UsagePlan.SMALL: Allowance(seconds=3, calls=10, valid_for_ms=DAY),
        UsagePlan.MEDIUM: Allowance(seconds=60, calls=2, valid_for_ms=DAY),
        UsagePlan.LARGE: Allowance(seconds=300, calls=10, valid_for_ms=2 * DAY),
    },
)


class Line:
    """One booking and its calls, over SQLite in memory, with a clock that only the test moves."""

    def __init__(self, template: Path, plan: UsagePlan, limits: BookingLimits, policy: Policy) -> None:
        self._db = sqlite3.connect(":memory:", isolation_level=None)
        with sqlite3.connect(template) as source:
            source.backup(self._db)
        source.close()
        self._db.row_factory = sqlite3.Row
        self.tx = Transaction(SQL, self._db)
        self.policy = policy
        self._now: int = START
        self.calls: list[CallId] = []
        self.account = create_account(self.tx, "Ann", START).id
        import_numbers(self.tx, [(1, "+3225550001")], START)
        request = BookingRequest(self.account, HIDDEN, plan, CALLBACK, limits)
        self.booking = bookings.book(self.tx, request, START, self.policy)

    @property
    def now(self) -> EpochMs:
        return EpochMs(self._now)

    @now.setter
    def now(self, instant: int) -> None:
        self._now = instant

    @property
    def at(self) -> Timestamp:
        return Timestamp(self.now, BootMs(self.now - START))

    def close(self) -> None:
        self._db.close()

    def written(self) -> int:
        """Returns the number of rows written since the beginning."""
        return self._db.total_changes

    def stored(self) -> Booking:
        found = self.tx.bookings.by_id(self.booking.id)
        assert found is not None
        return found

    def explain(self, source: str) -> Explanation:
        return explain(self.tx, self.account, self.booking.id, source, self.at, self.policy)

    def route(self, source: str) -> RouteDecision:
        """Routes a call as the route script does, with an Asterisk that obeys."""
        call_id = f"c{len(self.calls):03}"
        self.calls.append(CallId(call_id))
        incoming = IncomingCall(CallId(call_id), self.booking.service, source)
        decision = calls.route_call(self.tx, incoming, self.at, self.policy)
        if isinstance(decision, EndRinging):
            calls.call_ended(self.tx, end_report(decision.call_id, 0, "GAVE_WAY"), self.at, self.policy)
            self.share()
            decision = calls.route_call(self.tx, incoming, self.at, self.policy)
        if isinstance(decision, MakeRoom):
            self.share(decision.seconds)
            decision = calls.route_call(self.tx, incoming, self.at, self.policy, room_was_made=True)
            self.share()
        assert not isinstance(decision, Preparation)
        return decision

    def share(self, keep_free: int = 0) -> None:
        shrinks = lease_rebalancing.plan_shrinks(self.tx, self.booking.id, self.at, self.policy, keep_free)
        shrunk = {limit.call_id: limit.leased for limit in shrinks}
        lease_rebalancing.apply_shares(self.tx, self.booking.id, shrunk, self.at, self.policy, keep_free=keep_free)

    def answer(self, call_id: CallId) -> int:
        """Returns the seconds that the call then has."""
        call = self.tx.calls.by_id(call_id)
        leased = call.seconds_leased if call is not None else 0
        noted = calls.note_answer(self.tx, answer_report(call_id, leased), self.at)
        return 0 if noted.must_end else leased

    def end(self, call_id: CallId, answered_ms: int) -> None:
        calls.call_ended(self.tx, end_report(call_id, answered_ms), self.at, self.policy)
        self.share()

    def renew(self, limits: dict[str, int | None]) -> None:
        try:
            bookings.renew(
                self.tx,
                self.account,
                self.booking.id,
                Renewal(UsagePlan.SMALL, limits=limits),
                self.now,
                self.policy,
            )
        except (BookingGone, BookingTooLong):
            return
        self.share()

    def adjust(self, seconds: int, calls: int) -> None:
        adjustment = Adjustment(new_id("grt"), self.booking.id, seconds, calls, "a complaint")
        shrinks = lease_rebalancing.plan_shrinks(
            self.tx, self.booking.id, self.at, self.policy, adjustment.seconds_to_take
        )
        shrunk = {limit.call_id: limit.leased for limit in shrinks}
        with suppress(BookingGone):
            adjust_live(self.tx, adjustment, shrunk, self.at, self.policy)

    def do(self, step: tuple[Any, ...]) -> None:
        match step:
            case ("call", source):
                self.route(source)
            case ("talk", source):
                self.route(source)
                self.answer(CallId(self.calls[-1]))
            case ("answer", index) if self.calls:
                self.answer(self.calls[index % len(self.calls)])
            case ("end", index, answered_ms) if self.calls:
                self.end(self.calls[index % len(self.calls)], answered_ms)
            case ("renew", limits):
                self.renew(limits)
            case ("time", milliseconds):
                self.now += milliseconds
            case ("import", number):
                import_numbers(self.tx, [(1, number)], self.now)
            case _:
                self._choose(step)

    def _choose(self, step: tuple[Any, ...]) -> None:
        """Changes that owners and operators make."""
        match step:
            case ("block", source) if source != ANONYMOUS:
                with suppress(BookingGone):
                    block(self.tx, self.account, self.booking.id, source, self.now, self.policy)
            case ("unblock", source):
                with suppress(BookingGone, NotFound):
                    unblock(self.tx, self.account, self.booking.id, source, self.now, self.policy)
            case ("refuse anonymous", refuse):
                self.tx.bookings.update(replace(self.stored(), refuse_anonymous=refuse))
            case ("allow", destinations):
                self.policy = replace(self.policy, destinations=destinations)
            case ("adjust", seconds, calls):
                self.adjust(seconds, calls)
            case ("suspend",):
                suspend(self.tx, self.account, None, self.now)
            case ("resume",):
                resume(self.tx, self.account)
