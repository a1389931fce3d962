"""A console of an Asterisk on which everything is as it should be, for `doctor` to ask; tests change its answers."""

from pathlib import Path

from engine.asterisk.console import Console, UnknownCommand
from engine.asterisk.exposures import NEEDED_MODULES
from engine.local.asterisk_checks import CONTEXTS
from tests.unit import recorded_console as recorded

HISTORY = "pjsip show history where number < 1"
ROW = "{}.so   Description   0   Running   core\n"


def endpoint(name: str, context: str, direct_media: str = "false") -> str:
    values = {"@name@": name, "@context@": context, "@direct_media@": direct_media}
    text = recorded.ENDPOINT
    for placeholder, value in values.items():
        text = text.replace(placeholder, value)
    return text


# An Asterisk on which everything is as it should be.
GOOD: dict[str, str | Exception] = {
    "core show settings": recorded.CORE_SETTINGS,
    "core show version": recorded.VERSION,
    "module show": "".join(ROW.format(name) for name in NEEDED_MODULES),
    "cdr show status": recorded.CDR_OFF,
    "cel show status": recorded.CEL_OFF,
    "logger show channels": recorded.QUIET_CHANNELS,
    "pjsip show transports": recorded.TRANSPORTS,
    "pjsip show transport tls": recorded.TRANSPORT.replace("@verify@", "Yes"),
    "pjsip show settings": recorded.PJSIP_SETTINGS.replace("@debug@", "no"),
    HISTORY: UnknownCommand("No such command"),
    "manager show user rented-numbers": recorded.MANAGER_USER.replace("@write@", "call"),
    **{f"dialplan show {name}": recorded.DIALPLAN.replace("@context@", name) for name in CONTEXTS},
    "features show": recorded.FEATURES,
    "pjsip show endpoint carrier-main": endpoint("carrier-main", "rented-numbers"),
    "pjsip show endpoint trunk-main": endpoint("trunk-main", "rented-numbers-nowhere"),
}


class RecordedConsole(Console):
    """Answers with recorded outputs."""

    def __init__(self, answers: dict[str, str | Exception], etc: Path) -> None:
        super().__init__(["asterisk"])
        self._answers = answers
        self._etc = etc

    async def run(self, command: str) -> str:
        answer = self._answers[command]
        if isinstance(answer, Exception):
            raise answer
        return answer.replace("@etc@", str(self._etc)).replace("@pid@", str(self._etc / "asterisk.pid"))
