"""The wire to baresip's ctrl_tcp module: JSON objects in netstrings ("12:{…},").

Commands go out; replies and events come in.
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
    """A message and the time.monotonic() it came at: whoever reads it late still knows when it happened."""

    at: float
    body: dict[str, Any]


class Control:
    """A connection to baresip. A thread reads it from the start; `receive` hands out what came, in order."""

    def __init__(self, port: int, timeout: float) -> None:
        """Raises OSError if nobody listens on the port."""
        self._socket = socket.create_connection(("127.0.0.1", port), timeout)
        self._socket.settimeout(None)
        self._received: queue.Queue[Received | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, name=f"baresip control {port}", daemon=True)
        self._reader.start()

    def send(self, command: str, parameters: str, token: str) -> None:
        """Sends a command; its reply carries the token. Raises PhoneError if baresip is gone."""
        body = json.dumps({"command": command, "params": parameters, "token": token}).encode()
        try:
            self._socket.sendall(b"%d:%s," % (len(body), body))
        except OSError as error:
            raise PhoneError(f"baresip is gone: {error}") from error

    def receive(self, timeout: float) -> Received | None:
        """The next message, None after `timeout` seconds; PhoneError once the connection is closed."""
        try:
            received = self._received.get(timeout=max(timeout, 0))
        except queue.Empty:
            return None
        if received is None:
            self._received.put(None)  # for whoever asks next
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
            pass  # a reset, or not netstrings: for the telephone both mean that baresip is gone
        finally:
            self._received.put(None)


def _netstrings(buffer: bytearray) -> Iterator[bytes]:
    """Takes the whole netstrings off the front of the buffer; ValueError if it holds something else."""
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
