"""What the dialplan's applications and functions do in the model of Asterisk."""

import re
from contextlib import suppress
from typing import TYPE_CHECKING

from tests.contract import model_dialplan as dialplan
from tests.contract.model_dialplan import Channel, HungUp, Line
from tests.contract.model_leg import Leg, Phase
from tests.contract.samples import SECOND

if TYPE_CHECKING:  # it carries these out
    from tests.contract.model_asterisk import Asterisk

# Before each of these a call can be held.
OBSERVED = (
    "RN_SECONDS=", "TIMEOUT(absolute)=${", "RN_REPORT=", "RentedNumbers,", "PJSIP/", "/prompts/", "MASTER_CHANNEL(",
)  # fmt: skip
# Of the calls that the model has at once, few are refused at the same time.
SPEAKING = "1"


class Steps:
    """What the applications and functions do for one call."""

    def __init__(self, asterisk: "Asterisk", leg: Leg) -> None:
        self._asterisk = asterisk
        self._leg = leg

    async def before(self, channel: Channel, line: Line) -> None:
        if line.data.startswith(OBSERVED):
            await self._asterisk.gate.passed()
        if channel.hung_up or (channel.cut_at is not None and channel.cut_at <= self._asterisk.clocks.now):
            raise HungUp

    async def run(self, channel: Channel, application: str, data: str) -> None:
        match application:
            case "AGI":
                _, *question, mac = data.split(",")
                await self._asterisk.ask(self._leg, question, mac)
            case "Dial":
                await self._dial(data)
            case "UserEvent":
                self._asterisk.emit(data.removeprefix("RentedNumbers,Report: "))
            case "Hangup":
                channel.variables["HANGUPCAUSE"] = data
                raise HungUp
            case "Read":
                channel.variables[data.partition(",")[0]] = await self._key(channel.variables["RN_ASKED"])
            case "Playback" if channel is self._leg.callee:
                await self._asterisk.new_key(self._leg)
                self._leg.phase = Phase.PICKED_UP
            case _:
                assert application in {"Progress", "Playback", "HangupCauseClear"}, application

    async def _key(self, asked: str) -> str:
        """Returns the key that the callee presses; empty for none until it is asked again."""
        if self._leg.silent_when == asked:
            return ""
        key = await self._asterisk.new_key(self._leg)
        self._leg.phase = Phase.PICKED_UP
        if not key:
            self._leg.silent_when = asked
        return key

    async def _dial(self, data: str) -> None:
        leg = self._leg
        target, ring_seconds, options = data.split(",")
        leg.trunks.append(target.rpartition("@")[2])
        if leg.dialled.done():
            leg.dialled = self._asterisk.new_attempt()
        leg.refused_with = None
        leg.phase, leg.ring_until = Phase.RINGING, self._asterisk.clocks.ticks + int(ring_seconds) * SECOND
        variables = leg.caller.variables
        variables["DIALSTATUS"] = await leg.dialled
        variables["RINGTIME_MS"] = leg.ringtime
        if variables["DIALSTATUS"] == "ANSWER":
            await self._answer(*re.findall(r"[^^()]+", options)[1:])

    async def _answer(self, context: str, *arguments: str) -> None:
        leg, clocks = self._leg, self._asterisk.clocks
        leg.phase = Phase.PICKED_UP
        leg.caller.variables["DIALEDPEERNAME"] = leg.callee.name
        leg.callee.variables |= {f"ARG{number}": each for number, each in enumerate(arguments, 1)}
        with suppress(HungUp):
            await dialplan.run(leg.callee, context, self)
        expired = leg.callee.cut_at is not None and leg.callee.cut_at <= clocks.now
        if leg.caller.hung_up or leg.callee.hung_up or expired or leg.callee.variables["GOSUB_RESULT"]:
            return
        leg.phase, leg.began = Phase.TALKING, clocks.timestamp()
        await leg.over
        leg.caller.variables["ANSWEREDTIME_MS"] = str(leg.measured_ms)
        raise HungUp

    def assign(self, channel: Channel, function: str, argument: str, value: str) -> None:
        if (function, argument) == ("TIMEOUT", "absolute") and channel is self._leg.callee:
            channel.cut_at = self._asterisk.clocks.now + int(value) * SECOND if int(value or 0) else None
            is_of_the_lease = "RN_SECONDS" in channel.variables
            self._leg.limit_set_at = self._asterisk.clocks.ticks if is_of_the_lease else None
        elif function == "MASTER_CHANNEL":
            self._leg.caller.variables[argument] = value
        elif function == "FILE":
            self._asterisk.write_end(value)
        else:
            assert function in {"TIMEOUT", "CHANNEL", "GROUP", "CALLERID"}, function

    def function(self, channel: Channel, name: str, argument: str) -> str:
        if name == "IMPORT":
            other, variable = argument.split(",")
            assert other == self._leg.caller.name
            return self._leg.caller.variables.get(variable, "")
        if name == "STRFTIME":
            if channel is self._leg.callee and self._leg.limit_set_at is not None:
                self._leg.reported_after_ms = self._asterisk.clocks.ticks - self._leg.limit_set_at
            return self._asterisk.clocks.in_utc
        if name == "CHANNEL":
            default = f"sip-{channel.unique_id}" if argument == "pjsip,call-id" else ""
            return channel.variables.get(f"CHANNEL({argument})", default)
        if name == "EPOCH":
            return str(self._asterisk.clocks.now // SECOND)
        if name == "HANGUPCAUSE":
            return f"SIP {self._leg.refused_with} refused" if self._leg.refused_with else ""
        assert name in {"GLOBAL", "GROUP_COUNT", "HANGUPCAUSE_KEYS"}, name
        return SPEAKING if name == "GROUP_COUNT" else ""
