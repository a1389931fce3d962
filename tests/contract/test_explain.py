"""`explain` says what a call at the same moment meets, whatever came before, and writes nothing by saying so."""

import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine import bookings, calls, live
from engine.accounts import create_account, import_numbers
from engine.bookings import BookingRequest, Renewal
from engine.calls import EndReport, IncomingCall
from engine.domain.booking import Booking, Status, status_at
from engine.domain.errors import BookingGone, BookingTooLong, NotFound
from engine.domain.explanation import Explanation
from engine.domain.limits import HOUR_MS, Limits
from engine.domain.numbers import ANONYMOUS
from engine.domain.plans import Allowance, UsagePlan
from engine.domain.policy import Policy
from engine.domain.routing import REJECTIONS, Bridge, MakeRoom, Reason, RouteDecision
from engine.domain.times import Moment
from engine.explain import explain
from engine.storage import queries
from engine.storage.transaction import Transaction
from tests.contract.samples import CALLBACK, CALLER, DAY, HIDDEN, POLICY, SECOND, START

SQL = queries.load("sqlite3")
CALLERS = (CALLER, "+14155550199", ANONYMOUS)
# So little that calls get into each other's way.
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

    def __init__(self, template: Path, plan: UsagePlan, limits: Limits, policy: Policy) -> None:
        self._db = sqlite3.connect(":memory:", isolation_level=None)
        with sqlite3.connect(template) as source:
            source.backup(self._db)
        source.close()
        self._db.row_factory = queries.dict_row
        self.tx = Transaction(SQL, self._db)
        self.policy = policy
        self.now = START
        self.calls: list[str] = []
        self.account = create_account(self.tx, "Ann", START).id
        import_numbers(self.tx, [(1, "+3225550001")], START)
        request = BookingRequest(self.account, HIDDEN, plan, CALLBACK, limits)
        self.booking = bookings.book(self.tx, request, START, self.policy)

    @property
    def at(self) -> Moment:
        return Moment(self.now, self.now - START)

    def close(self) -> None:
        self._db.close()

    def written(self) -> int:
        """Rows written since the beginning."""
        return self._db.total_changes

    def stored(self) -> Booking:
        found = self.tx.bookings.by_id(self.booking.id)
        assert found is not None
        return found

    def explain(self, source: str) -> Explanation:
        return explain(self.tx, self.account, self.booking.id, source, self.at, self.policy)

    def route(self, source: str) -> RouteDecision:
        """As agi://…/route does it, with an Asterisk that obeys."""
        call_id = f"c{len(self.calls):03}"
        self.calls.append(call_id)
        incoming = IncomingCall(call_id, self.booking.service, source)
        decision = calls.route_call(self.tx, incoming, self.at, self.policy)
        if isinstance(decision, MakeRoom):
            self.share(decision.seconds)
            decision = calls.route_call(self.tx, incoming, self.at, self.policy, room_was_made=True)
        assert not isinstance(decision, MakeRoom)
        return decision

    def share(self, keep_free: int = 0) -> None:
        shrinks = live.plan_shrinks(self.tx, self.booking.id, self.at, self.policy, keep_free)
        shrunk = {limit.call_id: limit.leased for limit in shrinks}
        live.apply_shares(self.tx, self.booking.id, shrunk, self.at, self.policy, keep_free=keep_free)

    def answer(self, call_id: str) -> int:
        """The seconds that the call then has."""
        talk = live.begin_talk(self.tx, self.booking.id, call_id, f"PJSIP/t-{call_id}", self.at, self.policy)
        if talk.crowded:
            self.share()
        call = self.tx.calls.by_id(call_id)
        return call.seconds_leased if call is not None and talk.limit is not None else 0

    def end(self, call_id: str, answered_ms: int) -> None:
        calls.call_ended(self.tx, EndReport(call_id, answered_ms, "ANSWER"), self.now)
        self.share()

    def renew(self, limits: dict[str, int | None]) -> None:
        try:
            bookings.renew(
                self.tx,
                self.account,
                self.booking.id,
                Renewal(UsagePlan.SMALL, None, None, limits),
                self.now,
                self.policy,
            )
        except (BookingGone, BookingTooLong):
            return
        self.share()

    def do(self, step: tuple[Any, ...]) -> None:
        match step:
            case ("call", source):
                self.route(source)
            case ("talk", source):
                self.route(source)
                self.answer(self.calls[-1])
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


small_limit = st.none() | st.none() | st.integers(1, 4)
long_limit = st.none() | st.none() | st.sampled_from([1, 5, 30, 300])
some_limits = st.builds(Limits, small_limit, small_limit, long_limit)
STEPS = st.one_of(
    st.tuples(st.just("call"), st.sampled_from(CALLERS)),
    st.tuples(st.just("talk"), st.sampled_from(CALLERS)),
    st.tuples(st.just("answer"), st.integers(0, 9)),
    st.tuples(st.just("end"), st.integers(0, 9), st.sampled_from([0, 1, 30 * SECOND, 60 * SECOND])),
    st.tuples(st.just("renew"), st.fixed_dictionaries({}, optional={"max_call_seconds": long_limit})),
    st.tuples(
        st.just("time"),
        st.sampled_from(
            [1, 400, SECOND, 7 * SECOND, 30 * SECOND, HOUR_MS - 1, HOUR_MS, DAY - 5 * SECOND, DAY, 8 * DAY]
        ),
    ),
)


