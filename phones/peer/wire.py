"""Sockets that keep every received SIP message over UDP, TCP and TLS, with its time and its sender."""

import asyncio
import contextlib
import re
import socket
import ssl
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Protocol

from phones.messages import Message

Address = tuple[str, int]
SipTransport = Literal["udp", "tcp", "tls"]
# So large that a burst of calls does not overflow our own socket.
BUFFER_BYTES = 4 * 1024 * 1024
MAX_MESSAGE = 256 * 1024
# Linux: the socket option and the type of its ancillary data, which holds seconds and nanoseconds.
SO_TIMESTAMPNS = 35
TIMESTAMP_BYTES = 64
CONTENT_LENGTH = re.compile(rb"^(?:content-length|l)[ \t]*:[ \t]*(\d{1,6})[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True)
class Packet:
    """A received datagram, or one complete message of a stream.

    Attributes:
        at: Wall clock time of receipt, seconds since the epoch.
    """

    at: float
    source: Address
    data: bytes

    @cached_property
    def message(self) -> Message:
        """The packet as a SIP message, decoded as latin-1, which keeps every byte."""
        return Message("received", self.at, self.data.decode("latin-1").replace("\r\n", "\n"))


Take = Callable[["Wire", Packet], None]


class Wire(Protocol):
    """A transport for SIP. `local` is its own address."""

    name: str
    local: Address

    def send(self, data: bytes, to: Address) -> None: ...

    def close(self) -> None: ...


class UdpWire:
    """A UDP socket. Times are the kernel's, so that the order of messages is right even if the program reads late."""

    name = "UDP"

    def __init__(self, local: Address, take: Take) -> None:
        """Opens the socket; port 0 chooses a free port. Raises OSError if the port is taken."""
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self._socket.setblocking(False)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
            self._socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
            self._socket.bind(local)
        except OSError:
            self._socket.close()
            raise
        self.local: Address = self._socket.getsockname()
        self._take = take
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._socket, self._read)

    def _read(self) -> None:
        try:
            data, extra, _, source = self._socket.recvmsg(MAX_MESSAGE, TIMESTAMP_BYTES)
        except OSError:
            return  # the other side has closed its port: the packet is lost, as in a network
        times = [struct.unpack("@ll", value) for _, kind, value in extra if kind == SO_TIMESTAMPNS]
        at = times[0][0] + times[0][1] / 1e9 if times else time.time()
        self._take(self, Packet(at, source, data))

    def send(self, data: bytes, to: Address) -> None:
        with contextlib.suppress(OSError):  # as above
            self._socket.sendto(data, to)

    def close(self) -> None:
        self._loop.remove_reader(self._socket)
        self._socket.close()


class TcpWire:
    """A TCP connection, or one with TLS, read message by message (Content-Length).

    `is_open` becomes false once the other side has closed it.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, take: Take) -> None:
        self.name = "TCP" if writer.get_extra_info("ssl_object") is None else "TLS"
        self.local: Address = writer.get_extra_info("sockname")
        self.remote: Address = writer.get_extra_info("peername")
        self._reader = reader
        self._writer = writer
        self._take = take
        self.is_open = True
        self._reading = asyncio.ensure_future(self._read())

    @classmethod
    async def connect(cls, host: str, to: Address, take: Take, tls: ssl.SSLContext | None = None) -> "TcpWire":
        """Connects. Raises OSError if that fails; with TLS also if the other side's certificate is not accepted."""
        name = None if tls is None else to[0]
        reader, writer = await asyncio.open_connection(
            *to, local_addr=(host, 0), limit=MAX_MESSAGE, ssl=tls, server_hostname=name
        )
        return cls(reader, writer, take)

    async def _read(self) -> None:
        try:
            while True:
                head = await self._reader.readuntil(b"\r\n\r\n")
                length = CONTENT_LENGTH.search(head)
                body = await self._reader.readexactly(int(length[1])) if length else b""
                self._take(self, Packet(time.time(), self.remote, head.lstrip() + body))
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError):
            self.is_open = False

    def send(self, data: bytes, to: Address) -> None:
        """Sends bytes. `to` must be the other end of the connection."""
        self._writer.write(data)

    def close(self) -> None:
        self._reading.cancel()
        if self.name == "TLS":
            # Otherwise it would wait up to 30 s for the other side to end TLS as well.
            self._writer.transport.abort()
        self._writer.close()

    async def wait_closed(self) -> None:
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()
