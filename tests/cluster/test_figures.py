"""The report of a run: an outage excuses only the calls of its own Asterisk, and a late promotion is a failure."""

from collections import Counter
from dataclasses import replace

import pytest

from tests.chaos.books import Books, Entry
from tests.chaos.seen import Seen
from tests.chaos.trouble import Outage
from tests.cluster.figures import Report, outages_of
from tests.cluster.plan import ORDINARY, WITH_PATRONI, Kind, Wanted, steps
from tests.cluster.trouble import Happened, Troubles

SOURCE = "+9990000000001"
NAMES = ("one", "two")
CALL = Seen(SOURCE, dialled=10.0, status=200, answered=11.0, ended=14.2, over=14.3, reached=(10.1,))
ENTRY = Entry("c1", SOURCE, "SETTLED", 6, 4, 10.0, 14.2, records=1, disposition="ANSWERED", asterisk="two")
FAILED = replace(ENTRY, call_id="c0", state="VOIDED", charged=0, ended=11.9, asterisk="one")
KILLED = Troubles([Happened(Kind.ASTERISK_KILLED, 0, 12.0, 13.0)])


@pytest.mark.parametrize(
    ("entries", "excused"),
    [
        ([ENTRY], False),  # in the other Asterisk
        ([FAILED, ENTRY], False),  # tried at the one that was killed, but that was over before
        ([replace(ENTRY, asterisk="one")], True),
        ([replace(FAILED, ended=12.5), ENTRY], True),
    ],
)
def test_an_outage_excuses_only_calls_that_its_asterisk_had_then(entries: list[Entry], *, excused: bool) -> None:
    books = Books({SOURCE: entries}, {}, frozenset())
    assert outages_of(CALL, books, KILLED, NAMES) == ([Outage(12.0, 13.0)] if excused else [])


def report(happened: Happened, seen: Seen, *, audit: list[object] | None = None) -> Report:
    return Report(
        wanted=Wanted(1),
        seconds=1,
        names=NAMES,
        seen=[seen],
        books=Books({}, {}, frozenset()),
        troubles=Troubles([happened]),
        crowds=[],
        crowded=frozenset(),
        moves=[],
        quiet_after=0.0,
        delivered=Counter(),
        unsure=0,
        audit=audit or [],
        stalls=[],
        mismatches=[],
    )


@pytest.mark.parametrize(
    ("kind", "dialled", "late"),
    [
        (Kind.PRIMARY_KILLED, 11.9, False),
        (Kind.PRIMARY_KILLED, 12.1, True),
        (Kind.ASTERISK_KILLED, 12.1, False),
        (Kind.ASTERISK_KILLED, 13.1, True),
        (Kind.PRIMARY_HUNG, 14.0, False),  # nobody promotes
    ],
)
def test_a_call_that_fails_after_another_part_should_have_taken_over_is_a_failure(
    kind: Kind, dialled: float, *, late: bool
) -> None:
    refused = Seen(SOURCE, dialled, 503, None, dialled + 1, dialled + 1, reached=())
    assert bool(report(Happened(kind, 0, 10.0, 10.3), refused).failures) is late
    answered = replace(refused, status=486)
    assert report(Happened(kind, 0, 10.0, 10.3), answered).failures == []


@pytest.mark.parametrize(("kind", "late"), [(Kind.PRIMARY_KILLED, False), (Kind.STANDBY_KILLED, True)])
def test_patroni_has_longer_to_promote_and_needs_no_promotion_without_a_standby(kind: Kind, *, late: bool) -> None:
    refused = Seen(SOURCE, 14.0, 503, None, 15.0, 15.0, reached=())
    found = report(Happened(kind, 0, 10.0, 10.3), refused)
    assert bool(replace(found, wanted=Wanted(1, patroni=True)).failures) is late


def test_what_the_ledgers_audit_finds_and_talk_without_a_lease_are_failures() -> None:
    found = report(KILLED.all[0], CALL, audit=["a booking"]).failures
    assert found == ["`ledger verify` found ['a booking']", "no lease covered 3 s of talk"]


@pytest.mark.parametrize("kinds", [ORDINARY, WITH_PATRONI])
def test_every_kind_happens_once_in_each_round_and_in_the_second_to_the_other_node(kinds: tuple[Kind, ...]) -> None:
    planned = steps(Wanted(7, kinds=kinds))
    assert [steps(Wanted(7, kinds=kinds)), steps(Wanted(8, kinds=kinds)) == planned] == [planned, False]
    for kind in kinds:
        first, second = (each for each in planned if each.kind is kind)
        assert first.node != second.node
