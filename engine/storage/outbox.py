"""The outbox: callbacks that wait for delivery or were delivered, and the log of attempts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from engine.domain.ids import AccountId, BookingId, CallId
from engine.domain.retry import CallbackState
from engine.domain.times import EpochMs
from engine.storage import scanning
from engine.storage.filters import LATEST
from engine.storage.scanning import ScannedPage
from engine.storage.table import Row, Table
from engine.storage.webhook_secrets import SigningSecrets, secrets_from_row

# Attempts of one callback that are kept, the newest. A schedule has fewer: only redeliveries push older ones out.
MAX_LOGGED = 50


@dataclass(frozen=True, slots=True)
class Delivery:
    """A callback that a worker has claimed for an attempt.

    Attributes:
        attempts: All attempts so far, with this one. Results are stored only while this number is current, so that
            another worker's later claim makes this one void.
        tries: Attempts since the present schedule began, with this one.
        is_test: Whether it is a test event, which has one attempt.
    """

    id: str
    account_id: AccountId
    url: str
    body: str
    attempts: int
    tries: int
    created_at: EpochMs
    secrets: SigningSecrets
    is_test: bool = False


@dataclass(frozen=True, slots=True)
class AttemptRecord:
    """An entry of the delivery log.

    Attributes:
        attempt: Number of the attempt, from 1.
        began_at: When it began.
        took_ms: How long it took, in milliseconds.
        status: HTTP status of the answer. None: there was no answer.
        trouble: Why there was no answer. None: there was one.
        response: The beginning of the answer's body.
    """

    attempt: int
    began_at: EpochMs
    took_ms: int
    status: int | None
    trouble: str | None
    response: str


@dataclass(frozen=True, slots=True)
class CallbackRecord:
    """A callback as its owner sees it.

    Attributes:
        booking_id: The booking that it is about; None: it is a test event.
        body: The request's body; empty in lists.
        claimed: Whether a worker is sending it, or is about to.
        last_outcome: HTTP status or trouble of the last attempt.
    """

    id: str
    booking_id: BookingId | None
    url: str
    body: str
    state: CallbackState
    attempts: int
    claimed: bool
    created_at: EpochMs
    due_at: EpochMs
    finished_at: EpochMs | None
    last_outcome: str | None


class DueCallback(NamedTuple):
    """A callback that is due.

    Attributes:
        attempts: The number of its attempts so far.
        is_redelivered: Whether it was sent again on request.
        is_test: Whether it is a test event.
        is_quick: Whether the last attempt to its URL brought a prompt 2xx; None: not known.
    """

    event_id: str
    url: str
    attempts: int
    account_id: AccountId
    is_redelivered: bool
    is_test: bool
    is_quick: bool | None


class DuePage(NamedTuple):
    """Due callbacks, and the number of rows that were scanned: those of disabled endpoints are held instead."""

    due: list[DueCallback]
    scanned: int


class CallbackPosition(NamedTuple):
    """A callback's position in the order of creation. `created_at`: epoch milliseconds."""

    created_at: int
    id: str


