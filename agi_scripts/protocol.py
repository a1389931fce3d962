"""One FastAGI connection, line by line: first Asterisk's environment, then its answers to our commands.

It is an asyncio protocol and not a pair of streams: a pending connection costs a buffer and a timer but no task, and
the reader wakes only when a whole line has arrived. See docs/decisions/0022-one-command-and-no-streams.md.
"""

import asyncio
from typing import Protocol, cast

from agi_scripts.errors import AgiError, BadPeer, CallerGone

# Bytes of an environment, and afterwards of answers that nothing has read yet.
MAX_BUFFER = 16 * 1024
END_OF_ENVIRONMENT = b"\n\n"


class ConnectionHost(Protocol):
    """Receives the events of connections.

    When `on_connect` has admitted a connection, exactly one call of `on_environment` or `on_error` follows.
    """

    def on_connect(self, connection: "AgiProtocol") -> bool:
        """Returns whether the connection is admitted. If not, it is aborted and nothing is read from it."""

    def on_environment(self, connection: "AgiProtocol", environment: bytes) -> None:
        """Takes the whole environment, with the blank line that ends it."""

    def on_error(self, connection: "AgiProtocol", error: AgiError | TimeoutError) -> None:
        """Takes note that no environment will come. The connection is being closed."""


class AgiProtocol(asyncio.Protocol):
    """One connection from a peer that may be an Asterisk.

    Attributes:
        address: The peer's IP address; empty if the peer disconnected at once.
    """

    def __init__(self, host: ConnectionHost, read_seconds: float) -> None:
        """Prepares a connection.

        Args:
            host: Receives the connection's events.
            read_seconds: Time limit for the environment.
        """
        self._host = host
        self._read_seconds = read_seconds
        self._transport: asyncio.Transport
        self._buffer = bytearray()
        # Set while the environment is expected.
        self._deadline: asyncio.TimerHandle | None = None
        self._reader: asyncio.Future[None] | None = None
        # The reason why nothing more can be read.
        self._end: AgiError | None = None
        self.address = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Asks the host for admission and starts the time limit for the environment."""
        self._transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        self.address = str(peer[0]) if peer else ""
        if self._host.on_connect(self):
            self._deadline = asyncio.get_running_loop().call_later(self._read_seconds, self._fail, TimeoutError())
        else:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Buffers bytes, and passes on the environment once it is complete."""
        if self._end is not None:
            return
        before = len(self._buffer)
        self._buffer += data
        if self._deadline is not None:
            self._find_environment(max(0, before - 1))
        elif len(self._buffer) > MAX_BUFFER:
            self._stop_reading(BadPeer("more data than any answer has"))
        else:
            self._wake_reader()

    def eof_received(self) -> None:
        """Ends reading: the peer has closed its side."""
        self._stop_reading(CallerGone("closed in mid-conversation"))

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends reading: the connection is gone."""
        self._stop_reading(CallerGone(str(exc) if exc else "closed in mid-conversation"))

    def write(self, line: str) -> bool:
        """Sends one line; `line` has no line end.

        Returns:
            False if nothing was sent because the peer has closed already.
        """
        if self._end is not None:
            return False
        self._transport.write(line.encode() + b"\n")
        return True

    async def read(self) -> bytes:
        """Reads the next line, without its line end. There must be one reader only, and it sets its own deadline.

        Raises:
            CallerGone: The connection closed.
            BadPeer: The peer sent too much.
        """
        while (end := self._buffer.find(b"\n")) < 0:
            if self._end is not None:
                raise self._end
            self._reader = asyncio.get_running_loop().create_future()
            await self._reader
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return line

    def close(self) -> None:
        """Closes the connection once everything written has been sent."""
        self._transport.close()

    def abort(self) -> None:
        """Closes the connection at once."""
        self._transport.abort()

    def _find_environment(self, start: int) -> None:
        end = self._buffer.find(END_OF_ENVIRONMENT, start)
        if end > MAX_BUFFER or (end < 0 and len(self._buffer) > MAX_BUFFER):
            self._fail(BadPeer(f"environment longer than {MAX_BUFFER} bytes"))
        elif end >= 0:
            environment = bytes(self._buffer[: end + len(END_OF_ENVIRONMENT)])
            del self._buffer[: len(environment)]
            self._cancel_deadline()
            self._host.on_environment(self, environment)

    def _stop_reading(self, error: AgiError) -> None:
        if self._end is None:
            self._end = error
            self._fail(error)
            self._wake_reader()

    def _fail(self, error: AgiError | TimeoutError) -> None:
        """Reports the error, if the environment is still expected; afterwards the reader gets it."""
        if self._deadline is not None:
            self._cancel_deadline()
            self._host.on_error(self, error)
            self._transport.close()

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _wake_reader(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None and not reader.done():
            reader.set_result(None)
