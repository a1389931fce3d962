"""Instants by two clocks, and their RFC 3339 texts."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import LiteralString, NewType

# Milliseconds since 1970-01-01T00:00:00Z, and since the machine's start.
EpochMs = NewType("EpochMs", int)
BootMs = NewType("BootMs", int)

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# RFC 3339's date-time, with at most nine digits of a fraction: no clock is finer than a nanosecond.
RFC3339 = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt]([0-9]{2}:[0-9]{2}):([0-9]{2})(?:\.([0-9]{1,9}))?"
    r"(?:[Zz]|([+-])([0-9]{2}):([0-9]{2}))"
)

# The error text for anything else.
NO_INSTANT: LiteralString = "must be an RFC 3339 date-time, such as 2026-03-01T12:00:00Z"


@dataclass(frozen=True, slots=True)
class Timestamp:
    """One instant by two clocks.

    Durations come from the boot clock: the wall clock can be set while people talk, and must not cost them an hour.

    Attributes:
        wall_ms: Epoch milliseconds, for dates.
        boot_ms: Milliseconds since the machine's start, for durations.
    """

    wall_ms: EpochMs
    boot_ms: BootMs

    @property
    def wall_ahead_ms(self) -> int:
        """How far the wall clock is ahead of the boot clock. It changes when the wall clock is set."""
        return self.wall_ms - self.boot_ms

    def with_wall(self, wall_ms: EpochMs | None) -> "Timestamp":
        """Returns the same instant by another wall clock; unchanged for None."""
        return self if wall_ms is None else replace(self, wall_ms=wall_ms)


@dataclass(frozen=True, slots=True)
class Span:
    """The time from `since` on and before `until`, in epoch milliseconds."""

    since: EpochMs
    until: EpochMs

    def by_day(self) -> Iterator["Span"]:
        """Yields its pieces of a day, the last of which may be shorter."""
        for begin in range(self.since, self.until, DAY_MS):
            yield Span(EpochMs(begin), EpochMs(min(begin + DAY_MS, self.until)))

    def by_calendar_day(self) -> Iterator["Span"]:
        """Yields its piece of each day in UTC; the first and the last may be shorter."""
        begin = self.since
        while begin < self.until:
            end = EpochMs(min(begin - begin % DAY_MS + DAY_MS, self.until))
            yield Span(begin, end)
            begin = end


def month_from(text: str) -> Span | None:
    """Returns the month, in UTC, that a text such as `2026-11` names; None if it names none."""
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}", text):
        return None
    try:
        begin = datetime.fromisoformat(f"{text}-01T00:00:00+00:00")
        end = (begin + timedelta(days=31)).replace(day=1)
    except (ValueError, OverflowError):
        return None
    return Span(*(EpochMs((each - _EPOCH) // timedelta(milliseconds=1)) for each in (begin, end)))


def rfc3339(instant: EpochMs) -> str:
    """Returns the instant as `2026-03-01T12:00:00.250Z`; exact for every instant that a datetime can hold."""
    seconds, milliseconds = divmod(instant, 1000)
    return f"{datetime.fromtimestamp(seconds, UTC).isoformat()[:19]}.{milliseconds:03}Z"


def instant_from(text: str) -> EpochMs | None:
    """Parses an RFC 3339 date-time: years 0001 to 9999, any offset.

    A leap second becomes the second after it, because epoch milliseconds do not count leap seconds.

    Returns:
        Epoch milliseconds, rounded up; None if `text` is not a date-time.
    """
    match = RFC3339.fullmatch(text)
    if match is None:
        return None
    day, minute, second, fraction, sign, hours, minutes = match.groups(default="0")
    try:
        start = datetime.fromisoformat(f"{day}T{minute}:00+00:00")
    except ValueError:
        return None
    if int(second) > 60 or int(hours) > 23 or int(minutes) > 59:
        return None
    offset = timedelta(hours=int(hours), minutes=int(minutes)) * (-1 if sign == "-" else 1)
    whole = (start - _EPOCH) // timedelta(milliseconds=1) + int(second) * 1000 - offset // timedelta(milliseconds=1)
    return EpochMs(whole - -int(fraction.ljust(9, "0")) // 1_000_000)
