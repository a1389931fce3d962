"""The supervisor behind `make run`: sets up, starts Asterisk and the engine, starts again what dies, ends in order."""

import asyncio
import contextlib
import signal
import time
from collections.abc import Awaitable, Callable

import aiohttp
from rich.console import Console

from engine.asterisk.config_files import find_program, reachable, write_own
from engine.config import secrets
from engine.config.settings import Settings
from engine.local import panel
from engine.local.data_dir import make_data_dir
from engine.local.ports import refuse_taken_ports
from engine.local.processes import Child, LocalAsterisk, StartFailed, engine_command
from engine.local.setup import set_up
from engine.runtime import lock
from engine.runtime.backoff import Backoff

READY_SECONDS = 30.0
# An Asterisk that is not ours is there at once, or is shown as missing.
FOREIGN_ASTERISK_SECONDS = 4.0
FIRST_RESTART_SECONDS = 0.2
LONGEST_RESTART_SECONDS = 5.0
# A child that ran this long was healthy: its next death starts again with the shortest wait.
HEALTHY_SECONDS = 30.0

Say = Callable[[str], None]


def run(settings: Settings, console: Console) -> None:
    """Everything, until SIGINT or SIGTERM. Raises DataDirInUse, StartFailed, AsteriskMissing, InsecureSecrets."""

    def say(line: str) -> None:
        console.print(f"  {line}", highlight=False, markup=False, soft_wrap=True)

    make_data_dir(settings)
    with lock.held(settings.data_dir, lock.RUN_LOCK):
        with lock.held(settings.data_dir, lock.ENGINE_LOCK):
            pass  # nobody runs an engine alone here: ours will take it
        kept = set_up(settings, say)
        asyncio.run(_supervise(settings, kept, console, say))
    say("stopped")


async def _supervise(settings: Settings, kept: secrets.Secrets, console: Console, say: Say) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    refuse_taken_ports(settings)
    async with contextlib.AsyncExitStack() as cleanup:
        parts: list[Supervised] = []
        engine = Supervised("engine", lambda: Child.start("engine", engine_command()), say)
        # Ended in the reverse order: calls are hung up, an engine that is still there settles them, and it does not
        # see its Asterisk go, which would look like a fault in the log.
        if settings.manage_asterisk:
            asterisk = LocalAsterisk(find_program(), write_own(settings, kept, find_program()))
            parts.append(Supervised("asterisk", asterisk.start, say))
            cleanup.push_async_callback(asterisk.terminate)
            cleanup.push_async_callback(engine.stop)
            cleanup.push_async_callback(asterisk.end_calls)
        else:
            cleanup.push_async_callback(engine.stop)
        parts.append(engine)
        for part in parts:
            say(f"starting {part.name}")
            await part.start()
        down = await _until_ready(settings, engine, stop)
        if not stop.is_set():
            panel.show(console, settings, kept, down)
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
        backoff = Backoff(FIRST_RESTART_SECONDS, LONGEST_RESTART_SECONDS)
        while True:
            began = time.monotonic()
            if self._child is not None:
                status = await self._child.wait()
                self._say(f"{self.name} ended with status {status}, starting it again")
            if time.monotonic() - began > HEALTHY_SECONDS:
                backoff.reset()
            await asyncio.sleep(backoff.next())
            try:
                self._child = await self._start()
            except StartFailed as error:
                self._child = None
                self._say(str(error))

    async def stop(self) -> None:
        if self._child is not None:
            await self._child.stop()


async def _until_ready(settings: Settings, engine: Supervised, stop: asyncio.Event) -> dict[str, str]:
    """Until /health answers 200. Returns the parts that are not up: there are some only if Asterisk is not ours.

    Raises StartFailed.
    """
    url = f"http://{reachable(settings.http_host)}:{settings.http_port}/health"
    patience = READY_SECONDS if settings.manage_asterisk else FOREIGN_ASTERISK_SECONDS
    deadline = time.monotonic() + patience
    down: dict[str, str] = {}
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2), trust_env=False) as session:
        while not stop.is_set():
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                async with session.get(url) as answer:
                    if answer.status == 200:
                        return {}
                    parts = (await answer.json()).get("parts", {})
                    down = {name: state for name, state in parts.items() if state != "up"}
            if not engine.running:
                raise StartFailed("the engine ended while it was starting; its last lines are above")
            if time.monotonic() > deadline:
                # Somebody else's Asterisk may come up whenever it likes; the engine waits for it.
                if down and not settings.manage_asterisk and "database" not in down:
                    return down
                raise StartFailed(f"{url} does not become ready{_what(down)}")
            await asyncio.sleep(0.1)
    return {}


def _what(down: dict[str, str]) -> str:
    return f": {', '.join(f'{name} is {state}' for name, state in down.items())}" if down else ""
