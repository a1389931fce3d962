"""What the caller gets: the table "How a call works" of README.md, row by row, as far as the domain decides it."""

from dataclasses import replace
from typing import Any

import pytest

from engine.domain.booking import Booking
from engine.domain.directions import Direction
from engine.domain.dispositions import Cause, Disposition
from engine.domain.hours import hours_from_text
from engine.domain.metering import Credit
from engine.domain.numbers import ANONYMOUS, E164
from engine.domain.policy import NO_BOOKING_LIMITS, BookingLimits
from engine.domain.prompts import Prompt
from engine.domain.rejections import REJECTIONS, Reason, Reject
from engine.domain.routing import Bridge, Facts, MakeRoom, Preparation, RouteDecision, decide, judge
from engine.domain.times import EpochMs
from engine.domain.trunks import Trunk, routes_to
from tests.contract.samples import CALLER, OTHER_HIDDEN, POLICY, START, a_booking

END = a_booking().end_at
GRACE_OVER = EpochMs(END + POLICY.grace_ms)
LIMITS = BookingLimits(max_concurrent_calls=3, max_calls_per_caller_per_hour=5, max_call_seconds=20)
STRICT = replace(POLICY, default_limits=LIMITS)

ALL_CALLS_HELD = Credit(1, 0, 1, 0)
ALL_SECONDS_HELD = Credit(60, 0, 60, 0)
PAUSED = a_booking(paused=True)
# START is a Sunday, 12:00 in UTC.
SHUT = hours_from_text("UTC", ["mon-sat 00:00-24:00", "sun 12:01-13:00"])
SPENT = a_booking(exhausted_at=START, seconds=Credit(60, 0, 0, 60))

ANSWERS = {
    Reason.NO_BOOKING: Reject(Cause(1), None, Prompt.UNKNOWN, notify_expired=False),
    Reason.NOT_A_PARTICIPANT: Reject(Cause(1), None, Prompt.UNKNOWN, notify_expired=False),
    Reason.PIN_NEEDED: Reject(Cause(1), None, Prompt.UNKNOWN, notify_expired=False),
    Reason.PINS_CLOSED: Reject(Cause(1), None, Prompt.UNKNOWN, notify_expired=False),
    Reason.CHANGED_HANDS: Reject(Cause(1), Disposition.CHANGED_HANDS, Prompt.CHANGED_HANDS, notify_expired=False),
    Reason.END_REACHED: Reject(Cause(22), Disposition.EXPIRED, Prompt.EXPIRED, notify_expired=True),
    Reason.SECONDS_SPENT: Reject(Cause(22), Disposition.EXPIRED, Prompt.SPENT, notify_expired=True),
    Reason.CALLS_SPENT: Reject(Cause(22), Disposition.EXPIRED, Prompt.SPENT, notify_expired=True),
    Reason.ACCOUNT_SUSPENDED: Reject(Cause(19), Disposition.ACCOUNT_SUSPENDED, Prompt.PAUSED, notify_expired=False),
    Reason.NOT_BEGUN: Reject(Cause(19), Disposition.NOT_BEGUN, Prompt.PAUSED, notify_expired=False),
    Reason.PAUSED: Reject(Cause(19), Disposition.PAUSED, Prompt.PAUSED, notify_expired=False),
    Reason.OUTSIDE_HOURS: Reject(Cause(19), Disposition.OUTSIDE_HOURS, Prompt.CLOSED, notify_expired=False),
    Reason.DESTINATION_IS_OURS: Reject(Cause(21), Disposition.FORBIDDEN, Prompt.UNREACHABLE, notify_expired=False),
    Reason.DESTINATION_NOT_ALLOWED: Reject(Cause(21), Disposition.FORBIDDEN, Prompt.UNREACHABLE, notify_expired=False),
    Reason.NO_LAST_CALLER: Reject(Cause(19), Disposition.NO_LAST_CALLER, Prompt.NOBODY, notify_expired=False),
    Reason.LAST_CALLER_NOT_ALLOWED: Reject(Cause(21), Disposition.FORBIDDEN, Prompt.NO_CALLBACK, notify_expired=False),
    Reason.CALLER_BLOCKED: Reject(Cause(21), Disposition.CALLER_BLOCKED, Prompt.BUSY, notify_expired=False),
    Reason.ANONYMOUS_REFUSED: Reject(Cause(21), Disposition.ANONYMOUS_REFUSED, Prompt.ANONYMOUS, notify_expired=False),
    Reason.CALLER_LIMIT: Reject(Cause(21), Disposition.CALLER_LIMIT, Prompt.BUSY, notify_expired=False),
    Reason.CALLER_RINGING: Reject(Cause(17), Disposition.CALLER_RINGING, Prompt.BUSY, notify_expired=False),
    Reason.CONCURRENCY_LIMIT: Reject(Cause(17), Disposition.CONCURRENCY_LIMIT, Prompt.LINES, notify_expired=False),
    Reason.ACCOUNT_LIMIT: Reject(Cause(17), Disposition.ACCOUNT_LIMIT, Prompt.LINES, notify_expired=False),
    Reason.CALLS_HELD: Reject(Cause(17), Disposition.ALL_SLOTS_HELD, Prompt.LINES, notify_expired=False),
    Reason.SECONDS_HELD: Reject(Cause(17), Disposition.ALL_SLOTS_HELD, Prompt.LINES, notify_expired=False),
    Reason.NO_TRUNK: Reject(Cause(34), Disposition.UNREACHABLE, Prompt.UNREACHABLE, notify_expired=False),
}


