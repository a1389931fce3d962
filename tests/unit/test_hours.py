"""Weekly hours follow the clocks of their time zone, also when summer time begins and ends."""

import pytest

from engine.domain.errors import InvalidInput
from engine.domain.hours import (
    WeeklyHours,
    as_column,
    from_column,
    hours_as_json,
    hours_from_json,
    hours_from_text,
    is_time_zone,
    minute_of,
)
from engine.domain.times import instant_from

OFFICE = hours_from_text("Europe/Brussels", ["mon-fri 09:00-17:30", "sat 10:00-12:00"])
NIGHTS = hours_from_text("Europe/Brussels", ["fri,sat 22:00-24:00", "sat,sun 00:00-03:00"])
# One hour of local time: skipped on 2026-03-29, shown twice on 2026-10-25.
CHANGE = hours_from_text("Europe/Brussels", ["sun 02:00-03:00"])


@pytest.mark.parametrize(
    ("hours", "instant", "are_open"),
    [
        (OFFICE, "2026-03-02T08:59:59.999+01:00", False),
        (OFFICE, "2026-03-02T09:00:00+01:00", True),
        (OFFICE, "2026-03-02T17:29:59.999+01:00", True),
        (OFFICE, "2026-03-02T17:30:00+01:00", False),
        (OFFICE, "2026-03-07T11:00:00+01:00", True),
        (OFFICE, "2026-03-07T13:00:00+01:00", False),
        (OFFICE, "2026-03-08T11:00:00+01:00", False),
        # 09:00 is 08:00 UTC in winter and 07:00 UTC in summer.
        (OFFICE, "2026-03-27T07:30:00Z", False),
        (OFFICE, "2026-03-30T07:30:00Z", True),
        (OFFICE, "2026-10-23T07:30:00Z", True),
        (OFFICE, "2026-10-26T07:30:00Z", False),
        (NIGHTS, "2026-03-06T23:59:59.999+01:00", True),
        (NIGHTS, "2026-03-07T00:00:00+01:00", True),
        (NIGHTS, "2026-03-07T03:00:00+01:00", False),
        (NIGHTS, "2026-03-09T00:00:00+01:00", False),
        (CHANGE, "2026-03-29T00:59:59Z", False),  # 01:59:59, then comes 03:00:00
        (CHANGE, "2026-03-29T01:00:00Z", False),
        (CHANGE, "2026-10-25T00:30:00Z", True),  # 02:30 in summer time
        (CHANGE, "2026-10-25T01:30:00Z", True),  # 02:30 once more
        (CHANGE, "2026-10-25T02:00:00Z", False),
        # Another day than in UTC.
        (hours_from_text("Pacific/Auckland", ["mon 08:00-09:00"]), "2026-03-01T19:30:00Z", True),
    ],
)
def test_the_wall_clock_of_the_time_zone_decides(hours: WeeklyHours, instant: str, *, are_open: bool) -> None:
    now = instant_from(instant)
    assert now is not None
    assert hours.are_open(now) is are_open


@pytest.mark.parametrize("hours", [OFFICE, NIGHTS, CHANGE])
def test_hours_are_kept_and_shown_as_they_were_given(hours: WeeklyHours) -> None:
    column = as_column(hours)
    assert column is not None
    assert from_column(column) == hours_from_json(hours_as_json(hours)) == hours


def test_hours_read_well() -> None:
    assert str(OFFICE) == "mon,tue,wed,thu,fri 09:00-17:30, sat 10:00-12:00 (Europe/Brussels)"
    assert hours_from_text("UTC", ["Sat-Mon 10:00 - 11:00"]) == hours_from_text("UTC", ["mon,sat,sun 10:00-11:00"])


@pytest.mark.parametrize(
    ("zone", "text", "why"),
    [
        ("Europe/Bruxelles", "mon 09:00-17:00", "timeZone"),
        ("../../etc/passwd", "mon 09:00-17:00", "timeZone"),
        ("", "mon 09:00-17:00", "timeZone"),
        ("UTC", "mon 17:00-09:00", "from and to"),
        ("UTC", "mon 09:00-09:00", "from and to"),
        ("UTC", "mon 9:00-17:00", "from and to"),
        ("UTC", "mon 09:00-24:01", "from and to"),
        ("UTC", "mon 09:60-17:00", "from and to"),
        ("UTC", "mon 09:00-\u0661\u0667:00", "from and to"),
        ("UTC", "mond 09:00-17:00", "not like"),
        ("UTC", "mon-fry 09:00-17:00", "not like"),
        ("UTC", "09:00-17:00", "not like"),
        ("UTC", "mon 09:00", "not like"),
    ],
)
def test_hours_that_make_no_sense_are_refused(zone: str, text: str, why: str) -> None:
    with pytest.raises(InvalidInput, match=why):
        hours_from_text(zone, [text])


def test_times_of_a_day_and_time_zones() -> None:
    assert [minute_of(text) for text in ("00:00", "23:59", "24:00", "24:01", "1:00", "01-00")] == [
        0,
        1439,
        1440,
        *[None] * 3,
    ]
    assert [is_time_zone(name) for name in ("Europe/Brussels", "UTC", "Europe", "europe/brussels", "x" * 300)] == [
        True,
        True,
        False,
        False,
        False,
    ]
