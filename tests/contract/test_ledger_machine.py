"""M2: no order of operations unbalances the ledger or lets callers talk for more than was granted.

Hypothesis searches for an order that does. It runs the real commands, scripts, limit keeper and reconciler with a model
of Asterisk that has its own limits, and with clocks that only the state machine moves. A longer run:
`LEDGER_EXAMPLES=500 pytest -s tests/contract/test_ledger_machine.py`; a step is one operation and one audit.
"""

import os
import random
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import structlog
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule, run_state_machine_as_test

from engine.domain.policy import UsagePlan
from engine.domain.screening import Screening
from tests.contract.ledger_audit import Audited
from tests.contract.ledger_machine import policy_of_the_machine
from tests.contract.model_books import PostgresBooks, SqliteBooks
from tests.contract.model_leg import UP, Ami, Events, Phase
from tests.contract.samples import DAY, HOUR, SECOND

EXAMPLES = int(os.environ.get("LEDGER_EXAMPLES", "0"))
# A step on a server takes ten times as long.
EXAMPLES_OF = {"sqlite": 24, "postgresql": 3}

NONE = Screening.NONE
plans = st.sampled_from(UsagePlan)
screenings = st.sampled_from([NONE, NONE, Screening.PRESS1])
which = st.integers(0, 6)
# Usually short times, because otherwise nearly every call would end before anything happened to it.
STEPS = [*[1, 40, 700, SECOND, 3 * SECOND] * 10, *[9 * SECOND, 30 * SECOND] * 4, HOUR, DAY, 8 * DAY, 30 * DAY]


