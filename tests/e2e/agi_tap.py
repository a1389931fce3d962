"""A relay between Asterisk and the engine that records every AGI request and the engine's answer."""

import asyncio
import contextlib
import re
import socket
import threading
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

CHUNK = 4096
START_SECONDS = 10.0
SET = re.compile(rb'SET VARIABLE (\S+) "([^"]*)"\n')


def names_in(names: str) -> list[str]:
    return names.removeprefix("ARRAY(").removesuffix(")").split(",") if names.startswith("ARRAY(") else [names]


@dataclass
class AgiRequest:
    """One AGI request and its answer as bytes; complete once the connection is closed."""

    raw: bytes = b""
    answer: bytes = b""

    @property
    def environment(self) -> dict[str, str]:
        head = self.raw.partition(b"\n\n")[0].decode(errors="replace")
        pairs = (line.partition(": ") for line in head.split("\n"))
        return {key: value for key, _, value in pairs}

    @property
    def script(self) -> str:
        return self.environment["agi_network_script"]

    @property
    def arguments(self) -> list[str]:
        """The arguments of the request. Asterisk leaves out empty ones at the end."""
        environment = self.environment
        return [environment[f"agi_arg_{n}"] for n in range(1, len(environment) + 1) if f"agi_arg_{n}" in environment]

    @property
    def variables(self) -> dict[str, str]:
        """The channel variables that the engine set."""
        return {
            name: value
            for names, values in SET.findall(self.answer)
            for name, value in zip(names_in(names.decode()), values.decode().split(","), strict=True)
        }


@dataclass
class AgiTap:
    """Listens on `port` of 127.0.0.1 for Asterisk and forwards everything to the engine's `engine_port`."""

    port: int
    engine_port: int
    _requests: list[AgiRequest] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=512)
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=[self._serve()], daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(START_SECONDS)
        self._loop.close()

    def requests(self, script: str = "route") -> list[AgiRequest]:
        """The requests for one script so far, in the order of their arrival, whose headers are complete."""
        return [each for each in list(self._requests) if b"\n\n" in each.raw and each.script == script]

    def forget(self) -> None:
        self._requests = []

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._pass_on, sock=self._listener)
        async with server:
            await self._stop.wait()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = AgiRequest()
        self._requests.append(request)
        try:
            engine_reader, engine_writer = await asyncio.open_connection("127.0.0.1", self.engine_port)
        except OSError:
            writer.close()
            return

        async def one_way(source: asyncio.StreamReader, sink: asyncio.StreamWriter, kept: str) -> None:
            with contextlib.suppress(ConnectionError):
                while data := await source.read(CHUNK):
                    setattr(request, kept, getattr(request, kept) + data)
                    sink.write(data)
                    await sink.drain()
            sink.close()

        await asyncio.gather(one_way(reader, engine_writer, "raw"), one_way(engine_reader, writer, "answer"))
