"""The pool of rented numbers."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from engine.domain.ids import AccountId
from engine.domain.number_choice import NumberPattern
from engine.domain.numbers import E164, NumberState
from engine.domain.times import HOUR_MS, EpochMs
from engine.storage.table import Table

# Appended to a prefix, it sorts after every number with that prefix.
LAST_NUMBER = "9" * 15

# The least by which a call to a number lengthens its quarantine.
QUARANTINE_STEP_MS = HOUR_MS

# Free numbers that are scanned for one with a prefix, see `_longest_idle_with`.
SCAN_LIMIT = 2_000


@dataclass(frozen=True, slots=True)
class Number:
    """A number of the pool.

    Attributes:
        idle_since: When it lost its last booking, or came into the pool.
        quarantined_until: The end of its quarantine. None: it is not in quarantine.
        country: ISO 3166 code. None: it belongs to no single country.
        quarantined_by: The account whose booking of it is gone, while the number is in quarantine for this reason.
    """

    e164: E164
    state: str
    idle_since: EpochMs
    quarantined_until: EpochMs | None
    country: str | None
    quarantined_by: AccountId | None = None


class Numbers(Table):
    """The numbers of the pool."""

    def insert(self, e164: E164, idle_since: EpochMs) -> None:
        """Adds a free number without a country."""
        self.insert_all({e164: None}, idle_since)

    def insert_all(self, countries: Mapping[str, str | None], idle_since: EpochMs) -> None:
        """Adds free numbers.

        Args:
            countries: The country of each number, in the order in which to add them.
            idle_since: Since when they are idle.
        """
        rows = [{"e164": e164, "idle_since": idle_since, "country": country} for e164, country in countries.items()]
        self._sql.insert_numbers(self._db, rows)

    def by_number(self, e164: E164) -> Number | None:
        """Returns the entry of a number."""
        row = self._sql.number_by_e164(self._db, e164=e164)
        return Number(**row) if row else None

    def page(self, after: str, state: str | None, limit: int, *, country: str | None = None) -> list[Number]:
        """Returns numbers greater than `after`, in their order. None lets every state and country through."""
        rows = self._sql.numbers_list(self._db, after=after, state=state, country=country, at_most=limit)
        return [Number(**row) for row in rows]

    def is_ours(self, e164: E164) -> bool:
        """Returns whether the number is in the pool in any state but RETIRED: a retired one may belong to anybody."""
        return bool(self._sql.number_is_ours(self._db, e164=e164))

    def book(self, wanted: NumberPattern) -> E164 | None:
        """Marks a free number as booked: of those that fit, the one that was idle longest.

        Returns:
            The number; None when no free number fits.
        """
        e164 = wanted.service or self._longest_idle(wanted)
        return e164 if e164 is not None and self._sql.mark_booked(self._db, e164=e164) else None

    def quarantine(self, e164: E164, account_id: AccountId, now: EpochMs, until: EpochMs) -> None:
        """Puts a booked number into quarantine, in which it counts against the account."""
        self._sql.mark_quarantined(self._db, e164=e164, account_id=account_id, idle_since=now, quarantined_until=until)

    def lengthen_quarantine(self, e164: E164, until: EpochMs) -> None:
        """Lets a number's quarantine, if it is in one, end at `until` instead of earlier.

        A difference below `QUARANTINE_STEP_MS` is ignored, so that not every call of a flood writes.
        """
        self._sql.lengthen_quarantine(self._db, e164=e164, until=until, ends_before=until - QUARANTINE_STEP_MS)

    def in_quarantine_of(self, account_id: AccountId, now: EpochMs, limit: int) -> int:
        """Counts the numbers that are in quarantine because of the account.

        A shared number counts once for each pair that left it, as long as one of the pair is in quarantine there.
        Stops counting at `limit`.
        """
        return int(self._sql.numbers_quarantined_by(self._db, account_id=account_id, now=now, at_most=limit))

    def nth_return_to(self, account_id: AccountId, now: EpochMs, n: int) -> EpochMs | None:
        """Returns when the `n`-th next of these numbers leaves its quarantine; None if there are fewer."""
        instant: EpochMs | None = self._sql.nth_end_of_quarantine(
            self._db, account_id=account_id, now=now, skipped=n - 1
        )
        return instant

    def free_quarantined(self, now: EpochMs) -> int:
        """Frees the numbers whose quarantine is over. Returns how many there were."""
        return int(self._sql.free_quarantined_until(self._db, now=now))

    def set_state(self, e164: E164, state: NumberState, quarantined_until: EpochMs | None) -> None:
        """Stores a state that the operator chose, for a number that is not booked. It counts against no account now."""
        self._sql.set_number_state(self._db, e164=e164, state=state.value, quarantined_until=quarantined_until)

    def count_matching(self, prefix: str | None, country: str | None) -> dict[str, int]:
        """Counts the numbers with a prefix and of a country by their state. None: any."""
        rows = self._sql.numbers_matching(self._db, **range_of(prefix), country=country)
        return {row["state"]: row["numbers"] for row in rows}

    def retire_matching(self, prefix: str | None, country: str | None, after: str, limit: int) -> list[E164]:
        """Retires numbers with a prefix and of a country that are free or in quarantine. None: any.

        Returns:
            The next ones after `after`, at most `limit`, in their order.
        """
        rows = self._sql.retire_matching(self._db, **range_of(prefix), country=country, after=after, at_most=limit)
        return sorted(row["e164"] for row in rows)

    def _longest_idle(self, wanted: NumberPattern) -> E164 | None:
        if wanted.prefix is not None:
            return self._longest_idle_with(wanted.prefix, wanted.country)
        e164: E164 | None
        if wanted.country is not None:
            e164 = self._sql.least_recently_used_free_of_country(self._db, country=wanted.country)
        else:
            e164 = self._sql.least_recently_used_free(self._db)
        return e164

    def _longest_idle_with(self, prefix: str, country: str | None) -> E164 | None:
        """Returns a free number with the prefix, of the country if there is one; usually the one idle longest.

        No index has both orders. So this scans the numbers that were idle longest, then those with the prefix, and a
        limited number of either, so that no call waits long for this transaction.
        """
        chosen: dict[str, str | int] = {"low": prefix, "high": prefix + LAST_NUMBER, "looked_at": SCAN_LIMIT}
        scans = (self._sql.free_number_among_oldest, self._sql.free_number_among_range)
        if country is not None:
            chosen["country"] = country
            scans = (self._sql.free_number_among_oldest_of_country, self._sql.free_number_among_range_of_country)
        found: Iterator[E164 | None] = (scan(self._db, **chosen) for scan in scans)
        return next((e164 for e164 in found if e164 is not None), None)


def range_of(prefix: str | None, *, exact: bool = False) -> dict[str, str]:
    """Returns the parameters for the numbers with a prefix; with `exact`, for this one number."""
    return {"low": prefix or "+", "high": (prefix or "+") + ("" if exact else LAST_NUMBER)}
