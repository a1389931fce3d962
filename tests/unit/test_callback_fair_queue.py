"""The order in which accounts and receivers get the worker's slots."""

from collections import Counter
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.callbacks import fair_queue as module
from engine.callbacks.fair_queue import FairQueue, Turn
from engine.callbacks.receiver import KnownReceiver, Receiver, receiver_of
from engine.callbacks.slots import QueuedCallback
from engine.domain.ids import AccountId
from engine.domain.pacing import Pace, PaceRules
from engine.domain.times import EpochMs

A, B = AccountId("acc_a"), AccountId("acc_b")
NOW = EpochMs(1_000_000)
QUICK = KnownReceiver(has_agreed=True, is_quick=True)
SLOW = KnownReceiver(has_agreed=True, is_quick=False)
STRANGER = KnownReceiver()
UNPACED = PaceRules(Pace(60_000, 60_000), Pace(60_000, 60_000), Pace(60_000, 60_000))
PACED = PaceRules(stranger=Pace(10, 2), strangers_of_account=Pace(60, 5), at_will=Pace(120, 3))


def waiting(
    host: str, number: int, account: AccountId = A, *, attempts: int = 0, at_will: bool = False, sandbox: bool = False
) -> QueuedCallback:
    return QueuedCallback(
        f"evt_{host}_{number}_{account}", Receiver("https", host, 443), attempts, account, at_will, sandbox
    )


def fair(slots: int = 16, paces: PaceRules = UNPACED) -> FairQueue:
    return FairQueue(slots, paces)


def numbers(turns: list[Turn]) -> list[int]:
    return [int(turn.callback.event_id.split("_")[2]) for turn in turns]


def hosts(turns: list[Turn]) -> list[str]:
    return [turn.callback.receiver.host for turn in turns]


def accounts(turns: list[Turn]) -> Counter[AccountId]:
    return Counter(turn.callback.account_id for turn in turns)


def served(queue: FairQueue) -> list[str]:
    """Serves everything, one round after the other, and returns the ids in their order."""
    order: list[str] = []
    while turns := queue.choose(NOW):
        order += [turn.callback.event_id for turn in turns]
        for turn in turns:
            queue.release(turn, is_quick=False, has_agreed=True)
    return order


@pytest.mark.parametrize(("known", "at_once"), [(STRANGER, 1), (SLOW, 1), (QUICK, 4)])
def test_a_receiver_gets_one_slot_or_if_it_is_quick_a_quarter(known: KnownReceiver, at_once: int) -> None:
    queue = fair()
    for number in range(10):
        queue.add(waiting("a", number), known)
    assert numbers(queue.choose(NOW)) == list(range(at_once))
    assert queue.choose(NOW) == []


def test_a_receiver_that_answers_promptly_gets_more_slots_and_one_that_stops_doing_so_loses_them() -> None:
    queue = fair()
    for number in range(20):
        queue.add(waiting("a", number))
    [first] = queue.choose(NOW)
    queue.release(first, is_quick=True, has_agreed=True)
    under_way = queue.choose(NOW)
    assert numbers(under_way) == [1, 2, 3, 4]
    queue.release(under_way[0], is_quick=False)
    assert queue.choose(NOW) == []
    for turn in under_way[1:]:
        queue.release(turn, is_quick=False)
    assert len(queue.choose(NOW)) == 1


@pytest.mark.parametrize("known", [STRANGER, SLOW, QUICK])
def test_a_thousand_receivers_of_one_account_that_hang_leave_slots_to_others(known: KnownReceiver) -> None:
    """Whatever is known of the receivers, of theirs and of ours, also right after a start (fault A9)."""
    queue = fair()
    for host in range(1_000):
        queue.add(waiting(f"hangs{host}", 0), known)
    assert accounts(queue.choose(NOW)) == {A: 8}, "an account that is alone gets half of a standing's slots"
    for host, ours in enumerate((STRANGER, SLOW, QUICK)):
        queue.add(waiting(f"ours{host}", 0, B), ours)
    assert accounts(queue.choose(NOW)) == {B: 3}
    assert queue.choose(NOW) == []


@pytest.mark.parametrize("hogs", [1, 2, 3, 7, 12])
def test_accounts_whose_receivers_hang_share_the_slots_evenly_and_a_further_one_finds_a_slot(hogs: int) -> None:
    queue = fair()
    for number in range(hogs):
        for host in range(100):
            queue.add(waiting(f"hangs{number}x{host}", 0, AccountId(f"acc_{number}")), SLOW)
    shares = accounts(queue.choose(NOW))
    assert len(shares) == hogs
    assert max(shares.values()) - min(shares.values()) <= 1
    queue.add(waiting("b", 0, B), SLOW)
    assert accounts(queue.choose(NOW)) == {B: 1}


