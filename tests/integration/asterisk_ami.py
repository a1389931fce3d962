"""A fake AMI that knows channels: lists them, and keeps the limits that it is told."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.integration.fake_ami import FakeAmi

BRIDGE = "b1"


@dataclass
class Channels:
    """`up`: unique id of a caller's channel → that of the callee it talks with, None while it rings."""

    up: dict[str, str | None] = field(default_factory=dict)
    # How many events of a list are left out, and whether its last one says so.
    lost_events: int = 0
    lost_end: bool = False


class AsteriskAmi(FakeAmi):
    def __init__(self) -> None:
        super().__init__()
        self.channels = Channels()

    def limits(self, channel: str) -> list[float]:
        """The limits that this channel was told, in order, in seconds from then."""
        return [float(each["Timeout"]) for each in self.named("AbsoluteTimeout") if each["Channel"] == channel]

    def _answer(self, action: Mapping[str, str]) -> bytes:
        if action["Action"] != "CoreShowChannels":
            return super()._answer(action)
        events = []
        for caller, callee in self.channels.up.items():
            events.append(_event(caller, caller, callee is not None))
            if callee is not None:
                events.append(_event(callee, caller, bridged=True))
        head = ["Response: Success\r\nEventList: start\r\nMessage: Channels will follow"]
        end = [f"Event: CoreShowChannelsComplete\r\nEventList: Complete\r\nListItems: {len(events)}"]
        kept = events[self.channels.lost_events :]
        messages = [*head, *kept, *([] if self.channels.lost_end else end)]
        return "".join(f"{message}\r\nActionID: {action['ActionID']}\r\n\r\n" for message in messages).encode()


def _event(unique_id: str, linked_id: str, bridged: bool) -> str:
    bridge = BRIDGE if bridged else ""
    return (
        f"Event: CoreShowChannel\r\nChannel: PJSIP/x-{unique_id}\r\nUniqueid: {unique_id}\r\n"
        f"Linkedid: {linked_id}\r\nBridgeId: {bridge}"
    )
