"""What the control socket's server and its clients agree on.

The socket is in the data directory and only its owner can open it. A connection carries one request and one answer,
each a line of JSON: `{"op": "hang_up", "call_id": "…"}` is answered by `{"done": {…}}` or `{"refused": "the reason"}`.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.domain.errors import RentedNumbersError

SOCKET = "control.sock"
# Longest request or answer, in bytes.
MAX_LINE = 8192

READ_SECONDS = 2.0
# Asterisk may answer slowly while the engine moves the limits of live calls, or ends calls.
WORK_SECONDS = 10.0
# A client waits longer than the server works, so that it gets the server's answer.
ANSWER_SECONDS = READ_SECONDS + WORK_SECONDS + 3.0


class EngineRefused(RentedNumbersError):
    """The engine refused the request. The message is the engine's."""


class EngineSilent(RentedNumbersError):
    """The engine did not answer, so it may have carried out the request or not."""

    def __init__(self) -> None:
        super().__init__(
            "the engine does not answer and may have carried this out or not: see `bookings show` and `calls live`"
        )


@contextmanager
def socket_path(data_dir: Path) -> Iterator[Path]:
    """Yields a short path of the socket, through a descriptor of its open directory.

    Linux limits a socket's path to 107 bytes (unix(7)), and a data directory's path may be longer.
    """
    directory = os.open(data_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield Path(f"/proc/self/fd/{directory}/{SOCKET}")
    finally:
        os.close(directory)
