"""The tables of bookings and of what each was granted."""

import json
from dataclasses import dataclass
from typing import Any

from engine.domain.booking import Booking, CallerId
from engine.domain.ids import AccountId, BookingId
from engine.domain.metering import Credit
from engine.domain.notes import as_text
from engine.domain.numbers import E164
from engine.domain.policy import BookingLimits, UsagePlan
from engine.domain.times import EpochMs
from engine.storage.table import Row, Table, fields_of

# Of most bookings, and three of them are read for each call.
NO_METADATA = as_text({})


@dataclass(frozen=True, slots=True)
class Grant:
    """What a booking was given to spend: with a plan, or by an operator, who says why and may take away."""

    id: str
    booking_id: BookingId
    usage_plan: UsagePlan | None
    seconds: int
    calls: int
    granted_at: EpochMs
    reason: str | None = None


class Bookings(Table):
    def insert(self, booking: Booking) -> None:
        self._sql.insert_booking(self._db, **booking_to_row(booking))

    def insert_grant(self, grant: Grant) -> None:
        self._sql.insert_grant(self._db, **fields_of(grant))

    def grant(self, grant_id: str) -> Grant | None:
        row = self._sql.grant_by_id(self._db, id=grant_id)
        return grant_from_row(row) if row else None

    def grants_of(self, booking_id: BookingId, at_most: int) -> list[Grant]:
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

    def by_id(self, booking_id: BookingId) -> Booking | None:
        row = self._sql.booking_by_id(self._db, id=booking_id)
        return booking_from_row(row) if row else None

    def holding(self, service: E164) -> Booking | None:
        """The booking that holds the number now, if it is not gone."""
        row = self._sql.booking_by_service(self._db, service=service)
        return booking_from_row(row) if row else None

    def talking_with_seconds_idle(self) -> list[Booking]:
        """Those with calls that talk, and seconds that nobody holds."""
        return [booking_from_row(row) for row in self._sql.bookings_talking_with_seconds_idle(self._db)]

    def expired_before(self, instant: EpochMs, at_most: int) -> list[Booking]:
        rows = self._sql.bookings_expired_before(self._db, before=instant, at_most=at_most)
        return [booking_from_row(row) for row in rows]

    def held_by(self, account_id: AccountId, at_most: int) -> int:
        """How many an account holds, those in their grace too; counts to `at_most`."""
        return int(self._sql.bookings_held(self._db, account_id=account_id, at_most=at_most))


def booking_from_row(row: Row) -> Booking:
    return Booking(
        id=row["id"],
        account_id=row["account_id"],
        service=row["service"],
        destination=row["destination"],
        usage_plan=UsagePlan(row["usage_plan"]),
        callback=row["callback"],
        created_at=row["created_at"],
        end_at=row["end_at"],
        exhausted_at=row["exhausted_at"],
        gone_at=row["gone_at"],
        seconds=_credit(row, "seconds"),
        calls=_credit(row, "calls"),
        limits=BookingLimits(
            max_concurrent_calls=row["max_concurrent_calls"],
            max_calls_per_caller_per_hour=row["max_calls_per_caller_per_hour"],
            max_call_seconds=row["max_call_seconds"],
        ),
        caller_id=CallerId(row["caller_id"]),
        refuse_anonymous=bool(row["refuse_anonymous"]),
        paused=bool(row["paused"]),
        label=row["label"],
        metadata={} if row["metadata"] == NO_METADATA else json.loads(row["metadata"]),
    )


def booking_to_row(booking: Booking) -> dict[str, Any]:
    row = fields_of(booking)
    row |= fields_of(row.pop("limits"))
    row |= {"refuse_anonymous": int(booking.refuse_anonymous), "paused": int(booking.paused)}
    row["metadata"] = as_text(booking.metadata)
    for unit in ("seconds", "calls"):
        row |= {f"{unit}_{part}": amount for part, amount in fields_of(row.pop(unit)).items()}
    return row


def _credit(row: Row, unit: str) -> Credit:
    return Credit(
        granted=row[f"{unit}_granted"],
        remaining=row[f"{unit}_remaining"],
        leased=row[f"{unit}_leased"],
        settled=row[f"{unit}_settled"],
    )


def grant_from_row(row: Row) -> Grant:
    plan = row["usage_plan"]
    return Grant(**{**row, "usage_plan": None if plan is None else UsagePlan(plan)})
