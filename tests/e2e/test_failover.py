"""Calls over two trunks: which answers of the first lead to the second, and how long that takes (T3, T4)."""

import asyncio
import re
import statistics
import time
from collections.abc import Iterator

import pytest

from engine.domain.failover import ends_search
from phones.ports import free_port
from tests.e2e.two_trunks import FIRST, TwoTrunks, Ways, ways

# The second trunk takes the call, if it gets it.
TAKES = (180, 200)
# What the first trunk answers before anything rings → what the caller gets if that ends the search.
FINAL = {302: 486, 404: 503, 410: 503, 480: 503, 484: 503, 486: 486, 603: 486}
NEXT = (400, 401, 402, 403, 407, 408, 415, 433, 488, 500, 501, 502, 503, 504, 513)
# Answers after which the phone may have rung.
RANG = ((180, 503), (183, 500), (180, 408), (180, 403), (183, 183, 504))
KNOWN_MS = 50
# A trunk whose name is resolved first has 4 s. Asterisk itself would wait for 6.4 s at least.
EARLY_SECONDS = 3.5


@pytest.fixture(scope="module")
def trunks() -> Iterator[TwoTrunks]:
    with TwoTrunks() as system:
        yield system


@pytest.fixture
def way(trunks: TwoTrunks) -> Iterator[Ways]:
    trunks.wait_ready()
    with ways(trunks) as opened:
        opened.second.statuses = TAKES
        yield opened


@pytest.mark.parametrize("status", NEXT)
@pytest.mark.parametrize("trying", [(), (100,)], ids=["at once", "after 100"])
def test_an_answer_that_concerns_the_trunk_leads_to_the_next_one(
    way: Ways, status: int, trying: tuple[int, ...]
) -> None:
    assert not ends_search(status)
    way.first.statuses = (*trying, status)
    way.open(way.first, way.second)
    booked = way.book()
    call = way.call(booked.service)
    assert (call.status, way.invites) == (200, (1, 1))
    trunk, tried, _ = way.attempts(booked).split(" ")
    name, _, sip, cause = tried.split(":")
    assert (trunk, name, sip, cause.isdecimal()) == ("second", "first", str(status), True)
    assert [record["disposition"] for record in booked.calls] == ["ANSWERED"]


@pytest.mark.parametrize(("status", "caller_gets"), FINAL.items())
def test_an_answer_that_concerns_the_callee_ends_the_search(way: Ways, status: int, caller_gets: int) -> None:
    assert ends_search(status)
    way.first.statuses = (status,)
    way.open(way.first, way.second)
    booked = way.book()
    call = way.call(booked.service)
    assert (call.status, way.invites) == (caller_gets, (1, 0))
    assert way.attempts(booked).startswith("first first:")
    assert booked.now["callsRemaining"] == 25


@pytest.mark.parametrize("statuses", RANG, ids=str)
def test_once_it_rang_no_other_trunk_is_tried(way: Ways, statuses: tuple[int, ...]) -> None:
    way.first.statuses = statuses
    way.open(way.first, way.second)
    booked = way.book()
    call = way.call(booked.service)
    assert (call.status >= 400, way.invites) == (True, (1, 0))
    assert len(booked.wait_settled()) == 1


def test_a_trunk_that_refuses_adds_no_time_that_a_caller_would_notice(way: Ways) -> None:
    way.first.statuses, way.second.statuses = (503,), (486,)
    way.open(way.first, way.second)
    booked = way.book()
    added = []
    for _ in range(20):
        way.call(booked.service)
        added.append((way.second.arrived[-1] - way.first.arrived[-1]) * 1000)
    assert len(way.second.invites) == 20
    print(f"\nrefused first trunk: {statistics.median(added):.1f} ms added, at most {max(added):.1f}")  # noqa: T201  the figure
    assert statistics.median(added) <= KNOWN_MS
    assert len(booked.wait_settled(20)) == 20


