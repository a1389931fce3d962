"""Asterisk's console, reached through its own program: `asterisk -rx`.

The console can do everything, so the engine never uses it. Only commands that an operator runs on the machine itself
do, with that operator's rights to Asterisk's control socket; the engine's manager user gets no right for it.

ConsoleError
├── ConsoleUnreachable   no program, no Asterisk that listens, no right to the control socket, or no answer in time
├── UnknownCommand       Asterisk does not know the command: the module that has it does not run
└── CommandRefused       Asterisk does not allow the command, or the output is too long
"""

import asyncio
import os
import re
import signal
from collections.abc import Sequence
from contextlib import suppress

from engine.domain.errors import RentedNumbersError

TIMEOUT_SECONDS = 5.0
# `module show` of an Asterisk with all its modules takes 30 kB.
MAX_OUTPUT = 1 << 20
# The environment variables that Asterisk's program gets: never our settings. With func_env loaded, which the end spool
# needs, everybody who can read variables over AMI can read them all.
ASTERISK_VARIABLES = ("HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PATH", "TMPDIR", "TZ")
_COLOUR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_UNKNOWN = re.compile(r"No such command '")
_NOT_ALLOWED = re.compile(r"You don't have permissions to run '")


class ConsoleError(RentedNumbersError):
    """Any failure of a console command."""


class ConsoleUnreachable(ConsoleError):
    """The console cannot be reached, or did not answer in time; Asterisk may have executed the command."""


class UnknownCommand(ConsoleError):
    """Asterisk does not know the command: the module that has it does not run."""


class CommandRefused(ConsoleError):
    """Asterisk does not allow the command, or its output is too long."""


class Console:
    """The console of one Asterisk.

    Args:
        command: The program and its arguments, without `-rx`.
        timeout: Seconds until a command is given up.
        max_output: Bytes of output that are accepted.
    """

    def __init__(
        self, command: Sequence[str], *, timeout: float = TIMEOUT_SECONDS, max_output: int = MAX_OUTPUT
    ) -> None:
        self._command = tuple(command)
        self._timeout = timeout
        self._max_output = max_output

    async def run(self, command: str) -> str:
        """Runs a console command and returns its output, without colours.

        Raises:
            ConsoleUnreachable: The console cannot be reached, or did not answer in time.
            UnknownCommand: The module that has the command does not run.
            CommandRefused: Asterisk does not allow the command, or its output is too long.
            ValueError: The command has a character that would end it.
        """
        if not command.isprintable():
            raise ValueError("a console command must be one line of printable characters")
        process = await self._start(command)
        try:
            async with asyncio.timeout(self._timeout):
                output = await self._read(process, command)
                status = await process.wait()
        except TimeoutError:
            raise ConsoleUnreachable(f"Asterisk's console did not answer within {self._timeout:g} s") from None
        finally:
            await _end(process)
        if status != 0:
            raise ConsoleUnreachable(_last_line(output) or f"{self._command[0]} ended with status {status}")
        if _UNKNOWN.match(output):
            raise UnknownCommand(_last_line(output))
        if _NOT_ALLOWED.match(output):
            raise CommandRefused(_last_line(output))
        return output

    async def _start(self, command: str) -> asyncio.subprocess.Process:
        try:
            return await asyncio.create_subprocess_exec(
                *self._command,
                "-rx",
                command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                env=asterisk_environment(),
                # The program may be a script: its children end with it.
                start_new_session=True,
            )
        except OSError as error:
            raise ConsoleUnreachable(f"{self._command[0]} cannot be started: {error.strerror}") from error

    async def _read(self, process: asyncio.subprocess.Process, command: str) -> str:
        assert process.stdout is not None  # noqa: S101  it is a pipe
        output = b""
        while chunk := await process.stdout.read(self._max_output + 1 - len(output)):
            output += chunk
            if len(output) > self._max_output:
                raise CommandRefused(f"the output of {command!r} is longer than {self._max_output} bytes")
        return _COLOUR.sub("", output.decode(errors="replace"))


def asterisk_environment() -> dict[str, str]:
    """Returns the environment for Asterisk's program: what it needs, and none of our settings."""
    return {name: os.environ[name] for name in ASTERISK_VARIABLES if name in os.environ}


async def _end(process: asyncio.subprocess.Process) -> None:
    """Kills a process that has not ended, with its children, and closes its pipe."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    await process.communicate()


def _last_line(output: str) -> str:
    return next((line.strip() for line in reversed(output.splitlines()) if line.strip()), "")
