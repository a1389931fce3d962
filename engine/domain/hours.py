"""Weekly hours of a booking: the times of the week at which it takes calls, by the clocks of a time zone.

The wall clock of the time zone decides. So the hours stay the same for people when summer time begins or ends: a time
that a clock skips never comes, and a time that it shows twice counts twice.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from engine.domain.errors import InvalidInput
from engine.domain.times import EpochMs

# In the order of `datetime.weekday`.
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MAX_SPANS = 28
MINUTES_OF_DAY = 24 * 60


@dataclass(frozen=True, slots=True)
class OpenSpan:
    """A time of some days of the week.

    Attributes:
        days: The days: 0 is Monday.
        begin: The first minute, counted from midnight.
        end: The minute after the last one; `MINUTES_OF_DAY` is the end of the day.
    """

    days: frozenset[int]
    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class WeeklyHours:
    """When a booking takes calls.

    Attributes:
        time_zone: The name in the IANA database, such as `Europe/Brussels`.
        spans: The times of the week. None at all: it takes calls at any time.
    """

    time_zone: str
    spans: tuple[OpenSpan, ...]

    def are_open(self, now: EpochMs) -> bool:
        """Returns whether the booking takes calls at `now`."""
        if not self.spans:
            return True
        local = datetime.fromtimestamp(now / 1000, _zone(self.time_zone))
        minute, day = local.hour * 60 + local.minute, local.weekday()
        return any(day in span.days and span.begin <= minute < span.end for span in self.spans)

    def __str__(self) -> str:
        spans = ", ".join(f"{_days_text(span.days)} {_clock(span.begin)}-{_clock(span.end)}" for span in self.spans)
        return f"{spans} ({self.time_zone})"


# The hours of a booking that takes calls at any time.
ANY_TIME = WeeklyHours("UTC", ())


@lru_cache(maxsize=1024)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def is_time_zone(name: str) -> bool:
    """Returns whether the name is one of the IANA database."""
    try:
        return bool(name) and _zone(name).key == name
    except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: a directory of the database, or too long a name
        return False


def minute_of(clock: str) -> int | None:
    """Returns the minute of the day of `09:00`; 24:00 is the end of the day. None: the text is no time of a day."""
    hour, colon, minute = clock.partition(":")
    if len(clock) != 5 or not colon or not (hour + minute).isascii() or not (hour + minute).isdecimal():
        return None
    total = int(hour) * 60 + int(minute)
    return total if int(minute) < 60 and total <= MINUTES_OF_DAY else None


def hours_as_json(hours: WeeklyHours) -> dict[str, Any]:
    """Returns the hours as the API has them."""
    return {
        "timeZone": hours.time_zone,
        "open": [
            {"days": [DAYS[day] for day in sorted(span.days)], "from": _clock(span.begin), "to": _clock(span.end)}
            for span in hours.spans
        ],
    }


def hours_from_json(sent: Mapping[str, Any]) -> WeeklyHours:
    """Returns the hours of a JSON object of the right form.

    Raises:
        InvalidInput: With everything that is wrong.
    """
    problems = [] if is_time_zone(sent["timeZone"]) else ["timeZone is not a time zone, such as Europe/Brussels"]
    spans = []
    for each in sent["open"]:
        begin, end = minute_of(each["from"]), minute_of(each["to"])
        if begin is None or end is None or begin >= end:
            problems.append(
                "from and to are times such as 09:00 and 17:30, the first before the second; 24:00 is midnight"
            )
        else:
            spans.append(OpenSpan(frozenset(DAYS.index(day) for day in each["days"]), begin, end))
    if problems:
        raise InvalidInput(list(dict.fromkeys(problems)))
    return WeeklyHours(sent["timeZone"], tuple(spans))


def hours_from_text(time_zone: str, texts: Sequence[str]) -> WeeklyHours:
    """Returns the hours that somebody has written as `mon-fri 09:00-17:30` or `sat,sun 10:00-12:00`.

    Raises:
        InvalidInput: A text or the time zone cannot be read.
    """
    return hours_from_json({"timeZone": time_zone, "open": [_span_from_text(text) for text in texts]})


def as_column(hours: WeeklyHours | None) -> str | None:
    """Returns the text that the database keeps."""
    return None if hours is None else json.dumps(hours_as_json(hours), separators=(",", ":"))


@lru_cache(maxsize=4096)
def from_column(text: str) -> WeeklyHours:
    """Returns the hours that the database keeps. Each call reads its booking, so what was read is kept."""
    return hours_from_json(json.loads(text))


def _span_from_text(text: str) -> dict[str, Any]:
    days, _, times = text.strip().lower().partition(" ")
    begin, dash, end = times.strip().partition("-")
    listed = [day for part in days.split(",") for day in _days_of(part)]
    if not listed or not dash:
        raise InvalidInput([f"{text[:40]!r} is not like mon-fri 09:00-17:30"])
    return {"days": listed, "from": begin.strip(), "to": end.strip()}


def _days_of(part: str) -> Sequence[str]:
    first, dash, last = part.partition("-")
    if first not in DAYS or (dash and last not in DAYS):
        return ()
    begin, end = DAYS.index(first), DAYS.index(last) if dash else DAYS.index(first)
    return DAYS[begin : end + 1] if begin <= end else (*DAYS[begin:], *DAYS[: end + 1])


def _days_text(days: frozenset[int]) -> str:
    return ",".join(DAYS[day] for day in sorted(days))


def _clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"
