"""The dialplan's question for a PIN, carried out line by line: what reaches the engine, how often, and what follows."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest

from agi_scripts import dialplan as script
from engine.domain.prompts import Prompt
from engine.domain.routing import AskPin
from engine.runtime.authentication import is_authentic
from tests.contract import model_dialplan as dialplan
from tests.contract.model_dialplan import TOKEN, Channel, HungUp, Line, TimedOut
from tests.contract.samples import POLICY

FIRST = "CHANNEL(hangup_handler_push)="
PIN, WRONG = "40718352", "00000000"
SPEAKING = replace(POLICY, speaks=True)
QUESTIONS = {
    name: dict(script.verdict(AskPin(prompt), SPEAKING))
    for name, prompt in (("first", Prompt.PIN), ("again", Prompt.PIN_WRONG))
}
TOO_SLOW = "too slow"


@dataclass
class Entry:
    """A call of a stranger, who keys in one text after the other, to an engine that takes one PIN.

    Attributes:
        keys: What the caller keys in each time that it is asked.
        asking: How many calls are asked for a PIN, this one included.
        undecided: How many other calls wait for a decision once this one has a PIN.
        asked: The PINs that the engine was asked about.
        heard: The sounds that the caller heard.
        ended: The causes with which the call was refused; empty if it was put through.
    """

    keys: Sequence[str]
    asking: int = 1
    undecided: int = 0
    asked: list[str] = field(default_factory=list)
    heard: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    group: str = "undecided"
    limit: str = ""

    async def before(self, channel: Channel, line: Line) -> None:
        if line.label == "bridge":
            raise HungUp

    async def run(self, channel: Channel, application: str, data: str) -> None:
        match application:
            case "AGI":
                self._ask(channel, *data.split(","))
            case "Read":
                self._read(channel, *data.split(","))
            case "Playback":
                self.heard.append(data.removesuffix(",noanswer"))
            case "Hangup":
                self.ended.append(data)
                raise HungUp
            case _:
                assert application == "Progress", application

    def _ask(self, channel: Channel, address: str, *question: str) -> None:
        *arguments, mac = question
        assert is_authentic([TOKEN], ",".join([channel.unique_id, "route", *arguments]), mac), "the MAC binds the PIN"
        assert self.group == "undecided"
        assert float(self.limit) == dialplan.ENGINE_SECONDS
        pin = arguments[-1]
        assert len(arguments) == 11
        self.asked.append(pin)
        if pin == PIN:
            channel.variables |= {"RN_VERDICT": "BRIDGE"}
        else:
            channel.variables |= QUESTIONS["again" if pin else "first"]

    def _read(
        self, channel: Channel, variable: str, sound: str, digits: str, option: str, tries: str, wait: str
    ) -> None:
        assert (digits, option, tries) == ("8", "n", "1")  # n: without an answer, so that nothing is billed
        assert self.group == "asking"
        assert 0 < int(wait) < int(self.limit) <= 30
        self.heard.append(sound)
        keyed = self.keys[len(self.heard) - 1]
        if keyed == TOO_SLOW:
            raise TimedOut
        channel.variables[variable] = keyed

    def assign(self, channel: Channel, function: str, argument: str, value: str) -> None:
        if function == "GROUP":
            self.group = value
        elif function == "TIMEOUT":
            self.limit = value

    def function(self, channel: Channel, name: str, argument: str) -> str:
        assert name in {"GROUP_COUNT", "GLOBAL", "EPOCH"}, name
        counts = {"asking@rented-numbers": self.asking, "undecided@rented-numbers": self.undecided}
        return str(counts.get(argument, 1))


async def entered(entry: Entry) -> Entry:
    channel = Channel("PJSIP/carrier-1", "c1")
    channel.variables |= {"RN_VERDICT": "", "RN_ASK": "+3225550000,,prohib,,,,,carrier-main,,"}
    lines = dialplan.contexts()["rented-numbers"]
    first = next(index for index, line in enumerate(lines) if line.data.startswith(FIRST))
    with pytest.raises(HungUp):
        await dialplan.run(channel, "rented-numbers", entry, start=first)
    return entry


ASKED, AGAIN, UNKNOWN = "/prompts/en/pin", "/prompts/en/pin_wrong", "/prompts/en/unknown"
# How many calls are asked for a PIN, this one included, and how many others wait for a decision.
ALONE = (1, 0)
# What the caller keys in, and those two; the PINs that the engine is asked about, the sounds, and the end.
CASES: dict[str, tuple[Sequence[str], tuple[int, int], list[str], list[str], list[str]]] = {
    "right at once": ([PIN], ALONE, ["", PIN], [ASKED], []),
    "right at the third time": ([WRONG, WRONG, PIN], ALONE, ["", WRONG, WRONG, PIN], [ASKED, AGAIN, AGAIN], []),
    "wrong three times": ([WRONG] * 4, ALONE, ["", *[WRONG] * 3], [ASKED, AGAIN, AGAIN, UNKNOWN], ["1"]),
    "nothing": ([""], ALONE, [""], [ASKED, UNKNOWN], ["1"]),
    "no digit": (["*#AB"], ALONE, [""], [ASKED, UNKNOWN], ["1"]),
    "too short, then right": (["4071835", PIN], ALONE, ["", PIN], [ASKED, ASKED], []),
    "other keys among them": (["4071835A", "407183*2", PIN], ALONE, [""], [ASKED, ASKED, UNKNOWN], ["1"]),
    "too short twice": (["4", WRONG, "4", PIN], ALONE, ["", WRONG], [ASKED, ASKED, AGAIN, UNKNOWN], ["1"]),
    "too slow": ([TOO_SLOW], ALONE, [""], [ASKED], ["1"]),
    "too many calls are asked": ([PIN], (2, 0), [""], [UNKNOWN], ["1"]),
    "too many calls wait for a decision": ([PIN], (1, 2), [""], [ASKED], ["42"]),
    "room for one decision": ([PIN], (1, 1), ["", PIN], [ASKED], []),
}


@pytest.mark.parametrize("case", CASES)
async def test_a_caller_is_asked_three_times_at_the_most_and_only_eight_digits_reach_the_engine(case: str) -> None:
    keys, others, asked, heard, ended = CASES[case]
    entry = await entered(Entry(keys, *others))
    assert (entry.asked, entry.heard, entry.ended) == (asked, heard, ended)


# The lines that follow the limit of calls that wait for a decision, where that is for a PIN.
UNDECIDED = "\n same => n,Set(GROUP(rented-numbers)=undecided)\n same => n,Set(RN_VERDICT=)"
# Lines of the dialplan without a protection.
MUTANTS = {
    "no FILTER": ("Set(RN_PIN=${FILTER(0-9,${RN_PIN})})", "Set(RN_PIN=${RN_PIN})"),
    "tries that do not count": ("Set(RN_TRIES=1${RN_TRIES})", "Set(RN_TRIES=1)"),
    "a MAC without the PIN": ("route,${RN_ASK},${RN_PIN})})", "route,${RN_ASK})})"),
    "an answer": ("},8,n,1,6)", "},8,,1,6)"),
    "no time limit": ("Set(TIMEOUT(absolute)=30)", "Set(TIMEOUT(absolute)=0)"),
    "no limit of calls": ("> @most_asking@]?reject)", "> 9]?reject)"),
    "no limit of decisions": (f">= @most_undecided@]?overloaded){UNDECIDED}", f">= 9]?overloaded){UNDECIDED}"),
    "a PIN that is too short": ("!= 8]?pin)", "= 0]?pin)"),
    "short ones that do not count": ("${LEN(${RN_SHORT})} > 1", "${LEN(${RN_SHORT})} > 3"),
}


@pytest.mark.parametrize("name", MUTANTS)
async def test_the_cases_notice_each_protection_that_is_missing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    right, wrong = MUTANTS[name]
    text = dialplan.FILE.read_text()
    assert text.count(right) == 1
    mutated = dialplan.parsed(text.replace(right, wrong))
    monkeypatch.setattr(dialplan, "contexts", lambda: mutated)
    noticed = []
    for case, (keys, others, asked, heard, ended) in CASES.items():
        try:
            entry = await entered(Entry(keys, *others))
            seen = (entry.asked, entry.heard, entry.ended)
        except (AssertionError, IndexError):
            seen = ([], [], [])
        if seen != (asked, heard, ended):
            noticed.append(case)
    assert noticed
