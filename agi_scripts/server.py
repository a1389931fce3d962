"""② The FastAGI listener: who may come in, bounded reads, deadlines, admission, drain.

It stands on panoramisk's `Application` for routes and commands; its `handler` is replaced, because that one
freezes the event loop when a peer closes before the blank line, and knows neither limit nor timeout.
"""

import asyncio
import ipaddress
from collections.abc import Awaitable, Callable, Collection
from socket import socket
from typing import cast

import structlog
from panoramisk.fast_agi import Application, Request

from agi_scripts.errors import AgiError, BadPeer, Unproven
from agi_scripts.proof import is_proven
from agi_scripts.session import MAX_ENVIRONMENT, Environment, Session, WholeLines, read_environment
from agi_scripts.strangers import (
    MAX_STRANGERS,
    UNKNOWN_TOKEN,
    Limits,
    Network,
    Refused,
    Strangers,
    address_of,
    log_refusal,
)
from engine.domain.errors import RentedNumbersError

log = structlog.get_logger(__name__)

Script = Callable[[Session], Awaitable[None]]

LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1"))
# A peer that connected has this long to say what it wants (Asterisk sends it at once): gone within 2 s, however busy.
READ_SECONDS = 1.5
MAX_CONVERSATIONS = 1024
# How many connections wait in the kernel, and how many of them are taken at one turn of the event loop.
BACKLOG = 1024
ACCEPTS_PER_TURN = 100


class FastAgiServer(Application):  # type: ignore[misc]  # panoramisk carries no types
    """Serves scripts on a listening socket.

    `script_seconds`: each has this long before its connection closes. `tokens`: those of our Asterisks. `peers`: where
    they come from. `refused` is told of others. `max_conversations`: of those that have shown who they are;
    `max_strangers`: of the rest.
    """

    def __init__(
        self,
        scripts: dict[str, Script],
        script_seconds: float,
        *,
        tokens: Collection[str],
        peers: Collection[Network] = LOOPBACK,
        refused: Refused = log_refusal,
        read_seconds: float = READ_SECONDS,
        max_conversations: int = MAX_CONVERSATIONS,
        max_strangers: int = MAX_STRANGERS,
    ) -> None:
        super().__init__(loop=asyncio.get_running_loop())
        self._script_seconds = script_seconds
        self._tokens = tuple(tokens)
        self._strangers = Strangers(peers, refused, Limits(strangers=max_strangers))
        self._read_seconds = read_seconds
        self._max_conversations = max_conversations
        self._connections: set[asyncio.Task[None]] = set()
        self._conversations = 0
        for path, script in scripts.items():
            self.add_route(path, script)

    async def run(self, listener: socket, stop: asyncio.Event) -> None:
        """Serve until `stop`; then take no more, and give what is under way its deadline to end."""
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: _Door(self), sock=listener, backlog=ACCEPTS_PER_TURN)
        listener.listen(BACKLOG)
        try:
            await stop.wait()
        finally:
            server.close()
            await self._drain()

    async def _drain(self) -> None:
        """The second wait is for what a cancelled script still has to undo."""
        if self._connections:
            await asyncio.wait(self._connections, timeout=self._script_seconds)
        for task in self._connections:
            task.cancel()
        if self._connections:
            await asyncio.wait(self._connections, timeout=self._script_seconds)

    def may_enter(self, transport: asyncio.BaseTransport) -> bool:
        return self._strangers.may_enter(transport)

    async def handler(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, one script. Whatever goes wrong ends this connection and nothing else."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  streams run each handler in a task of its own
        self._connections.add(task)
        try:
            environment = await self._first_words(reader, writer)
            if environment is not None:
                request = Request(self, {}, WholeLines(reader), writer)
                await self._converse(environment, Session(request, environment))
        finally:
            self._connections.discard(task)
            writer.close()

    async def _first_words(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Environment | None:
        """What a peer says that has proven who it is. Of any other, None: nothing of its request was looked at."""
        transport = writer.transport
        self._strangers.enter(transport)
        try:
            async with asyncio.timeout(self._read_seconds):
                return self._proven(await read_environment(reader))
        except TimeoutError:
            self._strangers.complain("agi_timeout", script="-")
        except asyncio.CancelledError:
            log.warning("agi_cut_off", script="-")
        except Unproven:
            self._strangers.refuse(UNKNOWN_TOKEN, address_of(transport))
        except AgiError as error:
            self._strangers.complain("agi_failed", script="-", kind=type(error).__name__, reason=str(error))
        finally:
            self._strangers.leave(transport)
        return None

    def _proven(self, said: Environment) -> Environment:
        """Raises Unproven."""
        if not is_proven(self._tokens, said.proof, said.unique_id, said.script, said.arguments):
            raise Unproven("not from an Asterisk of ours")
        return said

    async def _converse(self, environment: Environment, session: Session) -> None:
        script = environment.script
        if self._conversations >= self._max_conversations:
            # Without a verdict the caller gets 503 at once, and its carrier tries the next route.
            log.warning("agi_overloaded", conversations=self._max_conversations)
            return
        self._conversations += 1
        try:
            async with asyncio.timeout(self._script_seconds):
                await self._route.get(script, _no_such_script)(session)
        except TimeoutError:
            log.warning("agi_timeout", script=script)
        except asyncio.CancelledError:
            # By `_drain`. Not raised again: asyncio's streams report a handler that ends cancelled as a crash.
            log.warning("agi_cut_off", script=script)
        except AgiError as error:
            log.warning("agi_failed", script=script, kind=type(error).__name__, reason=str(error))
        except RentedNumbersError as error:
            log.error("agi_refused", script=script, kind=type(error).__name__, reason=str(error))
        except Exception:
            log.exception("agi_crashed", script=script)
        finally:
            self._conversations -= 1


class _Door(asyncio.StreamReaderProtocol):
    """Turns away who may not enter, before a byte is read."""

    def __init__(self, server: FastAgiServer) -> None:
        super().__init__(asyncio.StreamReader(limit=MAX_ENVIRONMENT), server.handler)
        self._server = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if self._server.may_enter(transport):
            super().connection_made(transport)
        else:
            cast("asyncio.WriteTransport", transport).abort()


async def _no_such_script(session: Session) -> None:
    raise BadPeer("no such script")
