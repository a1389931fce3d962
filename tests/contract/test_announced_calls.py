"""Calls whose callee hears something before it is connected, in the model of Asterisk."""

from collections.abc import Callable
from pathlib import Path

import pytest

from engine.domain.policy import UsagePlan
from engine.domain.screening import Screening
from tests.contract.model_leg import Phase
from tests.contract.samples import SECOND
from tests.contract.test_ledger_machine import Ledger, over

pytestmark = pytest.mark.sqlite_only


def test_a_newcomer_gets_seconds_of_a_call_whose_callee_listens_to_the_announcement(template: Path) -> None:
    """Dial() names the callee as soon as it has answered, and the lease is read only when it has pressed the key."""
    with over(template):
        ledger = Ledger()
        ledger.a_booking_and_its_first_calls(UsagePlan.SMALL, calls=0, screening=Screening.PRESS1)
        ledger.calls_come_in(turn=0, calls=1)
        ledger.a_callee_picks_up(turn=0)
        [announced] = ledger.asterisk.in_phase(Phase.ANNOUNCED)
        [newcomer] = ledger.come_in(ledger.held[0], 1)
        ledger.audit()
        leases = [leg.caller.variables["RN_SECONDS"] for leg in (announced, newcomer)]
        assert (leases, newcomer.phase) == (["10", "10"], Phase.RINGING)
        ledger.a_callee_presses(turn=0, key="1")
        assert (announced.phase, announced.callee.variables["RN_SECONDS"]) == (Phase.TALKING, "10")
        ledger.all_is_well_again()
        ledger.teardown()


@pytest.mark.parametrize(
    ("leave", "record"),
    [
        (Ledger.a_caller_leaves, ("CANCELLED", 0)),
        (Ledger.a_callee_hangs_up_instead, ("NO_ANSWER", 0)),
        (lambda ledger, turn: ledger.cancel(ledger.held[turn]), ("CANCELLED", 0)),
        (lambda ledger, turn: ledger.a_callee_presses(turn, key=""), ("NO_ANSWER", 0)),
    ],
    ids=["the caller leaves", "the callee hangs up", "the booking is deleted", "nobody presses"],
)
def test_nothing_is_charged_before_the_key(
    template: Path, leave: Callable[[Ledger, int], None], record: tuple[str, int]
) -> None:
    with over(template):
        ledger = Ledger()
        ledger.a_booking_and_its_first_calls(UsagePlan.SMALL, calls=0, screening=Screening.PRESS1)
        ledger.calls_come_in(turn=0, calls=1)
        ledger.a_callee_picks_up(turn=0)
        leave(ledger, 0)
        ledger.turn()
        for _ in range(2):
            ledger.time_passes(9 * SECOND)
        ledger.all_is_well_again()
        [found] = ledger.books.db.execute("SELECT disposition, duration FROM cdrs").fetchall()
        assert tuple(found) == record
        ledger.teardown()