def up(calls: int, **limits: int | None) -> Booking:
    """Returns a booking with that many live calls, of ten."""
    return a_booking(calls=Credit(10, 10 - calls, calls, 0), limits=BookingLimits(**limits))


def test_every_refusal_has_the_contracts_cause_disposition_prompt_and_callback() -> None:
    assert REJECTIONS == ANSWERS
    assert set(ANSWERS) == set(Reason) - {Reason.PUT_THROUGH}


def test_dead_trunks_are_left_out_and_without_any_nothing_is_leased() -> None:
    policy = replace(POLICY, trunks=(Trunk("first"), Trunk("second")))
    booking = a_booking()

    def decided(*dead: str) -> RouteDecision | Preparation:
        return decide(Facts(booking, CALLER, share=60, dead_trunks=frozenset(dead)), START, policy)

    def routes(*dead: str) -> list[str]:
        decision = decided(*dead)
        assert isinstance(decision, Bridge)
        return [route.trunk for route in decision.routes]

    assert (routes(), routes("first"), routes("other")) == (["first", "second"], ["second"], ["first", "second"])
    assert decided("first", "second") == REJECTIONS[Reason.NO_TRUNK]
    # A caller who would be refused anyway gets the usual answer.
    paused = Facts(a_booking(paused=True), CALLER, share=60, dead_trunks=frozenset({"first", "second"}))
    assert decide(paused, START, policy) == REJECTIONS[Reason.PAUSED]


