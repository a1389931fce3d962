"""RFC 4475, 3.1.2: messages that no standard lets through. Those that are calls dial a rented number that is booked."""

from tests.e2e.torture.case import SDP, Case, Fate, only


def _invite(
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
    """An INVITE in which one thing is as the RFC has it, and the rest as it should be."""
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


_REGISTER = b"""REGISTER sip:<TARGET> SIP/2.0
To: sip:user@example.com
From: sip:user@example.com;tag=998332
Max-Forwards: 70
Call-ID: <NAME>.k345asrl3fdbv@10.0.0.1<ID>
CSeq: 1 REGISTER
Via: SIP/2.0/<TRANSPORT> <PEER>;rport;branch=z9hG4bKkdjuw<ID>
<MORE>l: 0

"""


def _options(name: str, start: bytes, more: bytes = b"", cseq: bytes = b"60 OPTIONS", to: bytes = b"") -> bytes:
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


INVALID = (
    Case(
        "badinv01",
        "3.1.2.1",
        _invite(
            "badinv01",
            to=b"sip:<SERVICE>@<TARGET>",
            sender=b"sip:caller@example.net;tag=134161461246",
            contact=b'"Joe" <sip:joe@example.org>;;;;',
            more=b"Via: SIP/2.0/UDP 192.0.2.15;;,;,,\n",
        ),
    ),
    # The RFC wants a 400. PJSIP takes the length of a datagram for the truth; over TCP it waits for the rest.
    Case("clerr", "3.1.2.2", _invite("clerr", length=b"9999"), Fate.GUESSED, tcp=Fate.NEVER),
    Case("ncl", "3.1.2.3", _invite("ncl", length=b"-999"), answers=only(0, 400)),
    Case(
        "scalar02",
        "3.1.2.4",
        _REGISTER.replace(b"<NAME>", b"scalar02")
        .replace(b"CSeq: 1 ", b"CSeq: 36893488147419103232 ")
        .replace(b"Max-Forwards: 70", b"Max-Forwards: 300")
        .replace(
            b"<MORE>",
            b"Expires: 1000000000000000000000000000000000\nContact: <sip:user@<PEER>>\n  ;expires=280297596632815\n",
        ),
    ),
    Case(
        "scalarlg",
        "3.1.2.5",
        b"""SIP/2.0 503 Service Unavailable
Via: SIP/2.0/<TRANSPORT> <TARGET>;branch=z9hG4bKzzxdiwo34sw<ID>
Call-ID: scalarlg.noase0of0234hn2qofoaf0232aewf2394r<ID>
CSeq: 9292394834772304023312 OPTIONS
Retry-After: 949302838503028349304023988
Warning: 1812 overture "In Progress"
From: <sip:user@example.com>;tag=2easdjfejw
To: <sip:user@example.org>;tag=asdfasdf
Content-Length: 0

""",
        answers=only(0),
    ),
    Case("quotbal", "3.1.2.6", _invite("quotbal", to=b'"Mr. J. User <sip:<SERVICE>@<TARGET>>'), answers=only(0, 400)),
    Case("ltgtruri", "3.1.2.7", _invite("ltgtruri", uri=b"<sip:<SERVICE>@<TARGET>>"), answers=only(0, 400)),
    Case("lwsruri", "3.1.2.8", _invite("lwsruri", uri=b"sip:<SERVICE>@<TARGET>; lr"), answers=only(0, 400)),
    Case("lwsstart", "3.1.2.9", _invite("lwsstart", start=b"INVITE  sip:<SERVICE>@<TARGET>  SIP/2.0"), Fate.GUESSED),
    Case("trws", "3.1.2.10", _options("trws", b"OPTIONS sip:<SERVICE>@<TARGET> SIP/2.0  ")),
    Case("trws, a call", "3.1.2.10", _invite("trws", start=b"INVITE sip:<SERVICE>@<TARGET> SIP/2.0  "), Fate.GUESSED),
    Case(
        "escruri",
        "3.1.2.11",
        _invite("escruri", uri=b"sip:<SERVICE>@<TARGET>?Route=%3Csip:example.com%3E"),
        Fate.GUESSED,
    ),
    Case("baddate", "3.1.2.12", _invite("baddate", more=b"Date: Fri, 01 Jan 2010 16:00:00 EST\n"), Fate.GUESSED),
    Case(
        "regbadct",
        "3.1.2.13",
        _REGISTER.replace(b"<NAME>", b"regbadct").replace(
            b"<MORE>", b"Contact: sip:user@example.com?Route=%3Csip:sip.example.com%3E\n"
        ),
    ),
    Case(
        "badaspec",
        "3.1.2.14",
        _options(
            "badaspec",
            b"OPTIONS sip:<SERVICE>@<TARGET> SIP/2.0",
            to=b'"Watson, Thomas" < sip:t.watson@example.org >',
        ),
    ),
    Case(
        "badaspec, a call",
        "3.1.2.14",
        _invite("badaspec", to=b'"Watson, Thomas" < sip:<SERVICE>@<TARGET> >'),
        Fate.GUESSED,
    ),
    Case(
        "baddn",
        "3.1.2.15",
        _options("baddn", b"OPTIONS sip:<SERVICE>@<TARGET> SIP/2.0").replace(
            b"<sip:caller@example.net>", b"Bell, Alexander <sip:a.g.bell@example.com>"
        ),
    ),
    Case(
        "baddn, a call",
        "3.1.2.15",
        _invite("baddn", sender=b"Bell, Alexander <sip:a.g.bell@example.com>;tag=43"),
        Fate.GUESSED,
    ),
    Case("badvers", "3.1.2.16", _options("badvers", b"OPTIONS sip:<SERVICE>@<TARGET> SIP/7.0")),
    Case("badvers, a call", "3.1.2.16", _invite("badvers", start=b"INVITE sip:<SERVICE>@<TARGET> SIP/7.0")),
    Case("mismatch01", "3.1.2.17", _options("mismatch01", b"OPTIONS sip:<SERVICE>@<TARGET> SIP/2.0", cseq=b"8 INVITE")),
    Case("mismatch01, a call", "3.1.2.17", _invite("mismatch01", cseq=b"8 OPTIONS")),
    Case(
        "mismatch02", "3.1.2.18", _options("mismatch02", b"NEWMETHOD sip:<SERVICE>@<TARGET> SIP/2.0", cseq=b"8 INVITE")
    ),
    Case(
        "bigcode",
        "3.1.2.19",
        b"""SIP/2.0 4294967301 better not break the receiver
Via: SIP/2.0/<TRANSPORT> <TARGET>;branch=z9hG4bK2398ndaoe<ID>
Call-ID: bigcode.asdof3uj203asdnf3429uasdhfas3ehjasdfas9i<ID>
CSeq: 353494 INVITE
From: <sip:user@example.com>;tag=39ansfi3
To: <sip:user@example.edu>;tag=902jndnke3
Content-Length: 0
Contact: <sip:user@<PEER>>

""",
        answers=only(0),
    ),
)

# 3.2 and 3.3: well formed, but of no use to a transaction or to the application.
APPLICATION = (
    Case(
        "badbranch",
        "3.2.1",
        _options("badbranch", b"OPTIONS sip:<SERVICE>@<TARGET> SIP/2.0").replace(b"z9hG4bKkdjuw<ID>", b"z9hG4bK"),
    ),
    Case(
        "insuf",
        "3.3.1",
        b"""INVITE sip:<SERVICE>@<TARGET> SIP/2.0
CSeq: 193942 INVITE
Via: SIP/2.0/<TRANSPORT> <PEER>;rport;branch=z9hG4bKkdj.insuf<ID>
Content-Type: application/sdp
l: <LENGTH>

"""
        + SDP,
        answers=only(0, 400),
    ),
    Case("unkscm", "3.3.2", _options("unkscm", b"OPTIONS nobodyKnowsThisScheme:totallyopaquecontent SIP/2.0")),
    Case("unkscm, a call", "3.3.2", _invite("unkscm", uri=b"nobodyKnowsThisScheme:<SERVICE>@<TARGET>")),
    Case("novelsc", "3.3.3", _options("novelsc", b"OPTIONS soap.beep://192.0.2.103:3002 SIP/2.0")),
    Case("novelsc, one that is known", "3.3.3", _invite("novelsc", uri=b"tel:<SERVICE>"), Fate.ROUTED),
    Case(
        "unksm2",
        "3.3.4",
        _REGISTER.replace(b"<NAME>", b"unksm2")
        .replace(b"To: sip:user@example.com", b"To: isbn:2983792873")
        .replace(b"<MORE>", b"Contact: <name:John_Smith>\n"),
    ),
    Case(
        "bext01",
        "3.3.5",
        _options(
            "bext01",
            b"OPTIONS sip:<SERVICE>@<TARGET> SIP/2.0",
            b"Proxy-Require: nothingSupportsThis, nothingSupportsThisEither\nRequire: nothingSupportsThis\n",
        ),
    ),
    Case("bext01, a call", "3.3.5", _invite("bext01", more=b"Require: nothingSupportsThis\n"), answers=only(420)),
    Case(
        "invut",
        "3.3.6",
        _invite("invut").replace(b"application/sdp", b"application/unknownformat"),
        answers=only(415, 488),
    ),
    Case(
        "regaut01",
        "3.3.7",
        _REGISTER.replace(b"<NAME>", b"regaut01").replace(
            b"<MORE>",
            b"Contact: <sip:user@<PEER>>\nAuthorization: NoOneKnowsThisScheme opaque-data=here\n",
        ),
    ),
    Case(
        "multi01",
        "3.3.8",
        _invite("multi01")
        .replace(b"CSeq: 8 INVITE", b"CSeq: 5 INVITE\nCSeq: 59 INVITE")
        .replace(
            b"Max-Forwards: 70",
            b"Max-Forwards: 70\nMax-Forwards: 5\nCall-ID: multi01.second<ID>\nTo: sip:second@example.com\n"
            b"From: sip:second@example.com;tag=2\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK293423",
        ),
    ),
    Case(
        "mcl01",
        "3.3.9",
        _options("mcl01", b"OPTIONS sip:<SERVICE>@<TARGET> SIP/2.0").replace(
            b"Content-Length: 0", b"Content-Length: 13\nContent-Length: 5"
        )
        + b"There's no way to know how many octets are supposed to be here.\n",
    ),
    Case(
        "mcl01, a call",
        "3.3.9",
        _invite("mcl01", more=b"Content-Length: 5\n"),
    ),
    Case(
        "bcast",
        "3.3.10",
        b"""SIP/2.0 200 OK
Via: SIP/2.0/<TRANSPORT> 192.0.2.198;branch=z9hG4bK1324923<ID>
Via: SIP/2.0/<TRANSPORT> 255.255.255.255;branch=z9hG4bK1saber23
Call-ID: bcast.0384840201234ksdfak3j2erwedfsASdf<ID>
CSeq: 35 INVITE
From: sip:user@example.com;tag=11141343
To: sip:user@example.edu;tag=2229
Content-Length: 0

""",
        answers=only(0),
    ),
    Case("zeromf", "3.3.11", _options("zeromf", b"OPTIONS sip:<SERVICE>@<TARGET> SIP/2.0").replace(b": 70", b": 0")),
    Case(
        "zeromf, a call", "3.3.11", _invite("zeromf", forwards=b"0"), Fate.ROUTED
    ),  # meant for us, not for anybody behind us
    Case(
        "cparam01",
        "3.3.12",
        _REGISTER.replace(b"<NAME>", b"cparam01").replace(b"<MORE>", b"Contact: sip:user@<PEER>;unknownparam\n"),
    ),
    Case(
        "cparam02",
        "3.3.13",
        _REGISTER.replace(b"<NAME>", b"cparam02").replace(b"<MORE>", b"Contact: <sip:user@<PEER>;unknownparam>\n"),
    ),
    Case(
        "regescrt",
        "3.3.14",
        _REGISTER.replace(b"<NAME>", b"regescrt").replace(
            b"<MORE>", b"Contact: <sip:user@example.com?Route=%3Csip:sip.example.com%3E>\n"
        ),
    ),
    # It accepts no SDP in the answer; what Asterisk may say then (406) it leaves to the callee.
    Case("sdp01", "3.3.15", _invite("sdp01", more=b"Accept: text/nobodyKnowsThis\n"), Fate.ROUTED),
    # As RFC 2543 had it, without branch and tags. No Contact either: Asterisk could never send it a BYE.
    Case(
        "inv2543",
        "3.4.1",
        b"""INVITE sip:<SERVICE>@<TARGET> SIP/2.0
Via: SIP/2.0/<TRANSPORT> <PEER>
From: <sip:+33199007001@iftgw.example.com>
Record-Route: <sip:<SERVICE>@<TARGET>;maddr=127.0.0.1>
To: sip:<SERVICE>@<TARGET>
Call-ID: inv2543.1717@ift.client.example.com<ID>
CSeq: 56 INVITE
Content-Type: application/sdp

"""
        + SDP,
        answers=only(0, 400),
    ),
)

# Beside the RFC: each thing that may be there once, there twice, under its short name too.
_TWICE = {
    "From": b"From: <sip:+33199007009@example.net>;tag=2",
    "From, short": b"f: <sip:+33199007009@example.net>;tag=2",
    "To": b"To: <sip:+33199006666@example.net>",
    "To, short": b"t: <sip:+33199006666@example.net>",
    "Call-ID": b"Call-ID: another<ID>",
    "CSeq": b"CSeq: 9 INVITE",
    "Max-Forwards": b"Max-Forwards: 0",
    "Content-Type": b"Content-Type: application/sdp",
    "Content-Length, short": b"l: 0",
}
TWICE = tuple(
    Case(f"twice: {name}", "3.3.8", _invite(f"twice{index}", more=line + b"\n"))
    for index, (name, line) in enumerate(_TWICE.items())
)
