"""The engine's link to the model of Asterisk, in place of an AmiLink."""

import asyncio

from panoramisk.message import Message

from engine.asterisk.errors import AmiRefused, AmiUnavailable
from engine.domain.call_ends import NORMAL_CLEARING
from tests.contract.model_asterisk import Asterisk
from tests.contract.model_dialplan import Channel
from tests.contract.model_leg import CALLED, UP, Ami, Leg, Phase

# An action that was delayed for longer counts as lost; until then a limit may arrive this much too late.
PROMPT_MS = 40
# How long an answer may take.
PATIENCE_MS = 2_000


class Link:
    """Asterisk carries out actions in the order in which they were sent."""

    def __init__(self, asterisk: Asterisk) -> None:
        self._asterisk = asterisk
        self._clocks = asterisk.clocks
        self._in_order = asyncio.Lock()

    @property
    def is_up(self) -> bool:
        return self._asterisk.ami is not Ami.AWAY

    @property
    def connections(self) -> int:
        return self._asterisk.connections

    async def action(self, name: str, **fields: str) -> Message:
        sent = self._clocks.ticks
        async with self._in_order:
            await self._send(sent)
            answer = self._ping() if name == "Ping" else self._act(name, fields)
        await self._answer()
        if answer is None:
            raise AmiRefused("no such channel")
        return answer

    def _ping(self) -> Message:
        return Message({"Response": "Success", "Timestamp": f"{self._clocks.now / 1000:.6f}"})

    def _act(self, name: str, fields: dict[str, str]) -> Message | None:
        channel, variable = self._channel(fields["Channel"]), fields.get("Variable", "")
        if channel is None:
            return None
        value = ""
        match name:
            case "Getvar" if variable == "TIMEOUT(absolute)":
                left_ms = 0 if channel.cut_at is None else max(0, channel.cut_at - self._clocks.now)
                value = f"{left_ms / 1000:.3f}"
            case "Getvar":
                value = channel.variables.get(variable, "")
            case "Setvar":
                channel.variables[variable] = fields["Value"]
            case _:
                assert name == "AbsoluteTimeout"
                channel.cut_at = self._clocks.now + round(float(fields["Timeout"]) * 1000)
        return Message({"Response": "Success", "Value": value})

    def _channel(self, unique_id: str) -> Channel | None:
        for leg in self._asterisk.legs:
            if unique_id == leg.call_id and not leg.gone:
                return leg.caller
            if unique_id == leg.callee.unique_id and leg.phase in CALLED:
                return leg.callee
        return None

    async def hang_up(self, call_id: str, cause: int = NORMAL_CLEARING) -> None:
        sent = self._clocks.ticks
        async with self._in_order:
            await self._send(sent)
            found = [leg for leg in self._asterisk.in_phase(*UP) if leg.call_id == call_id]
            for leg in found:
                leg.caller.variables["HANGUPCAUSE"] = str(cause)
                self._asterisk.engine_hangs_up(leg)
        await self._answer()
        if not found:
            raise AmiRefused("no such channel")

    async def list(self, name: str) -> list[Message]:
        assert name == "Status"
        sent = self._clocks.ticks
        async with self._in_order:
            await self._send(sent)
            channels = [channel for leg in self._asterisk.legs if not leg.gone for channel in _listed(leg)]
        end = Message({"Event": "StatusComplete", "ListItems": str(len(channels))})
        if self._asterisk.cuts_lists and channels:
            channels.pop()
        await self._answer()
        return [Message({"Response": "Success"}), *channels, end]

    async def _send(self, sent: int) -> None:
        if self._asterisk.ami is Ami.AWAY:
            raise AmiUnavailable("no link")
        await self._asterisk.gate.passed()
        if self._asterisk.ami in {Ami.AWAY, Ami.DEAF} or self._clocks.ticks - sent > PROMPT_MS:
            raise AmiUnavailable("lost")

    async def _answer(self) -> None:
        done = self._clocks.ticks
        if self._asterisk.ami is Ami.MUTE:
            raise AmiUnavailable("answer lost")
        await self._asterisk.gate.passed()
        if self._clocks.ticks - done > PATIENCE_MS:
            raise AmiUnavailable("too late")


def _listed(leg: Leg) -> list[Message]:
    shown = [_status(leg.caller, leg, "")]
    if leg.phase in CALLED:
        shown.append(_status(leg.callee, leg, "bridge" if leg.phase is Phase.TALKING else ""))
    return shown


def _status(channel: Channel, leg: Leg, bridge: str) -> Message:
    names = {"Uniqueid": channel.unique_id, "Linkedid": leg.call_id, "Channel": channel.name, "BridgeID": bridge}
    return Message({"Event": "Status", **names})
