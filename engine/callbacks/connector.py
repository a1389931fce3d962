"""Connections of callbacks: to guarded sockets only, and never more than so many bytes of an answer.

aiohttp bounds lines, the number of headers and what it holds of a body, but not how much a receiver may send: interim
answers (1xx), blank lines and chunk extensions without end cost the event loop a core until the time is over.
"""

import asyncio
import functools
import ssl

import aiohttp
from aiohttp.client_proto import ResponseHandler

from engine.callbacks.resolver import OwnThreadsResolver
from engine.callbacks.ssrf import CallbackRules, open_socket

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
