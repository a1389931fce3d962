"""A fake Asterisk, the client of FastAGI over a real socket, and the real listener (`fast_agi`).

    call = AgiCall(port, "route", "+3225550001", "+14155550123", "allowed_not_screened")
    channel = await call.run()              # until the engine closes
    channel.variables["RN_VERDICT"]

What it reports afterwards comes over its manager interface, or stands in its end spool:

    await agi.answered(booking)
    await agi.ended(booking, 1500)

Set its answer to the n-th command (from 0): `AgiCall(…, replies={1: Ending.RESET})`.
"""

import asyncio
import re
import socket
import struct
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path
from typing import Any, TypeAlias

import structlog

from agi_scripts.request_auth import request_mac
from agi_scripts.server import FastAgiServer, scripts
from agi_scripts.session import CallContext
from engine.asterisk.ami_link import LinkState
from engine.asterisk.silent_trunks import SilentTrunks
from engine.domain.booking import Booking
from engine.domain.ids import AccountId
from engine.domain.policy import Policy
from tests.contract.samples import CALLER, HIDDEN, POLICY
from tests.contract.world import World
from tests.integration import fake_reports
from tests.integration.ami_links import until_state
from tests.integration.database_world import WorldClock
from tests.integration.engine_parts import EngineParts, engine_parts
from tests.integration.fake_channels import FakeChannels
from tests.integration.fake_reports import TOKEN

PATIENCE_SECONDS = 15.0
CALL_ID = "rn0-1772366400.1"
CHANNEL = "PJSIP/carrier-00000001"
ALLOWED = "allowed_not_screened"

OK = b"200 result=1\n"
# Answers to as many commands as any script sends, for sending in advance.
ALL_OK = OK * 10
HANGUP = b"HANGUP\n"
# Data in parentheses is what a variable holds; panoramisk takes this one for a hang-up.
# In a hangup handler, and for commands that need a channel.
DEAD = b"511 Command Not Permitted on a dead channel or intercept routine\n"
FAILED = b"200 result=-1\n"
DATA_HANGUP = b"200 result=1 (hangup)\n"
UNKNOWN_COMMAND = b"510 Invalid or unknown command\n"
USAGE = b"520-Invalid command syntax.  Proper usage follows:\nUsage: SET VARIABLE\n520 End of proper usage.\n"


class Ending(Enum):
    """What to do instead of an answer."""

    CLOSE = auto()
    RESET = auto()
    # Keep the connection open and send nothing.
    SILENT = auto()


Reply: TypeAlias = bytes | Ending


@dataclass
class Channel:
    """The caller's channel after the call. `wire` has every byte that the engine sent."""

    variables: dict[str, str] = field(default_factory=dict)
    commands: list[str] = field(default_factory=list)
    wire: bytes = b""


