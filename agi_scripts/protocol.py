"""② One connection with Asterisk, line by line: its environment, then answers to commands.

A protocol of its own in place of asyncio's streams: whoever has not shown who it is costs a buffer and a timer, no
task, and nobody is woken before there is a whole line to read. See docs/decisions/0022-one-command-and-no-streams.md.
"""

import asyncio
from typing import Protocol, cast

from agi_scripts.errors import AgiError, BadPeer, CallerGone

# Of an environment, and of what Asterisk says afterwards and nobody has read yet.
MAX_HELD = 16 * 1024
END_OF_ENVIRONMENT = b"\n\n"


class ConnectionHost(Protocol):
    """Whom a wire tells. After `opened` has let it in, either `said` or `failed` follows, once."""

    def opened(self, wire: "AgiProtocol") -> bool:
        """Whether it may come in. If not, nothing of it is read."""

    def said(self, wire: "AgiProtocol", environment: bytes) -> None:
        """The whole environment, with its blank line."""

    def failed(self, wire: "AgiProtocol", error: AgiError | TimeoutError) -> None:
        """It will not say who it is any more. Its connection is being closed."""


class AgiProtocol(asyncio.Protocol):
    """`read_seconds`: so long may the environment take. `address`: the peer's; empty when it went at once."""

    def __init__(self, host: ConnectionHost, read_seconds: float) -> None:
        self._host = host
        self._read_seconds = read_seconds
        self._transport: asyncio.Transport
        self._held = bytearray()
        # While the environment is awaited.
        self._deadline: asyncio.TimerHandle | None = None
        self._reader: asyncio.Future[None] | None = None
        # Why there will be nothing more to read.
        self._end: AgiError | None = None
        self.address = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        self.address = str(peer[0]) if peer else ""
        if self._host.opened(self):
            self._deadline = asyncio.get_running_loop().call_later(self._read_seconds, self._fail, TimeoutError())
        else:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._end is not None:
            return
        before = len(self._held)
        self._held += data
        if self._deadline is not None:
            self._look_for_environment(max(0, before - 1))
        elif len(self._held) > MAX_HELD:
            self._ended(BadPeer("it says more than it is asked"))
        else:
            self._wake()

    def eof_received(self) -> None:
        self._ended(CallerGone("closed in the middle"))

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended(CallerGone(str(exc) if exc else "closed in the middle"))

    def write(self, line: str) -> bool:
        """False: not sent, because the peer has closed already."""
        if self._end is not None:
            return False
        self._transport.write(line.encode() + b"\n")
        return True

    async def read(self) -> bytes:
        """The next line, without its end. For one reader, who has a deadline. Raises CallerGone, BadPeer."""
        while (end := self._held.find(b"\n")) < 0:
            if self._end is not None:
                raise self._end
            self._reader = asyncio.get_running_loop().create_future()
            await self._reader
        line = bytes(self._held[:end])
        del self._held[: end + 1]
        return line

    def close(self) -> None:
        """Once everything that was written is gone."""
        self._transport.close()

    def abort(self) -> None:
        self._transport.abort()

    def _look_for_environment(self, start: int) -> None:
        end = self._held.find(END_OF_ENVIRONMENT, start)
        if end > MAX_HELD or (end < 0 and len(self._held) > MAX_HELD):
            self._fail(BadPeer(f"environment longer than {MAX_HELD} bytes"))
        elif end >= 0:
            environment = bytes(self._held[: end + len(END_OF_ENVIRONMENT)])
            del self._held[: len(environment)]
            self._stop_waiting()
            self._host.said(self, environment)

    def _ended(self, error: AgiError) -> None:
        if self._end is None:
            self._end = error
            self._fail(error)
            self._wake()

    def _fail(self, error: AgiError | TimeoutError) -> None:
        if self._deadline is not None:
            self._stop_waiting()
            self._host.failed(self, error)
            self._transport.close()

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _wake(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None and not reader.done():
            reader.set_result(None)
