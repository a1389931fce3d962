"""A fake manager interface with channels. It sets limits on them, and lists them completely or not.

It adds up all limits, so that a test can check that their sum never exceeds the credit.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from tests.integration.fake_ami import FakeAmi

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
        limit: How long it may talk, in seconds from now. While it rings: the limit that the dialplan would set.
    """

    call_id: str
    limit: float
    talks: bool = False

    @property
    def callee(self) -> str:
        """The unique id of the channel that carries the limit, as in tests.contract.world."""
        return f"PJSIP/trunk-{self.call_id}"


async def at_once() -> None:
    pass


class FakeChannels(FakeAmi):
    """A manager interface with live calls.

    Attributes:
        up: Live calls by call id.
        unanswered_limits: How many of the next limits are set without an answer.
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
        if "Action: AbsoluteTimeout\r\n" in raw and self.unanswered_limits and not self.silent:
            self.unanswered_limits -= 1
            action = dict(line.split(": ", 1) for line in raw.removesuffix("\r\n\r\n").split("\r\n"))
            self._set_limit(action)
            return
        await super()._take(raw, writer)

    def _answer(self, action: Mapping[str, str]) -> bytes:
        if action["Action"] == "Status":
            self.lists += 1
            messages = self.listed(self._list())
            return b"".join(f"{text}\r\nActionID: {action['ActionID']}\r\n\r\n".encode() for text in messages)
        if action["Action"] == "Getvar" and "Getvar" not in self.answer:
            assert action["Variable"] == "TIMEOUT(absolute)"
            left = [call.limit for call in self.up.values() if call.callee == action["Channel"]]
            text = f"Response: Success\r\nValue: {left[0]:.3f}" if left else REFUSED
            return f"{text}\r\nActionID: {action['ActionID']}\r\n\r\n".encode()
        if action["Action"] == "AbsoluteTimeout" and not self._set_limit(action):
            return f"{REFUSED}\r\nActionID: {action['ActionID']}\r\n\r\n".encode()
        return super()._answer(action)

    def _set_limit(self, action: Mapping[str, str]) -> bool:
        for call in self.up.values():
            if call.callee == action["Channel"]:
                self.limit(call.call_id, float(action["Timeout"]))
                return True
        return False

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
