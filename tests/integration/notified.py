"""A service manager's end of sd_notify: a socket that collects what a service says."""

import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Notified:
    """What a service said.

    Attributes:
        variables: The environment variables that systemd would give the service.
    """

    def __init__(self, connection: socket.socket, address: str, watchdog_seconds: float) -> None:
        self._connection = connection
        microseconds = str(int(watchdog_seconds * 1_000_000))
        self.variables = {"NOTIFY_SOCKET": f"@{address}", "WATCHDOG_USEC": microseconds}

    def wait_for(self, line: str, seconds: float) -> None:
        """Waits for a line; others before it are skipped. Raises TimeoutError."""
        self._connection.settimeout(seconds)
        while self._connection.recv(4096).decode() != line:
            pass

    def said(self) -> list[str]:
        """All lines that have not been read yet."""
        self._connection.setblocking(False)
        lines = []
        with suppress(BlockingIOError):
            while True:
                lines.append(self._connection.recv(4096).decode())
        return lines


@contextmanager
def notified(watchdog_seconds: float = 1.0) -> Iterator[Notified]:
    """Listens as systemd does for one service."""
    address = f"rented-numbers-{secrets.token_hex(8)}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as connection:
        connection.bind(f"\0{address}")
        yield Notified(connection, address, watchdog_seconds)
