"""One torture message, and what may come of it."""

from dataclasses import dataclass
from enum import Enum, auto

CRLF = b"\r\n"


class Fate(Enum):
    """What the engine may see of a message that comes from the carrier's address. From another one: nothing."""

    # A call like any other, however odd its spelling: the engine is asked about it, once.
    ROUTED = auto()
    # Not quite a call: the RFC lets a receiver refuse it or guess what was meant. Asterisk may guess, but then it has
    # to ask about the number that stands in it, and about no other.
    GUESSED = auto()
    # Asterisk must not ask: not a call, or one that no standard lets through.
    NEVER = auto()


@dataclass(frozen=True)
class Case:
    """`text` has LF line ends and the tokens of `Case.bytes_for`.

    name, section: those of RFC 4475
    answers: statuses of which one must come back, 0 for silence; empty: whatever it is, the RFC leaves it open
    tcp: what it is over TCP, where that differs
    """

    name: str
    section: str
    text: bytes
    fate: Fate = Fate.NEVER
    answers: frozenset[int] = frozenset()
    tcp: Fate | None = None

    def over(self, transport: str) -> Fate:
        return self.tcp if self.tcp and transport == "tcp" else self.fate

    def bytes_for(self, *, service: str, target: str, peer: str, transport: str, unique: str) -> bytes:
        """`target`, `peer`: host:port of Asterisk and of the sender; `unique`: makes a transaction of its own."""
        tokens = {
            b"<SERVICE>": service,
            b"<TARGET>": target,
            b"<PEER>": peer,
            b"<HOST>": peer.rpartition(":")[0],
            b"<TRANSPORT>": transport,
            b"<ID>": unique,
        }
        raw = self.text.replace(b"\n", CRLF)
        for token, value in tokens.items():
            raw = raw.replace(token, value.encode())
        head, blank, body = raw.partition(CRLF + CRLF)
        return head.replace(b"<LENGTH>", str(len(body)).encode()) + blank + body


def only(*statuses: int) -> frozenset[int]:
    return frozenset(statuses)


SDP = b"""v=0
o=mhandley 29739 7272939 IN IP4 <HOST>
s=-
c=IN IP4 <HOST>
t=0 0
m=audio 49217 RTP/AVP 0 12
m=video 3227 RTP/AVP 31
a=rtpmap:31 LPC
"""
