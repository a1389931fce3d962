"""Instants on the way out: epoch milliseconds → RFC 3339 in UTC with `Z`."""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def rfc3339(instant: int) -> str:
    """`2026-03-01T12:00:00.250Z`; exact for every instant that a datetime can hold."""
    moment = _EPOCH + timedelta(milliseconds=instant)
    return moment.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"
