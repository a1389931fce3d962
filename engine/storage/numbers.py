"""The pool of numbers, as commands read and write it."""

from collections.abc import Mapping
from dataclasses import dataclass

from engine.domain.numbers import E164, NumberRequest, NumberState
from engine.domain.times import EpochMs
from engine.storage.table import Table

# Comes after every number that begins with what stands before it.
LAST_NUMBER = "9" * 15

# Free numbers that are looked at for one that begins with some digits.
NUMBERS_LOOKED_AT = 2_000


@dataclass(frozen=True, slots=True)
class Number:
    e164: E164
    state: str
    idle_since: EpochMs
    quarantined_until: EpochMs | None
    country: str | None


class Numbers(Table):
    def insert(self, e164: E164, idle_since: EpochMs) -> None:
        self.insert_all({e164: None}, idle_since)

    def insert_all(self, countries: Mapping[str, str | None], idle_since: EpochMs) -> None:
        """`countries`: by number, in the order in which they are to be added."""
        rows = [{"e164": e164, "idle_since": idle_since, "country": country} for e164, country in countries.items()]
        self._sql.insert_numbers(self._db, rows)

    def by_number(self, e164: E164) -> Number | None:
        row = self._sql.number_by_e164(self._db, e164=e164)
        return Number(**row) if row else None

    def is_ours(self, e164: E164) -> bool:
        """Whether it is one to rent, whoever has it now. Not if it is retired."""
        return bool(self._sql.number_is_ours(self._db, e164=e164))

    def book(self, wanted: NumberRequest) -> E164 | None:
        """Take a free number: of those that are wanted the one that lay idle longest. None: there is none."""
        e164 = wanted.service or self._longest_idle(wanted)
        return e164 if e164 is not None and self._sql.mark_booked(self._db, e164=e164) else None

    def _longest_idle(self, wanted: NumberRequest) -> E164 | None:
        e164: E164 | None
        if wanted.country is not None:
            e164 = self._sql.least_recently_used_free_of_country(self._db, country=wanted.country)
        elif wanted.prefix is not None:
            e164 = self._longest_idle_with(wanted.prefix)
        else:
            e164 = self._sql.least_recently_used_free(self._db)
        return e164

    def _longest_idle_with(self, prefix: str) -> E164 | None:
        """No index has both orders. So few numbers are looked at in either that no call waits long behind it."""
        chosen = {"low": prefix, "high": prefix + LAST_NUMBER, "looked_at": NUMBERS_LOOKED_AT}
        e164: E164 | None = self._sql.free_number_among_oldest(self._db, **chosen)
        return e164 or self._sql.free_number_among_range(self._db, **chosen)

    def quarantine(self, e164: E164, now: EpochMs, until: EpochMs) -> None:
        self._sql.mark_quarantined(self._db, e164=e164, idle_since=now, quarantined_until=until)

    def set_state(self, e164: E164, state: NumberState, quarantined_until: EpochMs | None) -> None:
        """By the operator; never of one that is booked."""
        self._sql.set_number_state(self._db, e164=e164, state=state.value, quarantined_until=quarantined_until)

    def free_quarantined(self, now: EpochMs) -> int:
        """Free the numbers whose quarantine is over; how many there were."""
        return int(self._sql.free_quarantined_until(self._db, now=now))

    def page(self, after: str, state: str | None, at_most: int, *, country: str | None = None) -> list[Number]:
        rows = self._sql.numbers_list(self._db, after=after, state=state, country=country, at_most=at_most)
        return [Number(**row) for row in rows]
