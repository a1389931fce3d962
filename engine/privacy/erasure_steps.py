"""The steps of an erasure, one for each table: how a row loses a number."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from engine.bookings.endings import end_for_good
from engine.callbacks import notifications
from engine.domain.booking import Booking
from engine.domain.caller_digests import reached_digest
from engine.domain.events import as_json
from engine.domain.ids import BookingId
from engine.domain.numbers import ERASED
from engine.domain.policy import Policy
from engine.domain.spellings import Spellings
from engine.domain.times import EpochMs
from engine.privacy.findings import Findings, Receiver
from engine.storage.erasure import CALL_COLUMNS
from engine.storage.table import Row
from engine.storage.transaction import Transaction


@dataclass(frozen=True, slots=True)
class Task:
    """What every step needs: the number, the present time, the operator's rules, and the digest of the person."""

    spellings: Spellings
    now: EpochMs
    policy: Policy
    person: str


# The columns of a booking's hidden numbers, and of the names that its customer gives to it and to participants.
HIDDEN = ("destination", "partner")
LABELS = ("label", "destination_label", "partner_label")

EraseRow = Callable[[Transaction, Row, Task, Findings], bool]


@dataclass(frozen=True, slots=True)
class Step:
    """A step.

    Attributes:
        kind: What its rows are called in the receipt.
        table: The table.
        columns: The columns that it searches.
        erase_row: Erases the number from a row, and returns whether it was there.
        page: Rows that are read at once. Texts may be long, numbers are short.
    """

    kind: str
    table: str
    columns: tuple[str, ...]
    erase_row: EraseRow
    page: int = 100


class _Row:
    """One row during its search: each text without the number, and whether any held it."""

    def __init__(self, step: str, row: str, task: Task, findings: Findings) -> None:
        self.found = False
        self._table, self._row, self._task, self._findings = step, row, task, findings
        self._noted: set[str] = set()

    def search(self, column: str, text: str) -> str:
        """Returns a text without the number, and notes a place with similar digits once."""
        done = self._task.spellings.search(text)
        self.found |= done.found
        if done.is_unsure and column not in self._noted:
            self._noted.add(column)
            self._findings.note_unsure(self._table, column, self._row)
        return done.text

    def holds(self, column: str, text: str) -> bool:
        """Returns whether a text contains the number."""
        return self.search(column, text) != text

    def search_texts(self, column: str, texts: Mapping[str, Any]) -> dict[str, Any]:
        """Returns an object without the number in its keys and texts. Of keys that become equal, one stays."""
        found: dict[str, Any] = {}
        for key, value in texts.items():
            if isinstance(value, dict):
                found[key] = self.search_texts(column, value)
            else:
                found[self.search(column, key)] = self.search(column, value) if isinstance(value, str) else value
        return found


def _erase_booking(tx: Transaction, row: Row, task: Task, findings: Findings) -> bool:
    """Ends a booking that hides the number, and erases it there. Labels and metadata lose the number.

    A callback URL with the number is deleted if the booking is gone; otherwise it is reported.
    """
    search = _Row("bookings", row["key"], task, findings)
    hidden = [column for column in HIDDEN if search.holds(column, row[column] or "")]
    names = search.holds("callback", row["callback"])
    labels = {column: search.search(column, row[column]) for column in LABELS}
    metadata = search.search_texts("metadata", json.loads(row["metadata"]))
    if not search.found:
        return False
    booking = tx.bookings.by_id(BookingId(row["key"]))
    if booking is None:
        raise LookupError(row["key"])
    changed = _ended(tx, booking, task) if hidden else booking
    if names and changed.gone_at is None:
        findings.remaining.append(f"the callback of booking {booking.id}, which its owner can change")
    elif names:
        changed = replace(changed, callback="")
    changes: dict[str, Any] = dict.fromkeys(hidden, ERASED) | labels
    changed = replace(changed, **changes, metadata=metadata)
    if changed == booking:
        return False
    tx.bookings.update(changed)
    return True


def _ended(tx: Transaction, booking: Booking, task: Task) -> Booking:
    """Ends a booking, unless it is gone already, and quarantines its number."""
    if booking.gone_at is not None:
        return booking
    now = tx.sandboxes.now(booking.account_id, task.now)
    gone, why = end_for_good(tx, booking, now, task.policy)
    notifications.notify_booking_gone(tx, gone, why, now)
    return gone


def _erase_call(tx: Transaction, row: Row, task: Task, findings: Findings) -> bool:
    return _erase_columns("calls", tx.erasure.erase_from_call, row, task, findings)


def _erase_record(tx: Transaction, row: Row, task: Task, findings: Findings) -> bool:
    return _erase_columns("cdrs", tx.erasure.erase_from_record, row, task, findings)


def _erase_columns(
    table: str, erase: Callable[[str, Mapping[str, bool]], None], row: Row, task: Task, findings: Findings
) -> bool:
    search = _Row(table, row["key"], task, findings)
    holding = {column: search.holds(column, row[column] or "") for column in CALL_COLUMNS}
    if search.found:
        erase(row["key"], holding)
    return search.found


def _erase_callback(tx: Transaction, row: Row, task: Task, findings: Findings) -> bool:
    """Erases the number from a callback's body, and deletes a callback whose URL contains it."""
    search = _Row("outbox", row["key"], task, findings)
    names = search.holds("url", row["url"])
    body = search.search_texts("body", json.loads(row["body"]))
    if not search.found:
        return False
    host = urlsplit(row["url"]).hostname or ""
    if row["attempts"] and not task.spellings.search(host).found:
        findings.receivers.add(Receiver(row["account_id"], host))
    if names:
        tx.erasure.delete_callback(row["key"])
    else:
        tx.erasure.set_callback_body(row["key"], as_json(body))
    return True


