"""Whose turn it is: slots shared out among receivers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.callbacks import fair_queue as module
from engine.callbacks.fair_queue import FairQueue, QueuedCallback, receiver_of
from engine.domain.ids import AccountId

ACCOUNT = AccountId("acc")


def waiting(host: str, number: int, attempts: int = 0, account: AccountId = ACCOUNT) -> QueuedCallback:
    return QueuedCallback(f"evt_{host}_{number}", (host, 443), attempts, account)


def make_quick(lanes: FairQueue, host: str) -> None:
    lanes.add(waiting(host, -1))
    [first] = lanes.choose()
    lanes.leave(first, quick=True)


def test_a_new_receiver_has_one_slot_until_it_was_quick() -> None:
    lanes = FairQueue(16)
    for number in range(10):
        lanes.add(waiting("a", number))
    [first] = lanes.choose()
    assert first.event_id == "evt_a_0"
    assert lanes.choose() == []
    lanes.leave(first, quick=True)
    assert [each.event_id for each in lanes.choose()] == ["evt_a_1", "evt_a_2", "evt_a_3", "evt_a_4"]


def test_a_receiver_that_stops_being_quick_is_back_to_one_slot() -> None:
    lanes = FairQueue(16)
    make_quick(lanes, "a")
    for number in range(10):
        lanes.add(waiting("a", number))
    under_way = lanes.choose()
    assert len(under_way) == 4
    lanes.leave(under_way[0], quick=False)
    assert lanes.choose() == []
    for each in under_way[1:]:
        lanes.leave(each, quick=False)
    assert len(lanes.choose()) == 1


def test_however_many_receivers_hang_quick_ones_find_slots() -> None:
    lanes = FairQueue(16)
    make_quick(lanes, "good")
    for host in range(100):
        for number in range(10):
            lanes.add(waiting(f"dead{host}", number))
    assert len(lanes.choose()) == 8
    lanes.add(waiting("good", 0))
    assert [each.event_id for each in lanes.choose()] == ["evt_good_0"]


def test_receivers_take_turns() -> None:
    lanes = FairQueue(4)
    for number in range(3):
        for host in ("a", "b", "c"):
            lanes.add(waiting(host, number))
    order: list[str] = []
    while chosen := lanes.choose():
        order += [each.receiver[0] for each in chosen]
        for each in chosen:
            lanes.leave(each, quick=False)
    assert sorted(order[:3]) == sorted(order[3:6]) == sorted(order[6:]) == ["a", "b", "c"]


def test_a_row_that_comes_again_keeps_its_place_and_is_chosen_once() -> None:
    lanes = FairQueue(16)
    lanes.add(waiting("a", 0))
    lanes.add(waiting("a", 1))
    lanes.add(waiting("a", 0, attempts=1))
    [first] = lanes.choose()
    assert first == waiting("a", 0, attempts=1)
    lanes.leave(first, quick=True)
    assert lanes.choose() == [waiting("a", 1)]


def test_lines_are_bounded() -> None:
    lanes = FairQueue(1)
    for number in range(module.MAX_IN_LANE + 10):
        lanes.add(waiting("a", number))
    served = 0
    while chosen := lanes.choose():
        served += len(chosen)
        for each in chosen:
            lanes.leave(each)
    assert served == module.MAX_IN_LANE


def test_receivers_with_much_in_line_leave_room_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else five that hang, with what one account has sent again, would keep everybody out for as long as they do."""
    monkeypatch.setattr(module, "MAX_IN_ALL", 50)
    lanes = FairQueue(16)
    make_quick(lanes, "good")
    for host in range(5):
        for number in range(20):
            lanes.add(waiting(f"dead{host}", number))
    lanes.choose()
    for host in range(5):
        for number in range(20, 40):
            lanes.add(waiting(f"dead{host}", number))
    for number in range(3):
        lanes.add(waiting("good", number))
    assert [each.event_id for each in lanes.choose()] == ["evt_good_0", "evt_good_1", "evt_good_2"]


