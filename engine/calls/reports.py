"""Reports of the dialplan: a call was answered, a call has ended.

A report is one line. Its fields are separated by single spaces and may be empty; the last one is a MAC of the others:

    answered CALL BOOKING CALLEE-CHANNEL LIMIT WALL-CLOCK MAC
    ended CALL BOOKING ANSWERED-MS DIALSTATUS WALL-CLOCK MAC

The wall clock is UTC as `20260301120000250`. Later versions may add fields before the MAC. Asterisk sends each report
as an event of its manager interface, and also writes the report of an end into the end spool.
"""

import datetime as dt
import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

from engine.domain.ids import BookingId, CallId
from engine.domain.times import EpochMs
from engine.runtime.authentication import is_authentic

ENDED = "ended"
MAX_BYTES = 1024
CALL_ID = r"[A-Za-z0-9._-]{1,128}"

# Both may have further fields at their ends.
_ANSWERED = re.compile(rf"answered ({CALL_ID}) ([a-z0-9_]*) ({CALL_ID}) ([0-9]{{1,9}}) ([0-9]*)(?: [!-~ ]*)?")
_ENDED = re.compile(rf"ended ({CALL_ID}) ([a-z0-9_]*) (-?[0-9]{{1,12}}|) ([A-Z]{{0,32}}) ([0-9]*)(?: [!-~ ]*)?")
_WALL_CLOCK = re.compile(r"[0-9]{17}")


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
        asterisk_now: When it was answered, by Asterisk's wall clock; None if that cannot be read.
    """

    call_id: CallId
    booking_id: BookingId
    callee_channel: str
    limit: int
    asterisk_now: EpochMs | None = None


@dataclass(frozen=True, slots=True)
class EndReport:
    """Asterisk's report of a call that ended.

    Attributes:
        call_id: Asterisk's unique id of the caller's channel.
        booking_id: The booking that was called.
        answered_ms: How long the call was answered, by Asterisk's wall clock: negative if that clock was set back
            meanwhile, 0 if the call was not answered.
        dial_status: Asterisk's DIALSTATUS; empty if nothing was dialled.
        asterisk_now: When it ended, by Asterisk's wall clock; None if that cannot be read.
    """

    call_id: CallId
    booking_id: BookingId
    answered_ms: int
    dial_status: str
    asterisk_now: EpochMs | None = None


Report: TypeAlias = AnswerReport | EndReport


class ReportReader:
    """Reads reports of the Asterisks that share a token with us.

    Args:
        tokens: Their tokens.
    """

    def __init__(self, tokens: Collection[str]) -> None:
        self._tokens = tuple(tokens)

    def read(self, line: str) -> Report:
        """Reads one report.

        Args:
            line: The line without its line end.

        Raises:
            BadReport: It is not one.
        """
        text, _, mac = line.rpartition(" ")
        if not mac.isascii() or not is_authentic(self._tokens, text, mac):
            raise BadReport("the report's MAC is missing or wrong")
        if ended := _ENDED.fullmatch(text):
            call_id, booking_id, answered_ms, dial_status, now = ended.groups()
            return EndReport(
                CallId(call_id), BookingId(booking_id), int(answered_ms or 0), dial_status, wall_clock(now)
            )
        if answered := _ANSWERED.fullmatch(text):
            call_id, booking_id, callee_channel, limit, now = answered.groups()
            return AnswerReport(CallId(call_id), BookingId(booking_id), callee_channel, int(limit), wall_clock(now))
        raise BadReport("the report has a missing or wrong field")


def wall_clock(text: str) -> EpochMs | None:
    """Parses Asterisk's wall clock.

    Args:
        text: UTC time with milliseconds in the dialplan's format, such as 20260301120000250.

    Returns:
        Epoch milliseconds; None if the text is not a time.
    """
    if _WALL_CLOCK.fullmatch(text) is None:
        return None
    second_ms = _epoch_ms(text[:14])
    return None if second_ms is None else EpochMs(second_ms + int(text[14:]))


@lru_cache(maxsize=64)
def _epoch_ms(second: str) -> int | None:
    """Parses `20260301120000`. Cached, because most reports are of the same few seconds."""
    try:
        return int(dt.datetime.strptime(second, "%Y%m%d%H%M%S").replace(tzinfo=dt.UTC).timestamp()) * 1000
    except ValueError:
        return None
