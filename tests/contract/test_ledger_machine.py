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
    initialize,
    invariant,
    multiple,
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

# Enough that some are free and few that they are recycled.
NUMBERS = [f"+3225550{n:03}" for n in range(8)]
EXAMPLES = int(os.environ.get("LEDGER_EXAMPLES", "0"))
SQL = queries.load("sqlite3")
P = ParamSpec("P")
T = TypeVar("T")

plans = st.sampled_from(UsagePlan)
# Mostly little, or nearly every booking would be gone before anybody called it.
STEPS = [*[1, SECOND, 20 * SECOND, 30 * SECOND, 3 * 60 * SECOND, HOUR] * 3, DAY - 1, DAY, 8 * DAY, 30 * DAY]
answered_ms = st.one_of(st.sampled_from([0, 1, 1_000, 1_001, 60_000, 60_001, 100_000]), st.integers(0, 70_000))


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
        self._service: dict[str, str] = {}
        self._account = self._run(create_account, "Ann", START).id
        self._run(import_numbers, list(enumerate(NUMBERS, 1)), START)

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

    @initialize(target=held, plan=plans)
    def the_first_booking(self, plan: UsagePlan) -> Any:
        return self._book(plan)

    @rule(target=held, plan=plans)
    def book(self, plan: UsagePlan) -> Any:
        return self._book(plan)

    def _book(self, plan: UsagePlan) -> Any:
        request = BookingRequest(self._account, self._a_hidden_number(), plan, CALLBACK)
        try:
            booking = self._run(bookings.book, request, self._now, POLICY)
        except NoNumberFree:
            return multiple()
        self._hidden[booking.id], self._service[booking.id] = request.destination, booking.service
        self._holder[booking.service] = booking.id
        return booking.id

    @rule(booking=held, plan=plans, moved=st.booleans())
    def renew(self, booking: str, plan: UsagePlan, *, moved: bool) -> None:
        renewal = Renewal(plan, self._a_hidden_number() if moved else None)
        try:
            renewed = self._run(bookings.renew, self._account, booking, renewal, self._now, POLICY)
        except (BookingGone, BookingTooLong):
            return
        assert renewed.end_at > self._now
        self._hidden[booking] = renewal.destination or self._hidden[booking]

    @rule(booking=consumes(held))
    def cancel(self, booking: str) -> None:
        try:
            self._run(bookings.cancel, self._account, booking, self._now, POLICY)
        except BookingGone:
            return
        assert booking not in self._reachable()

    def _reachable(self) -> set[str]:
        found = [self._run(lambda tx, e164: tx.bookings.holding(e164), number) for number in NUMBERS]
        return {booking.id for booking in found if booking is not None}

    @rule(target=up, booking=held, wrong=st.sampled_from([None, None, None, None, *NUMBERS]))
    def call(self, booking: str, wrong: str | None) -> Any:
        return self._route(wrong or self._service[booking])

    @rule(target=over, booking=held, milliseconds=answered_ms)
    def talk(self, booking: str, milliseconds: int) -> Any:
        call = self._route(self._service[booking])
        if not isinstance(call, str):
            return multiple()
        self.answered(call)
        self._now += max(0, milliseconds)
        return self._end(call, milliseconds, "ANSWER")

    def _route(self, service: str) -> Any:
        call_id = f"c{next(self._names)}"
        incoming = IncomingCall(call_id, f"PJSIP/{call_id}", service, CALLER)
        decision = self._run(calls.route_call, incoming, self._now, POLICY)
        if not isinstance(decision, Bridge):
            return multiple()
        assert decision.booking.id == self._holder[service]
        assert decision.booking.destination == self._hidden[decision.booking.id]
        assert isinstance(self._run(calls.route_call, incoming, self._now, POLICY), Bridge)
        return call_id

    @rule(call=up)
    def answered(self, call: str) -> None:
        assert 0 <= self._run(calls.call_answered, call, self._now, POLICY) <= POLICY.longest_call_seconds * SECOND

    @rule(target=over, call=consumes(up), milliseconds=answered_ms, status=st.sampled_from(["ANSWER", "BUSY", ""]))
    def ended(self, call: str, milliseconds: int, status: str) -> str:
        return self._end(call, milliseconds, status)

    def _end(self, call: str, milliseconds: int, status: str) -> str:
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

    @rule(step=st.sampled_from(STEPS))
    def time_passes(self, step: int) -> None:
        self._now += step

    @invariant()
    def the_books_balance(self) -> None:
        assert broken_rules(self._db) == {}


def test_no_order_of_operations_unbalances_the_books(template: Any) -> None:
    Ledger.template = sqlite3.connect(template)
    run_state_machine_as_test(
        Ledger,
        settings=settings(
            max_examples=EXAMPLES or 100,
            stateful_step_count=50,
            # The normal run is the same every time; the longer one looks somewhere else each time.
            derandomize=not EXAMPLES,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
    Ledger.template.close()
