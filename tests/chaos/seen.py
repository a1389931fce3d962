"""What the telephones saw of each call, from the messages of both sides."""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from phones.messages import Message, by_call, final_status

Span = tuple[float, float]

# Asterisk answers within milliseconds when it gets the processor.
PROMPT_SECONDS = 0.2

_USER = re.compile(r"sip:([^@>]*)@")


@dataclass(frozen=True)
class Seen:
    """One call of one caller. Times are seconds since the epoch.

    Attributes:
        status: The final answer to its INVITE; None if there was none.
        answered: When the caller acknowledged the answer.
        ended: When either side first sent or received BYE, or when an unanswered call was refused.
        over: When Asterisk last sent a message of the call to either side. Asterisk, which may lack CPU, ended the
            call between `ended` and `over`.
        reached: When its INVITEs reached the hidden number; several if Asterisk was killed.
    """

    source: str
    dialled: float
    status: int | None
    answered: float | None
    ended: float | None
    over: float
    reached: tuple[float, ...]

    @property
    def talked(self) -> float | None:
        """The talk time in seconds; None if it was not answered or its end was not seen."""
        return None if self.answered is None or self.ended is None else max(0.0, self.ended - self.answered)


def calls(callers: Iterable[Message], callees: Iterable[Message]) -> list[Seen]:
    legs: dict[str, list[list[Message]]] = {}
    for leg in by_call(list(callees)).values():
        if (source := _source(leg)) is not None:
            legs.setdefault(source, []).append(leg)
    found = [_seen(call, legs) for call in by_call(list(callers)).values()]
    return sorted((seen for seen in found if seen is not None), key=lambda seen: seen.dialled)


def unexpected_sources(seen: Sequence[Seen], callees: Iterable[Message]) -> set[str]:
    """Callers' numbers that reached a hidden number although no telephone of the run has them."""
    rang = {_source(leg) or "?" for leg in by_call(list(callees)).values()}
    return rang - {each.source for each in seen}


def stalls(*traces: Iterable[Message]) -> list[Span]:
    """Spans in which Asterisk answered a request late: from its first sending to the first answer."""
    found = []
    for trace in traces:
        for call in by_call(list(trace)).values():
            asked: dict[str, float] = {}
            for message in call:
                request = message.header("CSeq")
                if message.status is None and message.direction == "sent" and message.method != "ACK":
                    asked.setdefault(request, message.at)
                elif message.status is not None and message.direction == "received" and request in asked:
                    began = asked.pop(request)
                    if message.at - began > PROMPT_SECONDS:
                        found.append((began, message.at))
                    asked[request] = math.inf
    return found


def _seen(call: list[Message], legs: dict[str, list[list[Message]]]) -> Seen | None:
    source = _source(call)
    if source is None:
        return None
    theirs = legs.get(source, [])
    status = final_status(call)
    answered = next((m.at for m in call if m.method == "ACK"), None) if status == 200 else None
    if answered is not None:
        # Asterisk sends the caller's BYE last, after its own work. So the first BYE on either side counts.
        byes = [m.at for leg in (call, *theirs) for m in leg if m.method == "BYE" and m.status is None]
        ended = min((at for at in byes if at >= answered), default=None)
    else:
        ended = next((m.at for m in call if m.method == "INVITE" and m.status is not None and m.status >= 300), None)
    over = max((m.at for leg in (call, *theirs) for m in leg if m.direction == "received"), default=call[0].at)
    reached = tuple(_first(leg, "INVITE") for leg in theirs)
    return Seen(source, call[0].at, status, answered, ended, over, reached)


def _first(leg: list[Message], method: str) -> float:
    return next(m.at for m in leg if m.method == method)


def _source(call: list[Message]) -> str | None:
    invite = next((m for m in call if m.method == "INVITE" and m.status is None), None)
    match = _USER.search(invite.header("From")) if invite else None
    return match[1] if match else None