def test_accounts_take_turns_however_many_receivers_one_has() -> None:
    queue = fair(4)
    for host in range(100):
        queue.add(waiting(f"a{host}", 0), SLOW)
    for number in range(10):
        queue.add(waiting("b", number, B), SLOW)
    order = served(queue)
    assert [event.rsplit("_", 1)[1] for event in order[:10]].count("b") >= 3
    assert sorted(order) == sorted(
        [f"evt_a{host}_0_acc_a" for host in range(100)] + [f"evt_b_{n}_acc_b" for n in range(10)]
    )


def test_receivers_of_an_account_take_turns() -> None:
    queue = fair(1)
    for number in range(3):
        for host in ("a", "b", "c"):
            queue.add(waiting(host, number), SLOW)
    assert [event.split("_")[1] for event in served(queue)] == ["a", "b", "c"] * 3


@pytest.mark.parametrize("known", [STRANGER, SLOW, QUICK])
def test_sandboxes_have_slots_of_their_own_also_at_the_same_receiver(known: KnownReceiver) -> None:
    queue = fair()
    for host in range(100):
        queue.add(waiting(f"host{host}", 0, A, sandbox=True), known)
    assert accounts(queue.choose(NOW)) == {A: 2}, "half of a quarter"
    for host in range(100):
        queue.add(waiting(f"host{host}", 0, B), known)
    assert accounts(queue.choose(NOW)) == {B: 8}, "as many as without sandboxes"


def test_a_repeated_row_keeps_its_place_and_is_chosen_once() -> None:
    queue = fair()
    queue.add(waiting("a", 0))
    queue.add(waiting("a", 1))
    queue.add(waiting("a", 0, attempts=1))
    [first] = queue.choose(NOW)
    assert first.callback == waiting("a", 0, attempts=1)
    queue.release(first, is_quick=True, has_agreed=True)
    assert [turn.callback for turn in queue.choose(NOW)] == [waiting("a", 1)]


def test_a_queue_is_bounded() -> None:
    queue = fair(1)
    for number in range(module.MAX_IN_QUEUE + 10):
        queue.add(waiting("a", number), QUICK)
    assert len(served(queue)) == module.MAX_IN_QUEUE


