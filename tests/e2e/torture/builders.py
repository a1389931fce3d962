"""Builds requests with one odd part from the RFC; everything else is valid."""

from tests.e2e.torture.case import SDP


def invite(
    name: str,
    *,
    uri: bytes = b"sip:<SERVICE>@<TARGET>",
    start: bytes | None = None,
    to: bytes = b"sip:<SERVICE>@<TARGET>",
    sender: bytes = b"<sip:caller@example.net>;tag=134161461246",
    contact: bytes = b"<sip:caller@<PEER>>",
    more: bytes = b"",
    length: bytes = b"<LENGTH>",
    cseq: bytes = b"8 INVITE",
    forwards: bytes = b"70",
) -> bytes:
    """Builds an INVITE with one odd part from the RFC; everything else is valid."""
    return (
        (start or b"INVITE " + uri + b" SIP/2.0")
        + b"\nTo: "
        + to
        + b"\nFrom: "
        + sender
        + b"\nMax-Forwards: "
        + forwards
        + b"\nCall-ID: "
        + name.encode()
        + b".0ha0isndaksdjasdf3234nas<ID>\nCSeq: "
        + cseq
        + b"\nVia: SIP/2.0/<TRANSPORT> <PEER>;rport;branch=z9hG4bK-39234-23523<ID>\nContact: "
        + contact
        + b"\n"
        + more
        + b"Content-Type: application/sdp\nContent-Length: "
        + length
        + b"\n\n"
        + SDP
    )


REGISTER = b"""REGISTER sip:<TARGET> SIP/2.0
To: sip:user@example.com
From: sip:user@example.com;tag=998332
Max-Forwards: 70
Call-ID: <NAME>.k345asrl3fdbv@10.0.0.1<ID>
CSeq: 1 REGISTER
Via: SIP/2.0/<TRANSPORT> <PEER>;rport;branch=z9hG4bKkdjuw<ID>
<MORE>l: 0

"""


def options(name: str, start: bytes, more: bytes = b"", cseq: bytes = b"60 OPTIONS", to: bytes = b"") -> bytes:
    return (
        start
        + b"\nVia: SIP/2.0/<TRANSPORT> <PEER>;rport;branch=z9hG4bKkdjuw<ID>\nTo: "
        + (to or b"sip:<SERVICE>@<TARGET>")
        + b"\nFrom: "
        + b"<sip:caller@example.net>;tag=323\nMax-Forwards: 70\nCall-ID: "
        + name.encode()
        + b".1234abcd@funky.example.com<ID>\nCSeq: "
        + cseq
        + b"\n"
        + more
        + b"Content-Length: 0\n\n"
    )
