"""Erasure of a person's number from every table, as caller and as destination. The engine may run meanwhile.

Records, calls and callbacks lose only the number, so the books still add up. Bookings with the number as destination
are ended as by DELETE, and the engine's next sweep hangs up their live calls. A live call from the number continues,
and is recorded without the number.

The order is: bookings, then calls, then rows that are written from calls. So a call that ends meanwhile cannot bring
the number back.
"""

import asyncio
import hashlib
import hmac
import json
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace

from engine.bookings.lifecycle import end_for_good
from engine.callbacks import notifications
from engine.domain.booking import Booking
from engine.domain.errors import InvalidInput
from engine.domain.events import as_json
from engine.domain.notes import replaced
from engine.domain.numbers import E164, ERASED, is_e164
from engine.domain.policy import Policy
from engine.domain.times import EpochMs
from engine.storage.interface import Storage
from engine.storage.retention import Window
from engine.storage.revocations import Kind
from engine.storage.transaction import Transaction

# Rows that one transaction scans: a few milliseconds.
WINDOW = 2_000
# The pause after each transaction, as a multiple of its duration. SQLite does not queue writers: without the pause the
# engine might wait for a long time.
PAUSE = 3.0


@dataclass(frozen=True, slots=True)
class Target:
    """The number to erase, E.164."""

    number: str

    @property
    def digits(self) -> str:
        """The number without its plus sign."""
        return self.number[1:]

    @property
    def in_text(self) -> re.Pattern[str]:
        """Matches the number in all its spellings, but not within a longer number or an Asterisk id (digits.digits)."""
        return re.compile(rf"\+?(?<![0-9])(?:00)?{self.digits}(?!\.?[0-9])")

    @property
    def in_bytes(self) -> re.Pattern[bytes]:
        """The same pattern for bytes."""
        return re.compile(self.in_text.pattern.encode())


@dataclass(frozen=True, slots=True)
class ErasedRows:
    """The result of one transaction.

    Attributes:
        count: How many rows it changed.
        remaining: Descriptions of what still contains the number because only its owner may change it.
    """

    count: int
    remaining: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class ErasureResult:
    """The result of an erasure.

    Attributes:
        counts: How many rows were changed, by kind.
        remaining: Descriptions of what still contains the number.
    """

    counts: dict[str, int]
    remaining: list[str]


Step = Callable[[Transaction, Window], ErasedRows]


def check(tx: Transaction, number: E164) -> Target:
    """Returns the number as a target of an erasure.

    Raises:
        InvalidInput: The number is not E.164, or is one of the rented numbers.
    """
    if not is_e164(number):
        raise InvalidInput(["not an E.164 number, such as +3225551234"])
    if tx.numbers.is_ours(number):
        raise InvalidInput(["this is a rented number, not a person's number: nothing was erased"])
    return Target(number)


def erasure_digest(pepper: str, number: E164) -> str:
    """Returns the keyed digest by which the revocation log names an erased number.

    The number itself must not be kept. A restore finds it by making the digest of every number in the backup.
    """
    return hmac.new(pepper.encode(), f"erased number {number}".encode(), hashlib.sha256).hexdigest()


async def erase(storage: Storage, target: Target, now: EpochMs, policy: Policy, pepper: str) -> ErasureResult:
    """Erases the number from every table, in short transactions.

    The revocation log has the number's digest before anything is erased, so that a restore erases it again.

    Args:
        storage: The database.
        target: The number.
        now: The present time.
        policy: The operator's rules.
        pepper: The secret with which digests are made.

    Raises:
        StorageError: The database failed. Another run finishes the erasure.
    """
    digest = erasure_digest(pepper, E164(target.number))
    await storage.run(lambda tx: tx.withdraw(Kind.NUMBER, digest))
    steps: tuple[tuple[str, str, Step], ...] = (
        ("bookings", "bookings", lambda tx, window: erase_bookings(tx, window, target, now, policy)),
        ("calls", "calls", lambda tx, window: erase_calls(tx, window, target)),
        ("call_records", "cdrs", lambda tx, window: erase_records(tx, window, target)),
        ("callbacks", "outbox", lambda tx, window: erase_callbacks(tx, window, target)),
        ("responses", "callback_attempts", lambda tx, window: erase_responses(tx, window, target)),
        ("endpoints", "callback_endpoints", lambda tx, window: erase_endpoints(tx, window, target)),
        ("adjustments", "grants", lambda tx, window: erase_reasons(tx, window, target)),
    )
    counts, remaining = Counter({kind: 0 for kind, _, _ in steps}), list[str]()
    for kind, table, step in steps:
        async for erased in _run_over_table(storage, table, step):
            counts[kind] += erased.count
            remaining += erased.remaining
    counts["kept_answers"] = await storage.run(lambda tx: tx.erasure.kept_answers(target.digits))
    counts["blocked_callers"] = await storage.run(lambda tx: tx.erasure.blocked_caller(target.number))
    return ErasureResult(dict(counts), remaining)


