"""Searches everything that a caller received for the hidden number and the callee's address."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from urllib.parse import unquote, unquote_to_bytes

from phones.peer import Address, Packet, payload_of

# This many consecutive digits identify a number; shorter runs occur by chance.
WINDOW = 6
SEPARATORS = re.compile(r"(?<=\d)[ ().\-/]{1,2}(?=\d)")
# Asterisk's own tags and branches are random, and sooner or later contain any six digits and any short name.
RANDOM = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


@dataclass(frozen=True)
class Secret:
    """What a caller must not learn.

    Attributes:
        number: The hidden number.
        known: Numbers that the caller may know.
        address: The callee's SIP address.
        media: The addresses that it sends sound from; empty until it does.
        names: Other words that a caller must not see, such as the user name of a trunk's account.
    """

    number: str
    known: tuple[str, ...]
    address: Address
    media: list[Address] = field(default_factory=list)
    names: frozenset[str] = frozenset()

    @cached_property
    def digits(self) -> frozenset[str]:
        """All runs of six digits of the number in all its forms, except runs of numbers that the caller knows."""
        known = {run for number in self.known for run in _runs(number)}
        return frozenset(set(_runs(self.number)) - known)


@dataclass
class Shown:
    """Everything that one caller received: SIP, sound (RTP) and reports (RTCP).

    `answered_at` is the time of the answer, or None. `prompted`: it may hear a prompt of Asterisk's before.
    """

    sip: list[Packet]
    sound: list[Packet]
    reports: list[Packet]
    answered_at: float | None
    prompted: bool = False


def leaks(shown: Shown, secret: Secret) -> list[str]:
    """Describes each place that shows the secret; empty if there is none."""
    found = []
    for packet in shown.sip:
        name = _name(packet)
        found += [f"{name}: {place}" for place in _in_message(packet.data, secret)]
        if packet.source[0] == secret.address[0]:
            found.append(f"{name} came straight from the callee")
    for packet in (*shown.sound, *shown.reports):
        if packet.source[0] == secret.address[0]:
            found.append(f"sound came straight from the callee at {packet.source}")
    # After the answer the callee may say anything. Sound before the answer could be a voice that reads the number.
    early = [each for each in shown.sound if shown.answered_at is None or each.at < shown.answered_at]
    if early and not shown.prompted:
        found.append(f"{len(early)} packets of sound before the answer")
    found += ["sound before the answer: the number" for each in early if _digits_in(payload_of(each), secret)]
    found += ["RTCP: the number" for each in shown.reports if _digits_in(each.data, secret)]
    return found


def shows_number(packet: Packet, number: str, known: tuple[str, ...]) -> bool:
    """Returns whether a message has a number in it, in any form."""
    return _digits_in(packet.data, Secret(number, known, packet.source))


def _in_message(data: bytes, secret: Secret) -> Iterable[str]:
    for line in data.split(b"\r\n"):
        if _digits_in(line, secret) or _address_in(line, secret) or _name_in(line, secret):
            yield line.decode("latin-1")


def _digits_in(data: bytes, secret: Secret) -> bool:
    """Searches for the digits as they are, percent-encoded, and with the separators that people write."""
    texts = {data.decode("latin-1"), unquote_to_bytes(data).decode("latin-1")}
    return any(run in form for text in texts for form in _forms(RANDOM.sub("", text)) for run in secret.digits)


def _address_in(line: bytes, secret: Secret) -> bool:
    text = line.decode("latin-1")
    sound = any(text.startswith(f"m=audio {port} ") for _, port in secret.media)
    return sound or secret.address[0] in text or re.search(rf":{secret.address[1]}\b", text) is not None


def _name_in(line: bytes, secret: Secret) -> bool:
    text = RANDOM.sub("", line.decode("latin-1"))
    return any(name in form for name in secret.names for form in (text, unquote(text)))


def _forms(text: str) -> tuple[str, str]:
    return text, SEPARATORS.sub("", text)


def _runs(number: str) -> list[str]:
    digits = number.removeprefix("+")
    # France's national form. The international form with 00 adds only the run 0033….
    forms = (digits, f"00{digits}", national(number))
    return [form[at : at + WINDOW] for form in forms for at in range(len(form) - WINDOW + 1)]


def national(number: str) -> str:
    """The national form of a French number: +33199001234 → 0199001234."""
    return f"0{number.removeprefix('+33')}"


def _name(packet: Packet) -> str:
    message = packet.message
    return message.method if message.status is None else f"{message.status} to {message.method}"
