"""Sends raw bytes to a SIP port over UDP or TCP, from any address of 127/8, and keeps the answers."""

import contextlib
import re
import select
import socket
import time
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Self

LARGEST = 65_535
CONNECT_SECONDS = 5.0
STATUS = re.compile(rb"SIP/2\.0 (\d{3}) ", re.IGNORECASE)


class SipSocket:
    """A socket for one request, so that everything that it receives answers that request."""

    def __init__(self, target: str, *, source: str = "127.0.0.1", transport: str = "udp", port: int = 0) -> None:
        host, _, number = target.rpartition(":")
        kind = socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM
        self.transport = transport
        self.received: list[bytes] = []
        self._closed = False
        self.socket = socket.socket(socket.AF_INET, kind)
        self.socket.settimeout(CONNECT_SECONDS)
        self.socket.bind((source, port))
        self.socket.connect((host, int(number)))
        self.socket.setblocking(False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()

    @property
    def peer(self) -> str:
        """Its own host:port, for a Via."""
        host, port = self.socket.getsockname()
        return f"{host}:{port}"

    def send(self, raw: bytes) -> None:
        # The other side closed its port (ICMP) or the stream: the attempt has been made.
        with contextlib.suppress(ConnectionError, BlockingIOError, BrokenPipeError):
            self.socket.send(raw)

    def read(self) -> None:
        """Reads what is there, and acknowledges refusals, which would otherwise be repeated for half a minute."""
        for data in self.take():
            self.received.append(data)
            if ack := ack_of(data):
                self.send(ack)

    def take(self) -> Iterator[bytes]:
        """Reads the waiting datagrams or parts of a stream."""
        while not self._closed:
            try:
                data = self.socket.recv(LARGEST)
            except (BlockingIOError, ConnectionRefusedError):
                return
            except ConnectionError:
                data = b""
            if not data:
                self._closed = self.transport != "udp"
                return
            yield data

    @property
    def closed(self) -> bool:
        """Whether the other side has closed the connection."""
        return self._closed

    @property
    def statuses(self) -> list[int]:
        """The statuses of all answers in order, repetitions included."""
        return [int(status) for status in STATUS.findall(b"\n".join(self.received))]

    @property
    def final(self) -> int:
        """The status of the first final answer; 0 without one."""
        return next((status for status in self.statuses if status >= 200), 0)


def read_all(wires: Iterable[SipSocket], seconds: float) -> None:
    """Reads everything that comes within this time."""
    by_socket = {wire.socket: wire for wire in wires}
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0 and by_socket:
        ready, _, _ = select.select(list(by_socket), [], [], left)
        for each in ready:
            by_socket[each].read()
            if by_socket[each].closed:
                del by_socket[each]


def ack_of(answer: bytes) -> bytes | None:
    """Makes the ACK of a refused INVITE from its answer; None for any other message."""
    head = answer.partition(b"\r\n\r\n")[0].split(b"\r\n")
    status = STATUS.match(answer)
    names = {line.partition(b":")[0].strip().lower(): line for line in reversed(head[1:])}
    cseq = names.get(b"cseq", b"").split()
    if not status or not 300 <= int(status[1]) <= 699 or cseq[-1:] != [b"INVITE"]:
        return None
    kept = [names[name] for name in (b"via", b"from", b"to", b"call-id") if name in names]
    lines = [b"ACK sip:acknowledged SIP/2.0", *kept, b"CSeq: " + cseq[-2] + b" ACK", b"Max-Forwards: 70"]
    return b"\r\n".join([*lines, b"Content-Length: 0", b"", b""])
