"""When the operator is warned: each rule with its least amounts, at its edges."""

import pytest

from engine.domain.dispositions import Disposition
from engine.domain.operator_warnings import (
    LEAST_CALLS,
    LEAST_FAILED,
    LOW_DAYS,
    REFUSING_MS,
    PoolLeft,
    TriedEndpoint,
    call_warnings,
    callback_warnings,
    pool_warnings,
)
from engine.domain.times import EpochMs
from tests.contract.samples import START


def test_a_pool_is_low_if_its_free_numbers_last_for_fewer_days_than_the_limit() -> None:
    pools = {
        "BE": PoolLeft(0, 0),
        "FR": PoolLeft(9, LOW_DAYS - 1),
        "NL": PoolLeft(9, LOW_DAYS),
        "DE": PoolLeft(1, None),
        None: PoolLeft(3, 1),
    }
    found = pool_warnings(pools)
    assert [each.subject for each in found] == ["no country", "BE", "FR"]
    assert found[1].what == "no number is free"


# For each URL of one host: minutes since its last attempt, and since when it fails; None: its last attempt succeeded.
HOSTS: dict[str, tuple[list[tuple[int, int | None]], bool]] = {
    "one URL fails for the least time": ([(0, 10)], True),
    "for a shorter time": ([(0, 9)], False),
    "it failed once, long ago": ([(60, 60)], False),
    "all URLs fail, one of them for long": ([(0, 10), (0, 1)], True),
    "another URL succeeded after the failures began": ([(0, 30), (5, None)], False),
    "another URL succeeded before they began": ([(0, 10), (11, None)], True),
    "another URL succeeded, and everything has failed since": ([(0, 30), (10, None)], True),
    "nothing fails": ([(0, None)], False),
}


@pytest.mark.parametrize("case", HOSTS)
def test_a_host_refuses_callbacks_if_every_attempt_fails_for_the_least_time(case: str) -> None:
    minutes, warned = HOSTS[case]
    assert REFUSING_MS == 600_000

    def ago(minute: int) -> EpochMs:
        return EpochMs(START - 60_000 * minute)

    tried = [TriedEndpoint("a", ago(last), None if since is None else ago(since)) for last, since in minutes]
    well = TriedEndpoint("b", START, None)
    assert [each.subject for each in callback_warnings([well, *tried])] == ["a"] * warned


def ended(calls: int, failed: int) -> dict[Disposition, int]:
    return {Disposition.ANSWERED: calls - failed, Disposition.UNREACHABLE: failed // 2} | {
        Disposition.LOST: failed - failed // 2,
        # Neither a success nor a failure of ours.
        Disposition.EXPIRED: 1_000,
    }


@pytest.mark.parametrize(
    ("last_hour", "usual", "warned"),
    [
        (ended(LEAST_CALLS, LEAST_CALLS), {}, True),
        (ended(LEAST_CALLS - 1, LEAST_CALLS - 1), {}, False),
        (ended(30, LEAST_FAILED), {}, True),
        (ended(20, LEAST_FAILED - 1), {}, False),
        # Without failures before, the usual share counts as 5 %: three times that.
        (ended(100, 15), ended(1_000, 0), True),
        (ended(100, 14), ended(1_000, 0), False),
        (ended(100, 30), ended(1_000, 100), True),
        (ended(100, 29), ended(1_000, 100), False),
        # Where half of all calls fail as a rule, three quarters are more than usual.
        (ended(100, 75), ended(1_000, 500), True),
        (ended(100, 74), ended(1_000, 500), False),
        ({Disposition.BUSY: 100, Disposition.NO_ANSWER: 100, Disposition.CANCELLED: 100}, {}, False),
        ({}, {}, False),
    ],
)
def test_calls_fail_if_their_share_is_a_multiple_of_the_usual_one(
    last_hour: dict[Disposition, int], usual: dict[Disposition, int], *, warned: bool
) -> None:
    assert bool(call_warnings(last_hour, usual)) is warned
