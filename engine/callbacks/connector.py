"""Connections of callbacks: to guarded sockets only, and never more than so many bytes of an answer.

aiohttp bounds lines, the number of headers and what it holds of a body, but not how much a receiver may send: interim
answers (1xx), blank lines and chunk extensions without end cost the event loop a core until the time is over.
"""

import asyncio
import functools
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.client_proto import ResponseHandler

from engine.callbacks.ssrf import open_socket
from engine.domain.policy import CallbackRules

# Interim answers, head and body together.
MAX_ANSWER_BYTES = 64 * 1024


class AnswerTooLong(aiohttp.ClientPayloadError):
    pass


class _BoundedAnswer(ResponseHandler):
    _left = MAX_ANSWER_BYTES

    def data_received(self, data: bytes) -> None:
        taken, self._left = data[: self._left], self._left - len(data)
        super().data_received(taken)  # its head may be whole, and then the answer counts
        if self._left < 0:
            self._left = 0
            self.set_exception(AnswerTooLong())
            if self.transport is not None:
                self.transport.abort()


class GuardedConnector(aiohttp.TCPConnector):
    def __init__(self, rules: CallbackRules, *, lookups_at_once: int, tls: ssl.SSLContext) -> None:
        super().__init__(
            resolver=OwnThreadsResolver(lookups_at_once),
            socket_factory=functools.partial(open_socket, rules=rules),
            ssl=tls,
            force_close=True,
            limit=0,  # the worker bounds what is under way
        )
        # aiohttp has no public way to choose the protocol of a connection.
        factory = functools.partial(_BoundedAnswer, loop=asyncio.get_running_loop())
        self._factory = factory  # type: ignore[assignment]  # typed as a partial of its own class alone


def tls_of_this_machine() -> ssl.SSLContext:
    """Verifies certificate and host name against this machine's list of authorities."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # Python's default leaves it to the machine's OpenSSL
    return context


class OwnThreadsResolver(AbstractResolver):
    def __init__(self, threads: int) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="callback-dns")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Every address of the host. Raises OSError (socket.gaierror) when there is none."""
        loop = asyncio.get_running_loop()
        try:
            found = await loop.run_in_executor(self._threads, _look_up, host, port, family)
        except UnicodeError as error:  # a label that is empty or too long
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
        """A look-up that is under way cannot be stopped, and nobody waits for it."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _look_up(
    host: str, port: int, family: socket.AddressFamily
) -> list[tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[str | int | bytes, ...]]]:
    found = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    return [(kin, kind, protocol, name, tuple(address)) for kin, kind, protocol, name, address in found]
