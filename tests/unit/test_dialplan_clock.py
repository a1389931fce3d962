"""How the dialplan's time is parsed."""

import pytest

from agi_scripts import dialplan


@pytest.mark.parametrize(
    ("said", "now"),
    [
        ("20260301120000250", 1_772_366_400_250),
        ("19700101000000000", 0),
        ("20260301120000", None),
        ("20261301120000250", None),
        ("2026030112000025x", None),
        ("٢٠٢٦٠٣٠١١٢٠٠٠٠٢٥٠", None),
        ("", None),
    ],
)
def test_a_wall_clock_reading_is_utc_to_the_millisecond_or_none(said: str, now: int | None) -> None:
    assert dialplan.wall_clock(said) == now
