"""What a command may read and write, in methods named for their use. One object a database connection."""

from collections.abc import Sequence
from typing import Any

from engine.domain.booking import Booking
from engine.domain.metering import CallState
from engine.storage.notifications import Notices
from engine.storage.numbers import Numbers
from engine.storage.outbox import Endpoints, Outbox, WebhookSecrets
from engine.storage.overview import Overview
from engine.storage.retention import Erasure, Retention
from engine.storage.rows import (
    Account,
    Answered,
    BlockedCaller,
    Call,
    Cdr,
    Grant,
    KeptAnswer,
    UpCall,
    booking_from_row,
    booking_to_row,
    call_from_row,
    call_to_row,
    fields_of,
    grant_from_row,
)
from engine.storage.sandboxes import Worlds
from engine.storage.table import Table


class Bookings(Table):
    def insert(self, booking: Booking) -> None:
        self._sql.insert_booking(self._db, **booking_to_row(booking))

    def insert_grant(self, grant: Grant) -> None:
        self._sql.insert_grant(self._db, **fields_of(grant))

    def grant(self, grant_id: str) -> Grant | None:
        row = self._sql.grant_by_id(self._db, id=grant_id)
        return grant_from_row(row) if row else None

    def grants_of(self, booking_id: str, at_most: int) -> list[Grant]:
        """Newest first."""
        rows = self._sql.grants_of_booking(self._db, booking_id=booking_id, at_most=at_most)
        return [grant_from_row(row) for row in rows]

    def ledger_page(self, after: str, at_most: int) -> list[dict[str, Any]]:
        """Bookings in the order of their ids, each beside the sums of what should explain it (see ledger.sql)."""
        return list(self._sql.ledger_page(self._db, after=after, at_most=at_most))

    def update(self, booking: Booking) -> None:
        self._sql.update_booking(self._db, **booking_to_row(booking))

    def update_credit(self, booking: Booking) -> None:
        """Of one that has changed in nothing but what remains, is leased and is settled."""
        seconds, calls = booking.seconds, booking.calls
        self._sql.update_credit(
            self._db,
            id=booking.id,
            seconds_remaining=seconds.remaining,
            seconds_leased=seconds.leased,
            seconds_settled=seconds.settled,
            calls_remaining=calls.remaining,
            calls_leased=calls.leased,
            calls_settled=calls.settled,
        )

    def by_id(self, booking_id: str) -> Booking | None:
        row = self._sql.booking_by_id(self._db, id=booking_id)
        return booking_from_row(row) if row else None

    def holding(self, service: str) -> Booking | None:
        """The booking that holds the number now, if it is not gone."""
        row = self._sql.booking_by_service(self._db, service=service)
        return booking_from_row(row) if row else None

    def talking_with_seconds_idle(self) -> list[Booking]:
        """Those with calls that talk, and seconds that nobody holds."""
        return [booking_from_row(row) for row in self._sql.bookings_talking_with_seconds_idle(self._db)]

    def expired_before(self, instant: int, at_most: int) -> list[Booking]:
        rows = self._sql.bookings_expired_before(self._db, before=instant, at_most=at_most)
        return [booking_from_row(row) for row in rows]

    def held_by(self, account_id: str, at_most: int) -> int:
        """How many an account holds, those in their grace too; counts to `at_most`."""
        return int(self._sql.bookings_held(self._db, account_id=account_id, at_most=at_most))


class Blocked(Table):
    """Callers that a booking does not want."""

    def has(self, booking_id: str, caller: str) -> bool:
        return bool(self._sql.is_blocked(self._db, booking_id=booking_id, caller=caller))

    def count(self, booking_id: str) -> int:
        return int(self._sql.blocked_count(self._db, booking_id=booking_id))

    def by_number(self, booking_id: str, caller: str) -> BlockedCaller | None:
        row = self._sql.blocked_caller(self._db, booking_id=booking_id, caller=caller)
        return BlockedCaller(**row) if row else None

    def insert(self, booking_id: str, blocked: BlockedCaller) -> None:
        self._sql.insert_blocked(self._db, booking_id=booking_id, **fields_of(blocked))

    def delete(self, booking_id: str, caller: str) -> bool:
        """Whether it was there."""
        return bool(self._sql.delete_blocked(self._db, booking_id=booking_id, caller=caller))

    def delete_all(self, booking_id: str) -> int:
        """How many there were."""
        return int(self._sql.delete_all_blocked(self._db, booking_id=booking_id))