@settings(
    max_examples=500,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(
    plan=st.sampled_from(UsagePlan),
    own=some_limits,
    default=some_limits,
    steps=st.lists(STEPS, max_size=20),
    source=st.sampled_from(CALLERS),
    loop=st.sampled_from([False] * 7 + [True]),
)
def test_what_is_explained_is_what_a_call_then_meets(
    template: Path,
    plan: UsagePlan,
    own: Limits,
    default: Limits,
    steps: list[tuple[Any, ...]],
    source: str,
    *,
    loop: bool,
) -> None:
    line = Line(template, plan, own, replace(TIGHT, default_limits=default))
    try:
        for step in [*steps, *([("import", HIDDEN)] if loop else [])]:
            line.do(step)
        check(line, source)
    finally:
        line.close()


def check(line: Line, source: str) -> None:
    before = line.written()
    try:
        explanation = line.explain(source)
    except BookingGone:
        assert line.route(source) == REJECTIONS[Reason.NO_BOOKING]
        return
    assert line.written() == before
    assert (explanation.seconds > 0) == explanation.put_through == (explanation.limited_by is not None)
    decision = line.route(source)
    if not explanation.put_through:
        assert decision == REJECTIONS[explanation.reason]
        return
    assert isinstance(decision, Bridge)
    # A second that cannot be shared evenly goes to one or the other.
    assert explanation.seconds <= line.answer(line.calls[-1]) <= explanation.seconds + 1


@pytest.fixture
def line(template: Path) -> Any:
    """A booking of 300 s and ten calls, 60 s at most for each call."""
    line = Line(template, UsagePlan.MEDIUM, Limits(), POLICY)
    yield line
    line.close()


def test_the_seconds_are_what_is_left_up_to_the_longest_call(line: Line) -> None:
    assert (line.explain(CALLER).seconds, line.explain(CALLER).limited_by) == (60, "longest_call")
    line.route(CALLER)
    line.answer("c000")
    line.end("c000", 50 * SECOND)
    line.renew({"max_call_seconds": 20})
    assert (line.explain(CALLER).seconds, line.explain(CALLER).limited_by) == (20, "max_call_seconds")
    line.now = line.stored().end_at - 3 * SECOND
    assert (line.explain(CALLER).seconds, line.explain(CALLER).limited_by) == (3, "end_time")


def test_seconds_that_live_calls_would_give_back_count(line: Line) -> None:
    for index in range(5):
        line.route(CALLER)
        line.answer(f"c{index:03}")
    assert line.stored().seconds.remaining == 0
    before = line.written()
    explanation = line.explain(CALLER)
    assert (explanation.reason, explanation.seconds) == (Reason.PUT_THROUGH, 50)
    assert line.written() == before
    assert line.stored().seconds.remaining == 0


def test_calls_of_the_caller_within_the_hour_are_told(line: Line) -> None:
    for source in (CALLER, CALLER, ANONYMOUS):
        line.route(source)
    assert [line.explain(source).caller_calls for source in (CALLER, ANONYMOUS, "+14155550199")] == [2, 1, 0]
    line.now += HOUR_MS
    assert line.explain(CALLER).caller_calls == 0


def test_a_call_answered_in_the_last_second_keeps_the_second_that_it_leased(template: Path) -> None:
    """Another call has used up all the rest, and both end with the booking."""
    policy = replace(TIGHT, plans={UsagePlan.SMALL: Allowance(seconds=6, calls=10, valid_for_ms=DAY)})
    line = Line(template, UsagePlan.SMALL, Limits(), policy)
    line.now = line.booking.end_at - 5 * SECOND
    line.calls = ["", "", ""]
    line.route(CALLER)
    line.answer("c003")
    line.calls = []
    line.route(CALLER)
    line.now += 4_500
    assert line.answer("c000") == 1
    assert {call.call_id: call.seconds_leased for call in line.tx.calls.up_on(line.booking.id)} == {
        "c003": 5,
        "c000": 1,
    }
    line.close()


def test_another_accounts_booking_is_not_explained(line: Line) -> None:
    with pytest.raises(NotFound):
        explain(line.tx, "acc_other", line.booking.id, CALLER, line.at, line.policy)
    with pytest.raises(NotFound):
        explain(line.tx, line.account, "bkg_unknown", CALLER, line.at, line.policy)


def test_a_booking_in_its_grace_is_explained_and_one_past_it_is_gone(line: Line) -> None:
    end_at = line.stored().end_at
    line.now = end_at
    assert line.explain(CALLER).reason is Reason.END_REACHED
    assert status_at(line.stored(), line.now, line.policy) is Status.EXPIRED
    line.now = end_at + POLICY.grace_ms
    with pytest.raises(BookingGone):
        line.explain(CALLER)
