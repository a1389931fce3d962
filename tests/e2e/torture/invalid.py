"""RFC 4475, 3.1.2: invalid messages. Those that are calls dial a booked number."""

from tests.e2e.torture.builders import REGISTER, invite, options
from tests.e2e.torture.case import Case, Fate, only

INVALID = (
    Case(
        "badinv01",
        "3.1.2.1",
        invite(
            "badinv01",
            to=b"sip:<SERVICE>@<TARGET>",
            sender=b"sip:caller@example.net;tag=134161461246",
            contact=b'"Joe" <sip:joe@example.org>;;;;',
            more=b"Via: SIP/2.0/UDP 192.0.2.15;;,;,,\n",
        ),
    ),
    # The RFC demands a 400. PJSIP uses the length of the datagram instead; over TCP it waits for the rest.
    Case("clerr", "3.1.2.2", invite("clerr", length=b"9999"), Fate.GUESSED, tcp=Fate.NEVER),
    Case("ncl", "3.1.2.3", invite("ncl", length=b"-999"), answers=only(0, 400)),
    Case(
        "scalar02",
        "3.1.2.4",
        REGISTER.replace(b"<NAME>", b"scalar02")
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
    Case("quotbal", "3.1.2.6", invite("quotbal", to=b'"Mr. J. User <sip:<SERVICE>@<TARGET>>'), answers=only(0, 400)),
    Case("ltgtruri", "3.1.2.7", invite("ltgtruri", uri=b"<sip:<SERVICE>@<TARGET>>"), answers=only(0, 400)),
    Case("lwsruri", "3.1.2.8", invite("lwsruri", uri=b"sip:<SERVICE>@<TARGET>; lr"), answers=only(0, 400)),
    Case("lwsstart", "3.1.2.9", invite("lwsstart", start=b"INVITE  sip:<SERVICE>@<TARGET>  SIP/2.0"), Fate.GUESSED),
    Case("trws", "3.1.2.10", options("trws", b"OPTIONS sip:<SERVICE>@<TARGET> SIP/2.0  ")),
    Case("trws, a call", "3.1.2.10", invite("trws", start=b"INVITE sip:<SERVICE>@<TARGET> SIP/2.0  "), Fate.GUESSED),
    Case(
        "escruri",
        "3.1.2.11",
        invite("escruri", uri=b"sip:<SERVICE>@<TARGET>?Route=%3Csip:example.com%3E"),
        Fate.GUESSED,
    ),
    Case("baddate", "3.1.2.12", invite("baddate", more=b"Date: Fri, 01 Jan 2010 16:00:00 EST\n"), Fate.GUESSED),
    Case(
        "regbadct",
        "3.1.2.13",
        REGISTER.replace(b"<NAME>", b"regbadct").replace(
            b"<MORE>", b"Contact: sip:user@example.com?Route=%3Csip:sip.example.com%3E\n"
        ),
    ),
    Case(
        "badaspec",
        "3.1.2.14",
        options(
            "badaspec",
            b"OPTIONS sip:<SERVICE>@<TARGET> SIP/2.0",
            to=b'"Watson, Thomas" < sip:t.watson@example.org >',
        ),
    ),
    Case(
        "badaspec, a call",
        "3.1.2.14",
        invite("badaspec", to=b'"Watson, Thomas" < sip:<SERVICE>@<TARGET> >'),
        Fate.GUESSED,
    ),
    Case(
        "baddn",
        "3.1.2.15",
        options("baddn", b"OPTIONS sip:<SERVICE>@<TARGET> SIP/2.0").replace(
            b"<sip:caller@example.net>", b"Bell, Alexander <sip:a.g.bell@example.com>"
        ),
    ),
    Case(
        "baddn, a call",
        "3.1.2.15",
        invite("baddn", sender=b"Bell, Alexander <sip:a.g.bell@example.com>;tag=43"),
        Fate.GUESSED,
    ),
    Case("badvers", "3.1.2.16", options("badvers", b"OPTIONS sip:<SERVICE>@<TARGET> SIP/7.0")),
    Case("badvers, a call", "3.1.2.16", invite("badvers", start=b"INVITE sip:<SERVICE>@<TARGET> SIP/7.0")),
    Case("mismatch01", "3.1.2.17", options("mismatch01", b"OPTIONS sip:<SERVICE>@<TARGET> SIP/2.0", cseq=b"8 INVITE")),
    Case("mismatch01, a call", "3.1.2.17", invite("mismatch01", cseq=b"8 OPTIONS")),
    Case(
        "mismatch02", "3.1.2.18", options("mismatch02", b"NEWMETHOD sip:<SERVICE>@<TARGET> SIP/2.0", cseq=b"8 INVITE")
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