class Calls(Table):
    def insert(self, call: Call) -> None:
        self._sql.insert_call(self._db, **call_to_row(call))

    def update(self, call: Call) -> None:
        """Of one that is up."""
        self._sql.update_call(self._db, **call_to_row(call))

    def end(self, call_id: str, state: CallState, *, charged: int, now: int) -> None:
        self._sql.end_call(self._db, call_id=call_id, state=state, seconds_charged=charged, ended_at=now)

    def by_id(self, call_id: str) -> Call | None:
        row = self._sql.call_by_id(self._db, call_id=call_id)
        return call_from_row(row) if row else None

    def up_on(self, booking_id: str) -> list[Call]:
        return [call_from_row(row) for row in self._sql.calls_up_on_booking(self._db, booking_id=booking_id)]

    def to_hang_up(self, at_most: int) -> list[Call]:
        """Calls that are up on gone bookings, and to numbers that were erased meanwhile."""
        return [call_from_row(row) for row in self._sql.calls_to_hang_up(self._db, at_most=at_most)]

    def up_briefly(self) -> list[UpCall]:
        """Every call that holds a lease."""
        return [UpCall(**row | {"state": CallState(row["state"])}) for row in self._sql.calls_up_briefly(self._db)]

    def all_seen(self, ticks: int) -> None:
        """Asterisk says that all that talk are up."""
        self._sql.all_calls_seen(self._db, ticks=ticks)

    def last_seen(self, calls: Sequence[UpCall]) -> None:
        """They were seen when they say, and not since."""
        if calls:
            self._sql.calls_last_seen(self._db, [{"call_id": c.call_id, "seen_ticks": c.seen_ticks} for c in calls])

    def has_ended(self, call_id: str) -> bool:
        """Not of one that is unknown."""
        return bool(self._sql.call_has_ended(self._db, call_id=call_id))

    def bookings_with_talk(self) -> list[str]:
        return [row["booking_id"] for row in self._sql.bookings_with_talk(self._db)]

    def bookings_overrun(self, ticks: int) -> list[str]:
        """Bookings with a talking call whose lease was used up by then."""
        return [row["booking_id"] for row in self._sql.bookings_overrun(self._db, ticks=ticks)]

    def of_caller(self, booking_id: str, source: str, after: int) -> int:
        """How many calls of that caller were let through after that instant (epoch milliseconds)."""
        return int(self._sql.calls_of_caller(self._db, booking_id=booking_id, source=source, after=after))

    def overdue(self, ticks: int, *, ring_ms: int, margin_ms: int, at_most: int) -> list[Call]:
        """Calls that must have ended at least `margin_ms` ago."""
        rows = self._sql.calls_overdue(self._db, ticks=ticks, ring_ms=ring_ms, margin_ms=margin_ms, at_most=at_most)
        return [call_from_row(row) for row in rows]


class Cdrs(Table):
    def has_call(self, call_id: str) -> bool:
        return bool(self._sql.cdr_of_call(self._db, call_id=call_id))

    def insert(self, cdr: Cdr) -> None:
        self._sql.insert_cdr(self._db, **fields_of(cdr))


class Accounts(Table):
    def insert(self, account: Account) -> None:
        self._sql.insert_account(self._db, **fields_of(account))

    def by_name(self, name: str) -> Account | None:
        row = self._sql.account_by_name(self._db, name=name)
        return Account(**row) if row else None

    def by_id(self, account_id: str) -> Account | None:
        row = self._sql.account_by_id(self._db, id=account_id)
        return Account(**row) if row else None

    def insert_key(self, *, key_id: str, account_id: str, digest: str, hint: str, now: int) -> None:
        self._sql.insert_api_key(self._db, id=key_id, account_id=account_id, digest=digest, hint=hint, created_at=now)

    def all(self) -> list[dict[str, Any]]:
        return list(self._sql.accounts_list(self._db))

    def keys_of(self, account_id: str) -> list[dict[str, Any]]:
        """Without their digests."""
        return list(self._sql.api_keys_of(self._db, account_id=account_id))

    def note_key_use(self, key_id: str, at: int) -> None:
        """A later use that is noted already stays."""
        self._sql.note_api_key_use(self._db, id=key_id, at=at)

    def revoke_key(self, key_id: str, now: int) -> None:
        """A key that is revoked already stays revoked since then."""
        self._sql.revoke_api_key(self._db, id=key_id, now=now)

    def revoked_at(self, key_id: str) -> int | None:
        """None: not revoked, or no such key."""
        instant: int | None = self._sql.api_key_revoked_at(self._db, id=key_id)
        return instant


class Answers(Table):
    def kept(self, account_id: str, key: str) -> Answered | None:
        row = self._sql.kept_answer(self._db, account_id=account_id, idempotency_key=key)
        if row is None:
            return None
        answer = KeptAnswer(row["status"], row["location"], row["body"])
        return Answered(row["fingerprint"], answer, row["kept_at"])

    def keep(self, account_id: str, key: str, fingerprint: str, answer: KeptAnswer, now: int) -> None:
        """In the place of one that was kept long enough."""
        self._sql.keep_answer(
            self._db,
            account_id=account_id,
            idempotency_key=key,
            fingerprint=fingerprint,
            **fields_of(answer),
            kept_at=now,
        )


class Transaction:
    """Handed to every command. Its tables are valid while the command runs, on the thread that runs it."""

    def __init__(self, queries: Any, connection: Any) -> None:  # noqa: ANN401  as above
        self.bookings = Bookings(queries, connection)
        self.blocked = Blocked(queries, connection)
        self.numbers = Numbers(queries, connection)
        self.calls = Calls(queries, connection)
        self.cdrs = Cdrs(queries, connection)
        self.outbox = Outbox(queries, connection)
        self.endpoints = Endpoints(queries, connection)
        self.webhook_secrets = WebhookSecrets(queries, connection)
        self.accounts = Accounts(queries, connection)
        self.overview = Overview(queries, connection)
        self.answers = Answers(queries, connection)
        self.retention = Retention(queries, connection)
        self.notices = Notices(queries, connection)
        self.erasure = Erasure(queries, connection)
        self.worlds = Worlds(queries, connection)
        self.posted = False  # True: a callback waits for whoever delivers
