"""The supervisor behind `make run`: sets up, starts Asterisk and the engine, starts again what dies, ends in order."""

import asyncio
import contextlib
import signal
import socket
import time
from collections.abc import Awaitable, Callable

import aiohttp
from rich.console import Console

from engine import secrets
from engine.local import panel
from engine.local.asterisk_files import find_program, write_own
from engine.local.processes import Child, LocalAsterisk, StartFailed, engine_command
from engine.local.setup import set_up
from engine.settings import Settings

READY_SECONDS = 30.0
FIRST_RESTART_SECONDS = 0.2
LONGEST_RESTART_SECONDS = 5.0
# A child that ran this long was healthy: its next death starts again with the shortest wait.
HEALTHY_SECONDS = 30.0

Say = Callable[[str], None]


def run(settings: Settings, console: Console) -> None:
    """Everything, until SIGINT or SIGTERM. Raises StartFailed, AsteriskMissing, InsecureSecrets."""

    def say(line: str) -> None:
        console.print(f"  {line}", highlight=False)

    kept = set_up(settings, say)
    asyncio.run(_supervise(settings, kept, console, say))


async def _supervise(settings: Settings, kept: secrets.Secrets, console: Console, say: Say) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    refuse_taken_ports(settings)
    async with contextlib.AsyncExitStack() as cleanup:
        parts: list[Supervised] = []
        engine = Supervised("engine", lambda: Child.start("engine", engine_command()), say)
        # Ended in the reverse order: Asterisk's last calls are settled by an engine that is still there.
        cleanup.push_async_callback(engine.stop)
        if settings.manage_asterisk:
            asterisk = LocalAsterisk(find_program(), write_own(settings, kept, find_program()))
            parts.append(Supervised("asterisk", asterisk.start, say))
            cleanup.push_async_callback(asterisk.stop)
        parts.append(engine)
        for part in parts:
            say(f"starting {part.name}")
            await part.start()
        await _until_ready(settings, engine, stop)
        panel.show(console, settings, kept)
        keepers = [asyncio.create_task(part.keep()) for part in parts]
        await asyncio.wait({asyncio.create_task(stop.wait()), *keepers}, return_when=asyncio.FIRST_COMPLETED)
        for keeper in keepers:
            keeper.cancel()
        await asyncio.gather(*keepers, return_exceptions=True)
        say("stopping")


class Supervised:
    """A child that is started again whenever it dies, with back-off."""

    def __init__(self, name: str, start: Callable[[], Awaitable[Child]], say: Say) -> None:
        self.name = name
        self._start = start
        self._say = say
        self._child: Child | None = None

    @property
    def running(self) -> bool:
        return self._child is not None and self._child.running

    async def start(self) -> None:
        self._child = await self._start()

    async def keep(self) -> None:
        """Until cancelled."""
        wait = FIRST_RESTART_SECONDS
        while True:
            began = time.monotonic()
            if self._child is not None:
                status = await self._child.wait()
                self._say(f"{self.name} ended with status {status}, starting it again")
            if time.monotonic() - began > HEALTHY_SECONDS:
                wait = FIRST_RESTART_SECONDS
            await asyncio.sleep(wait)
            wait = min(wait * 2, LONGEST_RESTART_SECONDS)
            try:
                self._child = await self._start()
            except StartFailed as error:
                self._child = None
                self._say(str(error))

    async def stop(self) -> None:
        if self._child is not None:
            await self._child.stop()


def refuse_taken_ports(settings: Settings) -> None:
    """Say which port is taken before anything starts. Raises StartFailed."""
    wanted = [
        ("HTTP", settings.http_host, settings.http_port, socket.SOCK_STREAM),
        ("FastAGI", settings.fastagi_host, settings.fastagi_port, socket.SOCK_STREAM),
    ]
    if settings.manage_asterisk:
        wanted += [
            ("AMI", settings.ami_host, settings.ami_port, socket.SOCK_STREAM),
            ("SIP over TCP", settings.sip_host, settings.sip_port, socket.SOCK_STREAM),
            ("SIP over UDP", settings.sip_host, settings.sip_port, socket.SOCK_DGRAM),
        ]
    for name, host, port, kind in wanted:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1 if kind is socket.SOCK_STREAM else 0)
            try:
                probe.bind((host, port))
            except OSError as error:
                raise StartFailed(
                    f"{name} needs {host}:{port}: {error.strerror}. Is another one running? "
                    "Every port is a setting, see README."
                ) from error


async def _until_ready(settings: Settings, engine: Supervised, stop: asyncio.Event) -> None:
    """Until /health answers 200. Raises StartFailed."""
    url = f"http://{settings.http_host}:{settings.http_port}/health"
    deadline = time.monotonic() + READY_SECONDS
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2), trust_env=False) as session:
        while not stop.is_set():
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                async with session.get(url) as answer:
                    if answer.status == 200:
                        return
            if not engine.running:
                raise StartFailed("the engine ended while it was starting; its last lines are above")
            if time.monotonic() > deadline:
                raise StartFailed(f"{url} does not become ready")
            await asyncio.sleep(0.1)
