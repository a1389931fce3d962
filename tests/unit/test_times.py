"""Instants on the way out."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.domain.times import rfc3339


@pytest.mark.parametrize(
    ("instant", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1, "1970-01-01T00:00:00.001Z"),
        (-1, "1969-12-31T23:59:59.999Z"),
        (1_772_366_400_250, "2026-03-01T12:00:00.250Z"),
        (1_709_164_799_999, "2024-02-28T23:59:59.999Z"),
        (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
    ],
)
def test_an_instant_is_rfc_3339_in_utc_with_z_and_milliseconds(instant: int, text: str) -> None:
    assert rfc3339(instant) == text


@given(st.integers(-62_135_596_800_000, 253_402_300_799_999))
def test_no_millisecond_is_lost(instant: int) -> None:
    back = datetime.fromisoformat(rfc3339(instant)) - datetime.fromisoformat("1970-01-01T00:00:00Z")
    assert back == timedelta(milliseconds=instant)
