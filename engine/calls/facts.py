"""Reads what the decision on an incoming call depends on: the booking, its rules for the caller, its live calls."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from engine.calls.reached_callers import digest_of_caller
from engine.domain.booking import Booking, longest_call, room_for_call
from engine.domain.caller_digests import FORMER_CALLER_MS
from engine.domain.directions import Direction
from engine.domain.ids import AccountId, CallId
from engine.domain.metering import CallState
from engine.domain.numbers import ANONYMOUS, E164, is_simulated
from engine.domain.policy import Policy
from engine.domain.rejections import Reason
from engine.domain.ringing import RingingCall, gives_way
from engine.domain.routing import Facts, limit_reached
from engine.domain.sharing import Holding, newcomers_share
from engine.domain.times import HOUR_MS, BootMs, EpochMs, Timestamp
from engine.storage.call_path import Asked, FormerCaller
from engine.storage.calls import Call
from engine.storage.transaction import Transaction

# Calls of one account whose decisions are made at the same moment, by all engines, at the very most.
DECIDED_AT_ONCE = 64


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
        trunk: The name of the trunk over which the call came in; None if it came from something else.
        asterisk: The name of the Asterisk that asks; empty where one engine works alone on the database.
        asserted: The caller's number as its carrier asserts it; None if it asserts none.
        can_enter_pin: Whether the dialplan can ask the caller for a PIN. One of an earlier version cannot.
        pin: The PIN that the caller has keyed in; None: there was no question, or this number takes no PINs now.
    """

    call_id: CallId
    service: E164
    source: str
    sandbox: AccountId | None = None
    sip_call_id: str | None = None
    dead_trunks: frozenset[str] = frozenset()
    trunk: str | None = None
    asterisk: str = ""
    asserted: E164 | None = None
    can_enter_pin: bool = False
    pin: str | None = None


def asked_for(tx: Transaction, incoming: IncomingCall, now: EpochMs, policy: Policy) -> Asked | None:
    """Reads which booking a call is for, and what the database knows about its caller.

    Real calls reach real numbers only, and simulated calls only numbers of their own sandbox.
    """
    since = EpochMs(now - HOUR_MS)
    digest = digest_of_caller(policy.pepper, incoming.service, incoming.source)
    former = FormerCaller(digest, EpochMs(now - FORMER_CALLER_MS))
    read = partial(tx.call_path.asked, incoming.service, former=former, asserted=incoming.asserted, pin=incoming.pin)
    calling = incoming.source if incoming.pin is None else incoming.asserted or incoming.source
    asked = read(calling, incoming.call_id, since)
    if asked is None or sandbox_of(asked.booking) != incoming.sandbox:
        return None
    caller = caller_on(asked.booking, incoming)
    if caller == calling:
        return asked
    # In a reverse call, or one of a pair, the caller may show another number than its carrier asserts, or none. A
    # caller with a PIN is refused if the booking blocks the number that calls, or the participant's number.
    again = read(caller, incoming.call_id, since)
    if again is None or incoming.pin is None:
        return again
    return replace(again, caller_blocked=asked.caller_blocked or again.caller_blocked)


def direction_of(booking: Booking, incoming: IncomingCall) -> Direction:
    """Returns the direction of a call.

    Only what the carrier asserts makes a call a reverse one. Anybody can show the hidden number as a caller's: such a
    call rings the hidden number like every other, which does not tell the caller that it has guessed the number.
    """
    if booking.is_pair:
        return Direction.PAIR
    is_reverse = booking.reverse and incoming.asserted == booking.destination
    return Direction.REVERSE if is_reverse else Direction.FORWARD


def caller_on(booking: Booking, incoming: IncomingCall) -> str:
    """Returns the caller, as records and limits name it.

    That is a hidden number as the carrier asserts it, and of a caller with a PIN the participant whose PIN it is.
    """
    is_participant = incoming.asserted is not None and booking.reached_by(incoming.asserted) is not None
    if booking.is_pair and not is_participant and (participant := booking.stands_for(incoming.pin)) is not None:
        return participant
    is_forward = direction_of(booking, incoming) is Direction.FORWARD
    return incoming.source if is_forward or incoming.asserted is None else incoming.asserted


def asked_near_limit(
    tx: Transaction, asked: Asked, incoming: IncomingCall, now: EpochMs, policy: Policy
) -> Asked | None:
    """Reads the same once more with the account locked, if other engines' calls could now pass its limit of calls.

    Calls on different bookings of an account do not wait for each other, unless its limit is near.
    """
    limit = policy.calls_at_once(asked.own_calls_at_once)
    if asked.account_calls + DECIDED_AT_ONCE < limit or not tx.accounts.lock(asked.booking.account_id):
        return asked
    return asked_for(tx, incoming, now, policy)


