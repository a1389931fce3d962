"""Runs the command line for pages whose content is a command's: `doctor`, `ledger verify`.

They read the whole system, which takes seconds. A separate process with the lowest priority keeps this work away from
the event loop and from the threads that serve calls. And the page shows what the command says, because it runs it.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from engine.domain.errors import RentedNumbersError
from engine.domain.times import EpochMs

RUN_SECONDS = 120.0
LOWEST_PRIORITY = 19
# What the command line puts before each line on standard error.
COMPLAINT = "rented-numbers: "
# These variables mark a service's main process; a command that inherited them would report to systemd for the engine.
_NOT_INHERITED = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID")


class CommandFailed(RentedNumbersError):
    """A command gave no result. The message says why."""


@dataclass(frozen=True, slots=True)
class CommandResult:
    """What a command printed.

    Attributes:
        output: Its JSON.
        messages: Its lines on standard error.
        status: Its exit status; 1 if it found something wrong.
        took_seconds: How long it ran.
        ended_at: When it ended.
    """

    output: Any
    messages: tuple[str, ...]
    status: int
    took_seconds: float
    ended_at: EpochMs


class CommandRunner:
    """Runs one command at a time, and keeps the last result of each.

    Args:
        program: The command line.
        environment: Its environment.
    """

    def __init__(
        self,
        program: Sequence[str] = (sys.executable, "-m", "engine"),
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        self._program = tuple(program)
        self._environment = {name: value for name, value in environment.items() if name not in _NOT_INHERITED}
        self._results: dict[tuple[str, ...], CommandResult | CommandFailed] = {}
        self._running: dict[tuple[str, ...], asyncio.Task[None]] = {}
        self._turn = asyncio.Lock()

    def latest(self, *words: str) -> CommandResult | CommandFailed | None:
        """Returns a command's last result, however old; None if it has not ended yet."""
        return self._results.get(words)

    def is_running(self, *words: str) -> bool:
        """Returns whether a command runs, or waits for its turn."""
        return words in self._running

    def start(self, *words: str) -> None:
        """Starts a command that prints JSON, unless it runs. The words come from the code, not from requests."""
        if words not in self._running:
            task = asyncio.create_task(self._run(words))
            self._running[words] = task
            task.add_done_callback(lambda _: self._running.pop(words, None))

    async def wait(self, *words: str, seconds: float) -> None:
        """Waits for a command that runs, but not for longer than so many seconds."""
        if task := self._running.get(words):
            await asyncio.wait({task}, timeout=seconds)

    async def close(self) -> None:
        """Ends the commands that are running."""
        running = list(self._running.values())
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def _run(self, words: tuple[str, ...]) -> None:
        try:
            async with self._turn:
                self._results[words] = await self._result(words)
        except (CommandFailed, OSError) as error:
            self._results[words] = CommandFailed(str(error))

    async def _result(self, words: tuple[str, ...]) -> CommandResult:
        """Raises CommandFailed and OSError."""
        began = time.monotonic()
        process = await asyncio.create_subprocess_exec(
            *("nice", "-n", str(LOWEST_PRIORITY)),
            *self._program,
            *words,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=self._environment,
        )
        try:
            async with asyncio.timeout(RUN_SECONDS):
                out, err = await process.communicate()
        except TimeoutError:
            raise CommandFailed(f"it did not end within {RUN_SECONDS:.0f} s; run it on the command line") from None
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        messages = tuple(each.removeprefix(COMPLAINT) for each in err.decode("utf-8", "replace").splitlines())
        try:
            output = json.loads(out)
        except ValueError:
            raise CommandFailed(messages[-1] if messages else "it printed nothing") from None
        took, status = time.monotonic() - began, process.returncode or 0
        return CommandResult(output, messages, status, took, EpochMs(round(time.time() * 1000)))
