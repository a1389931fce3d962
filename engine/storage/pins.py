"""The PINs of pairs on shared numbers, and how many wrong ones were keyed in. By its key, a PIN leads to one pair."""

from collections.abc import Sequence

from engine.domain.ids import AccountId, BookingId
from engine.domain.numbers import E164
from engine.domain.pairs import PIN_TRIES, PIN_TRY_MS
from engine.domain.times import EpochMs
from engine.storage.numbers import QUARANTINE_STEP_MS
from engine.storage.table import Table


class Pins(Table):
    """PINs, those in quarantine included, and the count of wrong ones for each number."""

    def is_known(self, service: E164, pin: str) -> bool:
        """Returns whether a pair has this PIN on this number, or it rests there since its pair is gone."""
        return bool(self._sql.pin_is_known(self._db, service=service, pin=pin))

    def hold(self, service: E164, pins: Sequence[str], booking_id: BookingId) -> None:
        """Lets the PINs of a pair lead to it."""
        self._sql.insert_pair_pin(
            self._db, [{"service": service, "pin": pin, "booking_id": booking_id} for pin in sorted(pins)]
        )

    def release(self, booking_id: BookingId, until: EpochMs) -> None:
        """Takes a pair's PINs from it. Until `until` no other pair gets them on this number."""
        self._sql.quarantine_pair_pins(self._db, booking_id=booking_id, until=until)

    def drop(self, booking_id: BookingId) -> None:
        """Takes a pair's PINs from it, without a quarantine."""
        self._sql.delete_pair_pins_of(self._db, booking_id=booking_id)

    def lengthen_quarantine(self, service: E164, pin: str, now: EpochMs, until: EpochMs) -> None:
        """Lets the quarantine of a PIN on a number, if there is one, end at `until` instead of earlier.

        A PIN that is not known here gets one if pairs of the number may have been lost in a restore.
        """
        self._sql.quarantine_unknown_pin(self._db, service=service, pin=pin, now=now, until=until)
        self._sql.lengthen_pin_quarantine(
            self._db, service=service, pin=pin, until=until, ends_before=until - QUARANTINE_STEP_MS
        )

    def take_back(self, service: E164) -> EpochMs | None:
        """Forgets all PINs that were taken from pairs. Returns when the last quarantine would have ended, if any."""
        until: EpochMs | None = self._sql.end_of_pins(self._db, service=service)
        self._sql.delete_quarantined_pair_pins(self._db, service=service)
        return until

    def are_taken(self, service: E164, sandbox: AccountId | None) -> bool:
        """Returns whether a pair with PINs holds the number; with a sandbox's account, only its own pairs count."""
        return bool(self._sql.takes_pins(self._db, service=service, sandbox=sandbox))

    def are_closed(self, service: E164, now: EpochMs) -> bool:
        """Returns whether a number takes no PINs now, because too many wrong ones were keyed in."""
        return bool(self._sql.pins_are_closed(self._db, service=service, latest=_latest(now)))

    def count_try(self, service: E164, now: EpochMs) -> bool:
        """Counts a PIN as a wrong one, before it is looked up. Calls at the same moment cannot pass the limit together.

        Returns:
            False if the number takes no PINs now: the PIN must not be looked up.
        """
        counted = self._sql.count_pin_try(
            self._db, service=service, first=now + PIN_TRY_MS, now=now, step=PIN_TRY_MS, latest=_latest(now)
        )
        return bool(counted)

    def uncount_try(self, service: E164) -> None:
        """Takes a try back, because the PIN was right."""
        self._sql.uncount_pin_try(self._db, service=service, step=PIN_TRY_MS)

    def forget_tries_at(self, service: E164) -> None:
        """Forgets the wrong PINs at a number."""
        self._sql.forget_pin_tries_at(self._db, service=service)

    def forget(self, now: EpochMs) -> None:
        """Forgets the PINs whose quarantine is over, and the wrong ones that time has made up for."""
        self._sql.forget_pin_tries(self._db, now=now)
        self._sql.forget_pair_pins(self._db, now=now)


def _latest(now: EpochMs) -> int:
    """Returns the latest `clears_at` with which a number takes one more PIN."""
    return now + (PIN_TRIES - 1) * PIN_TRY_MS