def sandbox_of(booking: Booking) -> AccountId | None:
    """Returns the account whose sandbox the booking is in; None for a real booking."""
    return booking.account_id if is_simulated(booking.service) else None


def facts_of(tx: Transaction, asked: Asked | None, incoming: IncomingCall, at: Timestamp, policy: Policy) -> Facts:
    """Returns what the decision on a call depends on. Writes nothing."""
    if asked is None:
        return Facts(None, number_is_shared=tx.pairs.carries_pairs(incoming.service, incoming.sandbox))
    source, direction = caller_on(asked.booking, incoming), direction_of(asked.booking, incoming)
    # Every call that is up has leased one of the booking's calls.
    up = tx.calls.up_on(asked.booking.id) if asked.booking.calls.leased else []
    of_caller = [call for call in up if call.state is CallState.RINGING and call.source == source]
    account_limit = policy.calls_at_once(asked.own_calls_at_once)
    # Reading the account's calls costs more, so it is done at the limit only.
    of_account = tx.calls.ringing_of(asked.booking.account_id) if asked.account_calls >= account_limit else []
    facts = Facts(
        asked.booking,
        source,
        destination_is_ours=asked.destination_is_ours,
        caller_blocked=asked.caller_blocked,
        caller_calls=asked.caller_calls,
        caller_ringing=len(of_caller),
        account_calls=asked.account_calls,
        account_limit=account_limit,
        gives_way=_giving_way(up, of_caller, of_account, source, at.boot_ms) if up or of_account else {},
        share=0 if up else _share(asked.booking, up, at, policy),
        dead_trunks=incoming.dead_trunks,
        account_suspended=asked.account_suspended,
        direction=direction,
        last_caller=tx.call_path.last_caller(asked.booking.id) if direction is Direction.REVERSE else None,
        is_former_caller=asked.is_former_caller,
    )
    if not up:
        return facts
    # Sharing costs the more the more calls are up, so it is done once, and not for a call that is refused anyway.
    limit = limit_reached(facts, policy)
    if limit is not None and limit not in facts.gives_way:
        return facts
    leaves = None if limit is None else facts.gives_way[limit]
    return replace(facts, share=_share(asked.booking, up, at, policy, gives_way=leaves))


def _giving_way(
    up: Sequence[Call], of_caller: Sequence[Call], of_account: Sequence[RingingCall], source: str, now: BootMs
) -> dict[Reason, CallId]:
    """Returns the ringing call that makes room at each limit of calls at once, where there is one.

    Args:
        up: The calls that are up on the booking.
        of_caller: Those of them that ring and are the caller's own.
        of_account: The ringing calls on all bookings of the account, if its limit is reached.
        source: The caller.
        now: Milliseconds since the machine's start.
    """
    by_limit = {
        # A caller with a number is one caller, whose calls need not make room for each other.
        Reason.CALLER_RINGING: _ringing(of_caller) if source == ANONYMOUS else [],
        Reason.CONCURRENCY_LIMIT: _ringing(up),
        Reason.ACCOUNT_LIMIT: of_account,
    }
    found = {reason: gives_way(calls, now) for reason, calls in by_limit.items() if calls}
    return {reason: call_id for reason, call_id in found.items() if call_id is not None}


def _ringing(calls: Sequence[Call]) -> list[RingingCall]:
    return [RingingCall(call.call_id, call.started_ticks) for call in calls if call.state is CallState.RINGING]


def _share(
    booking: Booking, up: Sequence[Call], at: Timestamp, policy: Policy, *, gives_way: CallId | None = None
) -> int:
    """Returns the seconds that the call may lease, once the call `gives_way` has given back its own."""
    longest = room_for_call(booking, at.wall_ms, policy)
    if not up:
        return min(booking.seconds.remaining, longest)
    given_back = sum(call.seconds_leased for call in up if call.call_id == gives_way)
    stay = [call for call in up if call.call_id != gives_way]
    return newcomers_share(booking.seconds.remaining + given_back, holdings_of(stay, booking, at, policy), longest)


def holdings_of(calls: Sequence[Call], booking: Booking, at: Timestamp, policy: Policy) -> list[Holding]:
    """Returns what the rule for sharing needs of calls that are up on a booking."""
    most = longest_call(booking, policy)
    until_end = -(-max(0, booking.end_at - at.wall_ms) // 1000)
    holdings = []
    for call in calls:
        # The first second begins with the answer, so no lease ever shrinks to nothing.
        used = max(1, -(-talked_ms(call, at) // 1000))
        holdings.append(Holding(call.call_id, call.seconds_leased, used, max(1, min(most, used + until_end))))
    return holdings


def talked_ms(call: Call, at: Timestamp) -> int:
    """Returns for how many milliseconds the call has been answered at `at`; 0 if it is not."""
    return 0 if call.answered is None else max(0, at.boot_ms - call.answered.boot_ms)
