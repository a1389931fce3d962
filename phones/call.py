"""One call of a baresip, followed by its events."""

import re
from typing import Any

from phones.errors import Ending

REFUSED = re.compile(r"(\d{3}) ?(.*)")
ENDED_HERE = ("Connection reset by user", "end of file")  # after the hangup command; at the end of the sound file


class Call:
    """The state of one call. Times are time.monotonic() seconds; `peer` is the other side's URI, as it is shown."""

    def __init__(self, account: str, identity: str = "") -> None:
        """`identity` is the Call-ID. An outgoing call has none until its first event."""
        self.account = account
        self.identity = identity
        self.peer = ""
        self.ringing = False
        self.answered_at: float | None = None
        self.ending: Ending | None = None

    def follow(self, at: float, event: dict[str, Any]) -> None:
        """Updates the state with one event of this call."""
        kind = event["type"]
        self.peer = str(event.get("peeruri", self.peer))
        if kind in ("CALL_INCOMING", "CALL_RINGING", "CALL_PROGRESS"):
            self.ringing = True
        elif kind == "CALL_ESTABLISHED":
            self.answered_at = at
        elif kind == "CALL_CLOSED":
            self.ending = self._ending(at, str(event.get("param", "")))

    def _ending(self, at: float, reason: str) -> Ending:
        talked = at - self.answered_at if self.answered_at is not None else 0.0
        if reason in ENDED_HERE:
            return Ending("local", None, reason, talked)
        refused = REFUSED.fullmatch(reason)
        if refused:
            return Ending("remote", int(refused[1]), refused[2], talked)
        return Ending("remote", None, reason, talked)
