"""Records of refused calls, bounded: a caller who dials without end cannot fill the disk.

Of the refused calls of one booking with the same disposition, the first `OWN_RECORDS` of a minute have a record of
their own. Further ones are counted on the last of these records, so that the records say how many calls there were.
"""

from dataclasses import replace

from engine.cdr.write import CallOutcome, count_call, record_call, record_of
from engine.domain.booking import Booking
from engine.domain.numbers import is_simulated
from engine.domain.times import MINUTE_MS
from engine.storage.calls import Call
from engine.storage.cdrs import Cdr
from engine.storage.refused_calls import RefusedCalls
from engine.storage.transaction import Transaction

OWN_RECORDS = 10
# Asterisk asks about a call within seconds, or never again.
REPEATED_MS = 5 * MINUTE_MS


def record_refused(tx: Transaction, booking: Booking, call: Call, outcome: CallOutcome) -> Cdr:
    """Records a refused call, or counts it on the record of an earlier one.

    Returns:
        The call's record. If the call was only counted, it has the id of the record on which it was.
    """
    now, disposition = call.started_at, outcome.disposition
    minute = tx.refused_calls.latest(booking.id, disposition)
    # A clock that was set back begins a new minute.
    if minute is not None and not minute.began_at <= now < minute.began_at + MINUTE_MS:
        minute = None
    if minute is not None and minute.recorded >= OWN_RECORDS and tx.refused_calls.count_further(minute.cdr_id):
        # A simulated call is not asked about twice, and a sandbox's clock says nothing about how long a note is needed.
        if not is_simulated(booking.service):
            tx.refused_calls.note_counted(call.call_id, now)
        count_call(tx, booking, call, outcome)
        return record_of(booking, call, outcome, cdr_id=minute.cdr_id)
    cdr = record_call(tx, booking, call, outcome)
    if minute is None:
        minute = RefusedCalls(now, recorded=0, cdr_id=cdr.id)
    minute = replace(minute, recorded=minute.recorded + 1, cdr_id=cdr.id)
    tx.refused_calls.set_latest(booking.id, disposition, minute)
    return cdr
