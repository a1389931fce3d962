"""How a session waits for its socket: by blocking its thread, or as hub.py does."""

import math
import select
import time
from typing import Protocol


class Waiter(Protocol):
    """How a session waits for its socket."""

    def wait_for(self, socket: int, events: int, deadline: float) -> bool:
        """Waits for events as poll() does. Returns False if the deadline is over (time.monotonic)."""

    def forget(self, socket: int) -> None:
        """The socket will be closed, or is closed already."""


class Blocking:
    """Waits by blocking the thread."""

    def wait_for(self, socket: int, events: int, deadline: float) -> bool:
        """See `Waiter`."""
        left = deadline - time.monotonic()
        return left > 0 and _happens(socket, events, None if left == math.inf else math.ceil(left * 1000))

    def forget(self, socket: int) -> None:
        """See `Waiter`."""


def can_be_read(socket: int) -> bool:
    """Returns whether there is something to read, or the connection has ended."""
    return _happens(socket, select.POLLIN, 0)


def _happens(socket: int, events: int, milliseconds: int | None) -> bool:
    poll = select.poll()
    poll.register(socket, events)
    return bool(poll.poll(milliseconds))
