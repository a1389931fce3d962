"""Leases that move while calls ring and are answered, in thousands of orders, each step of each call audited.

The state machine of test_ledger_machine finds what nobody thought of; here the moments meet that are known to be
dangerous. LEDGER_ORDERS=5000 makes a longer run, LEDGER_SEED=5000 begins elsewhere; a failure names its seed.
Mutants of the engine prove that the model can fail.
"""

import os
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from panoramisk.message import Message

from engine.asterisk.call_variables import BRIDGE, DIALED_PEER, VERDICT
from engine.asterisk.limit_keeper import LimitKeeper
from engine.calls import report_intake
from engine.calls.lifecycle import call_ended
from engine.domain.call_credit import move_leases
from engine.domain.policy import UsagePlan
from tests.contract.model_dialplan import contexts
from tests.contract.model_leg import Events, Phase
from tests.contract.model_link import Link
from tests.contract.test_ledger_machine import Ledger, over

ORDERS = int(os.environ.get("LEDGER_ORDERS", "140"))
SEED = int(os.environ.get("LEDGER_SEED", "0"))
# In so many orders every mutant shows itself.
MUTANT_ORDERS = 200


class Orders(Ledger):
    """Operations on one booking that meet in the same moments, in orders that a seed decides."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._chance = random.Random(seed)

    def one_order(self) -> None:
        chance = self._chance
        self.start()
        self.book(chance.choice([UsagePlan.SMALL, UsagePlan.MEDIUM]))
        self.asterisk.events = chance.choice([Events.PROMPT, Events.PROMPT, Events.PROMPT, *Events])
        self.gate.held = chance.random() < 0.5
        self.come_in(self.held[0], 1)
        self.gate.held = True
        moves = [self._a_call_comes, self._it_is_answered, self._it_is_answered, self._a_call_comes]
        others = [self._seconds_are_taken, self._the_engine_is_replaced, self._a_second_passes, self._late_events_come]
        # An engine that dies while its answer to a new call is under way is the hardest case.
        moves += [self._the_engine_is_replaced] if self.asterisk.in_phase(Phase.ASKED) else []
        moves += chance.sample(others, 2)
        chance.shuffle(moves)
        for move in moves:
            self._some_go_on(chance.choice([0, 1, 3, 9, 20]))
            move()
            self.audit()
        self._some_go_on(60)
        self.all_is_well_again()
        self.audit()

    def _some_go_on(self, steps: int) -> None:
        self.a_little_goes_on(self._chance.randrange(1_000), steps, self._chance.choice([0, 0, 0, 1]))

    def _a_call_comes(self) -> None:
        if self.engine is not None:
            self.come_in(self.held[0], 1)

    def _it_is_answered(self) -> None:
        if ringing := self.asterisk.in_phase(Phase.RINGING):
            self.pick_up(self._chance.choice(ringing))
            self.turn()

    def _seconds_are_taken(self) -> None:
        self.adjust(self.held[0], -7, 0)
        self.turn()

    def _the_engine_is_replaced(self) -> None:
        self.kill()
        self.start()
        self.turn()

    def _late_events_come(self) -> None:
        self.elapse(2_000)
        while self.asterisk.late:
            self.asterisk.deliver(self.asterisk.late.pop())
        self.turn()

    def _a_second_passes(self) -> None:
        self.elapse(1_100)
        self.turn()


def run_orders(template: Path, first: int, count: int) -> None:
    with over(template):
        for seed in range(first, first + count):
            orders = Orders(seed)
            try:
                orders.one_order()
            except AssertionError as error:
                error.add_note(f"seed {seed}")
                raise
            finally:
                orders.teardown()


def test_leases_that_move_while_calls_ring_and_are_answered_are_safe_in_every_order(template: Path) -> None:
    began, before = time.monotonic(), Orders.steps
    run_orders(template, SEED, ORDERS)
    print(f"{Orders.steps - before} steps in {time.monotonic() - began:.1f} s")  # noqa: T201  the figure


Patch = pytest.MonkeyPatch


def _does_not_look_at(variable: str, assumed: str, patch: Patch) -> None:
    ordinary = Link._act

    def act(self: Link, name: str, fields: dict[str, str]) -> Message | None:
        if (name, fields.get("Variable")) == ("Getvar", variable):
            return Message({"Response": "Success", "Value": assumed})
        return ordinary(self, name, fields)

    patch.setattr(Link, "_act", act)


def does_not_look_for_an_answer(patch: Patch) -> None:
    _does_not_look_at(DIALED_PEER, "", patch)


def does_not_look_for_the_verdict(patch: Patch) -> None:
    _does_not_look_at(VERDICT, BRIDGE, patch)


def books_what_asterisk_did_not_confirm(patch: Patch) -> None:
    ordinary = LimitKeeper._set_limits

    async def set_limits(self: LimitKeeper, *arguments: Any) -> list[bool]:
        return [True] * len(await ordinary(self, *arguments))

    patch.setattr(LimitKeeper, "_set_limits", set_limits)


def charges_a_repeated_end_again(patch: Patch) -> None:
    def ended(tx: Any, report: Any, *arguments: Any, **more: Any) -> Any:
        call = tx.calls.by_id(report.call_id)
        if call is not None and call.ended_at is not None:
            tx.bookings.update_credit(move_leases(tx.bookings.by_id(call.booking_id), 1))
        return call_ended(tx, report, *arguments, **more)

    patch.setattr(report_intake, "call_ended", ended)


def forgets_the_limit_at_the_answer(patch: Patch) -> None:
    lines = contexts()["rented-numbers-answered"]
    kept = [line for line in lines if not line.data.startswith("TIMEOUT(absolute)")]
    patch.setitem(contexts(), "rented-numbers-answered", kept)


@pytest.mark.parametrize(
    ("mutant", "first"),
    [
        (does_not_look_for_an_answer, 0),
        (does_not_look_for_the_verdict, 270),
        (books_what_asterisk_did_not_confirm, 0),
        (charges_a_repeated_end_again, 90),
        (forgets_the_limit_at_the_answer, 10),
    ],
)
def test_an_engine_or_a_dialplan_with_a_known_fault_is_found(
    template: Path, mutant: Callable[[Patch], None], first: int, monkeypatch: Patch
) -> None:
    mutant(monkeypatch)
    with pytest.raises(AssertionError) as found:
        run_orders(template, first, MUTANT_ORDERS)
    print(f"{mutant.__name__}: {found.value.__notes__}")  # noqa: T201  the seed
