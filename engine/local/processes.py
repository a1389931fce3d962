"""Child processes that cannot outlive their parent, and the two that a local system has: Asterisk and the engine."""

import asyncio
import os
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from engine.asterisk.config_files import AsteriskHome, AsteriskProgram
from engine.domain.errors import RentedNumbersError

START_SECONDS = 60.0
STOP_SECONDS = 8.0
COMMAND_SECONDS = 5.0


class StartFailed(RentedNumbersError):
    """A part did not come up; the message says where its log is."""


class Child:
    """One child process. Ended by its own pid; when its parent is killed, the kernel ends it too."""

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self.name = name
        self._process = process

    @classmethod
    async def start(cls, name: str, command: Sequence[str], log: Path | None = None) -> "Child":
        """`log`: file for its output, appended to; None: ours."""
        setpriv = shutil.which("setpriv")
        bound = [setpriv, "--pdeathsig", "TERM", "--"] if setpriv else []
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600) if log else None
        try:
            process = await asyncio.create_subprocess_exec(
                *bound,
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                # Ctrl-C reaches us alone: we end the children, in order.
                start_new_session=True,
            )
        finally:
            if output is not None:
                os.close(output)
        return cls(name, process)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.returncode is None

    async def wait(self) -> int:
        return await self._process.wait()

    def kill(self) -> None:
        if self.running:
            self._process.kill()

    async def stop(self) -> None:
        """SIGTERM, and SIGKILL when that is not enough."""
        if self.running:
            self._process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await self._process.wait()
        except TimeoutError:
            self.kill()
            await self._process.wait()


def engine_command() -> list[str]:
    return [sys.executable, "-m", "engine", "serve"]


class LocalAsterisk:
    """An Asterisk of our own. `start` returns when it takes calls."""

    def __init__(self, program: AsteriskProgram, home: AsteriskHome) -> None:
        self._program = program
        self._home = home
        self.child: Child | None = None

    async def start(self) -> Child:
        """Raises StartFailed."""
        # A killed one leaves its socket and pid file behind, and the next would take itself for running.
        for left in (self._home.base / "run").glob("asterisk.*"):
            left.unlink()
        log = self._home.log / "console"
        command = [*self._program.command, "-C", str(self._home.config), "-f", "-n"]
        self.child = await Child.start("asterisk", command, log)
        deadline = time.monotonic() + START_SECONDS
        while await self.command("core waitfullybooted") != 0:
            if not self.child.running or time.monotonic() > deadline:
                await self.child.stop()
                raise StartFailed(f"Asterisk did not start; see {log}")
            await asyncio.sleep(0.1)
        return self.child

    async def stop(self) -> None:
        """Hang up what is up, so that every call is reported and settled, then end Asterisk."""
        await self.end_calls()
        await self.terminate()

    async def end_calls(self) -> None:
        """Hang up what is up, and leave the engine the time to settle it."""
        if self.child is not None and self.child.running and await self.command("channel request hangup all") == 0:
            await asyncio.sleep(0.3)

    async def terminate(self) -> None:
        if self.child is not None:
            await self.child.stop()

    async def command(self, text: str) -> int:
        """Run a command on Asterisk's console. Returns its exit status, 0 for success; output goes nowhere."""
        process = await asyncio.create_subprocess_exec(
            *self._program.command,
            "-C",
            str(self._home.config),
            "-rx",
            text,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            async with asyncio.timeout(COMMAND_SECONDS):
                return await process.wait()
        except TimeoutError:
            process.kill()
            return await process.wait()
