"""Reports of the dialplan: a call was answered, a call has ended.

A report is one line. Its fields are separated by single spaces and may be empty; the last one is a MAC of the others:

    answered CALL BOOKING CALLEE-CHANNEL LIMIT WALL-CLOCK CALLEE-CALL-ID MAC
    ended CALL BOOKING ANSWERED-MS DIALSTATUS WALL-CLOCK TRUNK TRIED SOURCE CAUSE RING-MS PROGRESS-MS MAC

The wall clock is UTC as `20260301120000250`. CALLEE-CALL-ID is a SIP Call-ID, percent-encoded. TRIED has the attempts
that failed, each `TRUNK:DIALSTATUS:SIP-STATUS:CAUSE`, joined by `/`; if it is long, its beginning is cut off. SOURCE
is `caller`, `callee` or empty. RING-MS and PROGRESS-MS say how long the last trunk took until its first 180 and its
first 183; empty if none came. Later versions may add fields before the MAC, and earlier ones have fewer. Asterisk
sends each report as an event of its manager interface, and also writes the report of an end into the end spool.
"""

import datetime as dt
import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias
from urllib.parse import unquote

from engine.domain.call_ends import Attempt, DialplanEnd, attempts_from, cause_from
from engine.domain.ids import BookingId, CallId
from engine.domain.times import EpochMs
from engine.runtime.authentication import is_authentic

ENDED = "ended"
MAX_BYTES = 1024
CALL_ID = r"[A-Za-z0-9._-]{1,128}"

# Both may have further fields at their ends. What cannot be read there does not keep a call from being settled.
_ANSWERED = re.compile(rf"answered ({CALL_ID}) ([a-z0-9_]*) ({CALL_ID}) ([0-9]{{1,9}}) ([0-9]*)(?: ([!-~ ]*))?")
_ENDED = re.compile(rf"ended ({CALL_ID}) ([a-z0-9_]*) (-?[0-9]{{1,12}}|) ([A-Z]{{0,32}}) ([0-9]*)(?: ([!-~ ]*))?")
_TRUNK = re.compile(r"[a-z][a-z0-9-]{0,30}")
_MILLISECONDS_DIGITS = 9
_SOURCES = ("caller", "callee")
_WALL_CLOCK = re.compile(r"[0-9]{17}")
# The dialplan cuts longer ones.
MAX_SIP_CALL_ID = 128
_PLAIN_CALL_ID = re.compile(rf"[A-Za-z0-9._~!*'-]{{1,{MAX_SIP_CALL_ID}}}")
_NOT_IN_CALL_ID = re.compile(r"[^!-+\--~]+")

# Characters of the attempts that failed which the dialplan reports at most.
_MOST_TRIED = 300


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
        callee_sip_call_id: The SIP Call-ID of the callee's leg; None if it was not reported.
    """

    call_id: CallId
    booking_id: BookingId
    callee_channel: str
    limit: int
    asterisk_now: EpochMs | None = None
    callee_sip_call_id: str | None = None


@dataclass(frozen=True, slots=True)
class EndReport:
    """Asterisk's report of a call that ended.

    Attributes:
        call_id: Asterisk's unique id of the caller's channel.
        booking_id: The booking that was called.
        answered_ms: How long the call was answered, by Asterisk's wall clock: negative if that clock was set back
            meanwhile, 0 only if the call was not answered.
        end: How it ended.
        asterisk_now: When it ended, by Asterisk's wall clock; None if that cannot be read.
        ring_ms: How long the last trunk took to ring or to make progress; None if it did neither, or it is not known.
    """

    call_id: CallId
    booking_id: BookingId
    answered_ms: int
    end: DialplanEnd
    asterisk_now: EpochMs | None = None
    ring_ms: int | None = None


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
            call_id, booking_id, answered_ms, dial_status, now, more = ended.groups()
            # The spaces stand for fields that an earlier dialplan does not send.
            trunk, tried, source, cause, ring, progress, *_ = f"{more or ''}      ".split(" ")
            return EndReport(
                CallId(call_id),
                BookingId(booking_id),
                _answered_ms(answered_ms, dial_status),
                _end(dial_status, trunk, tried, source, cause),
                wall_clock(now),
                _first_of(ring, progress),
            )
        if answered := _ANSWERED.fullmatch(text):
            call_id, booking_id, callee_channel, limit, now, more = answered.groups()
            sip_call_id = sip_call_id_from((more or "").partition(" ")[0])
            return AnswerReport(
                CallId(call_id), BookingId(booking_id), callee_channel, int(limit), wall_clock(now), sip_call_id
            )
        raise BadReport("the report has a missing or wrong field")


def _answered_ms(text: str, dial_status: str) -> int:
    """Reads the answered time. Asterisk writes nothing if there was no answer, and 0 for less than a millisecond."""
    if text == "0" and dial_status == "ANSWER":
        return 1
    return int(text or 0)


@lru_cache(maxsize=256)
def _end(dial_status: str, trunk: str, tried: str, source: str, cause: str) -> DialplanEnd:
    """Reads the fields after the wall clock; those that are missing or wrong count as unknown.

    Cached, because most calls end in the same few ways.
    """
    return DialplanEnd(
        dial_status,
        trunk if _TRUNK.fullmatch(trunk) else None,
        _attempts(tried) if tried else (),
        source if source in _SOURCES else "",
        cause_from(cause),
    )


def _first_of(ring: str, progress: str) -> int | None:
    """Returns the shorter of two times in milliseconds; None without any."""
    # Without a pattern, because every call passes here. The line is ASCII.
    rang = int(ring) if ring.isdecimal() and len(ring) <= _MILLISECONDS_DIGITS else None
    if not (progress.isdecimal() and len(progress) <= _MILLISECONDS_DIGITS):
        return rang
    return int(progress) if rang is None else min(rang, int(progress))


def _attempts(tried: str) -> tuple[Attempt, ...]:
    # Its beginning is cut off where it would be too long, perhaps within a name.
    return attempts_from(tried.partition("/")[2] if len(tried) >= _MOST_TRIED else tried)


def sip_call_id_from(encoded: str) -> str | None:
    """Decodes a SIP Call-ID as the dialplan writes it.

    Returns:
        The Call-ID, at most MAX_SIP_CALL_ID characters of it; None if there is none. Characters that cannot be in one
        (RFC 3261 section 25.1) are left out, so that it can be printed everywhere.
    """
    if _PLAIN_CALL_ID.fullmatch(encoded):
        return encoded
    return _NOT_IN_CALL_ID.sub("", unquote(encoded, errors="ignore"))[:MAX_SIP_CALL_ID] or None


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
