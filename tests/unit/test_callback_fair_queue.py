"""The order in which receivers get the worker's slots."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.callbacks import fair_queue as module
from engine.callbacks.fair_queue import FairQueue, QueuedCallback, Receiver, receiver_of
from engine.domain.ids import AccountId

ACCOUNT = AccountId("acc")


def waiting(host: str, number: int, attempts: int = 0, account: AccountId = ACCOUNT) -> QueuedCallback:
    return QueuedCallback(f"evt_{host}_{number}", Receiver(host, 443), attempts, account)


def make_responsive(queue: FairQueue, host: str) -> None:
    queue.add(waiting(host, -1))
    [first] = queue.choose()
    queue.release(first, responsive=True)


def test_a_new_receiver_has_one_slot_until_it_responds() -> None:
    queue = FairQueue(16)
    for number in range(10):
        queue.add(waiting("a", number))
    [first] = queue.choose()
    assert first.event_id == "evt_a_0"
    assert queue.choose() == []
    queue.release(first, responsive=True)
    assert [each.event_id for each in queue.choose()] == ["evt_a_1", "evt_a_2", "evt_a_3", "evt_a_4"]


def test_a_receiver_that_stops_responding_is_back_to_one_slot() -> None:
    queue = FairQueue(16)
    make_responsive(queue, "a")
    for number in range(10):
        queue.add(waiting("a", number))
    under_way = queue.choose()
    assert len(under_way) == 4
    queue.release(under_way[0], responsive=False)
    assert queue.choose() == []
    for each in under_way[1:]:
        queue.release(each, responsive=False)
    assert len(queue.choose()) == 1


def test_responsive_receivers_get_slots_however_many_others_hang() -> None:
    queue = FairQueue(16)
    make_responsive(queue, "good")
    for host in range(100):
        for number in range(10):
            queue.add(waiting(f"dead{host}", number))
    assert len(queue.choose()) == 8
    queue.add(waiting("good", 0))
    assert [each.event_id for each in queue.choose()] == ["evt_good_0"]


def test_receivers_take_turns() -> None:
    queue = FairQueue(4)
    for number in range(3):
        for host in ("a", "b", "c"):
            queue.add(waiting(host, number))
    order: list[str] = []
    while chosen := queue.choose():
        order += [each.receiver[0] for each in chosen]
        for each in chosen:
            queue.release(each, responsive=False)
    assert sorted(order[:3]) == sorted(order[3:6]) == sorted(order[6:]) == ["a", "b", "c"]


def test_a_repeated_row_keeps_its_place_and_is_chosen_once() -> None:
    queue = FairQueue(16)
    queue.add(waiting("a", 0))
    queue.add(waiting("a", 1))
    queue.add(waiting("a", 0, attempts=1))
    [first] = queue.choose()
    assert first == waiting("a", 0, attempts=1)
    queue.release(first, responsive=True)
    assert queue.choose() == [waiting("a", 1)]


def test_queues_are_bounded() -> None:
    queue = FairQueue(1)
    for number in range(module.MAX_IN_QUEUE + 10):
        queue.add(waiting("a", number))
    served = 0
    while chosen := queue.choose():
        served += len(chosen)
        for each in chosen:
            queue.release(each)
    assert served == module.MAX_IN_QUEUE


def test_receivers_with_long_queues_leave_room_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise five receivers that hang, with one account's repeated callbacks, would block all others."""
    monkeypatch.setattr(module, "MAX_IN_ALL", 50)
    queue = FairQueue(16)
    make_responsive(queue, "good")
    for host in range(5):
        for number in range(20):
            queue.add(waiting(f"dead{host}", number))
    queue.choose()
    for host in range(5):
        for number in range(20, 40):
            queue.add(waiting(f"dead{host}", number))
    for number in range(3):
        queue.add(waiting("good", number))
    assert [each.event_id for each in queue.choose()] == ["evt_good_0", "evt_good_1", "evt_good_2"]


