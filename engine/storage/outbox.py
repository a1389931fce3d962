"""The callbacks' tables as commands see them: what waits, what was tried, where to, and what signs it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from engine.domain.ids import AccountId, BookingId
from engine.domain.retry import CallbackState
from engine.domain.times import EpochMs
from engine.storage.filters import LATEST
from engine.storage.table import Table
from engine.storage.webhook_secrets import SigningSecrets, secrets_from_row

# Of one callback, the newest. The schedule has no more than 21, so only redeliveries push older ones out.
MAX_LOGGED = 50


@dataclass(frozen=True, slots=True)
class Delivery:
    """A callback that a worker has claimed. `attempts` counts this one and fences off every other claim; `tries` counts
    from the beginning of the present schedule."""

    id: str
    account_id: AccountId
    url: str
    body: str
    attempts: int
    tries: int
    created_at: EpochMs
    secrets: SigningSecrets


@dataclass(frozen=True, slots=True)
class AttemptRecord:
    """`attempt` counts from 1. Either `status` or `trouble` is None. `response`: the beginning of the answer's body."""

    attempt: int
    began_at: EpochMs
    took_ms: int
    status: int | None
    trouble: str | None
    response: str


@dataclass(frozen=True, slots=True)
class CallbackRecord:
    """A callback as its owner sees it. `body`: empty in lists. `claimed`: it is being tried, or about to be."""

    id: str
    booking_id: BookingId
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
    """A callback that is due. `attempts`: how many it has had."""

    event_id: str
    url: str
    attempts: int
    account_id: AccountId


class DuePage(NamedTuple):
    """Due callbacks, and how many rows were scanned to find them: those of disabled endpoints are held instead."""

    due: list[DueCallback]
    scanned: int


class CallbackPosition(NamedTuple):
    """A callback's position in the order of creation. `created_at`: epoch milliseconds."""

    created_at: int
    id: str


class Outbox(Table):
    def next_sequence(self, booking_id: BookingId) -> int:
        """1, 2, 3 … for each booking."""
        [row] = list(self._sql.next_callback_sequence(self._db, booking_id=booking_id))
        return int(row["callbacks_posted"])

    def insert(
        self, *, event_id: str, account_id: AccountId, booking_id: BookingId, url: str, body: str, now: EpochMs
    ) -> None:
        """`now`: by the clock that the account lives by. All that follows goes by the machine's."""
        self._sql.insert_callback(
            self._db,
            id=event_id,
            account_id=account_id,
            booking_id=booking_id,
            url=url,
            body=body,
            created_at=now,
        )

    def line_up_due(self, now: EpochMs, held_until: EpochMs, at_most: int) -> DuePage:
        """Reserve due callbacks, oldest first. They are due again at `held_until`.

        A callback whose endpoint is disabled is held instead.
        """
        rows = list(self._sql.line_up_due_callbacks(self._db, now=now, held_until=held_until, at_most=at_most))
        due = sorted(
            DueCallback(row["id"], row["url"], row["attempts"], row["account_id"])
            for row in rows
            if not row["is_disabled"]
        )
        if held := [{"id": row["id"], "now": now} for row in rows if row["is_disabled"]]:
            self._sql.hold_callback(self._db, held)
        return DuePage(due, len(rows))

    def begin(self, event_id: str, attempts: int, claimed_until: int) -> Delivery | None:
        """Begin the attempt after `attempts` earlier ones.

        None: it is finished, its endpoint is disabled, or another worker was first.
        """
        rows = self._sql.begin_callback_attempt(self._db, id=event_id, attempts=attempts, claimed_until=claimed_until)
        return next((_delivery(row) for row in list(rows)), None)

    def finish(self, delivery: Delivery, state: str, outcome: str, now: EpochMs) -> bool:
        """`state`: DELIVERED, FAILED or HELD. False: another worker has it."""
        return bool(
            self._sql.finish_callback(
                self._db, id=delivery.id, attempts=delivery.attempts, state=state, outcome=outcome, now=now
            )
        )

    def postpone(self, delivery: Delivery, due_at: EpochMs, outcome: str) -> bool:
        """False: another worker has it."""
        return bool(
            self._sql.postpone_callback(
                self._db, id=delivery.id, attempts=delivery.attempts, due_at=due_at, outcome=outcome
            )
        )

    def log_attempt(self, callback_id: str, attempt: AttemptRecord) -> None:
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

    def next_due_at(self) -> EpochMs | None:
        due: EpochMs | None = self._sql.next_callback_due_at(self._db)
        return due

    def of_account(self, account_id: AccountId, callback_id: str) -> CallbackRecord | None:
        row = self._sql.callback_of_account(self._db, account_id=account_id, id=callback_id)
        return callback_from_row(row) if row else None

    def owner_of(self, callback_id: str) -> AccountId | None:
        owner: AccountId | None = self._sql.owner_of_callback(self._db, id=callback_id)
        return owner

    def newest(
        self, account_id: AccountId, state: CallbackState | None, booking_id: BookingId | None, at_most: int
    ) -> list[CallbackRecord]:
        """Newest first. None: any state, any booking."""
        chosen = {"account_id": account_id, "since": 0, "before_at": LATEST, "before_id": "", "at_most": at_most}
        if booking_id and state:
            rows = self._sql.callbacks_page_of_booking_in_state(
                self._db, **chosen, booking_id=booking_id, state=state.value
            )
        elif booking_id:
            rows = self._sql.callbacks_page_of_booking(self._db, **chosen, booking_id=booking_id)
        elif state:
            rows = self._sql.callbacks_page_in_state(self._db, **chosen, state=state.value)
        else:
            rows = self._sql.callbacks_page(self._db, **chosen)
        return [callback_from_row(row) for row in rows]

    def attempts_of(self, callback_id: str) -> list[AttemptRecord]:
        """Oldest first."""
        return [AttemptRecord(**row) for row in self._sql.callback_attempts_of(self._db, callback_id=callback_id)]

    def redeliver(self, callback_id: str, now: EpochMs, *, held: bool) -> bool:
        """Begin its schedule anew, or hold it. False: it is being tried, or there is none."""
        state, finished_at = (CallbackState.HELD, now) if held else (CallbackState.PENDING, None)
        return bool(
            self._sql.redeliver_callback(self._db, id=callback_id, state=state.value, now=now, finished_at=finished_at)
        )

    def to_redeliver(
        self, account_id: AccountId, state: CallbackState, after: CallbackPosition, until: EpochMs, at_most: int
    ) -> list[CallbackPosition]:
        """Callbacks in that state after the position `after` and created before `until`, oldest first."""
        rows = self._sql.callbacks_to_redeliver(
            self._db,
            account_id=account_id,
            state=state.value,
            after_at=after.created_at,
            after_id=after.id,
            until=until,
            at_most=at_most,
        )
        return [CallbackPosition(row["created_at"], row["id"]) for row in rows]


def _delivery(row: dict[str, Any]) -> Delivery:
    names = ("id", "account_id", "url", "body", "attempts", "tries", "created_at")
    return Delivery(**{name: row[name] for name in names}, secrets=secrets_from_row(row))


def callback_from_row(row: Mapping[str, Any]) -> CallbackRecord:
    return CallbackRecord(**{**row, "state": CallbackState(row["state"]), "claimed": bool(row["claimed"])})
