"""The FastAGI listener: admission, request authentication, deadlines, and draining at shutdown."""

import asyncio
import ipaddress
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import replace
from functools import partial
from socket import socket

import structlog

from agi_scripts import dialplan
from agi_scripts.admission import (
    MAX_PENDING,
    NOT_AUTHENTICATED,
    Admission,
    AdmissionLimits,
    Network,
    ReportRefusal,
    log_refusal,
)
from agi_scripts.errors import AgiError, BadPeer, NotAuthenticated
from agi_scripts.protocol import AgiProtocol
from agi_scripts.request_auth import token_of
from agi_scripts.route import route
from agi_scripts.session import CallContext, Environment, Session, parse_environment
from engine.domain.errors import RentedNumbersError

log = structlog.get_logger(__name__)

Script = Callable[[Session], Awaitable[None]]

LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1"))
# Time for a peer to send its environment. Asterisk sends it at once; others are closed within 2 s even under load.
READ_SECONDS = 1.5
MAX_CONVERSATIONS = 1024
# Connections that the kernel queues, and how many of them one turn of the event loop accepts.
BACKLOG = 1024
ACCEPTS_PER_TURN = 100


class FastAgiServer:
    """Serves AGI scripts on a listening socket."""

    def __init__(
        self,
        scripts: Mapping[str, Script],
        script_seconds: float,
        *,
        tokens: Collection[str],
        asterisks: Mapping[str, str] | None = None,
        peers: Collection[Network] = LOOPBACK,
        refused: ReportRefusal = log_refusal,
        may_decide: Callable[[], bool] = lambda: True,
        read_seconds: float = READ_SECONDS,
        max_conversations: int = MAX_CONVERSATIONS,
        max_pending: int = MAX_PENDING,
    ) -> None:
        """Prepares a server.

        Args:
            scripts: The script for each AGI path.
            script_seconds: Time limit for one script; its connection closes then.
            tokens: The tokens that our Asterisks share with us.
            asterisks: The name of each token's Asterisk, where several engines work on the database.
            peers: The networks from which they connect.
            refused: Reports peers that were refused.
            may_decide: Whether calls may be decided on now.
            read_seconds: Time limit for the environment.
            max_conversations: Limit on connections whose request is authenticated.
            max_pending: Limit on the other connections.
        """
        self._scripts = scripts
        self._script_seconds = script_seconds
        self._tokens = tuple(tokens)
        self._asterisks = dict(asterisks or {})
        self._admission = Admission(peers, refused, AdmissionLimits(pending=max_pending))
        self._read_seconds = read_seconds
        self._max_conversations = max_conversations
        self._conversations: set[asyncio.Task[None]] = set()
        self._stopped = False
        self._may_decide = may_decide

    async def run(self, listener: socket, stop: asyncio.Event) -> None:
        """Serves until `stop` is set; then accepts no more and lets running scripts finish within their time limit."""
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            lambda: AgiProtocol(self, self._read_seconds), sock=listener, backlog=ACCEPTS_PER_TURN
        )
        listener.listen(BACKLOG)
        try:
            await stop.wait()
        finally:
            server.close()
            self._stopped = True
            await self._drain()

    async def _drain(self) -> None:
        await self._admission.drain(self._script_seconds)
        if self._conversations:
            await asyncio.wait(self._conversations, timeout=self._script_seconds)
        for task in self._conversations:
            task.cancel()
        if self._conversations:
            # A cancelled script may still have to give a lease back.
            await asyncio.wait(self._conversations, timeout=self._script_seconds)

    @property
    def connections(self) -> int:
        """The number of open connections, pending ones included."""
        return len(self._admission) + len(self._conversations)

    def on_connect(self, connection: AgiProtocol) -> bool:
        """Admits a connection, unless the server has stopped or admission refuses it."""
        # A connection accepted in the same turn of the event loop as the stop would not be drained.
        return not self._stopped and self._admission.enter(connection)

    def on_error(self, connection: AgiProtocol, error: AgiError | TimeoutError) -> None:
        """Logs why a pending connection ends."""
        self._admission.leave(connection)
        if isinstance(error, TimeoutError):
            self._admission.warn("agi_timeout", script="-")
        elif isinstance(error, NotAuthenticated):
            self._admission.refuse(NOT_AUTHENTICATED, connection.address)
        else:
            self._admission.warn("agi_failed", script="-", kind=type(error).__name__, reason=str(error))

    def on_environment(self, connection: AgiProtocol, environment: bytes) -> None:
        """Authenticates the request and starts its script."""
        try:
            authenticated = self._authenticated(parse_environment(environment))
        except AgiError as error:
            self.on_error(connection, error)
            connection.close()
            return
        self._admission.leave(connection)
        if not self._may_decide():
            self._admission.warn("agi_not_decided", script=authenticated.script)
            connection.close()
            return
        if len(self._conversations) >= self._max_conversations:
            # Without a verdict the caller gets 503 at once, and its carrier tries the next route.
            log.warning("agi_overloaded", conversations=self._max_conversations)
            connection.close()
            return
        task = asyncio.get_running_loop().create_task(self._converse(connection, authenticated))
        self._conversations.add(task)
        task.add_done_callback(self._conversations.discard)

    def _authenticated(self, environment: Environment) -> Environment:
        """Returns the environment, with its Asterisk's name, if its MAC is right. Raises NotAuthenticated."""
        token = token_of(
            self._tokens, environment.mac, environment.unique_id, environment.script, environment.arguments
        )
        if token is None:
            raise NotAuthenticated("the request's MAC is missing or wrong")
        return replace(environment, asterisk=self._asterisks[token]) if self._asterisks else environment

    async def _converse(self, connection: AgiProtocol, environment: Environment) -> None:
        """Runs the script of one connection. Any failure ends this connection and no other."""
        script = environment.script
        try:
            async with asyncio.timeout(self._script_seconds):
                await self._scripts.get(script, _no_such_script)(Session(connection, environment))
        except TimeoutError:
            log.warning("agi_timeout", script=script)
        except asyncio.CancelledError:
            log.warning("agi_cut_off", script=script)  # only `_drain` cancels
        except AgiError as error:
            log.warning("agi_failed", script=script, kind=type(error).__name__, reason=str(error))
        except RentedNumbersError as error:
            log.error("agi_refused", script=script, kind=type(error).__name__, reason=str(error))
        except Exception:
            log.exception("agi_crashed", script=script)
        finally:
            connection.close()


async def _no_such_script(session: Session) -> None:
    raise BadPeer("no such script")


def scripts(context: CallContext) -> dict[str, Script]:
    """Returns the script for each AGI path."""
    return {dialplan.ROUTE: partial(route, context)}
