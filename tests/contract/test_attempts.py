"""A call that is sent from trunk to trunk has one lease and one settlement, whatever happens in between.

The model of Asterisk carries out the dialplan itself. tests/e2e/test_failover.py has the wire.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.domain.policy import UsagePlan
from tests.contract.ledger_machine import TRUNKS
from tests.contract.model_leg import Leg, Phase
from tests.contract.samples import SECOND
from tests.contract.test_ledger_machine import Ledger, over

ALL = [f"trunk-{trunk.name}" for trunk in TRUNKS]


@pytest.fixture
def ledger(template: Path) -> Iterator[Ledger]:
    with over(template):
        ledger = Ledger()
        ledger.start()
        ledger.book(UsagePlan.SMALL)
        yield ledger
        ledger.all_is_well_again()
        ledger.teardown()


def ringing(ledger: Ledger) -> Leg:
    [leg] = ledger.come_in(ledger.held[0], 1)
    assert leg.phase is Phase.RINGING
    return leg


def refuse(ledger: Ledger, leg: Leg, *statuses: str) -> None:
    for status in statuses:
        ledger.asterisk.trunk_fails(leg, status)
        ledger.turn()


# What the trunks answer, in order → how many of them are tried, and what the report of the end says.
ANSWERS = {
    ("503", "503", "503"): (3, "CONGESTION"),
    ("408", "", "403"): (3, "CHANUNAVAIL"),
    ("503", "486"): (2, "BUSY"),
    ("486",): (1, "BUSY"),
    ("404",): (1, "CHANUNAVAIL"),
    ("603",): (1, "BUSY"),
    ("500", "603"): (2, "BUSY"),
}


@pytest.mark.parametrize(("answers", "outcome"), ANSWERS.items())
def test_the_next_trunk_is_tried_until_an_answer_ends_the_search(
    ledger: Ledger, answers: tuple[str, ...], outcome: tuple[int, str]
) -> None:
    leg = ringing(ledger)
    refuse(ledger, leg, *answers)
    assert leg.phase is Phase.OVER
    tried, status = outcome
    assert (leg.trunks, leg.caller.variables["DIALSTATUS"]) == (ALL[:tried], status)
    call = ledger.call_of(leg)
    assert call is not None
    assert (call.ended_at is not None, call.seconds_leased) == (True, 20)


def test_no_other_trunk_is_tried_once_the_phone_has_rung(ledger: Ledger) -> None:
    leg = ringing(ledger)
    ledger.asterisk.hang_up(leg, "CONGESTION")  # a 503 after a 180
    ledger.turn()
    assert (leg.phase, leg.trunks) == (Phase.OVER, ALL[:1])


def test_the_attempts_ring_no_longer_than_one_would(ledger: Ledger) -> None:
    leg = ringing(ledger)
    ledger.elapse(20 * SECOND)
    refuse(ledger, leg, "503")
    assert leg.ring_until - ledger.clocks.ticks == 10 * SECOND
    ledger.elapse(10 * SECOND)
    ledger.turn()
    assert (leg.phase, leg.trunks) == (Phase.OVER, ALL[:2])


def test_after_the_time_to_ring_no_other_trunk_is_tried(ledger: Ledger) -> None:
    ledger.elapse(SECOND // 2)  # the dialplan counts whole seconds
    leg = ringing(ledger)
    ledger.elapse(29 * SECOND + 500)
    refuse(ledger, leg, "503")
    assert (leg.phase, leg.trunks) == (Phase.OVER, ALL[:1])


def test_a_wall_clock_that_is_set_back_lets_no_phone_ring_longer(ledger: Ledger) -> None:
    leg = ringing(ledger)
    ledger.set_wall_clock(-3600 * SECOND)
    refuse(ledger, leg, "503")
    assert leg.ring_until - ledger.clocks.ticks == 30 * SECOND


def test_a_lease_that_shrinks_between_two_attempts_is_the_limit_of_the_answered_one(ledger: Ledger) -> None:
    leg = ringing(ledger)
    refuse(ledger, leg, "503")
    [other] = ledger.come_in(ledger.held[0], 1)
    assert other.phase is Phase.RINGING
    ledger.pick_up(leg)
    ledger.turn()
    assert (leg.phase, ledger.asterisk.limit_ms(leg)) == (Phase.TALKING, 10 * SECOND)


def test_a_caller_who_leaves_between_two_attempts_reaches_no_other_trunk(ledger: Ledger) -> None:
    leg = ringing(ledger)
    ledger.everything_is_held_up()
    refuse(ledger, leg, "503")
    ledger.asterisk.hang_up(leg)
    ledger.everything_goes_on()
    assert (leg.phase, leg.trunks) == (Phase.OVER, ALL[:1])


def test_a_deleted_booking_is_called_by_no_other_trunk(ledger: Ledger) -> None:
    ledger.book(UsagePlan.SMALL)
    leg = ringing(ledger)
    ledger.everything_is_held_up()
    refuse(ledger, leg, "503")
    ledger.cancel(ledger.held[0])
    ledger.everything_goes_on()
    assert (leg.phase, leg.trunks) == (Phase.OVER, ALL[:1])