def test_an_account_with_a_long_queue_or_failures_at_a_host_does_not_delay_other_accounts_there() -> None:
    """Customers share hosts, for example of services that receive webhooks for many."""
    queue = FairQueue(16)
    make_responsive(queue, "shared")
    for number in range(module.MAX_IN_QUEUE + 10):
        queue.add(waiting("shared", number, account=AccountId("other")))
    [theirs] = queue.choose()
    ours = [waiting("shared", number) for number in range(-9, -5)]
    for each in ours:
        queue.add(each)
    assert queue.choose() == ours[:3], "all together have a quarter of the slots"
    queue.release(theirs, responsive=False)
    assert queue.choose() == [waiting("shared", 1, account=AccountId("other"))], (
        "one that fails has one, the other keeps its own"
    )
    queue.release(ours[0], responsive=True)
    assert queue.choose() == [ours[3]]


def test_a_full_queue_is_shared_evenly_and_a_shortened_queue_keeps_its_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_IN_ALL", 6)
    queue, served = FairQueue(1), list[str]()
    for host in ("a", "b", "c"):
        for number in range(10):
            queue.add(waiting(host, number))
    while chosen := queue.choose():
        served += [each.event_id for each in chosen]
        for each in chosen:
            queue.release(each)
    assert sorted(served) == [f"evt_{host}_{number}" for host in "abc" for number in range(2)]
    assert [each for each in served if "_a_" in each] == ["evt_a_0", "evt_a_1"]
    assert (queue._queues, dict(queue._under_way)) == ({}, {}), "unused queues are kept"


def test_in_a_full_queue_no_receiver_gains_a_place_at_the_cost_of_a_shorter_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MAX_IN_ALL", 3)
    queue, served = FairQueue(1), list[str]()
    for each in (waiting("a", 0), waiting("a", 1), waiting("b", 0), waiting("b", 1)):
        queue.add(each)
    while chosen := queue.choose():
        served += [each.event_id for each in chosen]
        for each in chosen:
            queue.release(each)
    assert sorted(served) == ["evt_a_0", "evt_a_1", "evt_b_0"]


def test_beyond_the_limit_the_receiver_that_responded_longest_ago_is_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MAX_RESPONSIVE", 2)
    queue = FairQueue(16)
    for host in ("a", "b", "a", "c"):
        make_responsive(queue, host)
    for host in ("a", "b", "c"):
        for number in range(10):
            queue.add(waiting(host, number))
    under_way = [each.receiver[0] for each in queue.choose()]
    assert [under_way.count(host) for host in ("a", "b", "c")] == [4, 1, 4]


@given(
    st.integers(1, 20),
    st.lists(st.tuples(st.sampled_from("abcde"), st.sampled_from([None, True, False])), max_size=200),
)
def test_every_row_is_served_once_in_order_and_within_the_bounds(
    slots: int, steps: list[tuple[str, bool | None]]
) -> None:
    queue = FairQueue(slots)
    under_way: list[QueuedCallback] = []
    served: list[QueuedCallback] = []
    for number, (host, responsive) in enumerate(steps):
        queue.add(waiting(host, number))
        chosen = queue.choose()
        under_way += chosen
        served += chosen
        assert len(under_way) <= slots
        for each in set("abcde"):
            assert sum(one.receiver[0] == each for one in under_way) <= max(1, slots // 4)
        if responsive is not None and under_way:
            queue.release(under_way.pop(0), responsive=responsive)
    while under_way or (under_way := queue.choose()):
        served += [one for one in under_way if one not in served]
        queue.release(under_way.pop(), responsive=False)
    assert sorted(each.event_id for each in served) == sorted(f"evt_{h}_{n}" for n, (h, _) in enumerate(steps))
    for host in "abcde":
        numbers = [int(each.event_id.rsplit("_")[-1]) for each in served if each.receiver[0] == host]
        assert numbers == sorted(numbers)


def test_the_receiver_of_a_url_is_its_host_and_port() -> None:
    assert receiver_of("https://Example.com/a") == receiver_of("https://example.com:443/b") == ("example.com", 443)
    assert receiver_of("http://[::1]/") == ("::1", 80)
    assert receiver_of("https://h:port/") == ("", None)
