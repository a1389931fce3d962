"""The columns of tables that are read as whole rows, in the order in which their rows are decoded.

Statements name them `{bookings}`, or `{b.bookings}` for a table that has the alias b. So a column that a newer version
has added does not disturb an older one, and rows are decoded by position, which costs less than by name.
"""

from dataclasses import fields

from engine.domain.account_limits import AccountLimits
from engine.domain.directions import Direction

COLUMNS: dict[str, tuple[str, ...]] = {
    "bookings": (
        "id",
        "account_id",
        "service",
        "destination",
        "usage_plan",
        "callback",
        "created_at",
        "end_at",
        "exhausted_at",
        "gone_at",
        "seconds_granted",
        "seconds_remaining",
        "seconds_leased",
        "seconds_settled",
        "calls_granted",
        "calls_remaining",
        "calls_leased",
        "calls_settled",
        "max_concurrent_calls",
        "max_calls_per_caller_per_hour",
        "max_call_seconds",
        "caller_id",
        "refuse_anonymous",
        "paused",
        "label",
        "metadata",
        "language",
        "start_at",
        "whisper",
        "screening",
        "hours",
        "reverse",
        "greeting",
        "partner",
        "destination_label",
        "partner_label",
        "accept_former_callers",
        "destination_pin",
        "partner_pin",
        "beep",
    ),
    "calls": (
        "call_id",
        "booking_id",
        "state",
        "source",
        "destination",
        "callee_channel",
        "seconds_leased",
        "seconds_charged",
        "started_at",
        "ended_at",
        "started_ticks",
        "answered_at",
        "answered_ticks",
        "seen_ticks",
        "sip_call_id",
        "callee_sip_call_id",
        "incoming_trunk",
        "dialled",
        "asterisk",
        "direction",
        "returnable",
        "of_pair",
    ),
    "cdrs": (
        "id",
        "account_id",
        "booking_id",
        "call_id",
        "started_at",
        "duration",
        "source",
        "service",
        "destination",
        "disposition",
        "trunk",
        "sip_code",
        "hangup_cause",
        "hung_up_by",
        "sip_call_id",
        "callee_sip_call_id",
        "further_calls",
        "incoming_trunk",
        "reason",
        "tried",
        "direction",
        "of_pair",
    ),
    "grants": (
        "id",
        "booking_id",
        "usage_plan",
        "seconds",
        "calls",
        "granted_at",
        "reason",
        "account_id",
        "service",
        "price",
        "currency",
    ),
}

_DIRECTIONS = {direction.value: direction for direction in Direction}


def direction_columns(direction: Direction) -> dict[str, str | int]:
    """Returns the columns of a call's direction. A pair's calls have one of their own, and go forward."""
    is_pair = direction is Direction.PAIR
    return {"direction": str(Direction.FORWARD if is_pair else direction), "of_pair": int(is_pair)}


def direction_from(direction: str, of_pair: int) -> Direction:
    """Returns the direction of a call from its two columns."""
    return Direction.PAIR if of_pair else _DIRECTIONS[direction]


# Columns of a table that are read and written together; statements name them in the same way.
PARTS: dict[str, tuple[str, ...]] = {
    "limits": tuple(field.name for field in fields(AccountLimits)),  # of accounts
    "services": (  # of proxy_services
        "id",
        "account_id",
        "unique_name",
        "default_ttl",
        "callback_url",
        "out_of_session_callback_url",
        "created_at",
        "updated_at",
    ),
    "sessions": (  # of proxy_sessions
        "id",
        "service_id",
        "unique_name",
        "ttl",
        "expires_at",
        "booking_id",
        "paid_until",
        "idle_until",
        "created_at",
        "updated_at",
        "closed_at",
    ),
}
