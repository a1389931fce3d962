"""③ One call's conversation with Asterisk: its environment in, commands out, a typed error when it breaks.

panoramisk parses the answers. What may be sent is up to commands.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from panoramisk.utils import parse_agi_result

from agi_scripts.commands import set_variables
from agi_scripts.errors import BadPeer, CallerGone, CommandRefused, HungUp
from agi_scripts.protocol import AgiProtocol
from engine.asterisk.limit_keeper import LimitKeeper
from engine.domain.policy import Policy
from engine.runtime.clock import Clock
from engine.storage.sqlite import SqliteStorage

MAX_LINES = 128
# "100 Trying…": the answer comes later.
TRYING = 100
# "Command Not Permitted on a dead channel".
DEAD_CHANNEL = 511
# "Invalid or unknown command", "Invalid command syntax": it was not carried out.
REFUSALS = (510, 520)


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
    try:
        values = dict([line.split(":", 1) for line in lines])
    except ValueError:
        raise BadPeer("a line without a colon") from None
    if len(values) < len(lines):
        raise BadPeer("a key that comes twice")
    *arguments, proof = _arguments(values) or [""]
    try:
        return Environment(
            script=values["agi_network_script"].removeprefix(" "),
            channel=values["agi_channel"].removeprefix(" "),
            unique_id=values["agi_uniqueid"].removeprefix(" "),
            arguments=tuple(arguments),
            proof=proof,
        )
    except KeyError as missing:
        raise BadPeer(f"no {missing.args[0]} in the environment") from None


def _arguments(values: dict[str, str]) -> list[str]:
    found: list[str] = []
    while (value := values.get(f"agi_arg_{len(found) + 1}")) is not None:
        found.append(value.removeprefix(" "))
    return found


class Session:
    """Handed to the scripts: the environment, and commands."""

    def __init__(self, wire: AgiProtocol, environment: Environment) -> None:
        self._wire = wire
        self.environment = environment

    async def set_variables(self, variables: Sequence[tuple[str, str]]) -> None:
        """Set channel variables in that order, all or none. Raises UnsafeValue before anything is sent, and as
        `execute` does."""
        await self.execute(set_variables(variables))

    async def execute(self, command: str) -> None:
        """Have Asterisk carry out a command. Raises HungUp, CommandRefused; another CallerGone, or BadPeer, when nobody
        knows whether it did."""
        if not self._wire.write(command):
            raise HungUp("closed before the command")
        answer = await self._answer()
        status, error = answer.get("status_code"), answer.get("error", "")
        if error == "AGIResultHangup" or status == DEAD_CHANNEL:
            raise HungUp("hung up in mid-command")
        if status != 200 or error:
            what = f"Asterisk answered {status or ''} {error}"
            raise CommandRefused(what) if status in REFUSALS else CallerGone(what)

    async def _answer(self) -> dict[str, object]:
        try:
            while True:
                answer: dict[str, object] = parse_agi_result((await self._wire.read()).decode())
                if answer.get("status_code") != TRYING:
                    return answer
        except ValueError as error:
            raise CallerGone("an answer without a status") from error


@dataclass(frozen=True, slots=True)
class CallContext:
    """`limits` shares what is left among calls that are up."""

    storage: SqliteStorage
    clock: Clock
    policy: Policy
    limits: LimitKeeper
    expired_announcement: str
