"""Every text column either has its part in an erasure or can hold no telephone number."""

from pathlib import Path

from tests.contract.world import outsider

# Text columns that cannot hold a telephone number: ids, fixed words, secrets. A new column needs a decision,
# and if it can hold a number, its part in `engine.privacy.erasure`.
NEVER_A_NUMBER = {
    "accounts": {"id", "name", "webhook_secret", "old_webhook_secret", "test_of", "events", "frame_origin"},
    "api_keys": {"id", "account_id", "digest", "hint"},
    "bookings": {
        *("id", "account_id", "service", "usage_plan", "caller_id", "language", "screening", "hours"),
        *("destination_pin", "partner_pin"),
    },
    "blocked_callers": {"booking_id"},
    "reached_callers": {"service", "digest", "booking_id"},
    "booking_notes": {"booking_id", "digest"},
    "grants": {"id", "booking_id", "usage_plan", "account_id", "service", "currency"},
    "numbers": {"e164", "state", "country", "quarantined_by"},
    "calls": {
        *("call_id", "booking_id", "state", "callee_channel", "callee_sip_call_id", "incoming_trunk", "dialled"),
        *("asterisk", "direction", "account_id"),
    },
    "number_swaps": {"account_id", "booking_id", "service"},
    "pair_callers": {"service", "booking_id", "quarantined_by", "last_booking_id"},
    "pair_pins": {"service", "pin", "booking_id"},
    "pin_tries": {"service"},
    "keepers": {"asterisk", "engine", "host", "mark"},
    "errands": {"id", "asterisk", "kind", "subject"},
    "cdrs": {
        *("id", "account_id", "booking_id", "call_id", "service", "disposition"),
        *("trunk", "hung_up_by", "callee_sip_call_id", "incoming_trunk", "reason", "tried", "direction"),
    },
    "proxy_services": {"id", "account_id"},
    "proxy_sessions": {"id", "service_id", "booking_id"},
    "proxy_participants": {"id", "session_id", "wanted"},
    "outbox": {"id", "account_id", "booking_id", "call_id", "state", "last_outcome"},
    "callback_attempts": {"callback_id", "trouble"},
    "callback_endpoints": {"id", "account_id", "reason"},
    "callback_receivers": {"digest"},
    "kept_answers": {"account_id", "fingerprint", "location"},
    "notices": {"booking_id", "kind"},
    "notices_swept": {"kind", "booking_id"},
    "expired_calls": {"booking_id", "last_cdr_id"},
    "refused_calls": {"booking_id", "disposition", "cdr_id"},
    "callers_noted": {"cdr_id"},
    "counted_calls": {"call_id"},
    "web_links": {"digest", "role", "account_id"},
    "web_sessions": {"id", "digest", "role", "account_id"},
    "alembic_version": {"version_num"},
    "storage_marks": {"database_id", "log", "oldest_program"},
    "restores": set(),
}
ERASABLE = {
    "bookings": {*("destination", "partner", "callback"), *("label", "destination_label", "partner_label", "metadata")},
    "pair_callers": {"number"},
    "blocked_callers": {"caller"},
    "grants": {"reason"},
    "accounts": {"suspended_reason"},
    "calls": {"source", "destination", "sip_call_id"},
    "cdrs": {"source", "destination", "sip_call_id"},
    "outbox": {"body", "url"},
    "callback_attempts": {"response"},
    "callback_endpoints": {"url"},
    "kept_answers": {"body", "idempotency_key"},
    "proxy_services": {"unique_name", "callback_url", "out_of_session_callback_url"},
    "proxy_sessions": {"unique_name"},
    "proxy_participants": {"number", "name"},
}


def test_every_text_column_is_either_erased_or_known_to_hold_no_number(database: Path) -> None:
    found: dict[str, set[str]] = {}
    with outsider(database) as connection:
        for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            described = connection.execute(f"PRAGMA table_info({row['name']})").fetchall()
            found[row["name"]] = {each["name"] for each in described if each["type"] != "BIGINT"}
    for table, columns in found.items():
        assert columns == NEVER_A_NUMBER[table] | ERASABLE.get(table, set()), table