def test_a_full_memory_is_shared_evenly_by_accounts_then_by_receivers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if an account has so many receivers that each of its queues is as short as can be."""
    monkeypatch.setattr(module, "MAX_IN_ALL", 12)
    queue = fair(1)
    for host in range(30):
        queue.add(waiting(f"many{host}", 0), SLOW)
    for number in range(10):
        for theirs in ("x", "y"):
            queue.add(waiting(theirs, number, B), SLOW)
    order = served(queue)
    assert Counter(event.rsplit("_", 1)[1] for event in order) == {"a": 6, "b": 6}
    assert sorted(event for event in order if event.endswith("_b")) == [
        f"evt_{host}_{number}_acc_b" for host in ("x", "y") for number in range(3)
    ], "the shortened queues keep their order"
    assert (queue._queues, queue._receivers, queue._accounts, queue._waiting) == ({}, {}, {}, 0), "something is kept"


def test_what_is_known_of_a_receiver_lasts_as_long_as_something_waits_for_it() -> None:
    queue = fair()
    queue.add(waiting("a", 0), QUICK)
    [turn] = queue.choose(NOW)
    queue.release(turn, is_quick=True, has_agreed=True)
    assert queue._receivers == {}
    for number in range(10):
        queue.add(waiting("a", number), SLOW)
    assert len(queue.choose(NOW)) == 1, "the database knows better"


def test_one_accounts_failures_at_a_shared_host_do_not_slow_another_account_there() -> None:
    """Customers share hosts, for example of services that receive webhooks for many."""
    queue = fair()
    for number in range(10):
        queue.add(waiting("shared", number, B), SLOW)
        queue.add(waiting("shared", number, A), QUICK)
    turns = queue.choose(NOW)
    assert accounts(turns) == {A: 3, B: 1} or accounts(turns) == {A: 4}
    for turn in turns:
        queue.release(turn, is_quick=turn.callback.account_id == A)
    assert accounts(queue.choose(NOW))[A] >= 3


def test_a_stranger_gets_its_burst_then_its_rate_and_everything_once_it_agrees() -> None:
    queue, now, begun = fair(paces=PACED), NOW, list[int]()
    for number in range(10):
        queue.add(waiting("victim", number))
    while (number := len(begun)) < 5:
        for turn in queue.choose(now):
            begun.append(now - NOW)
            assert turn.paced_until is not None
            queue.release(turn, is_quick=False)
        if len(begun) == number:
            now = queue.next_turn_at() or EpochMs(0)
    assert begun == [0, 0, 6_000, 12_000, 18_000]
    assert queue.choose(now) == []
    [turn] = queue.choose(EpochMs(now + 6_000))
    queue.release(turn, is_quick=True, has_agreed=True)
    turns = queue.choose(now)
    assert (numbers(turns), [turn.paced_until for turn in turns]) == ([6, 7, 8, 9], [None] * 4)


def test_all_accounts_share_a_strangers_rate_and_take_turns() -> None:
    queue, now, order = fair(paces=PACED), NOW, list[AccountId]()
    for number in range(5):
        queue.add(waiting("victim", number, A))
    queue.add(waiting("victim", 0, B))
    while len(order) < 4:
        for turn in queue.choose(now):
            order.append(turn.callback.account_id)
            queue.release(turn, is_quick=False)
        now = queue.next_turn_at() or now
    assert now >= NOW + 12_000
    assert B in order[:3]


def test_an_account_that_invents_hosts_gets_no_more_than_its_own_rate() -> None:
    queue, begun = fair(paces=PACED), Counter[AccountId]()
    for host in range(1_000):
        queue.add(waiting(f"{host}.victim", 0))
    for at in range(0, 60_000, 100):
        if at == 30_000:
            queue.add(waiting("new", 0, B))
        for turn in queue.choose(EpochMs(NOW + at)):
            begun[turn.callback.account_id] += 1
            queue.release(turn, is_quick=False)
    assert begun == {A: 5 + 59, B: 1}


def test_callbacks_at_will_are_paced_and_never_delay_others_to_the_same_receiver() -> None:
    queue = fair(paces=PACED)
    for number in range(10):
        queue.add(waiting("a", number, at_will=True), QUICK)
    turns = queue.choose(NOW)
    assert numbers(turns) == [0, 1, 2], "the burst"
    queue.add(waiting("a", 100), QUICK)
    assert numbers(queue.choose(NOW)) == [100]
    for turn in turns:
        queue.release(turn, is_quick=True, has_agreed=True)
    assert queue.choose(NOW) == []
    assert numbers(queue.choose(EpochMs(NOW + 500))) == [3]


def test_a_restart_gives_a_stranger_no_new_burst() -> None:
    before, after = fair(paces=PACED), fair(paces=PACED)
    before.add(waiting("victim", 0))
    before.add(waiting("victim", 1, B))
    noted = max(turn.paced_until or 0 for turn in before.choose(NOW))
    after.add(waiting("victim", 2), KnownReceiver(paced_until=EpochMs(noted)))
    assert after.choose(NOW) == []
    assert after.next_turn_at() == NOW + 6_000


@given(
    st.integers(1, 20),
    st.lists(
        st.tuples(
            st.sampled_from("abcde"),
            st.sampled_from([A, B]),
            st.sampled_from([None, (True, True), (False, True), (False, False)]),
        ),
        max_size=200,
    ),
)
def test_every_row_is_served_once_in_order_and_within_the_bounds(
    slots: int, steps: list[tuple[str, AccountId, tuple[bool, bool] | None]]
) -> None:
    queue, clock = fair(slots, PACED), count(NOW, 50)
    under_way: list[Turn] = []
    seen: list[QueuedCallback] = []
    for number, (host, account, outcome) in enumerate(steps):
        queue.add(waiting(host, number, account))
        chosen = queue.choose(EpochMs(next(clock)))
        under_way += chosen
        seen += [turn.callback for turn in chosen]
        assert len(under_way) <= 3 * slots
        for each in "abcde":
            assert hosts(under_way).count(each) <= max(1, slots // 4)
        if outcome is not None and under_way:
            queue.release(under_way.pop(0), is_quick=outcome[0], has_agreed=outcome[1])
    now = EpochMs(next(clock))
    while len(seen) < len(steps):
        chosen = queue.choose(now)
        under_way += chosen
        seen += [turn.callback for turn in chosen]
        if under_way:
            queue.release(under_way.pop(), is_quick=False)
        elif not chosen:
            until = queue.next_turn_at()
            assert until is not None, "something waits for nothing"
            assert until > now
            now = until
    for turn in under_way:
        queue.release(turn)
    assert sorted(each.event_id for each in seen) == sorted(f"evt_{h}_{n}_{a}" for n, (h, a, _) in enumerate(steps))
    for key in {each.key for each in seen}:
        order = [int(each.event_id.split("_")[2]) for each in seen if each.key == key]
        assert order == sorted(order)
    assert (queue._queues, queue._receivers, queue._accounts) == ({}, {}, {})
    assert [pool.free for pool in queue._pools.values()] == [slots] * 3 + [max(1, slots // 4)] * 3


def test_the_receiver_of_a_url_is_its_scheme_host_and_port() -> None:
    assert receiver_of("https://Example.com/a") == receiver_of("https://example.com.:443/b")
    assert receiver_of("https://example.com/") == ("https", "example.com", 443)
    assert receiver_of("http://[::1]/") == ("http", "::1", 80)
    assert receiver_of("https://h:port/") == ("", "", None)
    digests = {receiver_of(url).digest for url in ("https://a/", "http://a/", "https://a:8443/", "https://b/")}
    assert len(digests) == 4
