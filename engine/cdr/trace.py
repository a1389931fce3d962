"""Reads all that is known of one call: its lease, its record, its callbacks and every attempt to deliver them.

A callback names its call, but no index does: it would cost a write at every call. So it is looked for among the
callbacks that were posted during the call or, for a call to an expired booking, until the window of such calls is over.
The index that is scanned for them has the booking as well, so that no others are read.
"""

import json
from dataclasses import dataclass

from engine.domain.dispositions import Disposition
from engine.domain.errors import NotFound
from engine.domain.ids import AccountId, BookingId, CallId
from engine.domain.numbers import E164
from engine.domain.policy import Policy
from engine.domain.times import EpochMs
from engine.storage.calls import Call
from engine.storage.cdrs import Cdr
from engine.storage.filters import LATEST
from engine.storage.outbox import AttemptRecord, CallbackPosition, CallbackRecord
from engine.storage.reads import Reads

NO_CALL = "there is no such call"
# The kinds of callbacks whose bodies have no `type`.
CALL_ENDED, CALL_EXPIRED = "call.ended", "call.expired"
PAGE = 100


@dataclass(frozen=True, slots=True)
class TracedCallback:
    """A callback about a call.

    Attributes:
        kind: The event: its `type`; CALL_ENDED or CALL_EXPIRED for the two that have none.
        record: The callback, with its body.
        attempts: Its log, oldest attempt first.
    """

    kind: str
    record: CallbackRecord
    attempts: list[AttemptRecord]


@dataclass(frozen=True, slots=True)
class CallTrace:
    """What is known of a call.

    Attributes:
        account_id: The account of its booking.
        service: The rented number that was called.
        call: The call that holds or held a lease; None if the call was refused.
        cdr: Its record; None as long as it is up.
        callbacks: The callbacks about it, oldest first.
    """

    account_id: AccountId
    service: E164
    call: Call | None
    cdr: Cdr | None
    callbacks: list[TracedCallback]

    @property
    def known(self) -> Call | Cdr:
        """The record or, as long as it has none, the call: both have its start, its caller and its booking."""
        known = self.cdr or self.call
        assert known is not None  # noqa: S101  `trace_call` finds one of them
        return known


async def trace_call(reads: Reads, named: str, policy: Policy, account_id: AccountId | None = None) -> CallTrace:
    """Returns what is known of a call, live or not.

    Args:
        reads: The database.
        named: The id of the call, or of its record.
        policy: The operator's rules.
        account_id: Only if it is this account's; None: of any account.

    Raises:
        NotFound: There is no such call.
    """
    cdr = await reads.record_named(named)
    call = await reads.call(CallId(named) if cdr is None else cdr.call_id)
    if cdr is None and call is not None and call.ended_at is not None:
        cdr = await reads.record_named(call.call_id)  # it has ended between the two
    booking_id = cdr.booking_id if cdr else call.booking_id if call else BookingId("")
    owner, service = (cdr.account_id, cdr.service) if cdr else await _holder_of(reads, booking_id, call)
    if account_id not in {None, owner}:
        raise NotFound(NO_CALL)
    call_id = cdr.call_id if cdr else CallId(named)
    posted = await _posted(reads, owner, booking_id, call_id, *_span(call, cdr, policy))
    in_order = sorted(posted, key=lambda each: (each.created_at, each.id))
    callbacks = [await _with_log(reads, owner, record) for record in in_order]
    return CallTrace(owner, service, call, cdr, callbacks)


async def _holder_of(reads: Reads, booking_id: BookingId, call: Call | None) -> tuple[AccountId, E164]:
    booking = await reads.booking(booking_id)
    if booking is None:
        raise NotFound(NO_CALL)
    return booking.account_id, booking.service if call is None else call.service(booking)


def _span(call: Call | None, cdr: Cdr | None, policy: Policy) -> tuple[EpochMs, EpochMs]:
    """Returns from when on and before when callbacks about the call may have been posted."""
    if call is not None:
        return call.started_at, LATEST if call.ended_at is None else EpochMs(call.ended_at + 1)
    assert cdr is not None  # noqa: S101  a call without a lease has a record
    # A suppressed call is reported by the sweep after its window. Other refusals cause no callback.
    window_ms = policy.notifications.expired_window_ms if cdr.disposition is Disposition.EXPIRED else 0
    return cdr.started_at, EpochMs(cdr.started_at + 2 * window_ms)


async def _posted(
    reads: Reads, account_id: AccountId, booking_id: BookingId, call_id: CallId, since: EpochMs, until: EpochMs
) -> list[CallbackRecord]:
    found: list[CallbackRecord] = []
    before: CallbackPosition | None = CallbackPosition(until, "")
    while before is not None:
        page = await reads.callbacks(
            account_id, state=None, booking_id=booking_id, call_id=call_id, since=since, before=before, limit=PAGE
        )
        found += page.records
        before = page.goes_on_after
    return found


async def _with_log(reads: Reads, account_id: AccountId, record: CallbackRecord) -> TracedCallback:
    whole = await reads.callback(account_id, record.id) or record
    body = json.loads(whole.body or "{}")
    kind = str(body.get("type") or (CALL_EXPIRED if "message" in body else CALL_ENDED))
    return TracedCallback(kind, whole, await reads.callback_attempts(record.id))
