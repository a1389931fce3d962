"""The tables of bookings and of what each was granted."""

import json
from dataclasses import dataclass
from typing import Any

from engine.domain.booking import Booking, CallerId
from engine.domain.hours import as_column, from_column
from engine.domain.ids import AccountId, BookingId
from engine.domain.metering import Credit
from engine.domain.money import Money
from engine.domain.notes import as_text, digests
from engine.domain.numbers import E164, is_simulated
from engine.domain.policy import BookingLimits, UsagePlan
from engine.domain.prompts import Language
from engine.domain.screening import Screening
from engine.domain.times import EpochMs
from engine.storage.table import Row, Table, fields_of

# Most bookings have no metadata, and each call reads its booking: this saves parsing them.
NO_METADATA = as_text({})
# Looking a member up by its value in an enumeration itself takes several times as long.
_PLANS = {plan.value: plan for plan in UsagePlan}
_CALLER_IDS = {caller_id.value: caller_id for caller_id in CallerId}
_SCREENINGS = {screening.value: screening for screening in Screening}
_FLAGS = ("refuse_anonymous", "paused", "whisper", "reverse", "greeting", "accept_former_callers", "beep")
_LANGUAGES: dict[str | None, Language | None] = {None: None, **{each.value: each for each in Language}}


@dataclass(frozen=True, slots=True)
class Grant:
    """Seconds and calls that a booking was given to spend.

    Attributes:
        usage_plan: The plan that granted them. None: an operator's adjustment, which may be negative.
        reason: Why the operator adjusted the booking.
        account_id: Who pays `price`; None without a price.
        service: The booking's number at that time; None without a price.
        price: What the plan cost at that time, in the smallest unit of `currency`. None: adjustments cost nothing, and
            the operator may set no prices.
        currency: The currency of `price`; None without a price.
    """

    id: str
    booking_id: BookingId
    usage_plan: UsagePlan | None
    seconds: int
    calls: int
    granted_at: EpochMs
    reason: str | None = None
    account_id: AccountId | None = None
    service: E164 | None = None
    price: int | None = None
    currency: str | None = None

    @property
    def cost(self) -> Money | None:
        """What the grant cost; None if it had no price."""
        return None if self.price is None or self.currency is None else Money(self.price, self.currency)


@dataclass(frozen=True, slots=True)
class Charge:
    """What plans that a booking was granted within a span cost in one currency.

    Attributes:
        service: The booking's number when one of them was granted.
    """

    booking_id: BookingId
    service: E164
    cost: Money


class Bookings(Table):
    """Bookings and grants."""

    def insert(self, booking: Booking) -> None:
        """Adds a booking."""
        self._sql.insert_booking(self._db, **booking_to_row(booking))
        self._add_notes(booking.id, _listed_notes(booking))

    def update(self, booking: Booking) -> None:
        """Stores everything about a booking that can change."""
        notes, before = _listed_notes(booking), self._listed_notes_of(booking)
        if removed := before - notes:
            self._sql.delete_booking_note(self._db, _note_rows(booking.id, removed))
        self._add_notes(booking.id, notes - before)
        row = booking_to_row(booking)
        for constant in ("account_id", "service", "created_at"):
            del row[constant]
        self._sql.update_booking(self._db, **row)

    def _listed_notes_of(self, booking: Booking) -> frozenset[str]:
        """Returns the digests that are stored for a booking, which may differ from those of its new state."""
        row = self._sql.notes_of_booking(self._db, id=booking.id)
        if row is None or row["gone_at"] is not None:
            return frozenset()
        return digests(booking.account_id, row["label"], json.loads(row["metadata"]))

    def _add_notes(self, booking_id: BookingId, notes: frozenset[str]) -> None:
        if notes:
            self._sql.insert_booking_note(self._db, _note_rows(booking_id, notes))

    def update_credit(self, booking: Booking) -> None:
        """Stores what remains, is leased and is settled. Use it where nothing else of the booking has changed."""
        self._sql.update_credit(self._db, **_credit_columns(booking))

    def update_credit_and_count(self, booking: Booking) -> None:
        """Does the same, and counts a callback about the booking that is posted in this transaction."""
        self._sql.update_credit_and_count(self._db, **_credit_columns(booking))

    def swap_service(self, booking: Booking, swapped: Booking, now: EpochMs) -> None:
        """Stores a booking's other number and its PINs there, and keeps which number it had, unless it is simulated."""
        self._sql.set_service(
            self._db,
            id=booking.id,
            service=swapped.service,
            destination_pin=swapped.destination_pin,
            partner_pin=swapped.partner_pin,
        )
        if not is_simulated(booking.service):
            self._sql.insert_number_swap(
                self._db,
                account_id=booking.account_id,
                swapped_at=now,
                booking_id=booking.id,
                service=booking.service,
            )

    def by_id(self, booking_id: BookingId) -> Booking | None:
        """Returns the booking with that id, also when it is gone. No other transaction changes it or its calls now."""
        self._sql.lock_booking(self._db, id=booking_id)
        row = self._sql.booking_by_id(self._db, id=booking_id)
        return booking_from_row(row) if row else None

    def holding(self, service: E164) -> Booking | None:
        """Returns the booking that holds the number now and shares it with no other."""
        row = self._sql.booking_by_service(self._db, service=service)
        return booking_from_row(row) if row else None

    def talking_with_seconds_idle(self) -> list[Booking]:
        """Returns the bookings that have answered calls and seconds which no call holds."""
        return [booking_from_row(row) for row in self._sql.bookings_talking_with_seconds_idle(self._db)]

    def expired_before(self, instant: EpochMs, limit: int) -> list[Booking]:
        """Returns customers' bookings that expired up to `instant`, the earliest first."""
        rows = self._sql.bookings_expired_before(self._db, before=instant, at_most=limit)
        return [booking_from_row(row) for row in rows]

    def of_closed_accounts(self, limit: int) -> list[Booking]:
        """Returns bookings of closed accounts, sandboxes included, that are not gone."""
        return [booking_from_row(row) for row in self._sql.bookings_of_closed_accounts(self._db, at_most=limit)]

    def held_by(self, account_id: AccountId, limit: int) -> int:
        """Counts an account's bookings, including those in their grace period. Stops counting at `limit`."""
        return int(self._sql.bookings_held(self._db, account_id=account_id, at_most=limit))

    def nth_newest(self, account_id: AccountId, n: int, since: EpochMs) -> EpochMs | None:
        """Returns when the account took its `n`-th newest number after `since`; None if it has taken fewer.

        It takes one for each booking and for each swap.
        """
        instant: EpochMs | None = self._sql.nth_newest_number_taken(
            self._db, account_id=account_id, since=since, skipped=n - 1
        )
        return instant

    def insert_grant(self, grant: Grant) -> None:
        """Adds a grant."""
        self._sql.insert_grant(self._db, **fields_of(grant))

    def grant(self, grant_id: str) -> Grant | None:
        """Returns the grant with that id."""
        row = self._sql.grant_by_id(self._db, id=grant_id)
        return grant_from_row(row) if row else None

    def grants_of(self, booking_id: BookingId, limit: int) -> list[Grant]:
        """Returns a booking's grants, newest first."""
        rows = self._sql.grants_of_booking(self._db, booking_id=booking_id, at_most=limit)
        return [grant_from_row(row) for row in rows]

    def ledger_page(self, after: str, limit: int) -> list[dict[str, Any]]:
        """Returns bookings with ids greater than `after`, with the sums that must explain their credit (ledger.sql)."""
        return [dict(row) for row in self._sql.ledger_page(self._db, after=after, at_most=limit)]


