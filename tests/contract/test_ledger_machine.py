"""M2: any order of operations keeps the books balanced (hypothesis looks for the order that does not).

The real commands over SQLite in memory, with a clock that only the machine moves. A longer run:
`LEDGER_EXAMPLES=2000 pytest tests/contract/test_ledger_machine.py`; a step is one operation and one audit.
"""

import os
import sqlite3
from collections.abc import Callable
from itertools import count
from typing import Any, Concatenate, ParamSpec, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from engine import bookings, calls
from engine.accounts import create_account, import_numbers
from engine.bookings import BookingRequest, Renewal
from engine.calls import EndReport, IncomingCall
from engine.domain.errors import BookingGone, BookingTooLong, NoNumberFree
from engine.domain.plans import UsagePlan
from engine.domain.routing import Bridge
from engine.storage import queries
from engine.storage.transaction import Transaction
from tests.contract.ledger import broken_rules
from tests.contract.samples import CALLBACK, CALLER, DAY, HOUR, POLICY, SECOND, START
from tests.contract.world import POOL

EXAMPLES = int(os.environ.get("LEDGER_EXAMPLES", "0"))
SQL = queries.load("sqlite3")
P = ParamSpec("P")
T = TypeVar("T")

plans = st.sampled_from(UsagePlan)
answered_ms = st.one_of(st.sampled_from([-1, 0, 1, 1_000, 1_001, 60_000, 60_001, 10**9]), st.integers(0, 70_000))


class Ledger(RuleBasedStateMachine):
    """`_hidden` and `_holder` are its own, much simpler idea of where each number must lead."""

    template: sqlite3.Connection

    held = Bundle("held")
    up = Bundle("up")
    over = Bundle("over")

    def __init__(self) -> None:
        super().__init__()
        self._db = sqlite3.connect(":memory:", isolation_level=None)
        self.template.backup(self._db)
        self._db.row_factory = queries.dict_row
        self._db.execute("PRAGMA foreign_keys = ON")
        self._tx = Transaction(SQL, self._db)
        self._names = count()
        self._now = START
        self._hidden: dict[str, str] = {}
        self._holder: dict[str, str] = {}
        self._account = self._run(create_account, "Ann", START).id
        self._run(import_numbers, list(enumerate(POOL[:3], 1)), START)

    def teardown(self) -> None:
        self._db.close()

    def _run(self, command: Callable[Concatenate[Transaction, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        self._db.execute("BEGIN")
        try:
            result = command(self._tx, *args, **kwargs)
        except Exception:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")
        return result

    def _a_hidden_number(self) -> str:
        return f"+324701{next(self._names):05}"

    @rule(target=held, plan=plans)
    def book(self, plan: UsagePlan) -> Any:
        request = BookingRequest(self._account, self._a_hidden_number(), plan, CALLBACK)
        try:
            booking = self._run(bookings.book, request, self._now, POLICY)
        except NoNumberFree:
            return "none"
        self._hidden[booking.id], self._holder[booking.service] = request.destination, booking.id
        return booking.id

    @rule(booking=held, plan=plans, moved=st.booleans())
    def renew(self, booking: str, plan: UsagePlan, *, moved: bool) -> None:
        renewal = Renewal(plan, self._a_hidden_number() if moved else None)
        if booking == "none":
            return
        try:
            renewed = self._run(bookings.renew, self._account, booking, renewal, self._now, POLICY)
        except (BookingGone, BookingTooLong):
            return
        assert renewed.end_at > self._now
        self._hidden[booking] = renewal.destination or self._hidden[booking]

    @rule(booking=held)
    def cancel(self, booking: str) -> None:
        if booking == "none":
            return
        try:
            self._run(bookings.cancel, self._account, booking, self._now, POLICY)
        except BookingGone:
            return
        assert booking not in self._reachable()

    def _reachable(self) -> set[str]:
        found = [self._run(lambda tx, e164: tx.bookings.holding(e164), number) for number in POOL]
        return {booking.id for booking in found if booking is not None}

    @rule(target=up, service=st.sampled_from(POOL))
    def route(self, service: str) -> str:
        call_id = f"c{next(self._names)}"
        incoming = IncomingCall(call_id, f"PJSIP/{call_id}", service, CALLER)
        decision = self._run(calls.route_call, incoming, self._now, POLICY)
        if isinstance(decision, Bridge):
            assert decision.booking.id == self._holder[service]
            assert decision.booking.destination == self._hidden[decision.booking.id]
            again = self._run(calls.route_call, incoming, self._now, POLICY)
            assert isinstance(again, Bridge)
        return call_id

    @rule(call=up)
    def answered(self, call: str) -> None:
        assert 0 <= self._run(calls.call_answered, call, self._now, POLICY) <= POLICY.longest_call_seconds * SECOND

    @rule(target=over, call=consumes(up), milliseconds=answered_ms, status=st.sampled_from(["ANSWER", "BUSY", ""]))
    def ended(self, call: str, milliseconds: int, status: str) -> str:
        settlement = self._run(calls.call_ended, EndReport(call, milliseconds, status), self._now)
        if settlement is not None:
            assert settlement.duration in {max(0, -(-milliseconds // 1000)), self._lease_of(call)}
        return call

    def _lease_of(self, call_id: str) -> int:
        call = self._run(lambda tx: tx.calls.by_id(call_id))
        assert call is not None
        return call.seconds_leased

    @rule(call=over, milliseconds=answered_ms)
    def ended_again(self, call: str, milliseconds: int) -> None:
        assert self._run(calls.call_ended, EndReport(call, milliseconds, "ANSWER"), self._now) is None
        assert self._run(calls.call_answered, call, self._now, POLICY) == 0

    @rule()
    def sweep(self) -> None:
        self._run(bookings.sweep, self._now, POLICY)

    @rule(step=st.sampled_from([1, SECOND, 30 * SECOND, 3 * 60 * SECOND, HOUR]))
    def some_time_passes(self, step: int) -> None:
        self._now += step

    @precondition(lambda self: self._holder)
    @rule(days=st.sampled_from([1, 7, 8, 30]), less=st.integers(0, 1))
    def days_pass(self, days: int, less: int) -> None:
        self._now += days * DAY - less

    @invariant()
    def the_books_balance(self) -> None:
        assert broken_rules(self._db) == {}


def test_no_order_of_operations_unbalances_the_books(template: Any) -> None:
    Ledger.template = sqlite3.connect(template)
    run_state_machine_as_test(
        Ledger,
        settings=settings(
            max_examples=EXAMPLES or 60,
            stateful_step_count=50,
            # The normal run is the same every time; the longer one looks somewhere else each time.
            derandomize=not EXAMPLES,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
    Ledger.template.close()