class Outbox(Table):
    """Callbacks and their attempts."""

    def next_sequence(self, booking_id: BookingId) -> int:
        """Returns the next number of the booking's callbacks, from 1."""
        [(sequence,)] = self._sql.next_callback_sequence(self._db, booking_id=booking_id)
        return int(sequence)

    def insert(
        self,
        *,
        event_id: str,
        account_id: AccountId,
        booking_id: BookingId | None,
        call_id: CallId | None = None,
        url: str,
        body: str,
        now: EpochMs,
    ) -> None:
        """Adds a callback that is due at once. Without a booking it is a test event.

        `now` is by the account's clock; later instants are by the machine's.
        """
        self._sql.insert_callback(
            self._db,
            id=event_id,
            account_id=account_id,
            booking_id=booking_id or "",
            call_id=call_id,
            url=url,
            body=body,
            created_at=now,
        )

    def accounts_waiting(self, after: str, limit: int) -> list[tuple[AccountId, EpochMs]]:
        """Returns the accounts after `after` that have callbacks to deliver, and when the first of each is due."""
        return [tuple(row) for row in self._sql.accounts_with_callbacks(self._db, after=after, at_most=limit)]

    def line_up_due(self, account_id: AccountId, now: EpochMs, held_until: EpochMs, limit: int) -> DuePage:
        """Reserves due callbacks of an account until `held_until`, when they are due again.

        A callback whose endpoint is disabled is held instead.

        Returns:
            The reserved callbacks, oldest first.
        """
        rows = self._sql.line_up_due_callbacks(
            self._db, account_id=account_id, now=now, held_until=held_until, at_most=limit
        )
        due = sorted(
            DueCallback(
                row["id"],
                row["url"],
                row["attempts"],
                row["account_id"],
                bool(row["is_redelivered"]),
                bool(row["is_test"]),
                None if row["is_quick"] is None else bool(row["is_quick"]),
            )
            for row in rows
            if not row["is_disabled"]
        )
        held = [row for row in rows if row["is_disabled"]]
        for url in sorted({row["url"] for row in held}):
            self.hold_if_disabled(account_id, url, [row["id"] for row in held if row["url"] == url], now)
        return DuePage(due, len(rows))

    def hold_if_disabled(self, account_id: AccountId, url: str, callback_ids: Sequence[str], now: EpochMs) -> None:
        """Holds an endpoint's pending callbacks if it is disabled."""
        # A transaction that enables it releases only the callbacks that are held by then.
        self._sql.lock_endpoint(self._db, account_id=account_id, url=url)
        self._sql.hold_callback(self._db, [{"id": each, "now": now} for each in callback_ids])

    def begin(self, event_id: str, attempts: int, claimed_until: int) -> Delivery | None:
        """Counts an attempt before it is made.

        Args:
            event_id: The callback.
            attempts: The number of earlier attempts.
            claimed_until: When the callback is due again if this worker dies.

        Returns:
            The callback; None when it is finished, its endpoint is disabled, or another worker has claimed it.
        """
        rows = self._sql.begin_callback_attempt(self._db, id=event_id, attempts=attempts, claimed_until=claimed_until)
        return _delivery(rows[0]) if rows else None

    def finish(self, delivery: Delivery, state: str, outcome: str, now: EpochMs) -> bool:
        """Stores that a callback is DELIVERED, FAILED or HELD. Returns False if another worker has claimed it."""
        return bool(
            self._sql.finish_callback(
                self._db, id=delivery.id, attempts=delivery.attempts, state=state, outcome=outcome, now=now
            )
        )

    def postpone(self, delivery: Delivery, due_at: EpochMs, outcome: str) -> bool:
        """Stores when a failed callback is tried again. Returns False if another worker has claimed it."""
        return bool(
            self._sql.postpone_callback(
                self._db, id=delivery.id, attempts=delivery.attempts, due_at=due_at, outcome=outcome
            )
        )

    def log_attempt(self, callback_id: str, attempt: AttemptRecord) -> None:
        """Adds an attempt to the log, and deletes those that are more than MAX_LOGGED older."""
        self._sql.insert_callback_attempt(
            self._db,
            callback_id=callback_id,
            attempt=attempt.attempt,
            began_at=attempt.began_at,
            took_ms=attempt.took_ms,
            status=attempt.status,
            trouble=attempt.trouble,
            response=attempt.response,
        )
        if attempt.attempt > MAX_LOGGED:
            self._sql.delete_callback_attempts(self._db, callback_id=callback_id, up_to=attempt.attempt - MAX_LOGGED)

    def next_due_at(self, account_id: AccountId) -> EpochMs | None:
        """Returns when the account's next callback is due; None when none waits."""
        due: EpochMs | None = self._sql.next_callback_due_at(self._db, account_id=account_id)
        return due

    def of_account(self, account_id: AccountId, callback_id: str) -> CallbackRecord | None:
        """Returns a callback of the account, with its body."""
        row = self._sql.callback_of_account(self._db, account_id=account_id, id=callback_id)
        return callback_from_row(row) if row else None

    def owner_of(self, callback_id: str) -> AccountId | None:
        """Returns the account that the callback belongs to."""
        owner: AccountId | None = self._sql.owner_of_callback(self._db, id=callback_id)
        return owner

    def attempts_of(self, callback_id: str) -> list[AttemptRecord]:
        """Returns the log of a callback, oldest attempt first."""
        return [AttemptRecord(**row) for row in self._sql.callback_attempts_of(self._db, callback_id=callback_id)]

    def redeliver(self, callback_id: str, now: EpochMs, *, unless_since: EpochMs) -> bool:
        """Starts a callback's schedule again.

        Returns:
            False if it is claimed, was sent again after `unless_since`, or does not exist.
        """
        return bool(self._sql.redeliver_callback(self._db, id=callback_id, now=now, unless_since=unless_since))

    def due_count(self, account_id: AccountId, until: EpochMs, most: int) -> int:
        """Counts callbacks of an account that are due up to `until`; `most` stands for this many or more."""
        return int(self._sql.callbacks_due(self._db, account_id=account_id, until=until, at_most=most))

    def redelivered_at(self, callback_id: str) -> EpochMs | None:
        """Returns when a callback was last sent again on request; None if it never was."""
        at: EpochMs | None = self._sql.callback_redelivered_at(self._db, id=callback_id)
        return at

    def to_redeliver(
        self, account_id: AccountId, state: CallbackState, after: CallbackPosition, until: EpochMs, limit: int
    ) -> ScannedPage[CallbackPosition, CallbackPosition]:
        """Returns callbacks in a state, after the position `after` and created before `until`, oldest first."""
        bounds = {
            "account_id": account_id,
            "after_at": after.created_at,
            "after_id": after.id,
            "until": until,
        }
        if state is CallbackState.FAILED:
            rows = self._sql.callbacks_failed_to_redeliver(self._db, **bounds, at_most=limit)
            return ScannedPage([CallbackPosition(*row) for row in rows])
        end = self._sql.callback_place_after(self._db, **bounds, skipped=scanning.SCAN_LIMIT - 1)
        last = CallbackPosition(LATEST, "") if end is None else CallbackPosition(*end)
        rows = self._sql.callbacks_to_redeliver(
            self._db, **bounds, last_at=last.created_at, last_id=last.id, state=state.value, at_most=limit
        )
        found = [CallbackPosition(*row) for row in rows]
        return ScannedPage(found, None if end is None or len(found) == limit else last)


def callback_from_row(row: Row) -> CallbackRecord:
    """Builds a record from its columns."""
    typed = {
        "booking_id": row["booking_id"] or None,
        "state": CallbackState(row["state"]),
        "claimed": bool(row["claimed"]),
    }
    return CallbackRecord(**{**row, **typed})


def _delivery(row: Row) -> Delivery:
    names = ("id", "account_id", "url", "body", "attempts", "tries", "created_at")
    return Delivery(**{name: row[name] for name in names}, secrets=secrets_from_row(row), is_test=bool(row["is_test"]))
