"""The judge of a chaos run finds every mismatch, and no false one."""

from dataclasses import replace

import pytest

from tests.chaos import judge
from tests.chaos.books import Books, Entry
from tests.chaos.seen import Seen
from tests.chaos.trouble import Outage, Trouble

SOURCE = "+9990000000001"
# Dialled at 10, answered at 11, ended at 14.2: four started seconds.
CALL = Seen(SOURCE, dialled=10.0, status=200, answered=11.0, ended=14.2, over=14.3, reached=(10.1,))
REFUSED = Seen(SOURCE, dialled=10.0, status=486, answered=None, ended=11.0, over=11.1, reached=(10.1,))
ENTRY = Entry("c1", SOURCE, "SETTLED", 6, 4, started=10.0, ended=14.2, records=1, disposition="ANSWERED")
KILLED_AT_13 = Trouble(asterisk=[Outage(13.0, 13.7)])


def judged(seen: Seen, *entries: Entry, trouble: Trouble | None = None) -> list[str]:
    books = Books({SOURCE: list(entries)} if entries else {}, {}, frozenset())
    return [each.what for each in judge.mismatches([seen], books, lambda _: (trouble or Trouble()).asterisk, {})]


def test_a_call_charged_for_its_talk_time_is_right() -> None:
    assert judged(CALL, ENTRY) == []
    assert judged(CALL, replace(ENTRY, charged=5)) == []
    assert judged(REFUSED, replace(ENTRY, charged=0, state="VOIDED", disposition="BUSY")) == []
    assert judged(replace(REFUSED, reached=())) == []
    # Asterisk had no CPU to handle its BYE in time.
    assert judged(replace(CALL, over=16.2), replace(ENTRY, charged=6)) == []


@pytest.mark.parametrize(
    ("seen", "entries"),
    [
        (CALL, []),
        (CALL, [replace(ENTRY, charged=2)]),
        (CALL, [replace(ENTRY, charged=6)]),
        (CALL, [replace(ENTRY, disposition="LOST")]),
        (CALL, [replace(ENTRY, records=2)]),
        (CALL, [replace(ENTRY, ended=None)]),
        (CALL, [ENTRY, replace(ENTRY, call_id="c2")]),
        (CALL, [replace(ENTRY, started=10.5)]),
        (replace(CALL, ended=None), [ENTRY]),
        (replace(CALL, reached=(10.1, 10.2)), [ENTRY]),
        (REFUSED, []),
        (REFUSED, [ENTRY]),
    ],
)
def test_a_mismatch_is_found(seen: Seen, entries: list[Entry]) -> None:
    assert len(judged(seen, *entries)) == 1


@pytest.mark.parametrize(("charged", "wrong"), [(0, 0), (1, 0), (3, 0), (4, 1)])
def test_a_call_in_a_killed_asterisk_must_not_be_charged_beyond_the_kill(charged: int, wrong: int) -> None:
    entry = replace(ENTRY, charged=charged, disposition="LOST")
    assert len(judged(CALL, entry, trouble=KILLED_AT_13)) == wrong


def test_a_recorded_call_that_no_telephone_made_is_found() -> None:
    books = Books({SOURCE: [ENTRY]}, {}, frozenset())
    assert len(judge.mismatches([], books, lambda _: [], {})) == 1


def test_a_call_cut_off_with_plenty_of_credit_left_is_found() -> None:
    books = Books({SOURCE: [ENTRY]}, {}, frozenset())
    assert judge.mismatches([CALL], books, lambda _: [], {SOURCE: 4.0}) == []
    assert len(judge.mismatches([CALL], books, lambda _: [], {SOURCE: 6.0})) == 1
