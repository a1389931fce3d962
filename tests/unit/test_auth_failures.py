"""How many failed authentications a source may have, and that sources are counted separately."""

from ipaddress import ip_address

from hypothesis import given
from hypothesis import strategies as st

from api.http.auth_failures import MAX_FAILURES, WINDOW_SECONDS, FailureLimit

ANN = ip_address("203.0.113.1")
BOB = ip_address("203.0.113.2")


def test_a_source_is_refused_after_its_failures_until_the_minute_is_over() -> None:
    limit = FailureLimit()
    assert [limit.count(ANN, 0.0) for _ in range(MAX_FAILURES + 2)] == [True] * MAX_FAILURES + [False] * 2
    assert not limit.count(ANN, WINDOW_SECONDS - 0.1)
    assert limit.count(ANN, WINDOW_SECONDS)


def test_a_source_with_too_many_failures_affects_no_other_source() -> None:
    limit = FailureLimit()
    for _ in range(100):
        limit.count(ANN, 0.0)
    assert limit.count(BOB, 0.0)


def test_addresses_of_one_ipv6_network_are_one_source() -> None:
    limit = FailureLimit(limit=3)
    inside = [limit.count(ip_address(f"2001:db8::{index:x}"), 0.0) for index in range(4)]
    assert inside == [True, True, True, False]
    assert limit.count(ip_address("2001:db8:0:1::1"), 0.0)


@given(st.lists(st.tuples(st.ip_addresses(), st.floats(0, 10)), max_size=200))
def test_the_memory_of_sources_is_bounded(failures: list[tuple[object, float]]) -> None:
    limit = FailureLimit(max_sources=10)
    now = 0.0
    for source, later in failures:
        now += later
        limit.count(ip_address(str(source)), now)
        assert len(limit) <= 10


@given(st.lists(st.tuples(st.sampled_from([ANN, BOB]), st.floats(0, 30)), max_size=100))
def test_no_source_has_more_failures_in_a_minute_than_allowed(failures: list[tuple[object, float]]) -> None:
    limit = FailureLimit(limit=3, window=60.0)
    allowed: dict[object, list[float]] = {ANN: [], BOB: []}
    now = 0.0
    for source, later in failures:
        now += later
        assert source in (ANN, BOB)
        if limit.count(ANN if source == ANN else BOB, now):
            allowed[source].append(now)
    for instants in allowed.values():
        windows = [instants[first : first + 7] for first in range(len(instants))]
        assert all(len(window) < 7 or window[-1] - window[0] >= 60.0 for window in windows)
