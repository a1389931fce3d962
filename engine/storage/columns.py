"""The columns of tables that are read as whole rows, in the order in which their rows are decoded.

Statements name them `{bookings}`, or `{b.bookings}` for a table that has the alias b. So a column that a newer version
has added does not disturb an older one, and rows are decoded by position, which costs less than by name.
"""

from dataclasses import fields

from engine.domain.account_limits import AccountLimits

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
    ),
    "grants": ("id", "booking_id", "usage_plan", "seconds", "calls", "granted_at", "reason"),
}

# Columns of a table that are read and written together; statements name them in the same way.
PARTS: dict[str, tuple[str, ...]] = {"limits": tuple(field.name for field in fields(AccountLimits))}  # of accounts