class Ledger(Audited):
    """The possible operations. `Audited` has what must be true after each of them."""

    @initialize(
        plan=plans,
        calls=st.integers(0, 4),
        held=st.booleans(),
        lines=st.sampled_from([1, 2, 4, 6]),
        screening=screenings,
    )
    def a_booking_and_its_first_calls(
        self, plan: UsagePlan, calls: int, screening: Screening = NONE, *, held: bool = False, lines: int = 4
    ) -> None:
        self.policy = policy_of_the_machine(lines)
        self.start()
        self.book(plan, screening)
        self.people_talk(self.held[0], calls)
        self.gate.held = held

    @precondition(lambda self: self.engine and self.held)
    @rule(turn=st.sampled_from([0, 0, 0, 1]), calls=st.integers(1, 3))
    def people_begin_to_talk(self, turn: int, calls: int) -> None:
        self.people_talk(self.held[turn % len(self.held)], calls)

    @precondition(lambda self: self.engine)
    @rule(plan=plans, screening=screenings, whisper=st.booleans())
    def somebody_books(self, plan: UsagePlan, screening: Screening, *, whisper: bool) -> None:
        self.book(plan, screening, whisper=whisper)

    @precondition(lambda self: self.engine and self.held)
    @rule(turn=which, plan=plans, moved=st.booleans())
    def somebody_renews(self, turn: int, plan: UsagePlan, *, moved: bool) -> None:
        self.renew(self.held[turn % len(self.held)], plan, moved=moved)
        self.turn()

    @precondition(lambda self: self.held)
    @rule(
        turn=st.sampled_from([0, 0, 0, 1]),
        seconds=st.sampled_from([-600, -100, -20, -7, -1, 7, 60]),
        calls=st.sampled_from([-9, -1, 0, 0, 0, 2]),
    )
    def an_operator_adjusts(self, turn: int, seconds: int, calls: int) -> None:
        self.adjust(self.held[turn % len(self.held)], seconds, calls)
        self.turn()

    @precondition(lambda self: self.engine and self.held)
    @rule(turn=which)
    def somebody_swaps_the_number(self, turn: int) -> None:
        self.swap(self.held[turn % len(self.held)])
        self.turn()

    @precondition(lambda self: self.engine and len(self.held) > 1)
    @rule(turn=which)
    def somebody_cancels(self, turn: int) -> None:
        self.cancel(self.held[turn % len(self.held)])
        self.turn()

    @precondition(lambda self: self.engine and self.held)
    @rule(turn=st.sampled_from([0, 0, 0, 1, 2]), calls=st.integers(1, 3))
    def calls_come_in(self, turn: int, calls: int) -> None:
        self.come_in(self.held[turn % len(self.held)], calls)

    @precondition(lambda self: self.asterisk.in_phase(Phase.RINGING))
    @rule(turn=which)
    def a_callee_picks_up(self, turn: int) -> None:
        self.pick_up(self.pick(turn, Phase.RINGING))
        self.turn()

    @precondition(lambda self: self.asterisk.in_phase(Phase.RINGING))
    @rule(turn=which)
    def a_callee_is_busy(self, turn: int) -> None:
        self.asterisk.hang_up(self.pick(turn, Phase.RINGING), "BUSY")
        self.turn()

    @precondition(lambda self: self.asterisk.in_phase(Phase.RINGING))
    @rule(turn=which, status=st.sampled_from(["", "408", "503", "503", "486", "603"]))
    def a_trunk_refuses(self, turn: int, status: str) -> None:
        self.asterisk.trunk_fails(self.pick(turn, Phase.RINGING), status)
        self.turn()

    @precondition(lambda self: self.asterisk.in_phase(*UP))
    @rule(turn=which)
    def a_caller_leaves(self, turn: int) -> None:
        self.asterisk.caller_leaves(self.pick(turn, *UP))
        self.turn()

    @precondition(lambda self: self.asterisk.in_phase(Phase.ANNOUNCED))
    @rule(turn=which, key=st.sampled_from(["1", "1", "1", "5", ""]))
    def a_callee_presses(self, turn: int, key: str) -> None:
        self.asterisk.press(self.pick(turn, Phase.ANNOUNCED), key)
        self.turn()

    @precondition(lambda self: self.asterisk.in_phase(Phase.ANNOUNCED))
    @rule(turn=which)
    def a_callee_hangs_up_instead(self, turn: int) -> None:
        self.asterisk.callee_leaves(self.pick(turn, Phase.ANNOUNCED))
        self.turn()

    @precondition(lambda self: self.asterisk.late)
    @rule(turn=which)
    def a_late_event_comes(self, turn: int) -> None:
        late = self.asterisk.late
        self.asterisk.deliver(late.pop(turn % len(late)))
        self.turn()

    @precondition(lambda self: self.engine)
    @rule()
    def the_books_are_compared_with_asterisk(self) -> None:
        assert self.engine is not None
        self.engine.reconcile()
        self.turn()

    @precondition(lambda self: self.engine)
    @rule()
    def the_keeper_looks_after_what_is_left(self) -> None:
        assert self.engine is not None
        self.engine.nap_ends()
        self.turn()

    @precondition(lambda self: self.engine)
    @rule()
    def the_sweeper_comes(self) -> None:
        self.sweep()
        self.turn()

    @rule(
        ami=st.sampled_from([Ami.UP, *Ami]),
        cuts_lists=st.sampled_from([False, False, True]),
        events=st.sampled_from([Events.PROMPT, *Events]),
        disk_takes=st.sampled_from([None, None, None, 0, 30, 100]),
        failing=st.sampled_from([0, 0, 1, 2]),
    )
    def trouble_comes_and_goes(
        self, ami: Ami, events: Events, disk_takes: int | None, failing: int, *, cuts_lists: bool
    ) -> None:
        self.asterisk.ami, self.asterisk.cuts_lists, self.asterisk.events = ami, cuts_lists, events
        self.asterisk.disk_takes = disk_takes
        if self.engine is not None:
            self.engine.storage.failing = failing

    @rule()
    def everything_is_held_up(self) -> None:
        self.gate.held = True

    @precondition(lambda self: self.gate.held)
    @rule(seed=st.integers(0, 999), steps=st.integers(1, 60), pause=st.sampled_from([0, 0, 0, 1, 20, 300]))
    def a_little_goes_on(self, seed: int, steps: int, pause: int) -> None:
        """Lets one after the other pass: those that have waited for long, or always the last one, or any."""
        chance = random.Random(seed)
        width = chance.choice([1, 2, 12])
        for _ in range(steps):
            if self.gate.is_empty:
                break
            self.gate.let_pass(-chance.randrange(width))
            self.turn()
            self.audit()
            if pause and not chance.randrange(4):
                self.elapse(pause)
                self.turn()
                self.audit()

    @precondition(lambda self: not self.gate.is_empty)
    @rule(seed=st.integers(0, 999), pause=st.sampled_from([0, 1]))
    def all_that_waits_goes_on_step_by_step(self, seed: int, pause: int) -> None:
        self.a_little_goes_on(seed, steps=150, pause=pause)

    @precondition(lambda self: self.gate.held)
    @rule()
    def everything_goes_on(self) -> None:
        self.gate.open()
        self.turn()

    @precondition(lambda self: self.engine)
    @rule(again=st.booleans())
    def the_engine_dies(self, *, again: bool) -> None:
        self.kill()
        if again:
            self.start()
            self.turn()

    @precondition(lambda self: not self.engine)
    @rule()
    def the_engine_starts(self) -> None:
        self.start()
        self.turn()

    @rule(step=st.sampled_from(STEPS))
    def time_passes(self, step: int) -> None:
        self.elapse(step)
        self.turn()

    @precondition(lambda self: self.can_take_a_clock_step())
    @rule(by=st.sampled_from([HOUR, -HOUR]))
    def the_wall_clock_is_set(self, by: int) -> None:
        self.set_wall_clock(by)

    @rule()
    def all_is_well_again(self) -> None:
        self.come_to_rest()
        self.check_at_rest()

    @invariant()
    def what_must_be_true_is_true(self) -> None:
        self.audit()