class AgiCall:
    """One AGI() of a dialplan. In `changes` to the environment, None omits a line."""

    def __init__(
        self,
        port: int,
        script: str,
        *arguments: str,
        call_id: str = CALL_ID,
        changes: Mapping[str, str | None] | None = None,
        replies: Mapping[int, Reply] | None = None,
    ) -> None:
        self._port = port
        self.lines = environment(script, arguments, call_id, changes or {})
        self.replies = replies or {}

    async def run(self) -> Channel:
        """Run until the engine closes the connection, or as `replies` says. Raises TimeoutError."""
        channel = Channel()
        async with asyncio.timeout(PATIENCE_SECONDS), connected(self._port) as (reader, writer):
            for line in self.lines:
                writer.write(line)  # each in a write of its own, as Asterisk does
                await writer.drain()
            with suppress(ConnectionError):
                await self._answer(channel, reader, writer)
        return channel

    async def _answer(self, channel: Channel, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while raw := await reader.readline():
            channel.wire += raw
            reply = self.replies.get(len(channel.commands), OK)
            command = raw.decode("ascii").removesuffix("\n")
            channel.commands.append(command)
            if reply is Ending.RESET:
                reset(writer)
                return
            if reply is Ending.CLOSE:
                return
            if isinstance(reply, bytes):
                if reply.startswith(b"200"):
                    channel.variables |= variables_of(command)
                writer.write(reply)
                await writer.drain()
                if not reply.endswith(b"\n"):
                    return  # in the middle of a line


def environment(
    script: str, arguments: Iterable[str], call_id: str = CALL_ID, changes: Mapping[str, str | None] | None = None
) -> list[bytes]:
    """Return the lines that Asterisk 22 sends, including the blank one. The last argument is the MAC."""
    given = tuple(arguments)
    shown = (changes or {}).get("agi_uniqueid") or call_id
    values: dict[str, str | None] = {
        "agi_network": "yes",
        "agi_network_script": script,
        "agi_request": f"agi://127.0.0.1/{script}",
        "agi_channel": CHANNEL,
        "agi_language": "en",
        "agi_type": "PJSIP",
        "agi_uniqueid": call_id,
        "agi_version": "22.10.1",
        "agi_callerid": "+14155550123",
        "agi_calleridname": "Zoé: a caller",
        "agi_callingpres": "0",
        "agi_callingani2": "0",
        "agi_callington": "0",
        "agi_callingtns": "0",
        "agi_dnid": "+3225550001",
        "agi_rdnis": "unknown",
        "agi_context": "rented-numbers",
        "agi_extension": "+3225550001",
        "agi_priority": "9",
        "agi_enhanced": "0.0",
        "agi_accountcode": "",
        "agi_threadid": "140337",
        **{f"agi_arg_{at}": each for at, each in enumerate((*given, request_mac(TOKEN, shown, script, given)), 1)},
        **(changes or {}),
    }
    lines = [f"{key}: {value}\n".encode() for key, value in values.items() if value is not None]
    return [*lines, b"\n"]


def variables_of(command: str) -> dict[str, str]:
    """Return names and values of a SET VARIABLE, the only command that the engine may send."""
    match = re.fullmatch(r'SET VARIABLE (?:ARRAY\((\S+)\)|([^\s,]+)) "([^"\\]*)"', command)
    assert match, f"not a command that Asterisk would understand as meant: {command!r}"
    names, values = ([match[2]], [match[3]]) if match[2] else (match[1].split(","), match[3].split(","))
    assert all(re.fullmatch(r"RN_[A-Z]+", name) for name in names), command
    return dict(zip(names, values, strict=True))


@asynccontextmanager
async def connected(
    port: int, source: str = "127.0.0.1"
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection to the engine from `source`, always closed at the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0))
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


def reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST instead of FIN."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def heard(reader: asyncio.StreamReader, seconds: float) -> bytes:
    """Return what arrives within `pause` seconds, or until the peer closes."""
    received = b""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while data := await reader.read(65_536):
                received += data
    return received


@dataclass(frozen=True)
class Parting:
    """The end of a connection: what the peer had received, and after how many seconds."""

    received: bytes
    seconds: float


async def send_raw(
    port: int, *chunks: bytes, pause: float = 0.0, then: Ending = Ending.SILENT, source: str = "127.0.0.1"
) -> Parting:
    """Send anything, then end the connection or wait until the engine does. Raises TimeoutError."""
    began = time.monotonic()
    received = b""
    async with asyncio.timeout(PATIENCE_SECONDS), connected(port, source) as (reader, writer):
        with suppress(ConnectionError):
            for chunk in chunks:
                writer.write(chunk)
                await writer.drain()
                received += await heard(reader, pause)
                if reader.at_eof():
                    break
            if then is Ending.RESET:
                reset(writer)
            if then is Ending.SILENT:
                while data := await reader.read(65_536):
                    received += data
    return Parting(received, time.monotonic() - began)


