"""Leases of simultaneous calls: all available seconds, for calls that can use them, and never more."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engine.domain.ids import CallId
from engine.domain.sharing import Holding, fair_leases, newcomers_share

LONG = 14_400


def up(name: CallId, leased: int, used: int = 0, longest: int = LONG) -> Holding:
    return Holding(name, leased, used, longest)


def used_of(holding: Holding) -> int:
    """Returns the used seconds of a call's lease; measured late, they may seem to exceed it."""
    return min(holding.used, holding.leased)


def room_of(holding: Holding) -> int:
    return max(0, holding.longest - used_of(holding))


def there_is(remaining: int, holdings: Sequence[Holding]) -> int:
    """Returns the seconds that the calls may hold together, including used ones."""
    return remaining + sum(each.leased for each in holdings)


@pytest.mark.parametrize(
    ("remaining", "holdings", "leases"),
    [
        (300, [], {}),
        (300, [up(CallId("a"), 10)], {"a": 310}),
        (300, [up(CallId("a"), 10, longest=60)], {"a": 60}),
        (0, [up(CallId("a"), 290), up(CallId("b"), 10)], {"a": 150, "b": 150}),
        (0, [up(CallId("a"), 290, used=100), up(CallId("b"), 10)], {"a": 200, "b": 100}),
        (0, [up(CallId("a"), 10), up(CallId("b"), 1)], {"a": 5, "b": 6}),
        (0, [up(CallId("a"), 1), up(CallId("b"), 1), up(CallId("c"), 9)], {"a": 3, "b": 4, "c": 4}),
        # Seconds that one call cannot use go to the others.
        (0, [up(CallId("a"), 200, longest=20), up(CallId("b"), 100)], {"a": 20, "b": 280}),
        (100, [up(CallId("a"), 0, longest=20), up(CallId("b"), 0, longest=30)], {"a": 20, "b": 30}),
        # A call past its longest keeps what it has used.
        (0, [up(CallId("a"), 100, used=80, longest=60), up(CallId("b"), 10)], {"a": 80, "b": 30}),
        (240, [up(CallId("a"), 60, used=10, longest=20)], {"a": 20}),
        (240, [up(CallId("a"), 60, used=30, longest=20)], {"a": 30}),
        # A call with a used-up lease gets its share like the others.
        (0, [up(CallId("a"), 10, used=10), up(CallId("b"), 30, used=10)], {"a": 20, "b": 20}),
        # Measured a moment late, a call may seem to have exceeded its lease.
        (0, [up(CallId("a"), 10, used=12), up(CallId("b"), 30, used=10)], {"a": 20, "b": 20}),
    ],
)
def test_remaining_seconds_are_shared_equally(remaining: int, holdings: list[Holding], leases: dict[str, int]) -> None:
    assert fair_leases(remaining, holdings) == leases


@pytest.mark.parametrize(
    ("keep_free", "leases"),
    [
        (0, {"a": 50, "b": 50}),
        (10, {"a": 45, "b": 45}),
        (81, {"a": 9, "b": 10}),
        (100, {"a": 0, "b": 0}),
        (1_000, {"a": 0, "b": 0}),
    ],
)
def test_seconds_for_the_next_call_are_kept_free(keep_free: int, leases: dict[str, int]) -> None:
    assert fair_leases(0, [up(CallId("a"), 90), up(CallId("b"), 10)], keep_free=keep_free) == leases


def test_used_seconds_cannot_be_kept_free() -> None:
    assert fair_leases(0, [up(CallId("a"), 60, used=58)], keep_free=10) == {"a": 58}


@pytest.mark.parametrize(
    ("remaining", "holdings", "longest", "share"),
    [
        (300, [], LONG, 300),
        (300, [], 60, 60),
        (0, [up(CallId("a"), 300)], LONG, 150),
        (0, [up(CallId("a"), 300)], 60, 60),
        (100, [up(CallId("a"), 200)], LONG, 150),
        # Used seconds cannot be given back.
        (0, [up(CallId("a"), 300, used=300)], LONG, 0),
        (0, [up(CallId("a"), 300, used=298)], LONG, 1),
        # The odd second goes to the call that may last longest from now, among equals not to the newcomer.
        (0, [up(CallId("a"), 301)], LONG, 150),
        (0, [up(CallId("a"), 302, used=1)], LONG, 151),
        (0, [up(CallId("a"), 300, used=299)], LONG, 1),
        (0, [up(CallId("a"), 300, used=299)], LONG - 299, 0),
        # What another call cannot use is the newcomer's.
        (100, [up(CallId("a"), 20, longest=20)], LONG, 100),
        (0, [up(CallId("a"), 1), up(CallId("b"), 1)], LONG, 0),
        (0, [], LONG, 0),
    ],
)
def test_a_newcomer_gets_the_share_of_one_more_call(
    remaining: int, holdings: list[Holding], longest: int, share: int
) -> None:
    assert newcomers_share(remaining, holdings, longest) == share


