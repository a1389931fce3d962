"""Writes SIP messages and SDP."""

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from phones.messages import Message
from phones.peer.wire import Address

REASONS = {100: "Trying", 180: "Ringing", 183: "Session Progress", 200: "OK", 302: "Moved", 486: "Busy Here",
           487: "Request Terminated"}  # fmt: skip
COPIED = ("Via", "Record-Route")
# What follows the port in an offer of unencrypted sound, and its attributes.
PLAIN_SOUND = (
    "RTP/AVP 0 101",
    "a=rtpmap:0 PCMU/8000",
    "a=rtpmap:101 telephone-event/8000",
    "a=fmtp:101 0-16",
    "a=sendrecv",
)


@dataclass(frozen=True)
class Body:
    content: bytes
    type: str = "application/sdp"


@dataclass(frozen=True)
class Reply:
    """An answer to a request.

    Attributes:
        headers: Whole lines ("Name: value"). A line replaces the header of the same name that we write ourselves.
    """

    status: int
    reason: str = ""
    headers: tuple[str, ...] = ()
    body: Body | None = None


def compose(start: str, own: Iterable[str], headers: Iterable[str], body: Body | None) -> bytes:
    """Writes a message. Lines of `headers` replace lines of `own` with the same header name."""
    headers = list(headers)
    replaced = {name_of(line) for line in headers}
    lines = [start, *(line for line in own if name_of(line) not in replaced), *headers]
    if body is not None:
        lines.append(f"Content-Type: {body.type}")
    content = b"" if body is None else body.content
    lines.append(f"Content-Length: {len(content)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + content


def answer(request: Message, reply: Reply, tag: str, contact: str) -> bytes:
    """Writes the response to `request`. `tag` is our tag of the dialog."""
    to = request.header("To")
    own = [f"{name}: {value}" for name in COPIED for value in request.headers(name)]
    own += [
        f"From: {request.header('From')}",
        f"To: {to}" if ";tag=" in to else f"To: {to};tag={tag}",
        f"Call-ID: {request.call_id}",
        f"CSeq: {request.header('CSeq')}",
        f"Contact: {contact}",
    ]
    reason = reply.reason or REASONS.get(reply.status, "Whatever")
    return compose(f"SIP/2.0 {reply.status} {reason}", own, reply.headers, reply.body)


def sdp(media: Address, *, version: int = 1, lines: Iterable[str] = (), key: str | None = None) -> Body:
    """Writes an audio offer or answer. A line of `lines` replaces the first of its type ("s=…"), else it comes last.

    With a key, which is a line `a=crypto:…`, the sound is encrypted.
    """
    host, port = media
    kind = PLAIN_SOUND[0] if key is None else PLAIN_SOUND[0].replace("RTP/AVP", "RTP/SAVP")
    written = [*_session(host, version), f"m=audio {port} {kind}", *PLAIN_SOUND[1:], *([key] if key else [])]
    for line in lines:
        # i=, u=, e= and p= come after s= (RFC 8866, 5).
        at = next((n for n, old in enumerate(written) if old[:2] == line[:2] and line[0] in "vosct"), None)
        if at is not None:
            written[at] = line
        else:
            written.insert(3 if line[0] in "iuep" else len(written), line)
    return _body(written)


def offer(media: Address, blocks: Iterable[Sequence[str]], *, version: int = 1) -> Body:
    """Writes an offer of several media; {port} in a line is the port of `media`."""
    host, port = media
    written = [line.replace("{port}", str(port)) for block in blocks for line in block]
    return _body([*_session(host, version), *written])


def answer_to(request: Message, media: Address, *, version: int = 1) -> Body:
    """Writes an answer that takes the first line of unencrypted audio and refuses all others (RFC 3264, section 6)."""
    host, port = media
    written, taken = _session(host, version), False
    for kind, offered, transport, *formats in (block[0].split() for block in media_blocks(request)):
        if (kind, transport) == ("m=audio", "RTP/AVP") and offered != "0" and not taken:
            taken = True
            written += [f"m=audio {port} {PLAIN_SOUND[0]}", *PLAIN_SOUND[1:]]
        else:
            written.append(" ".join((kind, "0", transport, *formats)))
    return _body(written)


def media_blocks(message: Message) -> list[list[str]]:
    """Returns the lines of each medium in the SDP of a message, each beginning with its m= line."""
    blocks: list[list[str]] = []
    for line in message.text.partition("\n\n")[2].splitlines():
        if line.startswith("m="):
            blocks.append([])
        if blocks:
            blocks[-1].append(line)
    return blocks


def media_of(message: Message) -> Address | None:
    """Returns the address of the first audio in the SDP of a message that is not refused; None if there is none."""
    head = message.text.partition("\n\n")[2].partition("\nm=")[0].splitlines()
    for block in media_blocks(message):
        kind, port = block[0].split()[:2]
        hosts = [line.split()[2] for line in (*block, *head) if line.startswith("c=IN IP4 ")]
        if kind == "m=audio" and int(port) and hosts:
            return hosts[0], int(port)
    return None


def _session(host: str, version: int) -> list[str]:
    return ["v=0", f"o=- 1 {version} IN IP4 {host}", "s=-", f"c=IN IP4 {host}", "t=0 0"]


def _body(lines: Iterable[str]) -> Body:
    return Body("".join(f"{line}\r\n" for line in lines).encode("latin-1"))


def uri_of(header: str) -> str:
    """Returns the URI in a Contact or Record-Route."""
    return header.partition("<")[2].partition(">")[0] if "<" in header else header.partition(";")[0].strip()


def user_of(uri: str) -> str:
    """Returns the user part of a SIP URI: the dialled number."""
    return uri.partition(":")[2].partition("@")[0]


def name_of(line: str) -> str:
    return line.partition(":")[0].strip().lower()


def token() -> str:
    """Makes a tag, branch or Call-ID of letters only, so that a search for digits cannot find one by chance."""
    return "".join(chr(ord("a") + each % 26) for each in secrets.token_bytes(20))