def test_an_account_that_has_much_for_a_host_or_fails_there_keeps_no_other_from_it() -> None:
    """Customers share hosts: those of the services that receive webhooks for many."""
    lanes = FairQueue(16)
    make_quick(lanes, "shared")
    for number in range(module.MAX_IN_LANE + 10):
        lanes.add(waiting("shared", number, account=AccountId("other")))
    [theirs] = lanes.choose()
    ours = [waiting("shared", number) for number in range(-9, -5)]
    for each in ours:
        lanes.add(each)
    assert lanes.choose() == ours[:3], "all together have a quarter of the slots"
    lanes.leave(theirs, quick=False)
    assert lanes.choose() == [waiting("shared", 1, account=AccountId("other"))], (
        "one that fails has one, the other keeps its own"
    )
    lanes.leave(ours[0], quick=True)
    assert lanes.choose() == [ours[3]]


def test_a_full_room_is_shared_evenly_and_who_is_cut_keeps_its_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_IN_ALL", 6)
    lanes, served = FairQueue(1), list[str]()
    for host in ("a", "b", "c"):
        for number in range(10):
            lanes.add(waiting(host, number))
    while chosen := lanes.choose():
        served += [each.event_id for each in chosen]
        for each in chosen:
            lanes.leave(each)
    assert sorted(served) == [f"evt_{host}_{number}" for host in "abc" for number in range(2)]
    assert [each for each in served if "_a_" in each] == ["evt_a_0", "evt_a_1"]
    assert (lanes._lanes, dict(lanes._under_way)) == ({}, {}), "what nobody uses is kept"


def test_in_a_full_room_nobody_gets_a_place_by_which_another_would_have_fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_IN_ALL", 3)
    lanes, served = FairQueue(1), list[str]()
    for each in (waiting("a", 0), waiting("a", 1), waiting("b", 0), waiting("b", 1)):
        lanes.add(each)
    while chosen := lanes.choose():
        served += [each.event_id for each in chosen]
        for each in chosen:
            lanes.leave(each)
    assert sorted(served) == ["evt_a_0", "evt_a_1", "evt_b_0"]


def test_of_too_many_quick_receivers_the_one_that_was_quick_longest_ago_is_new_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MAX_KNOWN_QUICK", 2)
    lanes = FairQueue(16)
    for host in ("a", "b", "a", "c"):
        make_quick(lanes, host)
    for host in ("a", "b", "c"):
        for number in range(10):
            lanes.add(waiting(host, number))
    under_way = [each.receiver[0] for each in lanes.choose()]
    assert [under_way.count(host) for host in ("a", "b", "c")] == [4, 1, 4]


@given(
    st.integers(1, 20),
    st.lists(st.tuples(st.sampled_from("abcde"), st.sampled_from([None, True, False])), max_size=200),
)
def test_all_are_served_once_in_order_and_within_the_bounds(slots: int, steps: list[tuple[str, bool | None]]) -> None:
    lanes = FairQueue(slots)
    under_way: list[QueuedCallback] = []
    served: list[QueuedCallback] = []
    for number, (host, quick) in enumerate(steps):
        lanes.add(waiting(host, number))
        chosen = lanes.choose()
        under_way += chosen
        served += chosen
        assert len(under_way) <= slots
        for each in set("abcde"):
            assert sum(one.receiver[0] == each for one in under_way) <= max(1, slots // 4)
        if quick is not None and under_way:
            lanes.leave(under_way.pop(0), quick=quick)
    while under_way or (under_way := lanes.choose()):
        served += [one for one in under_way if one not in served]
        lanes.leave(under_way.pop(), quick=False)
    assert sorted(each.event_id for each in served) == sorted(f"evt_{h}_{n}" for n, (h, _) in enumerate(steps))
    for host in "abcde":
        numbers = [int(each.event_id.rsplit("_")[-1]) for each in served if each.receiver[0] == host]
        assert numbers == sorted(numbers)


def test_the_receiver_of_a_url_is_its_host_and_port() -> None:
    assert receiver_of("https://Example.com/a") == receiver_of("https://example.com:443/b") == ("example.com", 443)
    assert receiver_of("http://[::1]/") == ("::1", 80)
    assert receiver_of("https://h:port/") == ("", None)
