"""The forecast of the pool: how many numbers are free, and when numbers in quarantine are free again.

It assumes that bookings take as many numbers a day as within the last week, also when they swap theirs. When numbers
come back is known for as long as a quarantine lasts, since a number that is given back from now on comes back later.
After that, it assumes that as many come back as within the last week.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from engine.domain.times import DAY_MS, EpochMs, Span
from engine.storage.operator_reads import OperatorReads
from engine.storage.reads import Reads

PACE_DAYS = 7
PACE_MS = PACE_DAYS * DAY_MS


@dataclass(frozen=True, slots=True)
class PoolForecast:
    """The pool now, and what is known of the days to come.

    Attributes:
        free_by_country: Numbers that can be booked now, by their country; None where they belong to no single one.
        in_quarantine: Numbers in quarantine.
        taken: Numbers that bookings took within the last PACE_DAYS.
        came_back: Numbers whose quarantine after a booking or a swap ended within the last PACE_DAYS.
        returning: How many numbers leave quarantine within each day from now on, for the length of a quarantine.
    """

    free_by_country: Mapping[str | None, int]
    in_quarantine: int
    taken: int
    came_back: int
    returning: tuple[int, ...]

    @property
    def free(self) -> int:
        """Numbers that can be booked now."""
        return sum(self.free_by_country.values())

    def free_after(self, days: int) -> int:
        """Returns how many numbers will be free after this many days, at most the length of a quarantine."""
        return max(0, self._free_after(days) // PACE_DAYS)

    @property
    def days_left(self) -> int | None:
        """After how many whole days no number is free; None if the number of free numbers does not fall."""
        if self.free == 0:
            return 0
        known = len(self.returning)
        for days in range(1, known + 1):
            left = self._free_after(days)
            if left <= 0:
                return days if left == 0 else days - 1
        falls_by = self.taken - self.came_back
        return known + self._free_after(known) // falls_by if falls_by > 0 else None

    def _free_after(self, days: int) -> int:
        """Returns PACE_DAYS times the free numbers, which is whole: `taken` numbers are booked in PACE_DAYS."""
        return PACE_DAYS * (self.free + sum(self.returning[:days])) - self.taken * days


async def pool_forecast(reads: Reads, now: EpochMs, quarantine_ms: int) -> PoolForecast:
    """Reads what the forecast depends on.

    Args:
        reads: The database.
        now: The present time.
        quarantine_ms: How long a number stays out of the pool after its booking.
    """
    taken, came_back = await reads.numbers_taken(now, PACE_MS, quarantine_ms)
    ends = await reads.ends_of_quarantine(now, DAY_MS)
    returning = _returning(ends, quarantine_ms)
    return PoolForecast(await reads.free_numbers(), sum(ends.values()), taken, came_back, returning)


async def pool_forecasts(reads: OperatorReads, now: EpochMs, quarantine_ms: int) -> dict[str | None, PoolForecast]:
    """Reads the forecast of each country that has numbers which are not retired, or had bookings lately.

    Where all numbers are booked, nothing can be booked any more, and so nothing was booked lately.

    Args:
        reads: The database.
        now: The present time.
        quarantine_ms: How long a number stays out of the pool after its booking.
    """
    back = EpochMs(now - quarantine_ms)
    free = await reads.free_numbers()
    taken = await reads.taken_by_country(Span(EpochMs(now - PACE_MS), EpochMs(now + 1)))
    came_back = await reads.left_by_country(Span(EpochMs(back - PACE_MS), EpochMs(back + 1)))
    ends = await reads.ends_of_quarantine_by_country(now, DAY_MS)
    return {
        country: PoolForecast(
            {country: free[country]} if country in free else {},
            ends[country].total() if country in ends else 0,
            taken[country],
            came_back[country],
            _returning(ends.get(country, {}), quarantine_ms),
        )
        for country in {*free, *taken, *ends, *await reads.countries_rented_out()}
    }


def _returning(ends: Mapping[int, int], quarantine_ms: int) -> tuple[int, ...]:
    """Returns how many numbers leave quarantine within each day from now on."""
    returning = Counter[int]()
    for day, numbers in ends.items():
        returning[max(0, day)] += numbers  # before the next sweep, the quarantine of some may be over already
    return tuple(returning[day] for day in range(quarantine_ms // DAY_MS))