CASES: dict[str, tuple[Facts, EpochMs, Reason]] = {
    # No booking.
    "number of no booking": (Facts(None, CALLER), START, Reason.NO_BOOKING),
    "deleted": (Facts(a_booking(gone_at=START), CALLER), START, Reason.NO_BOOKING),
    "stranger to a pair whose number is closed to PINs, without prompts": (
        Facts(a_booking(partner=OTHER_HIDDEN, partner_pin="1", destination_pin="2"), CALLER, pins_closed=True),
        START,
        Reason.NOT_A_PARTICIPANT,
    ),
    "number of other callers' pairs": (Facts(None, CALLER, number_is_shared=True), START, Reason.NOT_A_PARTICIPANT),
    "stranger to a pair": (Facts(a_booking(partner=OTHER_HIDDEN), CALLER), START, Reason.NOT_A_PARTICIPANT),
    "stranger to an expired pair": (
        Facts(a_booking(partner=OTHER_HIDDEN, exhausted_at=START), CALLER),
        START,
        Reason.NOT_A_PARTICIPANT,
    ),
    "grace over, not swept": (Facts(a_booking(), CALLER), GRACE_OVER, Reason.NO_BOOKING),
    "spent, grace over": (Facts(SPENT, CALLER), EpochMs(START + POLICY.grace_ms), Reason.NO_BOOKING),
    "paused and deleted": (Facts(replace(PAUSED, gone_at=START), CALLER), START, Reason.NO_BOOKING),
    # Suspended: before every other refusal of a booking.
    "suspended": (Facts(a_booking(), CALLER, share=60, account_suspended=True), START, Reason.ACCOUNT_SUSPENDED),
    "suspended and paused": (Facts(PAUSED, CALLER, account_suspended=True), START, Reason.ACCOUNT_SUSPENDED),
    "suspended and ended": (Facts(a_booking(), CALLER, account_suspended=True), END, Reason.ACCOUNT_SUSPENDED),
    "suspended and gone": (Facts(a_booking(gone_at=START), account_suspended=True), START, Reason.NO_BOOKING),
    # Expired: the reason of the expiry, before every other refusal.
    "just ended": (Facts(a_booking(), CALLER), END, Reason.END_REACHED),
    "grace nearly over": (Facts(a_booking(), CALLER), EpochMs(GRACE_OVER - 1), Reason.END_REACHED),
    "ended with a live call": (Facts(a_booking(calls=ALL_CALLS_HELD), CALLER), END, Reason.END_REACHED),
    "ended, destination is ours": (Facts(a_booking(), CALLER, destination_is_ours=True), END, Reason.END_REACHED),
    "ended, caller blocked": (Facts(a_booking(), CALLER, caller_blocked=True), END, Reason.END_REACHED),
    "ended and paused": (Facts(PAUSED, CALLER), END, Reason.END_REACHED),
    # A former caller: before everything but a booking that is gone.
    "former caller": (Facts(a_booking(), CALLER, share=60, is_former_caller=True), START, Reason.CHANGED_HANDS),
    "former caller, ended": (Facts(PAUSED, CALLER, is_former_caller=True), END, Reason.CHANGED_HANDS),
    "former caller, suspended": (
        Facts(PAUSED, CALLER, account_suspended=True, is_former_caller=True),
        START,
        Reason.CHANGED_HANDS,
    ),
    "former caller, gone": (
        Facts(a_booking(gone_at=START), CALLER, is_former_caller=True),
        START,
        Reason.NO_BOOKING,
    ),
    "former caller, accepted": (
        Facts(a_booking(accept_former_callers=True), CALLER, share=60, is_former_caller=True),
        START,
        Reason.PUT_THROUGH,
    ),
    "former caller is the hidden number": (
        Facts(
            a_booking(reverse=True),
            a_booking().destination,
            share=60,
            direction=Direction.REVERSE,
            last_caller=CALLER,
            is_former_caller=True,
        ),
        START,
        Reason.PUT_THROUGH,
    ),
    "seconds spent": (Facts(SPENT, CALLER), START, Reason.SECONDS_SPENT),
    "calls spent": (
        Facts(a_booking(exhausted_at=START, calls=Credit(1, 0, 0, 1)), CALLER),
        START,
        Reason.CALLS_SPENT,
    ),
    "calls spent and paused": (
        Facts(replace(PAUSED, exhausted_at=START, calls=Credit(1, 0, 0, 1)), CALLER),
        START,
        Reason.CALLS_SPENT,
    ),
    # Paused: before every other refusal of an active booking.
    "begins later": (Facts(a_booking(start_at=START + 1), CALLER, share=60), START, Reason.NOT_BEGUN),
    "begins now": (Facts(a_booking(start_at=START), CALLER, share=60), START, Reason.PUT_THROUGH),
    "begins later and paused": (Facts(replace(PAUSED, start_at=EpochMs(START + 1)), CALLER), START, Reason.NOT_BEGUN),
    "begins later, suspended": (
        Facts(a_booking(start_at=START + 1), CALLER, account_suspended=True),
        START,
        Reason.ACCOUNT_SUSPENDED,
    ),
    "begins later and deleted": (Facts(a_booking(start_at=START + 1, gone_at=START), CALLER), START, Reason.NO_BOOKING),
    "outside hours": (Facts(a_booking(hours=SHUT), CALLER, share=60), START, Reason.OUTSIDE_HOURS),
    "in hours": (Facts(a_booking(hours=SHUT), CALLER, share=60), EpochMs(START + 60_000), Reason.PUT_THROUGH),
    "outside hours and paused": (Facts(replace(PAUSED, hours=SHUT), CALLER), START, Reason.PAUSED),
    "outside hours and blocked": (
        Facts(a_booking(hours=SHUT), CALLER, caller_blocked=True),
        START,
        Reason.OUTSIDE_HOURS,
    ),
    "paused": (Facts(PAUSED, CALLER), START, Reason.PAUSED),
    "paused, destination is ours": (Facts(PAUSED, CALLER, destination_is_ours=True), START, Reason.PAUSED),
    "paused, caller blocked": (Facts(PAUSED, CALLER, caller_blocked=True), START, Reason.PAUSED),
    "paused, caller limit": (Facts(PAUSED, CALLER, caller_calls=10**6), START, Reason.PAUSED),
    "paused, anonymous": (Facts(replace(PAUSED, refuse_anonymous=True), ANONYMOUS), START, Reason.PAUSED),
    "paused, denied destination": (
        Facts(replace(PAUSED, destination=E164("+88213000000")), CALLER),
        START,
        Reason.PAUSED,
    ),
    "paused, calls held": (Facts(replace(PAUSED, calls=ALL_CALLS_HELD), CALLER), START, Reason.PAUSED),
    "paused, seconds held": (Facts(replace(PAUSED, seconds=ALL_SECONDS_HELD), CALLER), START, Reason.PAUSED),
    "no longer paused": (Facts(replace(PAUSED, paused=False), CALLER, share=60), START, Reason.PUT_THROUGH),
    # Destination and caller.
    "loop to one of our numbers": (
        Facts(a_booking(), CALLER, destination_is_ours=True),
        START,
        Reason.DESTINATION_IS_OURS,
    ),
    "anonymous, refused": (Facts(a_booking(refuse_anonymous=True), ANONYMOUS), START, Reason.ANONYMOUS_REFUSED),
    "number shown, anonymous refused": (
        Facts(a_booking(refuse_anonymous=True), CALLER, share=60),
        START,
        Reason.PUT_THROUGH,
    ),
    "anonymous, not refused": (Facts(a_booking(), ANONYMOUS, share=60), START, Reason.PUT_THROUGH),
    "blocked, before any limit": (
        Facts(a_booking(), CALLER, caller_blocked=True, caller_calls=10_000),
        START,
        Reason.CALLER_BLOCKED,
    ),
    # Limits.
    "last call below the concurrency limit": (
        Facts(up(1, max_concurrent_calls=2), share=60),
        START,
        Reason.PUT_THROUGH,
    ),
    "concurrency limit": (Facts(up(2, max_concurrent_calls=2)), START, Reason.CONCURRENCY_LIMIT),
    "limit lowered below the live calls": (Facts(up(5, max_concurrent_calls=2)), START, Reason.CONCURRENCY_LIMIT),
    "last call below the caller limit": (
        Facts(up(0, max_calls_per_caller_per_hour=3), caller_calls=2, share=60),
        START,
        Reason.PUT_THROUGH,
    ),
    "caller limit": (Facts(up(0, max_calls_per_caller_per_hour=3), caller_calls=3), START, Reason.CALLER_LIMIT),
    "last call below the account's limit": (
        Facts(up(1), account_calls=4, account_limit=5, share=60),
        START,
        Reason.PUT_THROUGH,
    ),
    "account's limit": (Facts(up(1), account_calls=5, account_limit=5, share=60), START, Reason.ACCOUNT_LIMIT),
    "account's limit lowered": (Facts(up(1), account_calls=6, account_limit=5), START, Reason.ACCOUNT_LIMIT),
    # Credit that other calls hold.
    "calls held, seconds left": (
        Facts(a_booking(calls=ALL_CALLS_HELD, seconds=Credit.new(300)), CALLER),
        START,
        Reason.CALLS_HELD,
    ),
    "seconds held": (Facts(a_booking(seconds=ALL_SECONDS_HELD), CALLER), START, Reason.SECONDS_HELD),
    "calls and seconds held": (
        Facts(a_booking(calls=ALL_CALLS_HELD, seconds=ALL_SECONDS_HELD), CALLER),
        START,
        Reason.CALLS_HELD,
    ),
}