@dataclass
class FastAgi:
    """The real listener and script over a real database, and the real intake of reports.

    Attributes:
        woken: One entry for each time the callback worker was woken.
        parts: The link to `ami` and what takes in its reports. `ami` has no calls, so no limit can be moved.
        spool: The directory of the end spool.
    """

    world: World
    server: FastAgiServer
    port: int
    stop: asyncio.Event
    serving: asyncio.Task[None]
    woken: list[frozenset[AccountId]]
    logged: Sequence[Mapping[str, Any]]
    context: CallContext
    parts: EngineParts
    spool: Path

    def call(
        self,
        script: str,
        *arguments: str,
        call_id: str = CALL_ID,
        changes: Mapping[str, str | None] | None = None,
        replies: Mapping[int, Reply] | None = None,
    ) -> AgiCall:
        return AgiCall(self.port, script, *arguments, call_id=call_id, changes=changes, replies=replies)

    def incoming(self, service: str, call_id: str = CALL_ID, replies: Mapping[int, Reply] | None = None) -> AgiCall:
        """A call from a number that is not withheld."""
        return self.call("route", service, CALLER, ALLOWED, call_id=call_id, replies=replies)

    async def answered(self, booking: Booking, call_id: str = CALL_ID, now: int | str | None = None) -> None:
        """The callee answers: reports the limit that the call has leased."""
        rows = self.world.rows("SELECT seconds_leased FROM calls WHERE call_id = ?", call_id)
        limit = rows[0]["seconds_leased"] if rows else 1
        now = self.world.now if now is None else now
        await self.parts.report(fake_reports.answered(call_id, booking.id, f"{call_id}-callee", limit, now))

    async def ended(
        self, booking: Booking, answered_ms: int | str = "", dial_status: str = "ANSWER", call_id: str = CALL_ID
    ) -> None:
        """The call ends: reports that in the spool and then by an event, as the dialplan does."""
        report = fake_reports.ended(call_id, booking.id, answered_ms, dial_status, self.world.now)
        fake_reports.spool(self.spool, report)
        await self.parts.report(report)

    def leases(self) -> int:
        """Return how many calls hold a lease."""
        return len(self.world.rows("SELECT call_id FROM calls WHERE ended_at IS NULL"))

    async def until_idle(self) -> None:
        """Wait until no connection is left. Raises TimeoutError."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while self.server.connections:  # noqa: ASYNC110  the server has no such event: only tests ask
                await asyncio.sleep(0.01)


@asynccontextmanager
async def fast_agi(
    world: World, *, script_seconds: float = 10.0, policy: Policy = POLICY, **limits: Any
) -> AsyncIterator[FastAgi]:
    """Run the engine's FastAGI listener on a free port. `limits` are those of FastAgiServer.

    Asserts at the end that no script or event loop callback crashed, and that no hidden number is in the log.
    """
    crashes: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: crashes.append(context))
    woken: list[frozenset[AccountId]] = []
    clock = WorldClock(world)
    world.storage.when_posted(woken.append)
    spool = world.database.parent / "journal"
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    stop = asyncio.Event()
    with structlog.testing.capture_logs() as logged:
        async with FakeChannels() as ami, asyncio.TaskGroup() as tasks:
            parts = engine_parts(world, ami, spool)
            context = CallContext(world.storage, clock, policy, parts.trunks, parts.keeper, SilentTrunks(parts.link))
            server = FastAgiServer(scripts(context), script_seconds, **{"tokens": [TOKEN], **limits})
            serving = tasks.create_task(server.run(listener, stop))
            tasks.create_task(parts.run(stop))
            await until_state(parts.link, LinkState.UP)
            logged.clear()
            port = listener.getsockname()[1]
            try:
                yield FastAgi(world, server, port, stop, serving, woken, logged, context, parts, spool)
            finally:
                stop.set()
    assert not crashes
    crashed = [entry for entry in logged if entry["event"] in {"agi_crashed", "report_failed"}]
    assert not crashed, crashed
    assert HIDDEN[-6:] not in repr(logged)
