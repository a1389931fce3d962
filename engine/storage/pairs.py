"""The callers of rented numbers that pairs share: each caller belongs to one pair, or is in quarantine."""

from collections.abc import Sequence

from engine.domain.ids import AccountId, BookingId
from engine.domain.number_choice import NumberPattern
from engine.domain.numbers import E164
from engine.domain.times import EpochMs
from engine.storage.numbers import QUARANTINE_STEP_MS, range_of
from engine.storage.table import Table


class Pairs(Table):
    """The callers of shared numbers. One caller of one number belongs to one pair at most: that is the table's key."""

    def number_for(self, callers: Sequence[E164], wanted: NumberPattern, after: str, now: EpochMs) -> E164 | None:
        """Returns the first shared number after `after` that fits and that none of two callers calls; None: none."""
        number, partner = callers
        e164: E164 | None = self._sql.shared_number_for_pair(
            self._db,
            number=number,
            partner=partner,
            after=after,
            **range_of(wanted.service or wanted.prefix, exact=wanted.service is not None),
            country=wanted.country,
            now=now,
        )
        return e164

    def hold(self, service: E164, callers: Sequence[E164], booking_id: BookingId, now: EpochMs) -> None:
        """Lets a pair's callers reach each other over a number that none of them calls yet."""
        callers = sorted(callers)
        self._sql.forget_pair_caller(self._db, [{"service": service, "number": each, "now": now} for each in callers])
        self._sql.insert_pair_caller(
            self._db, [{"service": service, "number": each, "booking_id": booking_id} for each in callers]
        )

    def release(self, booking_id: BookingId, account_id: AccountId, until: EpochMs) -> None:
        """Takes a pair's number from its callers. Until `until` no other pair is given it with one of them.

        As long as one of them is in this quarantine, the pair counts against the account.
        """
        self._sql.quarantine_pair_callers(self._db, booking_id=booking_id, account_id=account_id, until=until)

    def drop(self, booking_id: BookingId) -> None:
        """Takes a pair's number from its callers, without a quarantine."""
        self._sql.delete_pair_callers_of(self._db, booking_id=booking_id)

    def lengthen_quarantine(self, service: E164, caller: E164, now: EpochMs, until: EpochMs) -> None:
        """Lets the quarantine of a caller on a number, if there is one, end at `until` instead of earlier.

        A caller who is not known here gets one if pairs of the number may have been lost in a restore.
        """
        self._sql.quarantine_unknown_pair_caller(self._db, service=service, number=caller, now=now, until=until)
        self._sql.lengthen_pair_quarantine(
            self._db, service=service, number=caller, until=until, ends_before=until - QUARANTINE_STEP_MS
        )

    def forget_quarantined(self, now: EpochMs) -> int:
        """Forgets the callers whose quarantine is over. Returns how many there were."""
        return int(self._sql.forget_pair_callers(self._db, now=now))

    def carries_pairs(self, service: E164, sandbox: AccountId | None) -> bool:
        """Returns whether pairs hold the number; with a sandbox's account, whether pairs of this sandbox do."""
        return bool(self._sql.carries_pairs(self._db, service=service, sandbox=sandbox))

    def count_callers(self, service: E164) -> int:
        """Counts the callers of the pairs that hold a number."""
        return int(self._sql.pairs_on_number(self._db, service=service))

    def take_back(self, service: E164) -> EpochMs | None:
        """Forgets all callers who have left a number. Returns when their last quarantine would have ended, if any."""
        until: EpochMs | None = self._sql.end_of_pairs(self._db, service=service)
        self._sql.delete_quarantined_pair_callers(self._db, service=service)
        return until
