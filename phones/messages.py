"""Reads SIP messages from SIPp's trace (-trace_msg)."""

import datetime as dt
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Direction = Literal["sent", "received"]

# ------------------------- 2026-01-31 12:00:00.123456
# UDP message sent (512 bytes):          or: UDP message received [512] bytes :
HEAD = re.compile(
    r"^-{20,} (?P<date>\d{4}-\d\d-\d\d)[ \t](?P<time>\d\d:\d\d:\d\d\.\d+)[^\n]*\n"
    r"\w+ message (?P<direction>sent|received) [(\[]\d+[)\]]? ?(?:bytes)?\)? ?:\n\n",
    re.MULTILINE,
)


@dataclass(frozen=True)
class Message:
    """One message that the telephone sent or received. Each retransmission is a message of its own.

    Attributes:
        at: Wall clock time in seconds since the epoch, with microseconds.
        text: The whole message from start line to body, with LF line ends.
    """

    direction: Direction
    at: float
    text: str

    @property
    def start_line(self) -> str:
        """The first line, as in "INVITE sip:… SIP/2.0" or "SIP/2.0 486 Busy Here"."""
        return self.text.partition("\n")[0]

    @property
    def status(self) -> int | None:
        """The status of a response, None for a request."""
        return int(self.start_line.split()[1]) if self.start_line.startswith("SIP/2.0 ") else None

    @property
    def method(self) -> str:
        """The method of the request, or of the request that this response answers."""
        if self.status is None:
            return self.start_line.partition(" ")[0]
        return self.header("CSeq").rpartition(" ")[2]

    @property
    def call_id(self) -> str:
        """The Call-ID, "" if there is none."""
        return self.header("Call-ID")

    def header(self, name: str) -> str:
        """Returns the value of the first header with that name; "" if there is none."""
        return next(iter(self.headers(name)), "")

    def headers(self, name: str) -> list[str]:
        """Returns the values of all headers with that name (in any case), in order."""
        head = self.text.partition("\n\n")[0].splitlines()[1:]
        pairs = (line.partition(":") for line in head)
        return [value.strip() for field, _, value in pairs if field.strip().lower() == name.lower()]


def parse(trace: str) -> list[Message]:
    """Returns the messages of a trace, in order."""
    heads = list(HEAD.finditer(trace))
    starts = [*(head.start() for head in heads), len(trace)]
    return [_message(head, trace[head.end() : end]) for head, end in zip(heads, starts[1:], strict=True)]


def read(path: Path) -> list[Message]:
    """Returns the messages of a trace file; none if SIPp has not written it yet."""
    try:
        return parse(path.read_bytes().decode(errors="replace").replace("\r\n", "\n"))
    except FileNotFoundError:
        return []


def by_call(messages: Sequence[Message]) -> dict[str, list[Message]]:
    """Groups messages by Call-ID."""
    calls: dict[str, list[Message]] = {}
    for message in messages:
        calls.setdefault(message.call_id, []).append(message)
    return calls


def final_status(messages: Sequence[Message]) -> int | None:
    """Returns the final status of the INVITE (200, 486, …) in the messages of one call; None without one."""
    answers = (message.status for message in messages if message.method == "INVITE")
    return next((status for status in answers if status is not None and status >= 200), None)


def talk_time(messages: Sequence[Message]) -> float | None:
    """Returns the seconds from the ACK of the answer to the BYE in one call; None if one of them is missing."""
    if final_status(messages) != 200:
        return None
    began = next((message.at for message in messages if message.method == "ACK"), None)
    ended = next((message.at for message in messages if message.method == "BYE"), None)
    return None if began is None or ended is None else ended - began


def _message(head: re.Match[str], text: str) -> Message:
    moment = dt.datetime.fromisoformat(f"{head['date']}T{head['time']}").astimezone()
    direction: Direction = "sent" if head["direction"] == "sent" else "received"
    return Message(direction, moment.timestamp(), text)
