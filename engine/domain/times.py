"""Instants: two clocks, and RFC 3339 on the way out."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Moment:
    """`now`: epoch milliseconds, for dates. `ticks`: milliseconds since the machine's start, for durations: the wall
    clock can be set while people talk, and must not cost them an hour."""

    now: int
    ticks: int

    @property
    def wall_ahead(self) -> int:
        """Of the ticks. It changes when the wall clock is set."""
        return self.now - self.ticks

    def told_by(self, now: int | None) -> "Moment":
        """The same moment by another wall clock; None: by this one."""
        return self if now is None else replace(self, now=now)


def rfc3339(instant: int) -> str:
    """`2026-03-01T12:00:00.250Z`; exact for every instant that a datetime can hold."""
    moment = _EPOCH + timedelta(milliseconds=instant)
    return moment.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"
