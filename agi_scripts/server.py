"""② The FastAGI listener: who may come in, deadlines, admission, drain."""

import asyncio
import ipaddress
from collections.abc import Awaitable, Callable, Collection, Mapping
from functools import partial
from socket import socket

import structlog

from agi_scripts import dialplan
from agi_scripts.admission import MAX_PENDING, UNKNOWN_TOKEN, Admission, AdmissionLimits, Network, Refused, log_refusal
from agi_scripts.answered import answered
from agi_scripts.ended import ended
from agi_scripts.errors import AgiError, BadPeer, NotAuthenticated
from agi_scripts.protocol import AgiProtocol
from agi_scripts.request_auth import is_authentic
from agi_scripts.route import route
from agi_scripts.session import CallContext, Environment, Session, parse_environment
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


class FastAgiServer:
    """Serves scripts on a listening socket.

    `script_seconds`: each has this long before its connection closes. `tokens`: those of our Asterisks. `peers`: where
    they come from. `refused` is told of others. `max_conversations`: of those that have shown who they are;
    `max_strangers`: of the rest.
    """

    def __init__(
        self,
        scripts: Mapping[str, Script],
        script_seconds: float,
        *,
        tokens: Collection[str],
        peers: Collection[Network] = LOOPBACK,
        refused: Refused = log_refusal,
        read_seconds: float = READ_SECONDS,
        max_conversations: int = MAX_CONVERSATIONS,
        max_strangers: int = MAX_PENDING,
    ) -> None:
        self._scripts = scripts
        self._script_seconds = script_seconds
        self._tokens = tuple(tokens)
        self._strangers = Admission(peers, refused, AdmissionLimits(strangers=max_strangers))
        self._read_seconds = read_seconds
        self._max_conversations = max_conversations
        self._conversations: set[asyncio.Task[None]] = set()
        self._stopped = False

    async def run(self, listener: socket, stop: asyncio.Event) -> None:
        """Serve until `stop`; then take no more, and give what is under way its deadline to end."""
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
        """The last wait is for what a cancelled script still has to undo."""
        await self._strangers.until_gone(self._script_seconds)
        if self._conversations:
            await asyncio.wait(self._conversations, timeout=self._script_seconds)
        for task in self._conversations:
            task.cancel()
        if self._conversations:
            await asyncio.wait(self._conversations, timeout=self._script_seconds)

    @property
    def connections(self) -> int:
        """How many are being served, those included that have not shown who they are."""
        return len(self._strangers) + len(self._conversations)

    def opened(self, wire: AgiProtocol) -> bool:
        # Accepted in the very turn of the event loop in which it stopped: nobody would wait for its end.
        return not self._stopped and self._strangers.enter(wire)

    def failed(self, wire: AgiProtocol, error: AgiError | TimeoutError) -> None:
        self._strangers.leave(wire)
        if isinstance(error, TimeoutError):
            self._strangers.complain("agi_timeout", script="-")
        elif isinstance(error, NotAuthenticated):
            self._strangers.refuse(UNKNOWN_TOKEN, wire.address)
        else:
            self._strangers.complain("agi_failed", script="-", kind=type(error).__name__, reason=str(error))

    def said(self, wire: AgiProtocol, environment: bytes) -> None:
        """Of a peer that has not proven who it is nothing is looked at."""
        try:
            proven = self._proven(parse_environment(environment))
        except AgiError as error:
            self.failed(wire, error)
            wire.close()
            return
        self._strangers.leave(wire)
        if len(self._conversations) >= self._max_conversations:
            # Without a verdict the caller gets 503 at once, and its carrier tries the next route.
            log.warning("agi_overloaded", conversations=self._max_conversations)
            wire.close()
            return
        task = asyncio.get_running_loop().create_task(self._converse(wire, proven))
        self._conversations.add(task)
        task.add_done_callback(self._conversations.discard)

    def _proven(self, said: Environment) -> Environment:
        """Raises Unproven."""
        if not is_authentic(self._tokens, said.proof, said.unique_id, said.script, said.arguments):
            raise NotAuthenticated("not from an Asterisk of ours")
        return said

    async def _converse(self, wire: AgiProtocol, environment: Environment) -> None:
        """One connection, one script. Whatever goes wrong ends this connection and nothing else."""
        script = environment.script
        try:
            async with asyncio.timeout(self._script_seconds):
                await self._scripts.get(script, _no_such_script)(Session(wire, environment))
        except TimeoutError:
            log.warning("agi_timeout", script=script)
        except asyncio.CancelledError:
            log.warning("agi_cut_off", script=script)  # by `_drain`
        except AgiError as error:
            log.warning("agi_failed", script=script, kind=type(error).__name__, reason=str(error))
        except RentedNumbersError as error:
            log.error("agi_refused", script=script, kind=type(error).__name__, reason=str(error))
        except Exception:
            log.exception("agi_crashed", script=script)
        finally:
            wire.close()


async def _no_such_script(session: Session) -> None:
    raise BadPeer("no such script")


def scripts(context: CallContext) -> dict[str, Script]:
    """AGI path → script."""
    return {
        dialplan.ROUTE: partial(route, context),
        dialplan.ANSWERED: partial(answered, context),
        dialplan.ENDED: partial(ended, context),
    }