@pytest.mark.parametrize(("facts", "now", "reason"), CASES.values(), ids=CASES)
def test_the_facts_of_a_call_give_the_reason_and_its_answer(facts: Facts, now: EpochMs, reason: Reason) -> None:
    assert judge(facts, now, POLICY) is reason
    decision = decide(facts, now, POLICY)
    if reason is Reason.PUT_THROUGH:
        assert isinstance(decision, Bridge)
    else:
        assert decision == REJECTIONS[reason]


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        (Facts(up(3)), Reason.CONCURRENCY_LIMIT),
        (Facts(up(3, max_concurrent_calls=4), share=60), Reason.PUT_THROUGH),
        (Facts(up(0), caller_calls=5), Reason.CALLER_LIMIT),
    ],
)
def test_the_operators_defaults_apply_where_the_booking_has_no_limit(facts: Facts, reason: Reason) -> None:
    assert judge(facts, START, STRICT) is reason


def test_the_first_of_several_reasons_decides() -> None:
    """Every reason to refuse applies at first; then one after the other is removed."""
    all_held = {"calls": Credit(3, 0, 3, 0), "seconds": ALL_SECONDS_HELD}
    booking = a_booking(exhausted_at=START, limits=LIMITS, **all_held)
    facts = Facts(booking, destination_is_ours=True, caller_calls=5)
    later = START + POLICY.grace_ms
    seen = [judge(facts, EpochMs(later), POLICY), judge(facts, START, POLICY)]
    facts = replace(facts, booking=replace(booking, exhausted_at=None))
    seen.append(judge(facts, START, POLICY))
    facts = replace(facts, destination_is_ours=False)
    seen.append(judge(facts, START, POLICY))
    facts = replace(facts, caller_calls=0)
    seen.append(judge(facts, START, POLICY))
    freed: list[dict[str, Any]] = [{"limits": NO_BOOKING_LIMITS}, {"calls": Credit.new(3)}]
    for changes in freed:
        assert facts.booking is not None
        facts = replace(facts, booking=replace(facts.booking, **changes))
        seen.append(judge(facts, START, POLICY))
    seen.append(judge(replace(facts, share=1), START, POLICY))
    assert seen == [
        Reason.NO_BOOKING,
        Reason.CALLS_SPENT,
        Reason.DESTINATION_IS_OURS,
        Reason.CALLER_LIMIT,
        Reason.CONCURRENCY_LIMIT,
        Reason.CALLS_HELD,
        Reason.SECONDS_HELD,
        Reason.PUT_THROUGH,
    ]


