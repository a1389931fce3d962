"""What one account may use, so that it leaves enough for others."""

from collections.abc import Mapping
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class AccountLimits:
    """The limits of an account.

    The table of accounts has a column of the same name for each, NULL where the operator's setting applies. So a
    further limit is a field here, a column, and a setting.

    Attributes:
        max_bookings: Bookings that it may hold. Those in their grace period count, and so do numbers of its bookings
            that are gone, while they are in quarantine.
        new_bookings_a_day: Bookings that it may make within any 24 hours.
        requests_per_minute: API requests that it may send within a minute.
        stored_megabytes: Megabytes that its requests may have stored, its sandbox's as much again (see
            engine/accounts/stored_data.py).
        calls_at_once: Calls that may be up on all its bookings at the same time, ringing ones included.
    """

    max_bookings: int = 1_000
    new_bookings_a_day: int = 200
    requests_per_minute: int = 600
    stored_megabytes: int = 250
    calls_at_once: int = 100


DEFAULT_ACCOUNT_LIMITS = AccountLimits()
# The largest limits that an operator can set. The smallest is 1: an account that shall do nothing has no valid key.
MOST = AccountLimits(
    max_bookings=10_000_000,
    new_bookings_a_day=10_000_000,
    requests_per_minute=1_000_000,
    stored_megabytes=1_000_000,
    calls_at_once=1_000_000,
)

# The limits that an account has of its own, by their names in AccountLimits.
OwnLimits = Mapping[str, int]


def limits_in_force(own: OwnLimits, default: AccountLimits) -> AccountLimits:
    """Returns an account's own limits, completed with the operator's."""
    return replace(default, **own)
