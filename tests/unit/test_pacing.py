"""How often callbacks may be sent to a receiver."""

from engine.domain.pacing import DEFAULT_PACES, MINUTE_MS, NOT_PACED, Pace
from engine.domain.times import EpochMs

START = 1_000_000_000


def begun(pace: Pace, wanted_every_ms: int, until_ms: int) -> list[int]:
    """Returns when attempts begin, one of which is wanted every so often."""
    paced_until, times = NOT_PACED, list[int]()
    for at in range(0, until_ms, wanted_every_ms):
        now = EpochMs(START + at)
        if pace.ready_at(paced_until, now) <= now:
            paced_until = pace.after(paced_until, now)
            times.append(at)
    return times


def test_a_pace_allows_its_burst_at_once_and_its_rate_in_the_long_run() -> None:
    times = begun(Pace(per_minute=10, burst=5), 100, 10 * MINUTE_MS)
    assert times[:7] == [0, 100, 200, 300, 400, 6_000, 12_000]
    assert len(times) == 5 + 10 * 10 - 1


def test_attempts_slower_than_the_rate_never_wait() -> None:
    assert begun(Pace(10, 1), 6_000, 10 * MINUTE_MS) == list(range(0, 10 * MINUTE_MS, 6_000))


def test_a_clock_that_is_set_back_delays_an_attempt_by_no_more_than_the_burst() -> None:
    pace = Pace(10, 5)
    far = EpochMs(START + 365 * 24 * 60 * MINUTE_MS)
    assert pace.ready_at(far, EpochMs(START)) == START + 6_000
    assert pace.after(far, EpochMs(START)) == START + 6 * 6_000


def test_paces_that_tests_make_faster() -> None:
    assert DEFAULT_PACES.times(1) == DEFAULT_PACES
    assert DEFAULT_PACES.times(3).at_will == Pace(360, 180)
