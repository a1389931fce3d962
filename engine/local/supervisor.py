"""The supervisor behind `make run`: sets up, starts Asterisk and the engine, restarts what dies, stops all in order."""

import asyncio
import contextlib
import signal
import time
from collections.abc import Awaitable, Callable, Coroutine

import aiohttp
from rich.console import Console

from engine.asterisk.config_files import find_program, write_own
from engine.config import secrets
from engine.config.settings import Settings
from engine.local import panel
from engine.local.console_access import console_link
from engine.local.data_dir import make_data_dir
from engine.local.ports import refuse_taken_ports
from engine.local.processes import Child, LocalAsterisk, StartFailed, engine_command
from engine.local.setup import Report, set_up
from engine.runtime import lock
from engine.runtime.backoff import Backoff
from engine.runtime.service_manager import ServiceManager

READY_SECONDS = 30.0
# An Asterisk that is not ours is reached within this time, or is shown as missing.
FOREIGN_ASTERISK_SECONDS = 4.0
FIRST_RESTART_SECONDS = 0.2
LONGEST_RESTART_SECONDS = 5.0
# A child that ran for this long was healthy: after its next death the back-off starts again with the shortest wait.
HEALTHY_SECONDS = 30.0


def run(settings: Settings, console: Console) -> None:
    """Sets up and runs the whole system until SIGINT or SIGTERM.

    Args:
        settings: The settings.
        console: Where progress and the panel are printed.

    Raises:
        DataDirUnusable: The data directory cannot be used.
        DataDirInUse: Another system is running on it.
        InsecureSecrets: A secret cannot be used.
        AsteriskMissing: There is no usable Asterisk.
        StartFailed: A part did not start.
    """

    def report(line: str) -> None:
        console.print(f"  {line}", highlight=False, markup=False, soft_wrap=True)

    make_data_dir(settings)
    with lock.held(settings.data_dir, lock.RUN_LOCK):
        with lock.held(settings.data_dir, lock.ENGINE_LOCK):
            pass  # checks that no engine runs alone on this directory; our own engine takes this lock
        kept = set_up(settings, report)
        if settings.has_browser_phone:
            kept = secrets.renew(settings.data_dir / "secrets", secrets.OF_ONE_RUN)
        asyncio.run(_supervise(settings, kept, console, report))
    report("stopped")


async def _supervise(settings: Settings, kept: secrets.Secrets, console: Console, report: Report) -> None:
    stop, manager = asyncio.Event(), ServiceManager()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    refuse_taken_ports(settings)
    async with contextlib.AsyncExitStack() as cleanup:
        engine = Supervised("engine", lambda: Child.start("engine", engine_command()), report)
        parts = [engine]
        if settings.manage_asterisk:
            program = find_program()
            asterisk = LocalAsterisk(program, write_own(settings, kept, program))
            parts.insert(0, Supervised("asterisk", asterisk.start, report))
            # The clean-up runs in reverse order. Calls are hung up first, so that the engine can still settle them; the
            # engine ends before Asterisk, or it would log the loss of Asterisk as a fault.
            cleanup.push_async_callback(asterisk.terminate)
            cleanup.push_async_callback(engine.stop)
            cleanup.push_async_callback(asterisk.end_calls)
        else:
            cleanup.push_async_callback(engine.stop)
        for part in parts:
            report(f"starting {part.name}")
            await part.start()
        down = await _wait_until_ready(settings, engine, stop)
        if not stop.is_set():
            panel.show(console, settings, kept, down, await console_link(settings, kept.key_pepper))
        await _keep_running(parts, manager.run(stop))
        report("stopping")


async def _keep_running(parts: list["Supervised"], serving: Coroutine[None, None, None]) -> None:
    """Restarts parts that die, until `serving` ends."""
    keepers = [asyncio.create_task(part.keep()) for part in parts]
    await asyncio.wait({asyncio.create_task(serving), *keepers}, return_when=asyncio.FIRST_COMPLETED)
    for keeper in keepers:
        keeper.cancel()
    await asyncio.gather(*keepers, return_exceptions=True)


class Supervised:
    """A child that is restarted whenever it dies, with a back-off.

    Attributes:
        name: The name for messages.
    """

    def __init__(self, name: str, start: Callable[[], Awaitable[Child]], report: Report) -> None:
        self.name = name
        self._start = start
        self._report = report
        self._child: Child | None = None

    @property
    def running(self) -> bool:
        """Whether the child runs now."""
        return self._child is not None and self._child.running

    async def start(self) -> None:
        """Starts the child for the first time."""
        self._child = await self._start()

    async def keep(self) -> None:
        """Waits for the child's death and restarts it, again and again, until cancelled."""
        backoff = Backoff(FIRST_RESTART_SECONDS, LONGEST_RESTART_SECONDS)
        while True:
            began = time.monotonic()
            if self._child is not None:
                status = await self._child.wait()
                self._report(f"{self.name} ended with status {status} and is restarted")
            if time.monotonic() - began > HEALTHY_SECONDS:
                backoff.reset()
            await asyncio.sleep(backoff.next())
            try:
                self._child = await self._start()
            except StartFailed as error:
                self._child = None
                self._report(str(error))

    async def stop(self) -> None:
        """Ends the child."""
        if self._child is not None:
            await self._child.stop()


async def _wait_until_ready(settings: Settings, engine: Supervised, stop: asyncio.Event) -> dict[str, str]:
    """Waits until /ready answers 200, or until `stop` is set.

    Returns:
        The parts that are not up, with their states. There are some only if Asterisk is not ours.

    Raises:
        StartFailed: The engine ended, or the system was not ready in time.
    """
    url = f"{settings.http_url}/ready"
    deadline = time.monotonic() + READY_SECONDS
    down: dict[str, str] = {}
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2), trust_env=False) as session:
        while not stop.is_set():
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                async with session.get(url) as answer:
                    if answer.status == 200:
                        return {}
                    parts = (await answer.json()).get("parts", {})
                    if not down and not settings.manage_asterisk:
                        # The engine is up. An Asterisk that somebody else runs gets a little more time.
                        deadline = min(deadline, time.monotonic() + FOREIGN_ASTERISK_SECONDS)
                    down = {name: state for name, state in parts.items() if state != "up"}
            if not engine.running:
                raise StartFailed("the engine ended during its start; its last log lines are above")
            if time.monotonic() > deadline:
                # An Asterisk that somebody else runs may come up at any time, and the engine waits for it.
                if down and not settings.manage_asterisk and "database" not in down:
                    return down
                raise StartFailed(f"{url} was not ready in time{_states(down)}")
            await asyncio.sleep(0.1)
    return {}


def _states(down: dict[str, str]) -> str:
    return f": {', '.join(f'{name} is {state}' for name, state in down.items())}" if down else ""
