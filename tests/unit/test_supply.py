"""How long the free numbers will last."""

import pytest

from engine.bookings.number_pool import days_left


@pytest.mark.parametrize(
    ("free", "net_taken", "days"),
    [(100, 7, 100), (100, 14, 50), (100, 1, 700), (3, 14, 1), (1, 14, 0), (0, 5, 0), (100, 0, None), (100, -3, None)],
)
def test_free_numbers_last_at_the_rate_of_the_last_week(free: int, net_taken: int, days: int | None) -> None:
    assert days_left(free, net_taken) == days
