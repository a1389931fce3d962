"""③ One call's conversation with Asterisk: its environment in, commands out, a typed error when it breaks.

panoramisk's `Request` sends the commands and parses the answers. What it lets through is caught here: an end of
the connection in mid-command, and every wait. What may be sent is up to commands.py.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

from panoramisk.fast_agi import Request

from agi_scripts.commands import set_variable
from agi_scripts.errors import BadPeer, CallerGone, CommandRefused

MAX_ENVIRONMENT = 16 * 1024
MAX_LINES = 128
# "Command Not Permitted on a dead channel".
DEAD_CHANNEL = 511


@dataclass(frozen=True, slots=True)
class Environment:
    """What Asterisk says of itself when it connects. `arguments` are those of the AGI() call, in order; its last one
    is the `proof`, see proof.py."""

    script: str
    channel: str
    unique_id: str
    arguments: tuple[str, ...]
    proof: str = ""

    def argument(self, index: int) -> str:
        """The argument, or an empty string."""
        return self.arguments[index] if index < len(self.arguments) else ""


async def read_environment(reader: asyncio.StreamReader) -> Environment:
    """Read up to the blank line. The reader's own limit bounds its size. Raises BadPeer, CallerGone."""
    try:
        raw = await reader.readuntil(b"\n\n")
    except asyncio.IncompleteReadError:
        raise CallerGone("closed before the end of the environment") from None
    except asyncio.LimitOverrunError:
        raise BadPeer(f"environment longer than {MAX_ENVIRONMENT} bytes") from None
    except ConnectionError as error:
        raise CallerGone(str(error)) from error
    return parse_environment(raw)


def parse_environment(raw: bytes) -> Environment:
    """`raw`: lines `agi_key: value` and a blank line. Raises BadPeer."""
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise BadPeer("environment is not UTF-8") from None
    if "\0" in text:
        raise BadPeer("NUL in the environment")
    lines = text.split("\n")[:-2]
    if len(lines) > MAX_LINES:
        raise BadPeer(f"more than {MAX_LINES} lines in the environment")
    values: dict[str, str] = {}
    for line in lines:
        key, colon, value = line.partition(":")
        if not colon or key in values:
            raise BadPeer("a line without a colon, or a key that comes twice")
        values[key] = value.removeprefix(" ")
    *arguments, proof = _arguments(values) or [""]
    try:
        return Environment(
            script=values["agi_network_script"],
            channel=values["agi_channel"],
            unique_id=values["agi_uniqueid"],
            arguments=tuple(arguments),
            proof=proof,
        )
    except KeyError as missing:
        raise BadPeer(f"no {missing.args[0]} in the environment") from None


def _arguments(values: dict[str, str]) -> list[str]:
    found: list[str] = []
    while (value := values.get(f"agi_arg_{len(found) + 1}")) is not None:
        found.append(value)
    return found


class WholeLines:
    """What panoramisk reads answers from: it takes half a line before the end of a connection for a whole one."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader

    async def readline(self) -> bytes:
        """Raises IncompleteReadError at the end, ValueError for a line that is too long."""
        line = await self._reader.readline()
        if not line.endswith(b"\n"):
            raise asyncio.IncompleteReadError(line, None)
        return line


class Session:
    """Handed to the scripts: the environment, and the one command that they need."""

    def __init__(self, request: Request, environment: Environment) -> None:
        self._request = request
        self.environment = environment

    async def set_variables(self, variables: Iterable[tuple[str, str]]) -> None:
        """Set channel variables in that order. Raises UnsafeValue before anything of a bad one is sent,
        CallerGone, CommandRefused."""
        for name, value in variables:
            await self._command(set_variable(name, value))

    async def _command(self, command: str) -> None:
        try:
            answer = await self._request.send_command(command)
        except (ValueError, ConnectionError, asyncio.IncompleteReadError) as error:
            # ValueError: an answer that has no status, or no end.
            raise CallerGone("connection closed in mid-command") from error
        if answer.get("error") == "AGIResultHangup" or answer.get("status_code") == DEAD_CHANNEL:
            raise CallerGone("hung up in mid-command")
        if answer.get("status_code") != 200 or "error" in answer:
            raise CommandRefused(f"Asterisk answered {answer.get('status_code')} {answer.get('error', '')}")
