"""Child processes that cannot outlive their parent; a local system has two: Asterisk and the engine."""

import asyncio
import os
import shutil
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from engine.asterisk.config_files import AsteriskHome, AsteriskProgram
from engine.asterisk.console import Console, ConsoleError, asterisk_environment
from engine.domain.errors import RentedNumbersError

START_SECONDS = 60.0
# The engine may drain for 4 s, and then finish requests and callbacks for 5 s.
STOP_SECONDS = 12.0


class StartFailed(RentedNumbersError):
    """A part of the system did not start; the message says why or where its log is."""


class Child:
    """One child process. If its parent is killed, the kernel ends the child too.

    Attributes:
        name: The name for messages.
    """

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self.name = name
        self._process = process

    @classmethod
    async def start(
        cls, name: str, command: Sequence[str], log: Path | None = None, environment: Mapping[str, str] | None = None
    ) -> "Child":
        """Starts a child.

        Args:
            name: The name for messages.
            command: The program and its arguments.
            log: The file to which its output is appended; None for the parent's own output.
            environment: Its environment variables; None for the parent's own.
        """
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
                env=environment,
                # Ctrl-C must reach the parent only, which ends its children in order.
                start_new_session=True,
            )
        finally:
            if output is not None:
                os.close(output)
        return cls(name, process)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process has not ended yet."""
        return self._process.returncode is None

    async def wait(self) -> int:
        """Waits for the end of the process and returns its exit status."""
        return await self._process.wait()

    def kill(self) -> None:
        """Sends SIGKILL, if the process is running."""
        if self.running:
            self._process.kill()

    async def stop(self) -> None:
        """Ends the process with SIGTERM, and with SIGKILL if it has not ended in time."""
        if self.running:
            self._process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await self._process.wait()
        except TimeoutError:
            self.kill()
            await self._process.wait()


def engine_command() -> list[str]:
    """Returns the command that runs the engine alone. With -P, a directory `engine` where it starts does not count."""
    return [sys.executable, "-P", "-m", "engine", "serve"]


def own_console(program: AsteriskProgram, home: AsteriskHome) -> Console:
    """Returns the console of an Asterisk of our own."""
    return Console([*program.command, "-C", str(home.config)])


class LocalAsterisk:
    """An Asterisk of our own.

    Attributes:
        child: Its process; None before the first start.
    """

    def __init__(self, program: AsteriskProgram, home: AsteriskHome) -> None:
        self._program = program
        self._home = home
        self._console = own_console(program, home)
        self.child: Child | None = None

    async def start(self) -> Child:
        """Starts Asterisk and waits until it takes calls.

        Raises:
            StartFailed: Asterisk ended, or was not ready in time.
        """
        # An Asterisk that was killed leaves its socket and pid file behind, and the next one would believe that another
        # is running.
        for left in self._home.run.glob("asterisk.*"):
            left.unlink()
        log = self._home.log / "console"
        command = [*self._program.command, "-C", str(self._home.config), "-f", "-n"]
        self.child = await Child.start("asterisk", command, log, asterisk_environment())
        deadline = time.monotonic() + START_SECONDS
        while not await self._executes("core waitfullybooted"):
            if not self.child.running or time.monotonic() > deadline:
                await self.child.stop()
                raise StartFailed(f"Asterisk did not start; its output is in {log}")
            await asyncio.sleep(0.1)
        return self.child

    async def stop(self) -> None:
        """Hangs up all calls, so that each is reported and settled, then ends Asterisk."""
        await self.end_calls()
        await self.terminate()

    async def end_calls(self) -> None:
        """Hangs up all calls and gives the engine time to settle them."""
        if self.child is not None and self.child.running and await self._executes("channel request hangup all"):
            await asyncio.sleep(0.3)

    async def terminate(self) -> None:
        """Ends Asterisk, without hanging up calls first."""
        if self.child is not None:
            await self.child.stop()

    async def _executes(self, command: str) -> bool:
        """Runs a command on Asterisk's console. Returns False if the console cannot be reached."""
        try:
            await self._console.run(command)
        except ConsoleError:
            return False
        return True
