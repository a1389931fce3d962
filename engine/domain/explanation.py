"""Explains in words why a call would be put through or rejected. No explanation contains the hidden number."""

from dataclasses import dataclass
from enum import StrEnum

from engine.domain.booking import Booking, limits_in_force, longest_call, room_for_call
from engine.domain.directions import Direction
from engine.domain.policy import Policy
from engine.domain.rejections import Reason
from engine.domain.times import EpochMs, rfc3339

SENTENCES: dict[Reason, str] = {
    Reason.NO_BOOKING: "The booking is gone.",
    Reason.NOT_A_PARTICIPANT: "This caller is no participant of the pair: to others the number is an unknown one.",
    Reason.PIN_NEEDED: "This caller is no participant of the pair, and reaches nobody without a participant's PIN.",
    Reason.PINS_CLOSED: "This caller is no participant of the pair, and the number takes no PINs: many were wrong.",
    Reason.CHANGED_HANDS: "This caller reached a former owner of the number; `acceptFormerCallers` lets such calls in.",
    Reason.ACCOUNT_SUSPENDED: "The operator has suspended the account; the operator can let calls through again.",
    Reason.END_REACHED: "The booking ended at {end_time}; a renewal revives it.",
    Reason.SECONDS_SPENT: "The booking has no seconds left; a renewal adds some.",
    Reason.CALLS_SPENT: "The booking has no calls left; a renewal adds some.",
    Reason.NOT_BEGUN: "The booking begins at {start_time}.",
    Reason.PAUSED: "The booking is paused; its owner can let calls through again.",
    Reason.OUTSIDE_HOURS: "The booking takes calls only at these times: {hours}.",
    Reason.DESTINATION_IS_OURS: "The hidden number is now a rented number itself: the call would never arrive.",
    Reason.DESTINATION_NOT_ALLOWED: "The operator no longer allows the hidden number, because of its {broken_rule}.",
    Reason.NO_LAST_CALLER: "There is no caller whom the hidden number could call back.",
    Reason.LAST_CALLER_NOT_ALLOWED: "The number that called last must not be called back, because of its kind.",
    Reason.CALLER_BLOCKED: "This caller is blocked on the booking.",
    Reason.ANONYMOUS_REFUSED: "The booking refuses callers who withhold their number.",
    Reason.CALLER_LIMIT: "Calls of this caller within an hour: {caller_calls}; allowed: {caller_limit}.",
    Reason.CALLER_RINGING: "Ringing calls of this caller: {caller_ringing}; allowed at once: {ringing_limit}.",
    Reason.CONCURRENCY_LIMIT: "Calls that are up: {calls_up}; allowed at once: {concurrency_limit}.",
    Reason.ACCOUNT_LIMIT: "Calls that are up on the account: {account_calls}; allowed at once: {account_limit}.",
    Reason.CALLS_HELD: "Calls that are up ({calls_up}) hold all remaining calls of the booking.",
    Reason.SECONDS_HELD: "Calls that are up ({calls_up}) hold all remaining seconds and need them.",
    Reason.NO_TRUNK: "No line over which the call could leave is up. The operator can see that.",
    Reason.PUT_THROUGH: "The call would be put through; answered at once, it could last {seconds} s.",
}


class LimitedBy(StrEnum):
    """What ends a call that is put through, if neither side hangs up before."""

    SECONDS_LEFT = "seconds_left"
    MAX_CALL_SECONDS = "max_call_seconds"
    LONGEST_CALL = "longest_call"
    END_TIME = "end_time"


@dataclass(frozen=True, slots=True)
class Explanation:
    """The decision on an imagined call.

    Attributes:
        booking: The booking that is called.
        source: The caller: E.164, as sent, or "anonymous".
        at: When the call would come in, in epoch milliseconds.
        reason: Why the call is put through or rejected.
        seconds: How long the call could last if it were answered at once and nothing else happened; 0 if rejected.
        limited_by: What ends the call after `seconds`; None if rejected.
        caller_calls: Calls of this caller that were put through within the last hour.
        caller_ringing: Calls of this caller that ring on the booking.
        account_calls: Calls that are up on all bookings of the account.
        account_limit: The most of them.
        direction: The direction of the call.
    """

    booking: Booking
    source: str
    at: EpochMs
    reason: Reason
    seconds: int
    limited_by: LimitedBy | None
    caller_calls: int
    caller_ringing: int
    account_calls: int
    account_limit: int | None
    direction: Direction = Direction.FORWARD

    @property
    def put_through(self) -> bool:
        """Whether the call would ring."""
        return self.reason is Reason.PUT_THROUGH

    def sentence(self, policy: Policy) -> str:
        """Returns one English sentence for the customer."""
        limits = limits_in_force(self.booking, policy)
        return SENTENCES[self.reason].format(
            seconds=self.seconds,
            broken_rule=policy.destinations.broken_rule(self.booking.reached_by(self.source) or ""),
            hours=self.booking.hours,
            start_time=rfc3339(self.booking.begins_at),
            end_time=rfc3339(self.booking.end_at),
            calls_up=self.booking.calls.leased,
            caller_calls=self.caller_calls,
            caller_limit=limits.max_calls_per_caller_per_hour,
            concurrency_limit=limits.max_concurrent_calls,
            caller_ringing=self.caller_ringing,
            ringing_limit=policy.most_ringing(self.source),
            account_calls=self.account_calls,
            account_limit=self.account_limit,
        )


def limited_by(booking: Booking, seconds: int, now: EpochMs, policy: Policy) -> LimitedBy:
    """Returns what keeps a new call from lasting longer than `seconds`, its share of what is left."""
    if seconds < room_for_call(booking, now, policy):
        return LimitedBy.SECONDS_LEFT
    most = longest_call(booking, policy)
    if seconds < most:
        return LimitedBy.END_TIME
    return LimitedBy.MAX_CALL_SECONDS if most < policy.longest_call_seconds else LimitedBy.LONGEST_CALL
