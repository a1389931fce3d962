"""One conversation with Asterisk: reads the environment, sends commands, raises a typed error when it breaks.

panoramisk parses the answers. commands.py decides what may be sent.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from panoramisk.utils import parse_agi_result

from agi_scripts.commands import set_variables
from agi_scripts.errors import BadPeer, CallerGone, CommandRefused, HungUp
from agi_scripts.protocol import AgiProtocol
from engine.asterisk.limit_keeper import LimitKeeper
from engine.asterisk.silent_trunks import SilentTrunks
from engine.asterisk.trunk_states import TrunkStates
from engine.domain.policy import Policy
from engine.metrics.route_tallies import RouteTallies
from engine.runtime.clock import Clock
from engine.storage.interface import Storage

MAX_LINES = 128
# Stands for bytes that are not UTF-8.
UNDECODED = "\ufffd"
# Status codes of AGI answers (res_agi.c).
# "100 Trying…": the answer follows.
TRYING = 100
# "Command Not Permitted on a dead channel".
DEAD_CHANNEL = 511
# "Invalid or unknown command" and "Invalid command syntax": the command was not executed.
REFUSALS = (510, 520)


@dataclass(frozen=True, slots=True)
class Environment:
    """What Asterisk sends when it connects.

    Attributes:
        script: The path of the AGI URL.
        channel: The name of the channel.
        unique_id: The unique id of the channel.
        arguments: The arguments of the dialplan's AGI(), without the last one.
        mac: The last argument, which authenticates the request; see request_auth.py.
        asterisk: The name of the Asterisk that asks; empty where one engine works alone on the database.
    """

    script: str
    channel: str
    unique_id: str
    arguments: tuple[str, ...]
    mac: str = ""
    asterisk: str = ""

    def argument(self, index: int) -> str:
        """Returns the argument at `index`, counted from 0, or an empty string if there is none."""
        return self.arguments[index] if index < len(self.arguments) else ""


def parse_environment(raw: bytes) -> Environment:
    """Parses an environment.

    Args:
        raw: Lines `agi_key: value`, and a blank line.

    Raises:
        BadPeer: It is not an environment of Asterisk.
    """
    values = _values(raw)
    *arguments, mac = _arguments(values) or [""]
    try:
        environment = Environment(
            script=values["agi_network_script"].removeprefix(" "),
            channel=values["agi_channel"].removeprefix(" "),
            unique_id=values["agi_uniqueid"].removeprefix(" "),
            arguments=tuple(arguments),
            mac=mac,
        )
    except KeyError as missing:
        raise BadPeer(f"no {missing.args[0]} in the environment") from None
    used = (environment.script, environment.channel, environment.unique_id, mac, *arguments)
    if any(UNDECODED in text for text in used):
        raise BadPeer("environment is not UTF-8")
    return environment


def _values(raw: bytes) -> dict[str, str]:
    """Parses the lines. Raises BadPeer."""
    # Lines that are not used may hold any bytes: a SIP URI may contain every octet, escaped (RFC 3261 section 19.1.2).
    text = raw.decode(errors="replace")
    if "\0" in text:
        raise BadPeer("NUL in the environment")
    lines = text.split("\n")[:-2]
    if len(lines) > MAX_LINES:
        raise BadPeer(f"more than {MAX_LINES} lines in the environment")
    try:
        values = dict([line.split(":", 1) for line in lines])
    except ValueError:
        raise BadPeer("a line without a colon in the environment") from None
    if len(values) < len(lines):
        raise BadPeer("a repeated key in the environment")
    return values


def _arguments(values: dict[str, str]) -> list[str]:
    found: list[str] = []
    while (value := values.get(f"agi_arg_{len(found) + 1}")) is not None:
        found.append(value.removeprefix(" "))
    return found


class Session:
    """An authenticated conversation, as a script gets it: Asterisk's environment, and commands to send.

    Attributes:
        environment: What Asterisk sent when it connected.
    """

    def __init__(self, connection: AgiProtocol, environment: Environment) -> None:
        self._connection = connection
        self.environment = environment

    async def set_variables(self, variables: Sequence[tuple[str, str]]) -> None:
        """Sets channel variables in the given order, all or none.

        Raises:
            UnsafeValue: A value is not allowed in a command; nothing was sent.
            AgiError: As `execute` raises it.
        """
        await self.execute(set_variables(variables))

    def close(self) -> None:
        """Ends the conversation: Asterisk goes on at once, without what it was not told."""
        self._connection.close()

    async def execute(self, command: str) -> None:
        """Sends a command and waits until Asterisk has executed it.

        Raises:
            HungUp: The channel is gone and the command was not executed.
            CommandRefused: Asterisk refused the command and did not execute it.
            CallerGone: The connection closed; the command may have been executed.
            BadPeer: The answer cannot be read; the command may have been executed.
        """
        if not self._connection.write(command):
            raise HungUp("closed before the command")
        answer = await self._answer()
        status, error = answer.get("status_code"), answer.get("error", "")
        if error == "AGIResultHangup" or status == DEAD_CHANNEL:
            raise HungUp("hung up during the command")
        if status != 200 or error:
            reason = f"Asterisk answered {status or ''} {error}"
            raise CommandRefused(reason) if status in REFUSALS else CallerGone(reason)

    async def _answer(self) -> dict[str, object]:
        try:
            while True:
                answer: dict[str, object] = parse_agi_result((await self._connection.read()).decode())
                if answer.get("status_code") != TRYING:
                    return answer
        except ValueError as error:
            raise CallerGone("an answer without a status") from error


@dataclass(frozen=True, slots=True)
class CallContext:
    """What the scripts work with.

    Attributes:
        storage: The database.
        clock: Wall clock and boot clock.
        policy: The rules for calls and bookings.
        trunks: Knows which trunks are up.
        limits: Keeps the limits of live calls, and shares a booking's seconds among them.
        silent_trunks: Sends a call on whose trunk does not answer.
        tallies: Counts how long routes take.
    """

    storage: Storage
    clock: Clock
    policy: Policy
    trunks: TrunkStates
    limits: LimitKeeper
    silent_trunks: SilentTrunks
    tallies: RouteTallies = field(default_factory=RouteTallies)