def _erase_response(tx: Transaction, row: Row, task: Task, findings: Findings) -> bool:
    """Erases the number from a receiver's answer: some of them repeat the callback."""
    search = _Row("callback_attempts", f"{row['key']} attempt {row['key_2']}", task, findings)
    response = search.search("response", row["response"])
    if search.found:
        tx.erasure.set_response(row["key"], row["key_2"], response)
    return search.found


def _erase_endpoint(tx: Transaction, row: Row, task: Task, findings: Findings) -> bool:
    """Deletes an endpoint whose URL contains the number. A later callback to such a URL finds it enabled."""
    search = _Row("callback_endpoints", row["key"], task, findings)
    if search.holds("url", row["url"]):
        tx.erasure.delete_endpoint(row["key"])
    return search.found


def _erase_reason(tx: Transaction, row: Row, task: Task, findings: Findings) -> bool:
    search = _Row("grants", row["key"], task, findings)
    reason = search.search("reason", row["reason"] or "")
    if search.found:
        tx.erasure.set_reason(row["key"], reason)
    return search.found


def _erase_suspension(tx: Transaction, row: Row, task: Task, findings: Findings) -> bool:
    search = _Row("accounts", row["key"], task, findings)
    reason = search.search("suspended_reason", row["suspended_reason"] or "")
    if search.found:
        tx.erasure.set_suspended_reason(row["key"], reason)
    return search.found


def _erase_answer(tx: Transaction, row: Row, task: Task, findings: Findings) -> bool:
    """Deletes a kept answer that contains the number, or whose idempotency key does."""
    search = _Row("kept_answers", row["key"], task, findings)
    search.search("idempotency_key", row["key_2"])
    search.search("body", row["body"])
    if search.found:
        tx.erasure.delete_kept_answer(row["key"], row["key_2"])
    return search.found


def _erase_blocked(tx: Transaction, row: Row, task: Task, findings: Findings) -> bool:
    search = _Row("blocked_callers", row["key"], task, findings)
    if search.holds("caller", row["key_2"]):
        tx.erasure.delete_blocked_caller(row["key"], row["key_2"])
    return search.found


def _erase_pair_caller(tx: Transaction, row: Row, task: Task, findings: Findings) -> bool:
    """Deletes the number from the callers who have left a shared number."""
    search = _Row("pair_callers", row["key"], task, findings)
    if search.holds("number", row["key_2"]):
        tx.erasure.delete_pair_caller(row["key"], row["key_2"])
    return search.found


def _erase_participant(tx: Transaction, row: Row, task: Task, findings: Findings) -> bool:
    """Removes a participant who waits for another one."""
    search = _Row("proxy_participants", row["key"], task, findings)
    search.search("number", row["number"] or "")
    search.search("name", row["name"] or "")
    if search.found:
        tx.twilio_proxy.delete_participant(row["key"])
    return search.found


def _erase_session_name(tx: Transaction, row: Row, task: Task, findings: Findings) -> bool:
    search = _Row("proxy_sessions", row["key"], task, findings)
    if search.holds("unique_name", row["unique_name"] or ""):
        tx.erasure.delete_session_name(row["key"])
    return search.found


def _erase_from_service(tx: Transaction, row: Row, task: Task, findings: Findings) -> bool:
    """Replaces a service's name with its id. Its callback URLs are reported, because nothing else ends it."""
    search = _Row("proxy_services", row["key"], task, findings)
    in_callbacks = search.holds("callback_url", row["callback_url"])
    if search.holds("out_of_session_callback_url", row["out_of_session_callback_url"]) or in_callbacks:
        findings.remaining.append(f"a callback URL of the Proxy service {row['key']}, which its owner can change")
    if search.holds("unique_name", row["unique_name"]):
        tx.erasure.replace_service_name(row["key"])
        return True
    return False


def _erase_reached(tx: Transaction, row: Row, task: Task, _: Findings) -> bool:
    is_person = row["key_2"] == reached_digest(task.person, row["key"])
    return is_person and tx.reached_callers.delete(row["key"], row["key_2"])


# Who waits in a session becomes part of a booking. Bookings come before calls, and calls before what is written from
# them: so a call that ends meanwhile cannot bring the number back.
STEPS = (
    Step("participants", "proxy_participants", ("number", "name"), _erase_participant),
    Step("bookings", "bookings", (*HIDDEN, "callback", *LABELS, "metadata"), _erase_booking),
    Step("pair_callers", "pair_callers", ("number",), _erase_pair_caller),
    Step("calls", "calls", CALL_COLUMNS, _erase_call, page=2_000),
    Step("call_records", "cdrs", CALL_COLUMNS, _erase_record, page=2_000),
    Step("callbacks", "outbox", ("url", "body"), _erase_callback),
    Step("responses", "callback_attempts", ("response",), _erase_response),
    Step("endpoints", "callback_endpoints", ("url",), _erase_endpoint),
    Step("adjustments", "grants", ("reason",), _erase_reason),
    Step("suspensions", "accounts", ("suspended_reason",), _erase_suspension),
    Step("kept_answers", "kept_answers", ("body", "idempotency_key"), _erase_answer),
    Step("blocked_callers", "blocked_callers", ("caller",), _erase_blocked),
    Step("sessions", "proxy_sessions", ("unique_name",), _erase_session_name),
    Step(
        "services",
        "proxy_services",
        ("unique_name", "callback_url", "out_of_session_callback_url"),
        _erase_from_service,
    ),
    Step("reached_callers", "reached_callers", ("digest",), _erase_reached, page=2_000),
)
