"""What must be true of the state machine's system after every step, and at the end, when everything works again."""

from collections import Counter
from typing import Any

from engine.domain.booking import Booking, BookingStatus, status_at
from engine.domain.dispositions import Disposition
from engine.domain.metering import CallState
from tests.contract.ledger import broken_rules
from tests.contract.ledger_machine import Machine
from tests.contract.model_leg import CALLED, Leg, Phase
from tests.contract.samples import SECOND

# How much later than the lease a limit in Asterisk may be: the time that a message takes.
LIMIT_TOLERANCE_MS = 50
# Events that were reported more often than they happened.
REPORTED_TOO_OFTEN = """
    SELECT
        TOTAL(kind = 'call.started') - (SELECT COUNT(*) FROM calls WHERE answered_at IS NOT NULL OR seconds_charged > 0)
            AS started,
        TOTAL(kind = 'call.missed') - (SELECT COUNT(*) FROM calls WHERE state = 'VOIDED') AS missed,
        TOTAL(kind = 'booking.gone') - (SELECT COUNT(*) FROM bookings WHERE gone_at IS NOT NULL) AS gone
    FROM (SELECT json_extract(body, '$.type') AS kind FROM outbox)"""


class Audited(Machine):
    steps = 0

    def __init__(self) -> None:
        super().__init__()
        self._audited = -1
        self._calls: dict[str, dict[str, Any]] = {}

    def audit(self) -> None:
        type(self).steps += 1
        if self._audited != self.books.changes:
            self._audited = self.books.changes
            assert broken_rules(self.books.db) == {}
            rows = self.books.db.execute("SELECT * FROM calls")
            self._calls = {row["call_id"]: row for row in rows}
            self._check_charges()
            self._check_reported()
            self._check_calls_at_once()
        for leg in self.asterisk.in_phase(*CALLED):
            self._check_routed(leg)
            self._check_limit(leg)
        self._check_talk()

    def _check_routed(self, leg: Leg) -> None:
        call = self._calls[leg.call_id]
        booking_id, hidden = self.leads_to[leg.call_id]
        assert leg.booking_id == call["booking_id"] == booking_id
        # A delayed request may reach the owner's later destination.
        assert leg.caller.variables["RN_DESTINATION"] == call["destination"]
        assert call["destination"] == hidden or leg.was_held_up

    def _check_limit(self, leg: Leg) -> None:
        """The lease in the database is never below Asterisk's limit, nor below what a call that rings would get."""
        call = self._calls[leg.call_id]
        assert call["ended_at"] is None, "it was settled while it was up"
        limit_ms = self.asterisk.limit_ms(leg)
        assert limit_ms <= call["seconds_leased"] * 1000 + LIMIT_TOLERANCE_MS, (limit_ms, call, leg)

    def _check_charges(self) -> None:
        """A call whose end was reported costs its duration, whoever reported it and however often."""
        records = self.books.db.execute("SELECT call_id, duration, disposition FROM cdrs").fetchall()
        charged = {each["call_id"]: each for each in records}
        for leg in self.asterisk.in_phase(Phase.OVER):
            record = charged.get(leg.call_id)
            if record is None or record["disposition"] == Disposition.LOST:
                continue
            least = -(-max(0, leg.talked_ms - LIMIT_TOLERANCE_MS) // 1000)
            most = max(-(-leg.talked_ms // 1000), 0 if leg.began is None else 1)
            assert least <= record["duration"] <= most, leg

    def _check_reported(self) -> None:
        """Every answered call, every unanswered call and every gone booking is reported once."""
        [excess] = self.books.db.execute(REPORTED_TOO_OFTEN).fetchall()
        assert dict(excess) == {"started": 0, "missed": 0, "gone": 0}

    def _check_calls_at_once(self) -> None:
        """No limit of calls at once is ever passed, and only ringing calls gave way."""
        up = [call for call in self._calls.values() if call["ended_at"] is None]
        on_bookings = Counter(call["booking_id"] for call in up)
        ringing = Counter((call["booking_id"], call["source"]) for call in up if call["state"] == CallState.RINGING)
        assert len(up) <= self.policy.account_limits.calls_at_once
        assert max(on_bookings.values(), default=0) <= (self.policy.default_limits.max_concurrent_calls or 0)
        for (_, source), calls in ringing.items():
            assert calls <= (self.policy.most_ringing(source) or 0)
        gave_way = self.books.db.execute("SELECT call_id FROM cdrs WHERE disposition = 'GAVE_WAY'")
        assert all(self._calls[row["call_id"]]["answered_at"] is None for row in gave_way)

    def _check_talk(self) -> None:
        """Charged seconds plus what unsettled calls really used never exceed what was granted, by booking."""
        used: dict[str, int] = {}
        for row in self.books.db.execute("SELECT booking_id, SUM(duration) AS d FROM cdrs GROUP BY 1"):
            used[row["booking_id"]] = row["d"]
        for leg in self.asterisk.legs:
            call = self._calls.get(leg.call_id)
            if call is not None and call["ended_at"] is None:
                talked = max(0, self.asterisk.talked_so_far(leg) - LIMIT_TOLERANCE_MS)
                used[call["booking_id"]] = used.get(call["booking_id"], 0) + -(-talked // 1000)
        for row in self.books.db.execute("SELECT id, seconds_granted FROM bookings"):
            assert used.get(row["id"], 0) <= row["seconds_granted"]

    def check_at_rest(self) -> None:
        """Nothing is left over: once everything works again, every end is settled and every second is shared."""
        for leg in self.asterisk.legs:
            call = self.call_of(leg)
            if leg.phase is Phase.OVER and call is not None:
                assert call.ended_at is not None, leg
        for booking in self.held:
            stored = self.books.run(lambda tx, key: tx.bookings.by_id(key), booking.id)
            assert stored is not None
            if status_at(stored, self.clocks.now, self.policy) is BookingStatus.ACTIVE:
                self._check_shares(stored)

    def _check_shares(self, booking: Booking) -> None:
        at = self.clocks.timestamp()
        until_end = booking.end_at - at.wall_ms
        unused, with_room = [], []
        for call in self.books.run(lambda tx: tx.calls.up_on(booking.id)):
            [leg] = [leg for leg in self.asterisk.legs if leg.call_id == call.call_id]
            if leg.phase is not Phase.TALKING:
                continue
            assert call.state is CallState.LIVE
            assert call.answered is not None
            cut_at = leg.callee.cut_at
            assert cut_at is not None
            left_ms = call.seconds_leased * 1000 - (at.boot_ms - call.answered.boot_ms)
            # Asterisk's limit may be later: the talk started a little after the time that the engine computed.
            least_ms = min(left_ms, until_end) - LIMIT_TOLERANCE_MS - leg.reported_after_ms
            assert cut_at - at.wall_ms >= least_ms, "Asterisk was not told"
            unused.append(left_ms)
            if call.seconds_leased < self.policy.longest_call_seconds and left_ms < until_end:
                with_room.append(left_ms)
        assert not with_room or max(with_room) - min(with_room) <= 2 * SECOND, with_room
        assert not with_room or max(unused) <= max(with_room) + 2 * SECOND
        assert not with_room or booking.seconds.remaining <= 0, "seconds lie idle"