def erase_calls(tx: Transaction, window: Window, target: Target) -> ErasedRows:
    """Erases the number from calls."""
    return ErasedRows(tx.erasure.from_calls(window, target.number, target.digits))


def erase_records(tx: Transaction, window: Window, target: Target) -> ErasedRows:
    """Erases the number from call records."""
    return ErasedRows(tx.erasure.from_records(window, target.number, target.digits))


async def _run_over_table(storage: Storage, table: str, step: Step) -> AsyncIterator[ErasedRows]:
    """Runs a step over all rows of a table, `WINDOW` rows in each transaction."""

    def next_window(tx: Transaction, after: str) -> tuple[str, ErasedRows] | None:
        window = tx.erasure.next_window(table, after, WINDOW)
        return None if window is None else (window.last, step(tx, window))

    after = ""
    while True:
        began = time.monotonic()
        done = await storage.run(next_window, after)
        if done is None:
            return
        after, erased = done
        yield erased
        await asyncio.sleep(PAUSE * (time.monotonic() - began))


def erase_bookings(tx: Transaction, window: Window, target: Target, now: EpochMs, policy: Policy) -> ErasedRows:
    """Erases the number from bookings.

    A booking with the number as destination is ended, and its destination erased. A callback URL with the number is
    deleted if the booking is gone; otherwise it is reported. Labels and metadata lose the number in any case.
    """
    count, remaining = 0, []
    for booking in tx.erasure.bookings(window, target.number, target.digits):
        hides = booking.destination == target.number
        changed = _ended(tx, booking, now, policy) if hides else booking
        if target.in_text.search(booking.callback):
            if changed.gone_at is None:
                remaining.append(f"the callback of booking {booking.id}, which its owner can change")
            else:
                changed = replace(changed, callback="")
        if hides:
            changed = replace(changed, destination=E164(ERASED))
        changed = replace(
            changed,
            label=target.in_text.sub(ERASED, changed.label),
            metadata=replaced(changed.metadata, target.in_text, ERASED),
        )
        if changed != booking:
            tx.bookings.update(changed)
            count += 1
    return ErasedRows(count, remaining)


def _ended(tx: Transaction, booking: Booking, now: EpochMs, policy: Policy) -> Booking:
    """Ends a booking, unless it is gone already, and quarantines its number."""
    if booking.gone_at is not None:
        return booking
    now = tx.sandboxes.now(booking.account_id, now)
    gone, why = end_for_good(tx, booking, now, policy)
    notifications.notify_booking_gone(tx, gone, why, now)
    return gone


def erase_callbacks(tx: Transaction, window: Window, target: Target) -> ErasedRows:
    """Erases the number from the bodies of callbacks, and deletes callbacks whose URL contains it."""
    count = 0
    for event, url, body in tx.erasure.callbacks(window, target.digits):
        erased = body_without(body, target)
        if target.in_text.search(url):
            tx.erasure.delete_callback(event)
        elif erased != body:
            tx.erasure.set_callback_body(event, erased)
        else:
            continue
        count += 1
    return ErasedRows(count)


def body_without(body: str, target: Target) -> str:
    """Returns a callback's body without the number.

    A field that contains the number contains nothing else. In `metadata` the number can occur anywhere in a text.
    """
    content = json.loads(body)
    for name, value in content.items():
        if isinstance(value, dict):
            content[name] = replaced(value, target.in_text, ERASED)
        elif value == target.number:
            content[name] = ERASED
    return as_json(content)


def erase_responses(tx: Transaction, window: Window, target: Target) -> ErasedRows:
    """Erases the number from the answers of receivers: some of them repeat the callback."""
    count = 0
    for callback, attempt, response in tx.erasure.responses(window, target.digits):
        erased = target.in_text.sub(ERASED, response)
        if erased != response:
            tx.erasure.set_response(callback, attempt, erased)
            count += 1
    return ErasedRows(count)


def erase_endpoints(tx: Transaction, window: Window, target: Target) -> ErasedRows:
    """Deletes endpoints whose URL contains the number. A later callback to such a URL finds it enabled."""
    matching = [each for each, url in tx.erasure.endpoints(window, target.digits) if target.in_text.search(url)]
    for endpoint in matching:
        tx.erasure.delete_endpoint(endpoint)
    return ErasedRows(len(matching))


def erase_reasons(tx: Transaction, window: Window, target: Target) -> ErasedRows:
    """Erases the number from the reasons of adjustments."""
    count = 0
    for grant, reason in tx.erasure.reasons(window, target.digits):
        erased = target.in_text.sub(ERASED, reason)
        if erased != reason:
            tx.erasure.set_reason(grant, erased)
            count += 1
    return ErasedRows(count)