@contextmanager
def over(template: Path) -> Iterator[None]:
    """Gives every machine an empty database in memory."""
    with closing(sqlite3.connect(template)) as source, structlog.testing.capture_logs():
        Ledger.make_books = staticmethod(lambda: SqliteBooks(source))
        yield


@pytest.fixture
def kept_in(kind: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """Gives every machine an empty database of a kind."""
    if kind == "sqlite":
        with over(request.getfixturevalue("template")):
            yield kind
        return
    address = request.getfixturevalue("postgres")
    Ledger.make_books = staticmethod(lambda: PostgresBooks(address))
    with structlog.testing.capture_logs():
        yield kind


def test_no_order_of_operations_unbalances_the_ledger_or_allows_unpaid_talk(kept_in: str) -> None:
    began = time.monotonic()
    run_state_machine_as_test(
        Ledger,
        settings=settings(
            max_examples=EXAMPLES or EXAMPLES_OF[kept_in],
            stateful_step_count=60,
            # The normal run is always the same; the longer one explores new examples each time.
            derandomize=not EXAMPLES,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
    print(f"{Ledger.steps} steps in {time.monotonic() - began:.1f} s")  # noqa: T201  for the longer run's report


def test_seconds_returned_just_before_an_answer_reach_every_call_that_shares_them(kept_in: str) -> None:
    """Found by the state machine: the database shared the seconds, but Asterisk received only the new call's limit."""
    ledger = Ledger()
    ledger.a_booking_and_its_first_calls(UsagePlan.SMALL, calls=2)
    ledger.calls_come_in(turn=0, calls=1)
    ledger.everything_is_held_up()
    ledger.a_caller_leaves(turn=1)
    ledger.a_callee_picks_up(turn=0)
    ledger.all_is_well_again()
    ledger.teardown()


def test_a_call_that_rang_for_long_does_not_keep_more_than_its_share(kept_in: str) -> None:
    """Found by the state machine: the other call had talked meanwhile, and only a later change evened their shares."""
    ledger = Ledger()
    ledger.a_booking_and_its_first_calls(UsagePlan.SMALL, calls=1)
    ledger.calls_come_in(turn=0, calls=1)
    ledger.all_is_well_again()
    ledger.a_callee_picks_up(turn=0)
    ledger.all_is_well_again()
    ledger.teardown()


def test_a_ringing_call_gives_way_to_a_newcomer_at_the_limit(kept_in: str) -> None:
    ledger = Ledger()
    ledger.a_booking_and_its_first_calls(UsagePlan.LARGE, calls=0)
    ledger.calls_come_in(turn=0, calls=4)
    first, *_ = ledger.asterisk.in_phase(Phase.RINGING)
    ledger.time_passes(9 * SECOND)
    [newcomer] = ledger.come_in(ledger.held[0], 1)
    ledger.audit()
    assert (first.phase, newcomer.phase) == (Phase.OVER, Phase.RINGING)
    [record] = ledger.books.db.execute("SELECT call_id, disposition FROM cdrs").fetchall()
    assert tuple(record) == (first.call_id, "GAVE_WAY")
    ledger.all_is_well_again()
    ledger.teardown()


def test_a_line_without_an_end_in_the_spool_delays_no_reconciliation(kept_in: str) -> None:
    """Found by the state machine: each round waited for an event that such a line might still have."""
    ledger = Ledger()
    ledger.a_booking_and_its_first_calls(UsagePlan.SMALL, calls=1)
    ledger.calls_come_in(turn=0, calls=1)
    ledger.trouble_comes_and_goes(ami=Ami.UP, cuts_lists=False, disk_takes=30, events=Events.PROMPT, failing=1)
    ledger.a_callee_is_busy(turn=0)
    ledger.all_is_well_again()
    ledger.teardown()
