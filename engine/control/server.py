"""How the command line reaches a running engine: a socket in the data directory that only its owner can open.

One connection, one request, one answer, each a line of JSON: {"op": "hang_up", "call_id": "…"} is answered by
{"done": {…}} or {"refused": "why"}. What there is to ask for stands in OPERATIONS, and is carried out by
`engine.operator`.
"""

import asyncio
import json
import os
import socket
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeAlias, get_type_hints

import structlog

from engine.bookings.adjustments import Adjustment
from engine.control.requests import DiagnosticsRequest, Done, EndCalls, HangUp, ShareSeconds
from engine.domain.errors import InvalidInput, Refusal, RentedNumbersError
from engine.runtime.diagnostics import Diagnostics, Lateness, LatenessRequest
from engine.storage.bookings import Grant
from engine.storage.errors import StorageError

log = structlog.get_logger(__name__)

SOCKET = "control.sock"
MAX_LINE = 4096
MAX_CONVERSATIONS = 8
READ_SECONDS = 2.0
# Asterisk may be slow to answer while limits of live calls are moved, or calls ended.
WORK_SECONDS = 10.0
ANSWER_SECONDS = READ_SECONDS + WORK_SECONDS + 3.0

Request: TypeAlias = Adjustment | HangUp | EndCalls | ShareSeconds | LatenessRequest | DiagnosticsRequest
Answer: TypeAlias = Grant | Done | Lateness | Diagnostics
OPERATIONS: Mapping[str, type[Request]] = {
    "adjust": Adjustment,
    "hang_up": HangUp,
    "end_calls": EndCalls,
    "share": ShareSeconds,
    "lateness": LatenessRequest,
    "look": DiagnosticsRequest,
}
NAMES = {request: name for name, request in OPERATIONS.items()}


class EngineRefused(RentedNumbersError):
    """In the engine's words."""


class EngineSilent(RentedNumbersError):
    """It is not known whether it was done."""

    def __init__(self) -> None:
        super().__init__(
            "the engine does not answer: it may have been done or not; `bookings show` and `calls live` tell"
        )


class ControlServer:
    """`operations`: by their names, what carries each out; raises Refusal and StorageError."""

    def __init__(self, data_dir: Path, operations: Mapping[str, Callable[[Any], Awaitable[Answer]]]) -> None:
        assert set(operations) == set(OPERATIONS)  # noqa: S101  a mistake of the composition root
        self._data_dir = data_dir
        self._operations = operations
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
                async with asyncio.timeout(WORK_SECONDS):
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
            name, request = _parse(line)
            done = asdict(await self._operations[name](request))
        except (Refusal, InvalidInput, StorageError) as error:
            return {"refused": str(error)}
        # A booking's reason may name a person; ids and counts do not.
        log.info(
            "operator_asked", op=name, **{key: done[key] for key in ("booking_id", "seconds", "calls") if key in done}
        )
        return {"done": done}


def _field_types(kind: type[Request]) -> dict[str, type]:
    """Returns the classes that a request's fields have at run time, where a NewType is the type that it stands for."""
    return {name: getattr(hint, "__supertype__", hint) for name, hint in get_type_hints(kind).items()}


def _parse(line: bytes) -> tuple[str, Request]:
    """Raises InvalidInput."""
    with suppress(ValueError, TypeError, KeyError, RecursionError):
        fields = json.loads(line)
        name = fields.pop("op")
        kind = OPERATIONS[name]
        request = kind(**fields)
        if {key: type(value) for key, value in asdict(request).items()} == _field_types(kind):
            return name, request
    raise InvalidInput(["this is nothing that an engine can be asked for"])


@contextmanager
def _reachable(data_dir: Path) -> Iterator[Path]:
    """The socket's path by an open directory: the path of a socket may have 107 bytes, that of a directory more."""
    directory = os.open(data_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield Path(f"/proc/self/fd/{directory}/{SOCKET}")
    finally:
        os.close(directory)