@pytest.mark.parametrize("is_open", [False, True], ids=["closed port", "silent"])
def test_a_trunk_that_does_not_answer_at_all_is_given_up_early(way: Ways, *, is_open: bool) -> None:
    way.open(*([way.first] if is_open else []), way.second)
    booked = way.book()
    call = way.call(booked.service)
    waited = way.second.arrived[0] - call.began
    print(f"\nsilent first trunk: {waited:.2f} s")  # noqa: T201  the figure
    assert (call.status, len(way.second.invites)) == (200, 1)
    assert waited <= EARLY_SECONDS
    assert way.attempts(booked).startswith("second first:SILENT::")


@pytest.mark.parametrize("statuses", [(100, 180, 200), (180, 200)], ids=str)
def test_a_slow_trunk_is_waited_for_if_it_has_sent_anything(way: Ways, statuses: tuple[int, ...]) -> None:
    way.first.statuses = statuses
    way.first.pause = 1.2
    way.open(way.first, way.second)
    booked = way.book()
    call = way.call(booked.service)
    assert (call.status, way.invites) == (200, (1, 0))
    booked.wait_settled()


def test_if_all_trunks_are_silent_the_caller_gets_503_early(way: Ways) -> None:
    booked = way.book()
    call = way.call(booked.service)
    assert call.status == 503
    assert call.waited <= 2 * EARLY_SECONDS
    assert way.attempts(booked).startswith("second first:SILENT::0/second:SILENT::0")
    assert booked.now["callsRemaining"] == 25


def test_a_caller_who_hangs_up_during_the_first_attempt_reaches_no_other_trunk(way: Ways) -> None:
    way.first.statuses = (100, 503)
    way.first.pause = 0.5
    way.open(way.first, way.second)
    booked = way.book()

    async def leave() -> int | None:
        dialog, number, _ = await way.dial(booked.service)
        while not way.first.invites:  # noqa: ASYNC110  a list, and no event
            await asyncio.sleep(0.05)
        dialog.cancel()
        return (await dialog.answered(number)).status

    assert way.stage.run(leave()) == 487
    time.sleep(1)
    assert way.invites == (1, 0)
    assert [record["disposition"] for record in booked.wait_settled()] == ["CANCELLED"]


def test_a_refused_connection_adds_no_time_that_a_caller_would_notice() -> None:
    """A trunk over TCP at a closed port."""
    with TwoTrunks({"uri": f"sip:{FIRST}:{free_port()};transport=tcp"}) as system, ways(system) as way:
        way.second.statuses = (486,)
        way.open(way.second)
        booked = way.book()
        waited = []
        for _ in range(10):
            call = way.call(booked.service)
            waited.append(way.second.arrived[-1] - call.began)
        print(f"\nclosed port: {statistics.median(waited) * 1000:.1f} ms")  # noqa: T201  the figure
        assert statistics.median(waited) * 1000 <= KNOWN_MS
        assert way.attempts(booked, 10).startswith("second first:")


@pytest.fixture(scope="module")
def narrow() -> Iterator[TwoTrunks]:
    with TwoTrunks({"max_calls": 1}, {"max_calls": 2}) as system:
        yield system


def test_a_full_trunk_is_passed_over_and_a_call_too_many_gets_503(narrow: TwoTrunks) -> None:
    with ways(narrow) as way:
        way.first.statuses = way.second.statuses = (180,)
        way.open(way.first, way.second)
        booked = way.book()

        # Calls that come one after the other, so that it is certain which one finds its trunk full.
        async def one_by_one() -> list[int]:
            up, seen = [], []
            for _ in range(4):
                dialog, number, _ = await way.dial(booked.service)
                first = await dialog.until(lambda each: (each.status or 0) >= 180)
                seen.append(first.status or 0)
                up.append((dialog, number))
            for dialog, number in up:
                dialog.cancel()
                await dialog.answered(number)
            return seen

        assert way.stage.run(one_by_one()) == [180, 180, 180, 503]
        booked.wait_settled(4)
        assert way.invites == (1, 2)
        assert way.attempts(booked, 4)
        assert any(re.fullmatch("second first:FULL::[0-9]*/second:FULL::[0-9]* ", each) for each in narrow.attempts)
        # The places were given back.
        assert way.stage.run(one_by_one()) == [180, 180, 180, 503]
        booked.wait_settled(8)
        assert way.invites == (2, 4)
