"""When what Asterisk reports happened, and how long a call was answered, whatever clocks were set meanwhile."""

from engine.calls.reports import EndReport
from engine.domain.metering import least_without_clock_step, without_clock_step
from engine.domain.times import BootMs, EpochMs, Timestamp
from engine.storage.calls import Call

MACHINE_START = BootMs(0)


def answered_ms_of(report: EndReport, call: Call, at: Timestamp, *, late: bool) -> int:
    """Returns how long the call was answered: by Asterisk's measurement, without the steps of its wall clock."""
    engine_step_ms = at.wall_ahead_ms - Timestamp(call.started_at, call.started_ticks).wall_ahead_ms
    if late or report.asterisk_now is None or call.answered is None:
        return least_without_clock_step(report.answered_ms, engine_step_ms)
    ended = reported_moment(report.asterisk_now, at, since=call.answered.boot_ms)
    return without_clock_step(
        report.answered_ms,
        engine_step_ms=engine_step_ms,
        asterisk_step_ms=ended.wall_ahead_ms - call.answered.wall_ahead_ms,
    )


def reported_moment(asterisk_now: EpochMs | None, at: Timestamp, *, since: BootMs = MACHINE_START) -> Timestamp:
    """Returns when what was reported happened, by the engine's boot clock and Asterisk's wall clock.

    A report is late if the link or the engine stood still. Asterisk runs on the engine's machine, so the difference
    between its wall clock and ours shows how late. If that is impossible, one of the clocks was set, and the report
    counts as not late.

    Args:
        asterisk_now: Asterisk's wall clock in the report, if known.
        at: When the report is handled.
        since: The earliest possible moment.
    """
    if asterisk_now is None:
        return at
    late_ms = at.wall_ms - asterisk_now
    if 0 <= late_ms <= at.boot_ms - since:
        return Timestamp(asterisk_now, BootMs(at.boot_ms - late_ms))
    return at.with_wall(asterisk_now)
