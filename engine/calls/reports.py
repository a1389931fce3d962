"""Reports of the dialplan: a call was answered, a call has ended.

A report is one line. Its fields are separated by single spaces and may be empty; the last one is a MAC of the others:

    answered CALL BOOKING CALLEE-CHANNEL LIMIT WALL-CLOCK BOOT-CLOCK MAC
    ended CALL BOOKING ANSWERED-MS DIALSTATUS WALL-CLOCK BOOT-CLOCK MAC

The wall clock is UTC as `20260301120000250`. The boot clock is the beginning of /proc/uptime, such as `12345.67 890`,
so that one more field may follow it. Asterisk sends each report as an event of its manager interface, and also writes
the report of an end into the end spool.
"""

import datetime as dt
import re
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from engine.domain.ids import BookingId, CallId
from engine.domain.times import BootMs, EpochMs, Timestamp
from engine.runtime.authentication import is_authentic

ANSWERED = "answered"
ENDED = "ended"
MAX_BYTES = 1024
# The fields before the optional one and the MAC.
FIELDS = 7

_CALL_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_MILLISECONDS = re.compile(r"-?[0-9]{1,12}|")
_SECONDS = re.compile(r"[0-9]{1,9}")
_DIAL_STATUS = re.compile(r"[A-Z]{0,32}")
_WALL_CLOCK = re.compile(r"[0-9]{17}")
_BOOT_CLOCK = re.compile(r"([0-9]{1,10})\.([0-9]{2})")


class BadReport(Exception):
    """A line is not a report of one of our Asterisks."""


@dataclass(frozen=True, slots=True)
class AnswerReport:
    """Asterisk's report of an answer.

    Attributes:
        call_id: Asterisk's unique id of the caller's channel.
        booking_id: The booking that was called.
        callee_channel: Asterisk's unique id of the callee's channel, which carries the limit.
        limit: The limit that Asterisk has set, in seconds from the answer.
        at: When it was answered, by the clocks of Asterisk's machine; None if they cannot be read.
    """

    call_id: CallId
    booking_id: BookingId
    callee_channel: str
    limit: int
    at: Timestamp | None = None


@dataclass(frozen=True, slots=True)
class EndReport:
    """Asterisk's report of a call that ended.

    Attributes:
        call_id: Asterisk's unique id of the caller's channel.
        booking_id: The booking that was called.
        answered_ms: How long the call was answered, by Asterisk's wall clock: negative if that clock was set back
            meanwhile, 0 if the call was not answered.
        dial_status: Asterisk's DIALSTATUS; empty if nothing was dialled.
        at: When it ended, by the clocks of Asterisk's machine; None if they cannot be read.
    """

    call_id: CallId
    booking_id: BookingId
    answered_ms: int
    dial_status: str
    at: Timestamp | None = None


Report: TypeAlias = AnswerReport | EndReport


class ReportReader:
    """Reads reports of the Asterisks that share a token with us.

    Args:
        tokens: Their tokens.
        boot_ahead_ms: How far our boot clock is ahead of /proc/uptime: it is in containers that hide the host's.
    """

    def __init__(self, tokens: Collection[str], boot_ahead_ms: int = 0) -> None:
        self._tokens = tuple(tokens)
        self._boot_ahead_ms = boot_ahead_ms

    def read(self, line: str) -> Report:
        """Reads one report.

        Args:
            line: The line without its line end.

        Raises:
            BadReport: It is not one.
        """
        text, _, mac = line.rpartition(" ")
        if not line.isascii() or not line.isprintable() or not is_authentic(self._tokens, text, mac):
            raise BadReport("the report's MAC is missing or wrong")
        fields = text.split(" ")
        if len(fields) < FIELDS:
            raise BadReport("the report is too short")
        kind, call_id, booking_id, third, fourth, wall, boot = fields[:FIELDS]
        if not _CALL_ID.fullmatch(call_id):
            raise BadReport("the report has no call id")
        at = self._instant(wall, boot)
        if kind == ANSWERED and _CALL_ID.fullmatch(third) and _SECONDS.fullmatch(fourth):
            return AnswerReport(CallId(call_id), BookingId(booking_id), third, int(fourth), at)
        if kind == ENDED and _MILLISECONDS.fullmatch(third) and _DIAL_STATUS.fullmatch(fourth):
            return EndReport(CallId(call_id), BookingId(booking_id), int(third or 0), fourth, at)
        raise BadReport("the report has a wrong field")

    def _instant(self, wall: str, boot: str) -> Timestamp | None:
        wall_ms, uptime = wall_clock(wall), _BOOT_CLOCK.fullmatch(boot)
        if wall_ms is None or uptime is None:
            return None
        return Timestamp(wall_ms, BootMs(int(uptime[1]) * 1000 + int(uptime[2]) * 10 + self._boot_ahead_ms))


def wall_clock(text: str) -> EpochMs | None:
    """Parses Asterisk's wall clock.

    Args:
        text: UTC time with milliseconds in the dialplan's format, such as 20260301120000250.

    Returns:
        Epoch milliseconds; None if the text is not a time.
    """
    if _WALL_CLOCK.fullmatch(text) is None:
        return None
    try:
        second = dt.datetime(*(int(text[a:b]) for a, b in _PARTS), tzinfo=dt.UTC)  # type: ignore[misc, arg-type]
    except ValueError:
        return None
    return EpochMs(int(second.timestamp()) * 1000 + int(text[14:]))


# Year, month, day, hour, minute, second.
_PARTS = ((0, 4), (4, 6), (6, 8), (8, 10), (10, 12), (12, 14))


def boot_ahead_ms(uptime: Path = Path("/proc/uptime")) -> int:
    """Returns how far our boot clock is ahead of /proc/uptime, in milliseconds; 0 where there is no such file."""
    try:
        seconds = float(uptime.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return 0
    ahead = time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000 - round(seconds * 1000)
    # Both are the same clock, read one after the other and to hundredths of a second.
    return ahead if abs(ahead) > SAME_CLOCK_MS else 0


SAME_CLOCK_MS = 1_000
