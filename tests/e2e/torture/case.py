"""One torture message, and its permitted results."""

from dataclasses import dataclass
from enum import Enum, auto

CRLF = b"\r\n"


class Fate(Enum):
    """What may reach the engine from the carrier's address. From other addresses, no message may."""

    # A valid call in an odd spelling: it makes one AGI request.
    ROUTED = auto()
    # An invalid call that a receiver may refuse or guess at (RFC 4475). If Asterisk guesses, the AGI request must have
    # the number of the message.
    GUESSED = auto()
    # No call, or a call that every standard forbids: no AGI request.
    NEVER = auto()


@dataclass(frozen=True)
class Case:
    """One message.

    Attributes:
        name: The name in RFC 4475.
        section: The section of RFC 4475.
        text: The message with LF line ends and the placeholders of `Case.bytes_for`.
        answers: Permitted final statuses, 0 for silence; empty if the RFC leaves it open.
        tcp: The fate over TCP, where it differs.
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
        """Fills the placeholders.

        Args:
            service: The dialled number.
            target: host:port of Asterisk.
            peer: host:port of the sender.
            transport: "UDP" or "TCP".
            unique: Makes the transaction unique.
        """
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
