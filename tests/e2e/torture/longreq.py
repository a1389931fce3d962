"""RFC 4475, 3.1.1.7: a message in which every part is long, with 34 Vias."""

from tests.e2e.torture.case import SDP

LONGREQ = (
    b"""INVITE sip:<SERVICE>@<TARGET> SIP/2.0
To: "I have a user name of """
    + b"extreme " * 20
    + b"""proportion" <sip:<SERVICE>@127.0.0.1:6000;unknownparam1=very"""
    + b"long" * 20
    + b"""value;longparam"""
    + b"name" * 20
    + b"""=shortvalue;very"""
    + b"long" * 20
    + b"""ParameterNameWithNoValue>
F: sip:"""
    + b"amazinglylongcallername" * 7
    + b"""@example.net;tag=12"""
    + b"982" * 50
    + b"""424;unknownheaderparam"""
    + b"name" * 20
    + b"=unknowheaderparam"
    + b"value" * 15
    + b""";unknownValueless"""
    + b"paramname" * 10
    + b"""
Call-ID: longreq.one"""
    + b"really" * 20
    + b"""longcallid<ID>
CSeq: 3882340 INVITE
Unknown-"""
    + b"Long" * 20
    + b"-Name: unknown-"
    + b"long" * 20
    + b"-value; unknown-"
    + b"long" * 20
    + b"""-parameter-name = unknown-"""
    + b"long" * 20
    + b"""-parameter-value
Via: SIP/2.0/<TRANSPORT> <PEER>;rport;branch=z9hG4bK-<ID>
"""
    + b"".join(b"Via: SIP/2.0/TCP sip%d.example.com\n" % number for number in range(33, 0, -1))
    + b"""Max-Forwards: 70
Contact: <sip:"""
    + b"amazinglylongcallername" * 5
    + b"""@<PEER>>
Content-Type: application/sdp
l: <LENGTH>

"""
    + SDP
)
