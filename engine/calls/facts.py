"""Reads what the decision on an incoming call depends on: the booking, its rules for the caller, its live calls."""

from dataclasses import dataclass

from engine.domain.booking import Booking, longest_call, room_for_call
from engine.domain.ids import AccountId, CallId
from engine.domain.numbers import E164, is_simulated
from engine.domain.policy import Policy
from engine.domain.routing import Facts
from engine.domain.sharing import Holding, newcomers_share
from engine.domain.times import HOUR_MS, EpochMs, Timestamp
from engine.storage.call_path import Asked
from engine.storage.calls import Call
from engine.storage.transaction import Transaction


@dataclass(frozen=True, slots=True)
class IncomingCall:
    """A call that asks for its route.

    Attributes:
        call_id: Asterisk's unique id of the caller's channel.
        service: The dialled number.
        source: The caller: E.164, as sent, or "anonymous".
        sandbox: The account whose sandbox simulates the call; None for a real call.
        sip_call_id: The SIP Call-ID of the caller's leg; None if it is not known.
        dead_trunks: The names of trunks that are known to be down.
    """

    call_id: CallId
    service: E164
    source: str
    sandbox: AccountId | None = None
    sip_call_id: str | None = None
    dead_trunks: frozenset[str] = frozenset()


def asked_for(tx: Transaction, incoming: IncomingCall, now: EpochMs) -> Asked | None:
    """Reads which booking a call is for, and what the database knows about its caller.

    Real calls reach real numbers only, and simulated calls only numbers of their own sandbox.
    """
    asked = tx.call_path.asked(incoming.service, incoming.source, incoming.call_id, EpochMs(now - HOUR_MS))
    return asked if asked is not None and sandbox_of(asked.booking) == incoming.sandbox else None


def sandbox_of(booking: Booking) -> AccountId | None:
    """Returns the account whose sandbox the booking is in; None for a real booking."""
    return booking.account_id if is_simulated(booking.service) else None


def facts_of(tx: Transaction, asked: Asked | None, incoming: IncomingCall, at: Timestamp, policy: Policy) -> Facts:
    """Returns what the decision on a call depends on. Writes nothing."""
    if asked is None:
        return Facts(None)
    return Facts(
        asked.booking,
        incoming.source,
        destination_is_ours=asked.destination_is_ours,
        caller_blocked=asked.caller_blocked,
        caller_calls=asked.caller_calls,
        share=_share(tx, asked.booking, at, policy),
        dead_trunks=incoming.dead_trunks,
    )


def _share(tx: Transaction, booking: Booking, at: Timestamp, policy: Policy) -> int:
    longest = room_for_call(booking, at.wall_ms, policy)
    if not booking.calls.leased:
        return min(booking.seconds.remaining, longest)  # every call that is up has leased one, so there is no other
    up = [holding(call, booking, at, policy) for call in tx.calls.up_on(booking.id)]
    return newcomers_share(booking.seconds.remaining, up, longest)


def holding(call: Call, booking: Booking, at: Timestamp, policy: Policy) -> Holding:
    """Returns what the rule for sharing needs of a call."""
    # The first second begins with the answer, so no lease ever shrinks to nothing.
    used = max(1, -(-talked_ms(call, at) // 1000))
    until_end = -(-max(0, booking.end_at - at.wall_ms) // 1000)
    longest = max(1, min(longest_call(booking, policy), used + until_end))
    return Holding(call.call_id, call.seconds_leased, used, longest)


def talked_ms(call: Call, at: Timestamp) -> int:
    """Returns for how many milliseconds the call has been answered at `at`; 0 if it is not."""
    return 0 if call.answered is None else max(0, at.boot_ms - call.answered.boot_ms)
