"""How instants are written and read."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.domain.times import EpochMs, instant_from, rfc3339


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
def test_an_instant_is_written_as_rfc_3339_utc_with_milliseconds(instant: EpochMs, text: str) -> None:
    assert rfc3339(instant) == text


@given(st.integers(-62_135_596_800_000, 253_402_300_799_999))
def test_a_written_instant_is_read_back_to_the_millisecond(instant: EpochMs) -> None:
    text = rfc3339(instant)
    assert instant_from(text) == instant
    assert datetime.fromisoformat(text) - datetime.fromisoformat("1970-01-01T00:00:00Z") == timedelta(
        milliseconds=instant
    )


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("2026-03-01t12:00:00z", "2026-03-01T12:00:00Z"),
        ("2026-03-01T14:00:00+02:00", "2026-03-01T12:00:00Z"),
        ("2026-03-01T06:30:00-05:30", "2026-03-01T12:00:00Z"),
        ("2026-03-01T12:00:00-00:00", "2026-03-01T12:00:00Z"),
        ("2026-03-01T12:00:00.5Z", "2026-03-01T12:00:00.500Z"),
        ("2026-03-01T12:00:00.000000001Z", "2026-03-01T12:00:00.001Z"),
        ("2026-03-01T12:00:00.999999999Z", "2026-03-01T12:00:01Z"),
        ("2026-06-30T23:59:60Z", "2026-07-01T00:00:00Z"),
    ],
)
def test_every_rfc_3339_spelling_of_an_instant_is_read(text: str, same: str) -> None:
    assert instant_from(text) == instant_from(same) is not None


@pytest.mark.parametrize(
    "text",
    [
        *("", "now", "1772366400", "2026-03-01", "2026-03-01T12:00:00", "2026-03-01 12:00:00Z", "2026-03-01T12:00Z"),
        *("2026-02-30T12:00:00Z", "2026-13-01T12:00:00Z", "0000-01-01T00:00:00Z", "2026-03-01T24:00:00Z"),
        *("2026-03-01T12:60:00Z", "2026-03-01T12:00:61Z", "2026-03-01T12:00:00+24:00", "2026-03-01T12:00:00+02:60"),
        *("2026-03-01T12:00:00.Z", "2026-03-01T12:00:00.0000000000Z", "2026-03-01T12:00:00Z\n", "٢026-03-01T12:00:00Z"),
    ],
)
def test_text_that_is_no_instant_is_none(text: str) -> None:
    assert instant_from(text) is None
