"""Tasks in the event loop: each waits for itself, and none keeps the others."""

import asyncio
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
Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    near, far = socket.socketpair()
    with closing(near), closing(far):
        yield near, far


async def run(*tasks: Callable[[Hub], object]) -> None:
    """Runs tasks to their end."""
    hub = Hub()
    for task in tasks:
        hub.wake(hub.add(lambda task=task: task(hub)))  # type: ignore[misc]
    async with asyncio.timeout(PATIENCE_SECONDS):
        await hub.ended()


async def test_a_task_that_waits_for_its_socket_keeps_no_other(pair: Pair) -> None:
    near, far = pair
    steps: list[str] = []

    def reads(hub: Hub) -> None:
        for _ in range(2):
            steps.append("waits")
            assert hub.wait_for(near.fileno(), select.POLLIN, time.monotonic() + FAR)
            steps.append(near.recv(10).decode())

    def writes(hub: Hub) -> None:
        for word in (b"one", b"two"):
            assert hub.wait_for(far.fileno(), select.POLLIN | select.POLLOUT, time.monotonic() + FAR)
            hub.sleep(0.01)
            steps.append("writes")
            far.send(word)

    await run(reads, writes)
    assert steps == ["waits", "writes", "one", "waits", "writes", "two"]


async def test_a_deadline_ends_a_wait_while_another_socket_is_ready_all_the_time(pair: Pair) -> None:
    near, far = pair
    far.send(b"never read")
    silent, _silent = socket.socketpair()
    ended: list[float] = []

    def busy(hub: Hub) -> None:
        while not ended:
            assert hub.wait_for(near.fileno(), select.POLLIN, time.monotonic() + FAR)

    def waits(hub: Hub) -> None:
        began = time.monotonic()
        assert not hub.wait_for(silent.fileno(), select.POLLIN, began + 0.1)
        assert time.monotonic() - began >= 0.1
        assert not hub.wait_for(silent.fileno(), select.POLLIN, time.monotonic())  # over before it began
        ended.append(time.monotonic())

    with closing(silent), closing(_silent):
        await run(busy, waits)


async def test_an_answer_that_came_while_the_event_loop_was_busy_is_not_late(pair: Pair) -> None:
    near, far = pair

    def waits(hub: Hub) -> None:
        asyncio.get_running_loop().call_soon(time.sleep, 0.3)
        assert hub.wait_for(near.fileno(), select.POLLIN, time.monotonic() + 0.1)

    threading.Timer(0.2, far.send, (b"in time for nobody",)).start()
    await run(waits)


async def test_a_connection_that_ends_while_nobody_waits_for_it_costs_nothing_until_it_is_used(pair: Pair) -> None:
    near, far = pair

    def reads(hub: Hub) -> None:
        for wanted in (b"one", b""):
            assert hub.wait_for(near.fileno(), select.POLLIN, time.monotonic() + FAR)
            assert near.recv(10) == wanted
            far.close()
            hub.sleep(0.05)
            assert hub._watched == set()  # it would be ready in each turn of the event loop

    far.send(b"one")
    await run(reads)


async def test_what_is_woken_twice_or_too_early_runs_on_once(pair: Pair) -> None:
    hub, seen = Hub(), list[str]()

    def idles() -> None:
        for word in ("first", "second"):
            hub.idle()
            seen.append(word)

    task = hub.add(idles)
    hub.wake(task)
    hub.wake(task)
    await asyncio.sleep(0)
    assert seen == ["first"]
    hub.wake(task)
    await hub.ended()
    assert seen == ["first", "second"]


async def test_what_blocks_runs_apart_while_other_tasks_go_on() -> None:
    go_on, outcomes = threading.Event(), list[bool]()

    def blocks(hub: Hub) -> None:
        outcomes.append(hub.apart(lambda: go_on.wait(PATIENCE_SECONDS)))
        with pytest.raises(ZeroDivisionError):
            hub.apart(lambda: 1 // 0)

    def goes_on(hub: Hub) -> None:
        hub.sleep(0.01)
        go_on.set()

    await run(blocks, goes_on)
    assert outcomes == [True]


async def test_a_wait_that_cannot_begin_leaves_nothing_behind(pair: Pair) -> None:
    near, _ = pair
    slept: list[float] = []

    def fails(hub: Hub) -> None:
        closed = near.fileno()
        near.close()
        with pytest.raises(OSError):
            hub.wait_for(closed, select.POLLIN, time.monotonic() + 0.1)
        began = time.monotonic()
        hub.sleep(0.3)  # the time of the wait is over meanwhile
        slept.append(time.monotonic() - began)

    await run(fails)
    assert slept[0] >= 0.3


async def test_a_task_that_fails_keeps_no_other_and_counts_as_ended() -> None:
    failures: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context["exception"]))
    went_on: list[bool] = []

    def fails(_: Hub) -> None:
        raise ZeroDivisionError

    def goes_on(hub: Hub) -> None:
        hub.sleep(0.01)
        went_on.append(True)

    await run(fails, goes_on)
    assert [type(failure) for failure in failures] == [ZeroDivisionError]
    assert went_on == [True]
