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
from typing import TypeAlias

from engine.domain.ids import BookingId, CallId
from engine.domain.times import EpochMs
from engine.runtime.authentication import is_authentic

ANSWERED = "answered"
ENDED = "ended"
MAX_BYTES = 1024
# The fields before the MAC.
FIELDS = 6

_CALL_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_MILLISECONDS = re.compile(r"-?[0-9]{1,12}|")
_SECONDS = re.compile(r"[0-9]{1,9}")
_DIAL_STATUS = re.compile(r"[A-Z]{0,32}")
_WALL_CLOCK = re.compile(r"[0-9]{17}")

# Year, month, day, hour, minute, second.
_PARTS = ((0, 4), (4, 6), (6, 8), (8, 10), (10, 12), (12, 14))


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
        if not line.isascii() or not line.isprintable() or not is_authentic(self._tokens, text, mac):
            raise BadReport("the report's MAC is missing or wrong")
        fields = text.split(" ")
        if len(fields) < FIELDS:
            raise BadReport("the report is too short")
        kind, call_id, booking_id, third, fourth, wall = fields[:FIELDS]
        if not _CALL_ID.fullmatch(call_id):
            raise BadReport("the report has no call id")
        now = wall_clock(wall)
        if kind == ANSWERED and _CALL_ID.fullmatch(third) and _SECONDS.fullmatch(fourth):
            return AnswerReport(CallId(call_id), BookingId(booking_id), third, int(fourth), now)
        if kind == ENDED and _MILLISECONDS.fullmatch(third) and _DIAL_STATUS.fullmatch(fourth):
            return EndReport(CallId(call_id), BookingId(booking_id), int(third or 0), fourth, now)
        raise BadReport("the report has a wrong field")


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
