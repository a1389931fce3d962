"""Serves the control socket, on which the command line asks a running engine for what only the engine can do.

See engine.control.protocol for the messages, and engine.control.operator for the work.
"""

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_type_hints

import structlog

from engine.control.protocol import MAX_LINE, READ_SECONDS, WORK_SECONDS, socket_path
from engine.domain.errors import InvalidInput, Refusal
from engine.storage.errors import StorageError

log = structlog.get_logger(__name__)

# Connections that are served at the same time; further ones wait.
MAX_CONVERSATIONS = 8

# A booking's reason may name a person, so only these fields of an answer are logged.
LOGGED_FIELDS = ("booking_id", "seconds", "calls")


@dataclass(frozen=True, slots=True)
class Operation:
    """Something that the engine can be asked for.

    Attributes:
        name: Its name on the socket.
        request: Dataclass of its parameters: text, whole numbers and booleans only.
        run: Carries it out and returns a dataclass; raises Refusal, InvalidInput or StorageError.
    """

    name: str
    request: type[Any]
    run: Callable[[Any], Awaitable[Any]]


class ControlServer:
    """Answers requests on the control socket.

    Args:
        data_dir: Directory of the socket.
        operations: What can be asked for.
    """

    def __init__(self, data_dir: Path, operations: Sequence[Operation]) -> None:
        self._data_dir = data_dir
        self._operations = {operation.name: operation for operation in operations}
        self._free = asyncio.Semaphore(MAX_CONVERSATIONS)

    async def run(self, stop: asyncio.Event) -> None:
        """Serves until `stop`.

        The caller holds the engine's lock, so an existing socket belongs to an engine that has died and is replaced.
        """
        with socket_path(self._data_dir) as path:
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
        except (OSError, TimeoutError, ValueError) as error:  # ValueError: the line is longer than MAX_LINE
            log.warning("control_request_failed", error=type(error).__name__)
        finally:
            writer.close()

    async def _answer(self, line: bytes) -> dict[str, object]:
        try:
            operation, request = self._parse(line)
            done = asdict(await operation.run(request))
        except (Refusal, InvalidInput, StorageError) as error:
            return {"refused": str(error)}
        log.info(
            "operator_request_done", op=operation.name, **{name: done[name] for name in LOGGED_FIELDS if name in done}
        )
        return {"done": done}

    def _parse(self, line: bytes) -> tuple[Operation, object]:
        """Raises InvalidInput."""
        with suppress(ValueError, TypeError, KeyError, RecursionError):
            fields = json.loads(line)
            operation = self._operations[fields.pop("op")]
            request = operation.request(**fields)
            if {key: type(value) for key, value in asdict(request).items()} == _field_types(operation.request):
                return operation, request
        raise InvalidInput(["this is not a request that the engine knows"])


def _field_types(kind: type[Any]) -> dict[str, type]:
    """Returns the classes that a request's fields have at run time, where a NewType is the type that it stands for."""
    return {name: getattr(hint, "__supertype__", hint) for name, hint in get_type_hints(kind).items()}
