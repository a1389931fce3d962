"""Runs tasks in the event loop: while one waits for its server, everything else goes on.

A task is plain code that waits: a worker with the commands that it runs. Each task is a greenlet: the hub leaves it
where it waits, and the event loop enters it again when its socket is ready. With a thread for each connection, the
threads and the event loop took the interpreter's lock from each other in every step of libpq, which cost a third of
the engine's CPU; one thread for all connections still cost a tenth.
"""

import asyncio
import select
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import TypeVar

import greenlet

from engine.storage.postgresql.waiting import can_be_read

T = TypeVar("T")

# How often the hub looks for waits whose time is over.
TICK_SECONDS = 0.05


class Task:
    """Something that the hub runs. Make one with `Hub.add`.

    Attributes:
        deadline: When its wait for a socket ends (time.monotonic).
        is_idle: Whether it waits to be woken.
    """

    __slots__ = ("deadline", "greenlet", "is_idle", "run")

    def __init__(self, run: Callable[[], object]) -> None:
        self.run = run
        self.greenlet: greenlet.greenlet | None = None
        self.deadline = 0.0
        self.is_idle = True


class Hub:
    """The tasks of one event loop: the loop in which they are woken. Only code in this event loop may use the hub."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._unended = 0
        self._ended = asyncio.Event()
        self._current: Task | None = None
        self._woken: deque[Task] = deque()
        self._is_called = False  # whether the event loop will enter the woken tasks
        self._waiting: dict[int, Task] = {}  # by their sockets
        self._watched: set[int] = set()  # sockets; each stays so between two waits, which costs nothing
        self._timer: asyncio.TimerHandle | None = None

    def add(self, run: Callable[[], object]) -> Task:
        """Adds a task. It begins when it is woken."""
        self._unended += 1
        return Task(run)

    def wake(self, task: Task) -> None:
        """Makes a task go on in the next turn of the event loop, if it is idle then. Call it in an event loop."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._loop, self._is_called, self._timer = loop, False, None
            self._watched.clear()
        self._woken.append(task)
        if not self._is_called:
            self._is_called = True
            loop.call_soon(self._enter_woken)

    async def ended(self) -> None:
        """Waits until all tasks have ended."""
        await self._ended.wait()

    def idle(self) -> None:
        """Makes the current task wait until it is woken. It may have been woken for something that is done already."""
        self._running().is_idle = True
        self._leave()

    def sleep(self, seconds: float) -> None:
        """Makes the current task wait for a time."""
        self._own_loop().call_later(seconds, self._enter, self._running())
        self._leave()

    def wait_for(self, socket: int, events: int, deadline: float) -> bool:
        """Makes the current task wait for a socket.

        Args:
            socket: The socket's file descriptor. Before it is closed, the hub has to `forget` it.
            events: What to wait for, as for poll(): POLLIN, or that and POLLOUT.
            deadline: When the wait ends (time.monotonic). It ends up to TICK_SECONDS later.

        Returns:
            False if the time was over first.
        """
        if deadline <= time.monotonic():
            return False
        task, loop = self._running(), self._own_loop()
        # The wait begins when nothing can fail any more: otherwise the task would be entered somewhere else.
        if socket not in self._watched:
            loop.add_reader(socket, self._on_ready, socket)
            self._watched.add(socket)
        if is_writing := bool(events & select.POLLOUT):
            loop.add_writer(socket, self._on_ready, socket)
        if self._timer is None:
            self._timer = loop.call_later(TICK_SECONDS, self._end_late_waits)
        task.deadline = deadline
        self._waiting[socket] = task
        is_ready = self._leave()
        if is_writing:
            loop.remove_writer(socket)
        return is_ready

    def forget(self, socket: int) -> None:
        """Stops watching a socket, which may be closed already."""
        if socket in self._watched and self._loop is not None and not self._loop.is_closed():
            self._loop.remove_reader(socket)
        self._watched.discard(socket)

    def apart(self, work: Callable[[], T]) -> T:
        """Runs something that blocks on a thread of its own, and makes the current task wait for it.

        Raises:
            Exception: Whatever it raises.
        """
        task, loop, outcome = self._running(), self._own_loop(), Future[T]()

        def run() -> None:
            try:
                outcome.set_result(work())
            except Exception as error:
                outcome.set_exception(error)
            with suppress(RuntimeError):  # the event loop has ended, and with it all that waits
                loop.call_soon_threadsafe(self.wake, task)

        threading.Thread(target=run, name="storage-apart", daemon=True).start()
        while not outcome.done():
            self.idle()
        return outcome.result()

    def _running(self) -> Task:
        if self._current is None:
            raise RuntimeError("only a task may wait")
        return self._current

    def _own_loop(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            raise RuntimeError("no task was woken yet")
        return self._loop

    def _leave(self) -> bool:
        """Goes back to the event loop. Returns whether the socket is ready when that enters the task again."""
        outside = greenlet.getcurrent().parent
        if outside is None:
            raise RuntimeError("only a task may wait")
        return bool(outside.switch())

    def _enter(self, task: Task, *, is_ready: bool = True) -> None:
        """Runs a task until it waits again, or has ended."""
        self._current = task
        if task.greenlet is None:
            task.greenlet = greenlet.greenlet(lambda _: task.run())
        # The event loop may run in another greenlet than before.
        task.greenlet.parent = greenlet.getcurrent()
        try:
            task.greenlet.switch(is_ready)
        finally:
            self._current = None
            if task.greenlet.dead:
                self._unended -= 1
                if not self._unended:
                    self._ended.set()

    def _enter_woken(self) -> None:
        self._is_called = False
        try:
            while self._woken:
                task = self._woken.popleft()
                if task.is_idle:
                    task.is_idle = False
                    self._enter(task)
        finally:
            if self._woken:  # a task has failed; the others go on
                self._is_called = True
                self._own_loop().call_soon(self._enter_woken)

    def _on_ready(self, socket: int) -> None:
        task = self._waiting.pop(socket, None)
        if task is None:  # the server has ended the connection, which is found out when it is used next
            self.forget(socket)
        else:
            self._enter(task)

    def _end_late_waits(self) -> None:
        self._timer = None
        now = time.monotonic()
        late = [(socket, task) for socket, task in self._waiting.items() if task.deadline <= now]
        for socket, task in late:
            del self._waiting[socket]
            self._enter(task, is_ready=can_be_read(socket))
        if self._waiting and self._timer is None:
            self._timer = self._own_loop().call_later(TICK_SECONDS, self._end_late_waits)
