"""Tasks on one thread: each waits for itself, none keeps the others, and no wake-up is lost."""

import queue
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from engine.storage.postgresql.hub import Hub

PATIENCE_SECONDS = 20.0
FAR = 3_600.0


class Hubs:
    """A hub whose tasks are plain functions of it."""

    def __init__(self) -> None:
        self.hub = Hub("tested", before_wait=lambda: None)

    def run(self, *tasks: Callable[[Hub], object]) -> None:
        """Runs the tasks to their end."""
        added = [self.hub.add(lambda task=task: task(self.hub)) for task in tasks]  # type: ignore[misc]
        self.hub.start()
        for task in added:
            self.hub.wake(task)
        self.hub._thread.join(PATIENCE_SECONDS)
        assert not self.hub._thread.is_alive()


@pytest.fixture
def hubs() -> Hubs:
    return Hubs()


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    near, far = socket.socketpair()
    with closing(near), closing(far):
        yield near, far


Pair = tuple[socket.socket, socket.socket]


def test_a_task_that_waits_for_its_socket_keeps_no_other(hubs: Hubs, pair: Pair) -> None:
    near, far = pair
    steps: list[str] = []

    def reads(hub: Hub) -> None:
        steps.append("waits")
        assert hub.wait_for(near.fileno(), select.POLLIN, time.monotonic() + FAR)
        steps.append(near.recv(10).decode())

    def writes(hub: Hub) -> None:
        hub.sleep(0.01)
        steps.append("writes")
        far.send(b"read")

    hubs.run(reads, writes)
    assert steps == ["waits", "writes", "read"]


def test_a_deadline_ends_a_wait_while_other_sockets_are_ready_all_the_time(hubs: Hubs, pair: Pair) -> None:
    near, far = pair
    far.send(b"never read")
    ended = threading.Event()
    silent, _silent = socket.socketpair()

    def busy(hub: Hub) -> None:
        while not ended.is_set():
            assert hub.wait_for(near.fileno(), select.POLLIN, time.monotonic() + FAR)

    def waits(hub: Hub) -> None:
        assert not hub.wait_for(silent.fileno(), select.POLLIN, time.monotonic() + 0.05)
        assert not hub.wait_for(silent.fileno(), select.POLLIN, time.monotonic() - 1)  # over before it began
        ended.set()

    with closing(silent), closing(_silent):
        hubs.run(busy, waits)
    assert ended.is_set()


def test_no_wake_up_from_another_thread_is_lost(hubs: Hubs) -> None:
    jobs: queue.SimpleQueue[int | None] = queue.SimpleQueue()
    taken: list[int] = []

    def takes() -> None:
        while True:
            while jobs.empty():
                hubs.hub.idle()
            job = jobs.get_nowait()
            if job is None:
                return
            taken.append(job)

    task = hubs.hub.add(takes)
    hubs.hub.start()
    for number in range(20_000):
        jobs.put(number)
        hubs.hub.wake(task)
        if number % 1_000 == 0:
            time.sleep(0.001)  # so that the hub falls asleep now and then
    jobs.put(None)
    hubs.hub.wake(task)
    hubs.hub._thread.join(PATIENCE_SECONDS)
    assert taken == list(range(20_000))


def test_what_blocks_runs_apart_while_other_tasks_go_on(hubs: Hubs) -> None:
    go_on, outcomes = threading.Event(), []

    def blocks(hub: Hub) -> None:
        outcomes.append(hub.apart(lambda: go_on.wait(PATIENCE_SECONDS)))
        with pytest.raises(ZeroDivisionError):
            hub.apart(lambda: 1 // 0)

    def goes_on(hub: Hub) -> None:
        hub.sleep(0.01)
        go_on.set()

    hubs.run(blocks, goes_on)
    assert outcomes == [True]
