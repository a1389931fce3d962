"""After how many days no number is free, if bookings go on as in the last week and quarantines end as they will."""

import pytest

from engine.bookings.pool_forecast import PoolForecast

# Nothing is in quarantine, for as long as a quarantine lasts.
NONE = (0,) * 30


def forecast(free: int, taken: int, came_back: int = 0, returning: tuple[int, ...] = NONE) -> PoolForecast:
    return PoolForecast({"BE": free} if free else {}, sum(returning), taken, came_back, returning)


@pytest.mark.parametrize(
    ("free", "taken", "days"),
    [(100, 7, 100), (100, 14, 50), (100, 1, 700), (3, 14, 1), (1, 14, 0), (0, 5, 0), (0, 0, 0)],
)
@pytest.mark.parametrize("returning", [NONE, ()])
def test_free_numbers_last_at_the_pace_of_the_last_week(
    free: int, taken: int, days: int, returning: tuple[int, ...]
) -> None:
    assert forecast(free, taken, returning=returning).days_left == days


def test_numbers_that_are_booked_no_more_often_than_they_come_back_do_not_run_out() -> None:
    assert forecast(100, 0).days_left is None
    assert forecast(100, 7, came_back=7).days_left is None
    assert forecast(100, 7, came_back=9).days_left is None


@pytest.mark.parametrize(
    ("free", "returning", "days"),
    [
        # Ten a day are booked.
        (10, NONE, 1),
        (10, (10,) * 30, None),
        (10, (10,) * 10 + (0,) * 20, 11),
        (10, (0,) * 29 + (1_000,), 1),
        (290, (0,) * 29 + (1_000,), 29),
        (300, (0,) * 29 + (1_000,), None),
        # It is not enough that they come back at last.
        (0, (1_000,) * 30, 0),
    ],
)
def test_numbers_in_quarantine_count_from_the_day_on_which_they_return(
    free: int, returning: tuple[int, ...], days: int | None
) -> None:
    assert forecast(free, 70, came_back=70, returning=returning).days_left == days


def test_after_the_days_that_are_known_the_pool_falls_by_what_does_not_come_back() -> None:
    # 30 days at 10 a day leave 100, of which 3 a day are not replaced.
    assert forecast(400, 70, came_back=49).days_left == 30 + 100 // 3


def test_the_free_numbers_of_a_day_are_those_of_now_with_what_returns_and_without_what_is_booked() -> None:
    seen = forecast(5, 14, returning=(0, 3, 0, 0))
    assert [seen.free_after(day) for day in range(5)] == [5, 3, 4, 2, 0]
