"""② The FastAGI listener: bounded reads, deadlines, admission, drain.

It stands on panoramisk's `Application` for routes and commands; its `handler` is replaced, because that one
freezes the event loop when a peer closes before the blank line, and knows neither limit nor timeout.
"""

import asyncio
from collections.abc import Awaitable, Callable
from socket import socket

import structlog
from panoramisk.fast_agi import Application, Request

from agi_scripts.errors import AgiError, BadPeer
from agi_scripts.session import MAX_ENVIRONMENT, Session, read_environment
from engine.domain.errors import RentedNumbersError

log = structlog.get_logger(__name__)

Script = Callable[[Session], Awaitable[None]]

# A peer that connected has this long to say what it wants (Asterisk sends it at once).
READ_SECONDS = 2.0
MAX_CONVERSATIONS = 1024


class FastAgiServer(Application):  # type: ignore[misc]  # panoramisk carries no types
    """Serves scripts on a listening socket. `script_seconds`: each has this long before its connection closes."""

    def __init__(
        self,
        scripts: dict[str, Script],
        script_seconds: float,
        *,
        read_seconds: float = READ_SECONDS,
        max_conversations: int = MAX_CONVERSATIONS,
    ) -> None:
        super().__init__(loop=asyncio.get_running_loop())
        self._script_seconds = script_seconds
        self._read_seconds = read_seconds
        self._max_conversations = max_conversations
        self._conversations: set[asyncio.Task[None]] = set()
        for path, script in scripts.items():
            self.add_route(path, script)

    async def run(self, listener: socket, stop: asyncio.Event) -> None:
        """Serve until `stop`; then take no more, and give what is under way its deadline to end."""
        server = await asyncio.start_server(self.handler, sock=listener, limit=MAX_ENVIRONMENT)
        try:
            await stop.wait()
        finally:
            server.close()
            await self._drain()

    async def _drain(self) -> None:
        """The second wait is for what a cancelled script still has to undo."""
        if self._conversations:
            await asyncio.wait(self._conversations, timeout=self._script_seconds)
        for task in self._conversations:
            task.cancel()
        if self._conversations:
            await asyncio.wait(self._conversations, timeout=self._script_seconds)

    async def handler(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, one script. Whatever goes wrong ends this connection and nothing else."""
        if len(self._conversations) >= self._max_conversations:
            # Without a verdict the caller gets 503 at once, and its carrier tries the next route.
            log.warning("agi_overloaded", conversations=self._max_conversations)
            writer.transport.abort()
            return
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  start_server runs each handler in a task of its own
        self._conversations.add(task)
        script = "-"
        try:
            async with asyncio.timeout(self._read_seconds):
                environment = await read_environment(reader)
            script = environment.script
            endpoint = self._route.get(script, _no_such_script)
            session = Session(Request(self, {}, reader, writer), environment)
            async with asyncio.timeout(self._script_seconds):
                await endpoint(session)
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
            self._conversations.discard(task)
            writer.close()


async def _no_such_script(session: Session) -> None:
    raise BadPeer("no such script")
