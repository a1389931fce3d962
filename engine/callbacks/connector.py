"""Connections for callbacks: guarded sockets, and a limit on the bytes of an answer.

aiohttp limits the length of lines, the number of headers and the buffered part of a body, but not how much a receiver
sends. Endless interim answers (1xx), blank lines or chunk extensions would keep the event loop busy until the timeout.
"""

import asyncio
import functools
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.client_proto import ResponseHandler

from engine.callbacks.answer_head import CURRENT_HEAD, AnswerHead
from engine.callbacks.ssrf import open_socket
from engine.domain.policy import CallbackRules

# For interim answers, head and body together.
MAX_ANSWER_BYTES = 64 * 1024


class AnswerTooLong(aiohttp.ClientPayloadError):
    """The receiver sent more than `MAX_ANSWER_BYTES`."""


class _BoundedAnswer(ResponseHandler):
    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._left = MAX_ANSWER_BYTES
        self._head = CURRENT_HEAD.get() or AnswerHead()

    def data_received(self, data: bytes) -> None:
        taken, self._left = data[: self._left], self._left - len(data)
        self._head.feed(taken)
        super().data_received(taken)  # if this completes the head, the answer counts
        if self._left < 0:
            self._left = 0
            self.set_exception(AnswerTooLong())
            if self.transport is not None:
                self.transport.abort()


class GuardedConnector(aiohttp.TCPConnector):
    """Opens guarded sockets (see ssrf.py), one for each request, and limits the size of answers."""

    def __init__(self, rules: CallbackRules, *, lookups_at_once: int, tls: ssl.SSLContext) -> None:
        super().__init__(
            resolver=OwnThreadsResolver(lookups_at_once),
            socket_factory=functools.partial(open_socket, rules=rules),
            ssl=tls,
            force_close=True,
            limit=0,  # the worker limits the attempts under way
        )
        # aiohttp has no public way to choose the protocol of a connection.
        factory = functools.partial(_BoundedAnswer, loop=asyncio.get_running_loop())
        self._factory = factory  # type: ignore[assignment]  # aiohttp types it as a partial of its own class only


def tls_of_this_machine() -> ssl.SSLContext:
    """Returns TLS settings that verify certificate and host name by this machine's list of authorities."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # Python's default depends on the machine's OpenSSL
    return context


class OwnThreadsResolver(AbstractResolver):
    """Looks names up in threads of its own, so that slow DNS servers do not block the event loop's shared threads."""

    def __init__(self, threads: int) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="callback-dns")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Returns every address of the host.

        Raises:
            OSError: The host has no address (socket.gaierror), or is not a host name.
        """
        loop = asyncio.get_running_loop()
        try:
            found = await loop.run_in_executor(self._threads, _look_up, host, port, family)
        except UnicodeError as error:  # a label is empty or too long
            raise OSError(f"not a host name: {type(error).__name__}") from None
        return [
            ResolveResult(
                hostname=host,
                host=str(address[0]),
                port=port,
                family=found_family,
                proto=protocol,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for found_family, _, protocol, _, address in found
        ]

    async def close(self) -> None:
        """Stops the threads without waiting for look-ups under way, because these cannot be stopped."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _look_up(
    host: str, port: int, family: socket.AddressFamily
) -> list[tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[str | int | bytes, ...]]]:
    found = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    return [(kin, kind, protocol, name, tuple(address)) for kin, kind, protocol, name, address in found]