def _listed_notes(booking: Booking) -> frozenset[str]:
    """Returns the digests by which a booking is listed. A booking that is gone is in no list."""
    if booking.gone_at is not None:
        return frozenset()
    return digests(booking.account_id, booking.label, booking.metadata)


def _note_rows(booking_id: BookingId, notes: frozenset[str]) -> list[dict[str, str]]:
    return [{"booking_id": booking_id, "digest": digest} for digest in notes]


def _credit_columns(booking: Booking) -> dict[str, Any]:
    seconds, calls = booking.seconds, booking.calls
    return {
        "id": booking.id,
        "seconds_remaining": seconds.remaining,
        "seconds_leased": seconds.leased,
        "seconds_settled": seconds.settled,
        "calls_remaining": calls.remaining,
        "calls_leased": calls.leased,
        "calls_settled": calls.settled,
    }


def booking_from_row(row: Row) -> Booking:
    """Builds a booking from a row that begins with the columns `{bookings}`."""
    booking_id, account_id, service, destination, usage_plan, callback = row[:6]
    created_at, end_at, exhausted_at, gone_at = row[6:10]
    caller_id, refuse_anonymous, paused, label, metadata, language, start_at = row[21:28]
    whisper, screening, hours, reverse, greeting = row[28:33]
    partner, destination_label, partner_label, accept_former_callers, destination_pin, partner_pin = row[33:39]
    beep = row[39]
    return Booking(
        booking_id,
        account_id,
        service,
        destination,
        _PLANS[usage_plan],
        callback,
        created_at,
        end_at,
        exhausted_at,
        gone_at,
        Credit(*row[10:14]),
        Credit(*row[14:18]),
        BookingLimits(*row[18:21]),
        _CALLER_IDS[caller_id],
        bool(refuse_anonymous),
        bool(paused),
        label,
        {} if metadata == NO_METADATA else json.loads(metadata),
        _LANGUAGES[language],
        start_at,
        bool(whisper),
        _SCREENINGS[screening],
        None if hours is None else from_column(hours),
        bool(reverse),
        bool(greeting),
        partner,
        destination_label,
        partner_label,
        bool(accept_former_callers),
        destination_pin,
        partner_pin,
        bool(beep),
    )


def booking_to_row(booking: Booking) -> dict[str, Any]:
    """Returns the columns of `bookings`, by name."""
    row = fields_of(booking)
    row |= fields_of(row.pop("limits"))
    row |= {name: int(row[name]) for name in _FLAGS}
    row |= {"metadata": as_text(booking.metadata), "hours": as_column(booking.hours)}
    for unit in ("seconds", "calls"):
        row |= {f"{unit}_{part}": amount for part, amount in fields_of(row.pop(unit)).items()}
    return row


def grant_from_row(row: Row) -> Grant:
    """Builds a grant from a row of `grants`."""
    plan = row["usage_plan"]
    return Grant(**{**row, "usage_plan": None if plan is None else UsagePlan(plan)})
