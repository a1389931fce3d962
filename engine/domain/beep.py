"""When both sides of a call hear the beep that announces its end."""

from dataclasses import dataclass

from engine.domain.ids import CallId
from engine.domain.metering import talk_limit_ms
from engine.domain.times import BootMs, EpochMs, Timestamp

# A call has a beep only if it may last this many times as long as the beep comes before its end: 75 s for a minute.
SHORTEST_CALL = 1.25
# There is none in the last sixth of that time. So late, the moment is there only if a limit falls, or an engine starts.
LAST_PART = 6


@dataclass(frozen=True, slots=True)
class BeepingCall:
    """A talking call on a booking with the beep.

    Attributes:
        call_id: The call.
        callee_channel: The unique id of the callee's channel.
        seconds_leased: Its lease.
        answered_ticks: When it was answered, in milliseconds since boot.
        booking_end_at: When its booking ends.
    """

    call_id: CallId
    callee_channel: str
    seconds_leased: int
    answered_ticks: BootMs
    booking_end_at: EpochMs

    def until_beep_ms(self, at: Timestamp, before_ms: int) -> int | None:
        """Returns in how many milliseconds from `at` it beeps, as the function of this name does."""
        talked = max(0, at.boot_ms - self.answered_ticks)
        left = talk_limit_ms(self.seconds_leased, talked, self.booking_end_at - at.wall_ms)
        return until_beep_ms(talked, left, before_ms)


def until_beep_ms(talked_ms: int, left_ms: int, before_ms: int) -> int | None:
    """Returns in how many milliseconds both sides hear a beep; 0: now; None: not at all with this limit.

    A limit that falls below `before_ms` in one step, because another call takes its share, beeps at once.

    Args:
        talked_ms: Milliseconds since the answer.
        left_ms: Milliseconds until the limit of the call.
        before_ms: How long before the limit the beep comes.
    """
    if talked_ms + left_ms < before_ms * SHORTEST_CALL or left_ms < before_ms / LAST_PART:
        return None
    return max(0, left_ms - before_ms)
