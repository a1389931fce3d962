"""Runs tasks on one thread: while one waits for its server, the others go on.

A task is plain code that waits: a command that a worker runs. With a thread for each connection, the threads took the
interpreter's lock from each other in every step of libpq, up to 50 times in a round trip, which was a third of the
engine's CPU. Here each task is a greenlet: the hub leaves it where it waits, and enters it again when its socket can be
read.
"""

import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

import greenlet

T = TypeVar("T")

# The longest wait without an event.
_MAX_WAIT_MS = 60_000


class Task:
    """Something that the hub runs. Make one with `Hub.add`.

    Attributes:
        deadline: When its wait ends (time.monotonic); None while it does not wait for a time.
        socket: The socket that it waits for; None if there is none.
        is_idle: Whether it waits to be woken.
    """

    __slots__ = ("deadline", "greenlet", "is_idle", "run", "socket")

    def __init__(self, run: Callable[[], object]) -> None:
        self.run = run
        self.greenlet: greenlet.greenlet | None = None
        self.deadline: float | None = None
        self.socket: int | None = None
        self.is_idle = True


class Hub:
    """A thread that runs tasks, and ends when all of them have ended.

    Args:
        name: The thread's name.
        before_wait: Called on the thread when all tasks wait.
    """

    def __init__(self, name: str, before_wait: Callable[[], object]) -> None:
        self._before_wait = before_wait
        self._tasks: list[Task] = []
        self._waiting: dict[Task, None] = {}  # in the order in which they began to wait
        self._woken: deque[Task] = deque()
        self._sockets: dict[int, Task] = {}
        self._poll = select.poll()
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._poll.register(self._bell, select.POLLIN)
        self._is_asleep = False
        self._current: Task | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def add(self, run: Callable[[], object]) -> Task:
        """Adds a task before the thread is started. The task begins when it is woken."""
        task = Task(run)
        self._tasks.append(task)
        return task

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def join(self) -> None:
        """Waits for the thread's end."""
        self._thread.join()

    def wake(self, task: Task) -> None:
        """Makes a task go on that is idle, or that becomes so; may be called from any thread."""
        self._woken.append(task)
        if self._is_asleep:
            self._is_asleep = False
            os.eventfd_write(self._bell, 1)

    def idle(self) -> None:
        """Makes the current task wait until it is woken. It may have been woken for something that is done already."""
        self._running().is_idle = True
        self._leave()

    def sleep(self, seconds: float) -> None:
        """Makes the current task wait for a time."""
        self._wait_until(time.monotonic() + seconds)

    def wait_for(self, socket: int, events: int, deadline: float) -> bool:
        """Makes the current task wait for a socket.

        Args:
            socket: The socket's file descriptor.
            events: What to wait for, as for poll().
            deadline: When the wait ends (time.monotonic).

        Returns:
            False if the time was over first.
        """
        task = self._running()
        task.socket = socket
        self._sockets[socket] = task
        self._poll.register(socket, events)
        return self._wait_until(deadline)

    def apart(self, work: Callable[[], T]) -> T:
        """Runs something that blocks on a thread of its own, while the other tasks go on.

        Raises:
            Exception: Whatever it raises.
        """
        task, outcome = self._running(), Future[T]()

        def run() -> None:
            try:
                outcome.set_result(work())
            except Exception as error:
                outcome.set_exception(error)
            self.wake(task)

        threading.Thread(target=run, name=f"{self._thread.name}-apart", daemon=True).start()
        while not outcome.done():
            self.idle()
        return outcome.result()

    def _running(self) -> Task:
        if self._current is None:
            raise RuntimeError("only a task may wait")
        return self._current

    def _wait_until(self, deadline: float) -> bool:
        task = self._running()
        task.deadline = deadline
        self._waiting[task] = None
        return self._leave()

    def _leave(self) -> bool:
        """Goes back to the hub. Returns whether the socket is ready when the hub enters the task again."""
        inside = greenlet.getcurrent().parent
        if inside is None:
            raise RuntimeError("only a task may wait")
        return bool(inside.switch())

    def _enter(self, task: Task, *, is_ready: bool) -> None:
        """Runs a task until it waits again, or has ended."""
        self._current = task
        if task.greenlet is None:
            task.greenlet = greenlet.greenlet(task.run)
            task.greenlet.switch()
        else:
            task.greenlet.switch(is_ready)
        self._current = None

    def _run(self) -> None:
        while True:
            while self._woken:
                task = self._woken.popleft()
                if task.is_idle:
                    task.is_idle = False
                    self._enter(task, is_ready=True)
            self._before_wait()
            if all(task.greenlet is not None and task.greenlet.dead for task in self._tasks):
                break
            self._wait_for_events()
        self._poll.unregister(self._bell)
        os.close(self._bell)

    def _wait_for_events(self) -> None:
        """Waits until a task is woken, its socket is ready or its time is over, and enters the tasks but the woken."""
        soonest = min((task.deadline for task in self._waiting if task.deadline is not None), default=None)
        left_ms = _MAX_WAIT_MS if soonest is None else max(0.0, min(_MAX_WAIT_MS, (soonest - time.monotonic()) * 1000))
        self._is_asleep = True
        ready = self._poll.poll(0 if self._woken else left_ms)
        self._is_asleep = False
        for socket, _ in ready:
            if socket == self._bell:
                os.eventfd_read(self._bell)
            else:
                self._end_wait(self._sockets[socket], is_ready=True)
        if soonest is not None and soonest <= (now := time.monotonic()):
            for task in [each for each in self._waiting if each.deadline is not None and each.deadline <= now]:
                self._end_wait(task, is_ready=False)

    def _end_wait(self, task: Task, *, is_ready: bool) -> None:
        del self._waiting[task]
        if task.socket is not None:
            self._poll.unregister(task.socket)
            del self._sockets[task.socket]
        task.socket = task.deadline = None
        self._enter(task, is_ready=is_ready)
