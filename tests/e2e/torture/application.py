"""RFC 4475, 3.2 to 3.4: well-formed messages that a transaction or application must refuse; and doubled headers."""

from tests.e2e.torture.builders import REGISTER, invite, options
from tests.e2e.torture.case import SDP, Case, Fate, only

APPLICATION = (
    Case(
        "badbranch",
        "3.2.1",
        options("badbranch", b"OPTIONS sip:<SERVICE>@<TARGET> SIP/2.0").replace(b"z9hG4bKkdjuw<ID>", b"z9hG4bK"),
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
    Case("unkscm", "3.3.2", options("unkscm", b"OPTIONS nobodyKnowsThisScheme:totallyopaquecontent SIP/2.0")),
    Case("unkscm, a call", "3.3.2", invite("unkscm", uri=b"nobodyKnowsThisScheme:<SERVICE>@<TARGET>")),
    Case("novelsc", "3.3.3", options("novelsc", b"OPTIONS soap.beep://192.0.2.103:3002 SIP/2.0")),
    Case("novelsc, one that is known", "3.3.3", invite("novelsc", uri=b"tel:<SERVICE>"), Fate.ROUTED),
    Case(
        "unksm2",
        "3.3.4",
        REGISTER.replace(b"<NAME>", b"unksm2")
        .replace(b"To: sip:user@example.com", b"To: isbn:2983792873")
        .replace(b"<MORE>", b"Contact: <name:John_Smith>\n"),
    ),
    Case(
        "bext01",
        "3.3.5",
        options(
            "bext01",
            b"OPTIONS sip:<SERVICE>@<TARGET> SIP/2.0",
            b"Proxy-Require: nothingSupportsThis, nothingSupportsThisEither\nRequire: nothingSupportsThis\n",
        ),
    ),
    Case("bext01, a call", "3.3.5", invite("bext01", more=b"Require: nothingSupportsThis\n"), answers=only(420)),
    Case(
        "invut",
        "3.3.6",
        invite("invut").replace(b"application/sdp", b"application/unknownformat"),
        answers=only(415, 488),
    ),
    Case(
        "regaut01",
        "3.3.7",
        REGISTER.replace(b"<NAME>", b"regaut01").replace(
            b"<MORE>",
            b"Contact: <sip:user@<PEER>>\nAuthorization: NoOneKnowsThisScheme opaque-data=here\n",
        ),
    ),
    Case(
        "multi01",
        "3.3.8",
        invite("multi01")
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
        options("mcl01", b"OPTIONS sip:<SERVICE>@<TARGET> SIP/2.0").replace(
            b"Content-Length: 0", b"Content-Length: 13\nContent-Length: 5"
        )
        + b"There's no way to know how many octets are supposed to be here.\n",
    ),
    Case(
        "mcl01, a call",
        "3.3.9",
        invite("mcl01", more=b"Content-Length: 5\n"),
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
    Case("zeromf", "3.3.11", options("zeromf", b"OPTIONS sip:<SERVICE>@<TARGET> SIP/2.0").replace(b": 70", b": 0")),
    Case(
        "zeromf, a call", "3.3.11", invite("zeromf", forwards=b"0"), Fate.ROUTED
    ),  # the request is for us and goes no further, so Max-Forwards 0 is valid
    Case(
        "cparam01",
        "3.3.12",
        REGISTER.replace(b"<NAME>", b"cparam01").replace(b"<MORE>", b"Contact: sip:user@<PEER>;unknownparam\n"),
    ),
    Case(
        "cparam02",
        "3.3.13",
        REGISTER.replace(b"<NAME>", b"cparam02").replace(b"<MORE>", b"Contact: <sip:user@<PEER>;unknownparam>\n"),
    ),
    Case(
        "regescrt",
        "3.3.14",
        REGISTER.replace(b"<NAME>", b"regescrt").replace(
            b"<MORE>", b"Contact: <sip:user@example.com?Route=%3Csip:sip.example.com%3E>\n"
        ),
    ),
    # It accepts no SDP in the answer. Asterisk could refuse it (406), but leaves that to the callee.
    Case("sdp01", "3.3.15", invite("sdp01", more=b"Accept: text/nobodyKnowsThis\n"), Fate.ROUTED),
    # In the form of RFC 2543, without branch and tags. Without a Contact, Asterisk could never send it a BYE.
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

# In addition to the RFC: a header that may occur once occurs twice, also under its short name. Headers that identify a
# call must be refused; the others do not change the AGI request.
_TWICE = (
    ("From", b"From: <sip:+33199007009@example.net>;tag=2", Fate.NEVER),
    ("From, short", b"f: <sip:+33199007009@example.net>;tag=2", Fate.NEVER),
    ("Call-ID", b"Call-ID: another<ID>", Fate.NEVER),
    ("Content-Length, short", b"l: 0", Fate.NEVER),
    ("To", b"To: <sip:+33199006666@example.net>", Fate.GUESSED),
    ("To, short", b"t: <sip:+33199006666@example.net>", Fate.GUESSED),
    ("CSeq", b"CSeq: 9 INVITE", Fate.GUESSED),
    ("Max-Forwards", b"Max-Forwards: 0", Fate.GUESSED),
    ("Content-Type", b"Content-Type: application/sdp", Fate.GUESSED),
)
TWICE = tuple(
    Case(f"twice: {name}", "3.3.8", invite(f"twice{index}", more=line + b"\n"), fate)
    for index, (name, line, fate) in enumerate(_TWICE)
)
