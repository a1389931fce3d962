"""How the command line reaches a running engine: a socket in the data directory that only its owner can open.

One connection, one request, one answer, each a line of JSON. What an adjustment needs of the engine is that it alone
moves the limits of live calls.
"""

import asyncio
import json
import os
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path

import structlog

from engine.adjustments import Adjustment
from engine.domain.errors import InvalidInput, Refusal, RentedNumbersError
from engine.storage.errors import StorageError
from engine.storage.rows import Grant, grant_from_row

log = structlog.get_logger(__name__)

SOCKET = "control.sock"
MAX_LINE = 4096
MAX_CONVERSATIONS = 8
READ_SECONDS = 2.0
# Limits of live calls may have to be moved in an Asterisk that is slow to answer.
ADJUST_SECONDS = 10.0
ANSWER_SECONDS = READ_SECONDS + ADJUST_SECONDS + 3.0


class EngineRefused(RentedNumbersError):
    """In the engine's words."""


class EngineSilent(RentedNumbersError):
    """It is not known whether it was done."""

    def __init__(self) -> None:
        super().__init__("the engine does not answer; `rented-numbers bookings show` tells whether it was done")


class ControlServer:
    """`adjust` raises Refusal and StorageError."""

    def __init__(self, data_dir: Path, adjust: Callable[[Adjustment], Awaitable[Grant]]) -> None:
        self._data_dir = data_dir
        self._adjust = adjust
        self._free = asyncio.Semaphore(MAX_CONVERSATIONS)

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop`. The caller holds the engine's lock: a socket that lies there is a dead engine's."""
        with _reachable(self._data_dir) as path:
            path.unlink(missing_ok=True)
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            listener.bind(str(path))
            path.chmod(0o600)
            server = await asyncio.start_unix_server(self._serve, sock=listener, limit=MAX_LINE)
            try:
                await stop.wait()
            finally:
                server.close()
                path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with self._free:
                async with asyncio.timeout(READ_SECONDS):
                    line = await reader.readline()
                async with asyncio.timeout(ADJUST_SECONDS):
                    answer = await self._answer(line)
                writer.write(json.dumps(answer).encode() + b"\n")
                async with asyncio.timeout(READ_SECONDS):
                    await writer.drain()
        except (OSError, TimeoutError, ValueError) as error:  # ValueError: longer than MAX_LINE
            log.warning("control_failed", error=type(error).__name__)
        finally:
            writer.close()

    async def _answer(self, line: bytes) -> dict[str, object]:
        try:
            adjustment = _parse(line)
            grant = await self._adjust(adjustment)
        except (Refusal, InvalidInput, StorageError) as error:
            return {"refused": str(error)}
        log.info("adjusted", booking=grant.booking_id, seconds=grant.seconds, calls=grant.calls)
        return {"grant": asdict(grant)}


def ask_engine(data_dir: Path, adjustment: Adjustment) -> Grant | None:
    """Have the running engine adjust. None: no engine is running. Raises EngineRefused, EngineSilent."""
    with _reachable(data_dir) as path, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(ANSWER_SECONDS)
        try:
            connection.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            return None
        try:
            connection.sendall(json.dumps(asdict(adjustment)).encode() + b"\n")
            with connection.makefile("rb") as lines:
                answer = json.loads(lines.readline(MAX_LINE))
        except (OSError, ValueError):
            raise EngineSilent from None
    if "refused" in answer:
        raise EngineRefused(answer["refused"])
    return grant_from_row(answer["grant"])


def _parse(line: bytes) -> Adjustment:
    """Raises InvalidInput."""
    with suppress(ValueError, TypeError, RecursionError):
        adjustment = Adjustment(**json.loads(line))
        if [type(value) for value in asdict(adjustment).values()] == [str, str, int, int, str]:
            return adjustment
    raise InvalidInput(["this is no adjustment"])


@contextmanager
def _reachable(data_dir: Path) -> Iterator[Path]:
    """The socket's path by an open directory: the path of a socket may have 107 bytes, that of a directory more."""
    directory = os.open(data_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield Path(f"/proc/self/fd/{directory}/{SOCKET}")
    finally:
        os.close(directory)
