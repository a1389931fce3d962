"""Writes call records as lines of Asterisk's Master.csv, for tools that read that file.

The format is that of cdr_csv with `loguserfield` and `usegmtime`: no header, texts in quotes, numbers without, and an
empty field for a missing instant.

Texts are not protected against spreadsheets that read `=`, `+`, `-` or `@` at the beginning as a formula. A mark in
front would break every telephone number that begins with `+`, and no field contains a text that somebody chose: there
are only numbers, ids, instants and fixed words.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

from engine.domain.dispositions import Disposition
from engine.domain.times import EpochMs
from engine.storage.cdrs import CallRecord

COLUMNS = (
    *("accountcode", "src", "dst", "dcontext", "clid", "channel", "dstchannel", "lastapp", "lastdata"),
    *("start", "answer", "end", "duration", "billsec", "disposition", "amaflags", "uniqueid", "userfield"),
)
# What Asterisk adds with `newcdrcolumns`: here the account, the call's id in Asterisk, and always 0.
NEW_COLUMNS = ("peeraccount", "linkedid", "sequence")
# Asterisk has four dispositions. Our own goes into `userfield`.
ANSWERED, BUSY, NO_ANSWER, FAILED = "ANSWERED", "BUSY", "NO ANSWER", "FAILED"
WORDS: Mapping[Disposition, str] = {
    Disposition.ANSWERED: ANSWERED,
    Disposition.BUSY: BUSY,
    Disposition.NO_ANSWER: NO_ANSWER,
    Disposition.CANCELLED: NO_ANSWER,
    Disposition.GAVE_WAY: NO_ANSWER,
    Disposition.LOST: NO_ANSWER,  # unless it was charged: then it is ANSWERED
}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def master_csv(records: Iterable[CallRecord]) -> str:
    """Returns one line for each record, each with a line end."""
    return "".join(f"{_line(record)}\n" for record in records)


def master_csv_with_accounts(records: Iterable[CallRecord]) -> str:
    """Returns the same lines with NEW_COLUMNS, for records of several accounts."""
    return "".join(
        f"{_line(record)},{_quoted(record.cdr.account_id)},{_quoted(record.cdr.call_id)},0\n" for record in records
    )


def _line(record: CallRecord) -> str:
    cdr = record.cdr
    was_answered = cdr.duration > 0
    # No call ends before it began, even if the clock was set back meanwhile.
    ended_at = max(cdr.started_at, record.ended_at or cdr.started_at)
    fields = (
        _quoted(cdr.booking_id),
        _quoted(cdr.source),
        _quoted(cdr.service),
        _quoted(""),
        _quoted(cdr.source),
        _quoted(""),
        _quoted(""),
        _quoted(""),
        _quoted(cdr.destination),
        _instant(cdr.started_at),
        _instant(record.answered_at) if was_answered else "",
        _instant(ended_at),
        str(max(cdr.duration, (ended_at - cdr.started_at) // 1000)),
        str(cdr.duration),
        _quoted(ANSWERED if was_answered else WORDS.get(cdr.disposition, FAILED)),
        _quoted(""),
        _quoted(cdr.id),
        _quoted(cdr.disposition),
    )
    return ",".join(fields)


def _quoted(text: str) -> str:
    doubled = text.replace('"', '""')
    return f'"{doubled}"'


def _instant(instant: EpochMs | None) -> str:
    """Returns the instant in UTC, to the second."""
    if instant is None:
        return ""
    return f'"{(_EPOCH + timedelta(milliseconds=instant)).strftime("%Y-%m-%d %H:%M:%S")}"'
