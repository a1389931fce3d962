"""The connection to baresip's ctrl_tcp module, which exchanges JSON objects in netstrings ("12:{…},").

We send commands; baresip sends replies and events.
"""

import contextlib
import json
import queue
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from phones.errors import PhoneError

LONGEST_MESSAGE = 1_000_000
READ_SIZE = 65_536


class Received(NamedTuple):
    """A message, and the time.monotonic() when it came, so that a late reader has the right time."""

    at: float
    body: dict[str, Any]


class Control:
    """A connection to baresip. A thread reads it; `receive` returns the messages in order."""

    def __init__(self, port: int, timeout: float) -> None:
        """Connects. Raises OSError if no program listens on the port."""
        self._socket = socket.create_connection(("127.0.0.1", port), timeout)
        self._socket.settimeout(None)
        self._received: queue.Queue[Received | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, name=f"baresip control {port}", daemon=True)
        self._reader.start()

    def send(self, command: str, parameters: str, token: str) -> None:
        """Sends a command. Its reply carries the token. Raises PhoneError if baresip has ended."""
        body = json.dumps({"command": command, "params": parameters, "token": token}).encode()
        try:
            self._socket.sendall(b"%d:%s," % (len(body), body))
        except OSError as error:
            raise PhoneError(f"baresip has ended: {error}") from error

    def receive(self, timeout: float) -> Received | None:
        """Returns the next message, or None after `timeout` seconds. Raises PhoneError if the connection is closed."""
        try:
            received = self._received.get(timeout=max(timeout, 0))
        except queue.Empty:
            return None
        if received is None:
            self._received.put(None)  # for the next call
            raise PhoneError("baresip closed the connection")
        return received

    def close(self) -> None:
        """Closes the connection and ends the thread."""
        with contextlib.suppress(OSError):  # baresip may have closed it first
            self._socket.shutdown(socket.SHUT_RDWR)
        self._reader.join(5)
        self._socket.close()

    def _read(self) -> None:
        buffer = bytearray()
        try:
            while chunk := self._socket.recv(READ_SIZE):
                buffer += chunk
                for body in _netstrings(buffer):
                    self._received.put(Received(time.monotonic(), json.loads(body)))
        except (OSError, ValueError):
            pass  # a reset, or no netstring: both mean that baresip is not usable any more
        finally:
            self._received.put(None)


def _netstrings(buffer: bytearray) -> Iterator[bytes]:
    """Removes the complete netstrings from the front of the buffer. Raises ValueError for any other content."""
    while (colon := buffer.find(b":")) >= 0:
        length = int(buffer[:colon])
        if not 0 <= length <= LONGEST_MESSAGE:
            raise ValueError(f"a message of {length} bytes")
        end = colon + 1 + length
        if len(buffer) <= end:
            return
        body = bytes(buffer[colon + 1 : end])
        del buffer[: end + 1]
        yield body