@pytest.mark.parametrize(
    ("free", "share", "decision", "with_room"),
    [
        # Alone on its booking, or other calls hold no more than their shares.
        (300, 300, 300, 300),
        (300, 60, 60, 60),
        (60, 60, 60, 60),
        (1, 1, 1, 1),
        # Others hold more than their shares: they are asked once. Then the call gets what is free.
        (59, 60, None, 59),
        (1, 60, None, 1),
        (0, 1, None, 0),
    ],
)
def test_a_bridged_call_leases_its_share_and_others_make_room_for_it_once(
    free: int, share: int, decision: int | None, with_room: int
) -> None:
    booking = a_booking(seconds=Credit(300, free, 300 - free, 0), calls=Credit(10, 9, 1, 0))
    facts = Facts(booking, CALLER, share=share)

    routes = routes_to(booking.destination, CALLER, POLICY.trunks)

    def bridged(seconds: int) -> Bridge:
        return Bridge(
            booking, booking.destination, seconds=seconds, ring_seconds=POLICY.ring_seconds, shown=CALLER, routes=routes
        )

    first = decide(facts, START, POLICY)
    assert first == (MakeRoom(booking.id, share) if decision is None else bridged(decision))
    second = decide(facts, START, POLICY, room_was_made=True)
    assert second == (bridged(with_room) if with_room else REJECTIONS[Reason.SECONDS_HELD])
