"""Limits of a booking against the abuse of one plan: by many calls at once, by one caller, by calls without end."""

from dataclasses import dataclass

MAX_CONCURRENT_CALLS = 1_000
MAX_CALLS_PER_CALLER_PER_HOUR = 10_000
MAX_CALL_SECONDS = 24 * 3_600

HOUR_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class Limits:
    """None: none of that kind. A caller's calls are those that were let through, answered or not."""

    max_concurrent_calls: int | None = None
    max_calls_per_caller_per_hour: int | None = None
    max_call_seconds: int | None = None

    def or_else(self, default: "Limits") -> "Limits":
        """These limits, and `default` where there is none."""
        return Limits(
            _first(self.max_concurrent_calls, default.max_concurrent_calls),
            _first(self.max_calls_per_caller_per_hour, default.max_calls_per_caller_per_hour),
            _first(self.max_call_seconds, default.max_call_seconds),
        )


NO_LIMITS = Limits()


def _first(own: int | None, default: int | None) -> int | None:
    return default if own is None else own
