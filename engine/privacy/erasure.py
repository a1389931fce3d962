"""Erases a person's number from every table, as caller and as destination, beside a running engine or without one.

What is counted and charged stays: records, calls and callbacks lose the number and nothing else, so the books add up
as before. Bookings that hide it are ended as by DELETE; calls to it that are up are hung up by the engine's next sweep.
A call from it that is up goes on, and is recorded without it.

Bookings come first, then calls, then what is written from calls: a call that ends meanwhile cannot bring it back.
"""

import asyncio
import json
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace

from engine.callbacks import notifications
from engine.domain import booking as life
from engine.domain.booking import Booking, BookingStatus
from engine.domain.errors import InvalidInput
from engine.domain.events import WhyGone, as_json
from engine.domain.notes import replaced
from engine.domain.numbers import E164, ERASED, is_e164
from engine.domain.policy import Policy
from engine.domain.times import EpochMs
from engine.storage.retention import Window
from engine.storage.sqlite import SqliteStorage
from engine.storage.transaction import Transaction

# Rows that one transaction looks at: a few milliseconds.
WINDOW = 2_000
# After each the engine gets the database for so many times as long: SQLite has no queue, who waits must be lucky.
PAUSE = 3.0


@dataclass(frozen=True, slots=True)
class Target:
    """The number to erase, E.164."""

    number: str

    @property
    def digits(self) -> str:
        return self.number[1:]

    @property
    def in_text(self) -> re.Pattern[str]:
        """In any of its spellings, not as a part of a longer number, nor before a fraction as in Asterisk's ids."""
        return re.compile(rf"\+?(?<![0-9])(?:00)?{self.digits}(?!\.?[0-9])")

    @property
    def in_bytes(self) -> re.Pattern[bytes]:
        return re.compile(self.in_text.pattern.encode())


@dataclass(frozen=True, slots=True)
class Erased:
    """What one step did: rows changed. `left`: what holds the number and is not ours to change, in words."""

    count: int
    left: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class ErasureStep:
    """Rows changed by kind."""

    counts: dict[str, int]
    left: list[str]


Step = Callable[[Transaction, Window], Erased]


def check(tx: Transaction, number: E164) -> Target:
    """Raises InvalidInput: not E.164, or a number that we rent out."""
    if not is_e164(number):
        raise InvalidInput(["not an E.164 number, such as +3225551234"])
    if tx.numbers.is_ours(number):
        raise InvalidInput(["this is one of the rented numbers, not a person's: nothing was erased"])
    return Target(number)


async def erase(storage: SqliteStorage, target: Target, now: EpochMs, policy: Policy) -> ErasureStep:
    """From every table, in short transactions. Raises StorageError; run again, it finishes what is left."""
    steps: tuple[tuple[str, str, Step], ...] = (
        ("bookings", "bookings", lambda tx, window: erase_bookings(tx, window, target, now, policy)),
        ("calls", "calls", lambda tx, window: Erased(tx.erasure.from_calls(window, target.number))),
        ("call_records", "cdrs", lambda tx, window: Erased(tx.erasure.from_records(window, target.number))),
        ("callbacks", "outbox", lambda tx, window: erase_callbacks(tx, window, target)),
        ("responses", "callback_attempts", lambda tx, window: erase_responses(tx, window, target)),
        ("endpoints", "callback_endpoints", lambda tx, window: erase_endpoints(tx, window, target)),
        ("adjustments", "grants", lambda tx, window: erase_reasons(tx, window, target)),
    )
    counts, left = Counter({kind: 0 for kind, _, _ in steps}), list[str]()
    for kind, table, step in steps:
        async for found in _go_through(storage, table, step):
            counts[kind] += found.count
            left += found.left
    counts["kept_answers"] = await storage.run(lambda tx: tx.erasure.kept_answers(target.digits))
    counts["blocked_callers"] = await storage.run(lambda tx: tx.erasure.blocked_caller(target.number))
    return ErasureStep(dict(counts), left)


async def _go_through(storage: SqliteStorage, table: str, step: Step) -> AsyncIterator[Erased]:
    def next_one(tx: Transaction, after: str) -> tuple[str, Erased] | None:
        window = tx.erasure.next_window(table, after, WINDOW)
        return None if window is None else (window.last, step(tx, window))

    after = ""
    while True:
        began = time.monotonic()
        done = await storage.run(next_one, after)
        if done is None:
            return
        after, found = done
        yield found
        await asyncio.sleep(PAUSE * (time.monotonic() - began))


def erase_bookings(tx: Transaction, window: Window, target: Target, now: EpochMs, policy: Policy) -> Erased:
    """Those that hide it are ended and lose it; a gone one also its callback, where the number is a part of that.
    Labels and metadata lose it in any case."""
    count, left = 0, []
    for booking in tx.erasure.bookings(window, target.number, target.digits):
        hides = booking.destination == target.number
        changed = _ended(tx, booking, now, policy) if hides else booking
        if target.in_text.search(booking.callback):
            if changed.gone_at is None:
                left.append(f"the callback of booking {booking.id}, which its owner can change")
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
    return Erased(count, left)


def _ended(tx: Transaction, booking: Booking, now: EpochMs, policy: Policy) -> Booking:
    if booking.gone_at is not None:
        return booking
    now = tx.worlds.now(booking.account_id, now)
    tx.numbers.quarantine(booking.service, now, EpochMs(now + policy.quarantine_ms))
    if life.status_at(booking, now, policy) is BookingStatus.GONE:
        gone, why = life.end_grace(booking, now, policy), WhyGone.GRACE_OVER
    else:
        gone, why = life.delete(booking, now, policy), WhyGone.DELETED
    notifications.notify_booking_gone(tx, gone, why, now)
    return gone


def erase_callbacks(tx: Transaction, window: Window, target: Target) -> Erased:
    """From their bodies, whether they were delivered or not. One whose URL holds the number goes altogether."""
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
    return Erased(count)


def body_without(body: str, target: Target) -> str:
    """Its fields have a number alone or not at all; in metadata it can stand anywhere."""
    content = json.loads(body)
    for name, value in content.items():
        if isinstance(value, dict):
            content[name] = replaced(value, target.in_text, ERASED)
        elif value == target.number:
            content[name] = ERASED
    return as_json(content)


def erase_responses(tx: Transaction, window: Window, target: Target) -> Erased:
    """From what receivers answered: some repeat what they were sent."""
    count = 0
    for callback, attempt, response in tx.erasure.responses(window, target.digits):
        erased = target.in_text.sub(ERASED, response)
        if erased != response:
            tx.erasure.set_response(callback, attempt, erased)
            count += 1
    return Erased(count)


def erase_endpoints(tx: Transaction, window: Window, target: Target) -> Erased:
    """Those with it in their URL go altogether. What is sent to one later finds it enabled."""
    to_it = [each for each, url in tx.erasure.endpoints(window, target.digits) if target.in_text.search(url)]
    for endpoint in to_it:
        tx.erasure.delete_endpoint(endpoint)
    return Erased(len(to_it))


def erase_reasons(tx: Transaction, window: Window, target: Target) -> Erased:
    count = 0
    for grant, reason in tx.erasure.reasons(window, target.digits):
        erased = target.in_text.sub(ERASED, reason)
        if erased != reason:
            tx.erasure.set_reason(grant, erased)
            count += 1
    return Erased(count)