@st.composite
def calls(draw: st.DrawFn) -> list[Holding]:
    seconds = st.one_of(st.integers(0, 20), st.integers(0, 20_000))
    holdings = st.builds(Holding, st.just(""), seconds, seconds, st.one_of(seconds, st.just(LONG)))
    drawn = draw(st.lists(holdings, max_size=8))
    return [replace(each, call_id=CallId(f"c{n}")) for n, each in enumerate(drawn)]


amounts = st.one_of(st.integers(0, 30), st.integers(0, 10**5))


@given(amounts, calls(), amounts)
@example(0, [up(CallId("a"), 1), up(CallId("b"), 0)], 0)
@example(7, [up(CallId("a"), 0, longest=3), up(CallId("b"), 0, longest=3)], 1)
def test_leases_never_exceed_the_credit_and_cover_what_each_call_used(
    remaining: int, holdings: list[Holding], keep_free: int
) -> None:
    leases = fair_leases(remaining, holdings, keep_free=keep_free)
    of = {each.call_id: each for each in holdings}
    assert leases.keys() == of.keys()
    assert all(leases[name] >= used_of(of[name]) for name in leases)
    assert all(leases[name] <= max(of[name].longest, used_of(of[name])) for name in leases)
    used = sum(used_of(of[name]) for name in leases)
    assert sum(leases.values()) <= max(used, there_is(remaining, holdings) - keep_free)


@given(amounts, calls(), amounts)
def test_seconds_stay_unused_only_if_every_call_is_at_its_longest(
    remaining: int, holdings: list[Holding], keep_free: int
) -> None:
    leases = fair_leases(remaining, holdings, keep_free=keep_free)
    left = there_is(remaining, holdings) - sum(leases.values()) - keep_free
    at_their_longest = all(leases[each.call_id] == used_of(each) + room_of(each) for each in holdings)
    assert left <= 0 or at_their_longest


@given(amounts, calls(), amounts)
def test_calls_that_can_grow_would_be_cut_within_the_same_second(
    remaining: int, holdings: list[Holding], keep_free: int
) -> None:
    leases = fair_leases(remaining, holdings, keep_free=keep_free)
    shares = {each.call_id: leases[each.call_id] - used_of(each) for each in holdings}
    with_room = [shares[each.call_id] for each in holdings if shares[each.call_id] < room_of(each)]
    assert not with_room or max(with_room) - min(with_room) <= 1
    # A call at its longest has no more than they have.
    full = [shares[each.call_id] for each in holdings if shares[each.call_id] == room_of(each)]
    assert not with_room or not full or max(full) <= max(with_room) + 1


@given(amounts, calls(), amounts)
def test_sharing_twice_moves_no_limit(remaining: int, holdings: list[Holding], keep_free: int) -> None:
    """Otherwise limits would be sent back and forth for ever."""
    leases = fair_leases(remaining, holdings, keep_free=keep_free)
    after = [replace(each, leased=leases.get(each.call_id, each.leased), used=used_of(each)) for each in holdings]
    rest = there_is(remaining, holdings) - sum(leases.values())
    assert fair_leases(rest, after, keep_free=min(rest, keep_free)) == leases


@given(amounts, calls(), st.one_of(amounts, st.just(LONG)))
def test_the_room_made_for_a_newcomer_is_its_share_and_costs_the_others_no_more(
    remaining: int, holdings: list[Holding], longest: int
) -> None:
    """Else a call would be routed with fewer seconds than it asked for, or would ask again and again."""
    share = newcomers_share(remaining, holdings, longest)
    others = fair_leases(remaining, holdings, keep_free=share)
    used = sum(used_of(each) for each in holdings)
    freed = max(used, there_is(remaining, holdings)) - sum(others.values())
    assert share <= freed
    after = [replace(each, leased=others[each.call_id], used=used_of(each)) for each in holdings]
    assert newcomers_share(freed, after, longest) == share
