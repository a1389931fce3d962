"""The explanation of what would happen to a call."""

from api.schemas.common import Outgoing
from api.schemas.fields import BookingIdField, Caller, Count, Instant, Phone
from engine.domain.booking import BookingStatus, limits_in_force, longest_call, status_at
from engine.domain.directions import Direction
from engine.domain.explanation import Explanation, LimitedBy
from engine.domain.policy import Policy
from engine.domain.rejections import Reason
from engine.domain.times import EpochMs, rfc3339


class ExplanationBody(Outgoing):
    """What would happen to a call, and why."""

    booking_id: BookingIdField
    service: Phone
    source: Caller
    """The caller in question."""
    direction: Direction
    """`reverse`: the caller is the hidden number, and calls back. `pair`: a participant calls the other. Both assume
    that the carrier asserts the caller's number."""
    at: Instant
    put_through: bool
    reason: Reason
    message: str
    """For people. Programs should use `putThrough` and `reason`."""
    seconds: Count
    """How long the call could last if it were answered at once and nothing else changed; 0 if it is not put through."""
    limited_by: LimitedBy | None
    """What would then end the call; `null` if it is not put through."""
    status: BookingStatus
    end_time: Instant
    seconds_remaining: Count
    seconds_held: Count
    """Seconds that live calls hold. A new call would share them."""
    calls_remaining: Count
    calls_held: Count
    """The number of live calls."""
    caller_calls_last_hour: Count
    """Calls of this caller that were put through within the last hour."""
    max_concurrent_calls: Count | None
    """The limit in force: the booking's own, else the operator's."""
    max_calls_per_caller_per_hour: Count | None
    """The limit in force: the booking's own, else the operator's."""
    max_call_seconds: Count
    """The limit in force: the shorter of the booking's own and the operator's."""

    @classmethod
    def of(cls, explanation: Explanation, policy: Policy) -> "ExplanationBody":
        """The explanation with the limits in force under `policy`."""
        booking = explanation.booking
        limits = limits_in_force(booking, policy)
        return cls(
            booking_id=booking.id,
            service=booking.service,
            source=explanation.source,
            direction=explanation.direction,
            at=rfc3339(EpochMs(explanation.at)),
            put_through=explanation.put_through,
            reason=explanation.reason,
            message=explanation.sentence(policy),
            seconds=explanation.seconds,
            limited_by=explanation.limited_by,
            status=status_at(booking, EpochMs(explanation.at), policy),
            end_time=rfc3339(booking.end_at),
            seconds_remaining=booking.seconds.remaining,
            seconds_held=booking.seconds.leased,
            calls_remaining=booking.calls.remaining,
            calls_held=booking.calls.leased,
            caller_calls_last_hour=explanation.caller_calls,
            max_concurrent_calls=limits.max_concurrent_calls,
            max_calls_per_caller_per_hour=limits.max_calls_per_caller_per_hour,
            max_call_seconds=longest_call(booking, policy),
        )
