"""Lines as Asterisk's cdr_csv writes them."""

import csv
import re
from typing import Any

import pytest

from engine.cdr.master_csv import COLUMNS, master_csv
from engine.domain.dispositions import Disposition
from engine.domain.times import EpochMs
from engine.storage.cdrs import CallRecord, Cdr

START = 1_772_366_400_999


def a_record(answered_at: EpochMs | None = None, ended_at: EpochMs | None = None, **changes: Any) -> CallRecord:
    values: dict[str, Any] = {
        "id": "cdr_1",
        "account_id": "acc_1",
        "booking_id": "bkg_1",
        "call_id": "1772366400.7",
        "started_at": START,
        "duration": 0,
        "source": "+14155550123",
        "service": "+3225550000",
        "destination": "+32470123456",
        "disposition": Disposition.BUSY,
    }
    return CallRecord(Cdr(**values | changes), answered_at, ended_at)


def fields(record: CallRecord) -> dict[str, str]:
    [row] = csv.reader([master_csv([record])], strict=True)
    return dict(zip(COLUMNS, row, strict=True))


def test_a_line_equals_what_asterisk_would_have_written() -> None:
    record = a_record(EpochMs(START + 4_000), EpochMs(START + 15_500), duration=12, disposition=Disposition.ANSWERED)
    assert master_csv([record, record]) == 2 * (
        '"bkg_1","+14155550123","+3225550000","","+14155550123","","","","+32470123456",'
        '"2026-03-01 12:00:00","2026-03-01 12:00:04","2026-03-01 12:00:16",15,12,"ANSWERED","","cdr_1","ANSWERED"\n'
    )


def test_an_unanswered_call_has_an_empty_answer_time() -> None:
    line = master_csv([a_record(ended_at=EpochMs(START + 3_000))])
    assert '"2026-03-01 12:00:00",,"2026-03-01 12:00:03",3,0,"BUSY"' in line


def test_a_refused_call_ends_when_it_begins() -> None:
    found = fields(a_record(disposition=Disposition.EXPIRED))
    assert (found["end"], found["duration"], found["billsec"]) == (found["start"], "0", "0")
    assert (found["disposition"], found["userfield"]) == ("FAILED", "EXPIRED")


def test_no_call_ends_before_it_begins_after_the_clock_is_set_back() -> None:
    found = fields(
        a_record(EpochMs(START - 3_000_000), EpochMs(START - 3_600_000), duration=9, disposition=Disposition.ANSWERED)
    )
    assert (found["end"], found["duration"], found["billsec"]) == (found["start"], "9", "9")


@pytest.mark.parametrize(
    ("disposition", "duration", "word"),
    [
        (Disposition.ANSWERED, 1, "ANSWERED"),
        (Disposition.BUSY, 0, "BUSY"),
        (Disposition.NO_ANSWER, 0, "NO ANSWER"),
        (Disposition.CANCELLED, 0, "NO ANSWER"),
        (Disposition.LOST, 0, "NO ANSWER"),
        (Disposition.LOST, 60, "ANSWERED"),
        (Disposition.UNREACHABLE, 0, "FAILED"),
        (Disposition.CALLER_BLOCKED, 0, "FAILED"),
    ],
)
def test_a_line_has_asterisks_disposition_and_ours_in_a_column_of_its_own(
    disposition: Disposition, duration: int, word: str
) -> None:
    found = fields(a_record(duration=duration, disposition=disposition))
    assert (found["disposition"], found["userfield"]) == (word, disposition)


def test_every_disposition_is_one_of_the_four_words_of_asterisk() -> None:
    words = {fields(a_record(disposition=each))["disposition"] for each in Disposition}
    assert words <= {"ANSWERED", "BUSY", "NO ANSWER", "FAILED"}


def test_quotes_are_doubled() -> None:
    assert '"a""b"' in master_csv([a_record(source='a"b')])


@pytest.mark.parametrize("source", ["+14155550123", "0032255", "+", "++", "anonymous", "erased"])
def test_no_field_can_become_a_spreadsheet_formula(source: str) -> None:
    """A field that begins with a sign has only digits after it: at most a number to a spreadsheet."""
    for value in fields(a_record(source=source, duration=1)).values():
        assert re.fullmatch(r"[+0-9]*|[A-Za-z0-9][A-Za-z0-9_ :-]*", value), value
