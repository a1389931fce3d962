"""A fake manager interface with channels. It sets limits on them, and lists them completely or not.

It adds up all limits, so that a test can check that their sum never exceeds the credit.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from tests.integration.fake_ami import SUCCESS, FakeAmi

REFUSED = "Response: Error\r\nMessage: No such channel"


@dataclass(frozen=True)
class LimitSet:
    """A limit that Asterisk received over AMI or from a script.

    Attributes:
        together: The sum of all limits after it was set, in seconds.
    """

    call_id: str
    seconds: float
    together: float


@dataclass
class UpCall:
    """A live call.

    Attributes:
        limit: How long it may talk, in seconds from now. While it rings: the lease in the caller's RN_SECONDS.
        talks: Whether the dialplan has read the lease and set the limit.
        verdict: The caller's RN_VERDICT.
        peer: The caller's DIALEDPEERNAME, which Dial() sets when the callee answers.
        taken: The caller's RN_TAKEN, which is `no` while its callee hears an announcement.
    """

    call_id: str
    limit: float
    talks: bool = False
    verdict: str = "BRIDGE"
    peer: str = ""
    taken: str = ""

    @property
    def values(self) -> dict[str, str]:
        """The variables of the caller's channel."""
        return {"RN_VERDICT": self.verdict, "DIALEDPEERNAME": self.peer, "RN_TAKEN": self.taken}

    @property
    def callee(self) -> str:
        """The unique id of the channel that carries the limit."""
        return f"{self.call_id}-callee"


async def at_once() -> None:
    pass


class FakeChannels(FakeAmi):
    """A manager interface with live calls.

    Attributes:
        up: Live calls by call id.
        unanswered_limits: How many of the next limits and leases are set without an answer.
        before_list: Awaited before each list.
        listed: Changes the messages of a list, which have no ActionID yet, before they are sent.
        lists: How many lists were requested.
    """

    def __init__(self) -> None:
        super().__init__()
        self.up: dict[str, UpCall] = {}
        self.limits_set: list[LimitSet] = []
        self.unanswered_limits = 0
        self.before_list: Callable[[], Awaitable[None]] = at_once
        self.listed: Callable[[list[str]], list[str]] = list
        self.lists = 0

    def limit(self, call_id: str, seconds: float) -> None:
        self.up[call_id].limit = seconds
        self.limits_set.append(LimitSet(call_id, seconds, sum(each.limit for each in self.up.values())))

    @property
    def limits(self) -> dict[str, float]:
        return {call_id: call.limit for call_id, call in self.up.items()}

    def picked_up(self, call_id: str) -> None:
        """The callee answers; the dialplan has not read the lease yet."""
        self.up[call_id].peer = f"PJSIP/trunk-{call_id}"

    def limited(self, call_id: str) -> int:
        """The dialplan reads the lease and sets the limit. Returns it; the report of it is still to come."""
        self.picked_up(call_id)
        self.up[call_id].talks = True
        return int(self.up[call_id].limit)

    def sent(self) -> list[tuple[str, float]]:
        return [(each.call_id, each.seconds) for each in self.limits_set]

    async def until_limits_set(self, count: int) -> None:
        """Wait until `count` limits were set in total."""
        async with asyncio.timeout(10):
            while len(self.limits_set) < count:  # noqa: ASYNC110  a list, and nothing that could be waited for
                await asyncio.sleep(0.005)

    async def _take(self, raw: str, writer: asyncio.StreamWriter) -> None:
        if "Action: Status\r\n" in raw:
            await self.before_list()
        if self.unanswered_limits and not self.silent and re.search("Action: (AbsoluteTimeout|Setvar)\r\n", raw):
            self.unanswered_limits -= 1
            self._execute(dict(line.split(": ", 1) for line in raw.removesuffix("\r\n\r\n").split("\r\n")))
            async with self._changed:
                self._changed.notify_all()
            return
        await super()._take(raw, writer)

    def _answer(self, action: Mapping[str, str]) -> bytes:
        if action["Action"] == "Status":
            self.lists += 1
            messages = self.listed(self._list())
            return b"".join(f"{text}\r\nActionID: {action['ActionID']}\r\n\r\n".encode() for text in messages)
        text = None if action["Action"] in self.answer else self._execute(action)
        return f"{text}\r\nActionID: {action['ActionID']}\r\n\r\n".encode() if text else super()._answer(action)

    def _execute(self, action: Mapping[str, str]) -> str | None:
        """Carries out an action on a channel. Returns the text of its answer; None for any other action."""
        name, channel = action["Action"], action.get("Channel", "")
        caller = self.up.get(channel)
        callee = next((call for call in self.up.values() if call.callee == channel and call.talks), None)
        if name == "AbsoluteTimeout" and callee:
            self.limit(callee.call_id, float(action["Timeout"]))
            return SUCCESS
        if name == "Getvar" and action["Variable"] == "TIMEOUT(absolute)" and callee:
            return f"Response: Success\r\nVariable: TIMEOUT(absolute)\r\nValue: {callee.limit:.3f}"
        if name == "Getvar" and caller:
            value = caller.values[action["Variable"]]
            return f"Response: Success\r\nVariable: {action['Variable']}\r\nValue: {value}"
        if name == "Setvar" and caller:
            assert action["Variable"] == "RN_SECONDS"
            if not caller.talks:  # else the dialplan has read it
                self.limit(caller.call_id, int(action["Value"]))
            return SUCCESS
        return REFUSED if name in {"AbsoluteTimeout", "Getvar", "Setvar"} else None

    def _list(self) -> list[str]:
        channels = []
        for call in self.up.values():
            channels.append(_channel(call.call_id, call.call_id, ""))
            channels.append(_channel(call.callee, call.call_id, "bridge-1" if call.talks else ""))
        return [
            "Response: Success\r\nEventList: start\r\nMessage: Channel status will follow",
            *channels,
            f"Event: StatusComplete\r\nEventList: Complete\r\nListItems: {len(channels)}",
        ]


def _channel(unique_id: str, linked_id: str, bridge: str) -> str:
    return (
        f"Event: Status\r\nChannel: PJSIP/{unique_id}\r\nUniqueid: {unique_id}\r\nLinkedid: {linked_id}\r\n"
        f"BridgeID: {bridge}"
    )
