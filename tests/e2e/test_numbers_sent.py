"""Numbers as networks write them, in the Request-URI and in From: each is read as RFC 3966 and RFC 3261 say."""

import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.booking import Booking
from tests.e2e.calls import Caller
from tests.e2e.sip_sockets import SipSocket, read_all
from tests.e2e.system import System

ANSWER_SECONDS = 10.0
# The hidden number is busy: this answer shows that a call got as far as that.
ROUTED, UNKNOWN = 486, 404
_serial = itertools.count(1)

SDP = (
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    "m=audio 9000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n"
)

# The Request-URI → the answer. {n}: the digits of the rented number; {l}: without the country code 33; {t}: without
# 33199; {d}: with a separator between any two.
DIALLED = {
    "sip:+{n}@HOST": ROUTED,
    "sip:{n}@HOST": ROUTED,
    "sip:00{n}@HOST": ROUTED,
    "tel:+{n}": ROUTED,
    # RFC 3966 section 3 and RFC 4694: parameters of the number. RFC 4904: trunk groups.
    "sip:+{n};npdi@HOST": ROUTED,
    "sip:+{n};npdi;rn=+33199000000@HOST;user=phone": ROUTED,
    "sip:+{n};isub=1@HOST": ROUTED,
    "sip:+{n};tgrp=x;trunk-context=example.com@HOST": ROUTED,
    "sip:{n};npdi@HOST": ROUTED,
    "tel:+{n};npdi;isub=1": ROUTED,
    "sip:+{n};isub=%E9@HOST": ROUTED,
    "sip:+{n};isub=%0Aagi_arg_1:%20x@HOST": UNKNOWN,
    # RFC 3966 section 5.1.1: visual separators.
    "sip:+{d}@HOST": ROUTED,
    "sip:+33(1)99.{t}@HOST": ROUTED,
    "tel:+{d}": ROUTED,
    "tel:+{d};npdi": ROUTED,
    # Section 5.1.5: a number is in its context, or unknown.
    "sip:{l};phone-context=+33@HOST;user=phone": ROUTED,
    "tel:{l};phone-context=+33": ROUTED,
    "sip:0{l};phone-context=+33@HOST": UNKNOWN,
    "sip:{n};phone-context=+44@HOST": UNKNOWN,
    "tel:{n};phone-context=example.com": UNKNOWN,
    # No number.
    "sip:+{n}x@HOST": UNKNOWN,
    "sip:+{n}%20@HOST": UNKNOWN,
    "sip:+{n}*1@HOST": UNKNOWN,
    "sip:+{n},1@HOST": UNKNOWN,
}

# From and another header → the caller. RFC 3261 section 19.1.2: every octet may stand in a URI, escaped. What is
# no number withholds it, and what is not needed does no harm.
OCTETS = {
    ("<sip:+14155550123@h>", "Diversion: <sip:Jos%E9@h>;reason=unconditional"): "+14155550123",
    ("<sip:+14155550123@h>", "Diversion: <sip:J%0Aagi_arg_1:%20+33199000000%0A%0A@h>"): "+14155550123",
    ("<sip:+14155550123@h>", 'Diversion: "Jos\udce9" <sip:+1@h>;reason="\udce9"'): "+14155550123",
    ('"Jos\udce9" <sip:+14155550123@h>', "X-Name: Jos\udce9"): "+14155550123",
    ("<sip:Jos%E9@h>", "Subject: x"): "anonymous",
    ("<sip:+1415%E95550123@h>", "Subject: x"): "anonymous",
    ("<sip:+14155550123%0Aagi_arg_2:%20x@h>", "Subject: x"): "anonymous",
    ("<sip:+14155550123;isub=%E9@h>", "Subject: x"): "+14155550123",
}

# From → the caller's number in the call record.
SOURCES = {
    "<sip:+14155550123@h>": "+14155550123",
    "<sip:14155550123@h>": "+14155550123",
    "<sip:+14155550123;npdi@h;user=phone>": "+14155550123",
    "<sip:+1-415-555-0123@h>": "+14155550123",
    "<tel:+1(415)555.0123>": "+14155550123",
    "tel:+14155550123": "+14155550123",
    "<sip:1000@h>": "1000",
    "<sip:0470123456@h>": "0470123456",
    # Digits that are no number.
    "<sip:0000000000@h>": "anonymous",
    "<sip:0@h>": "anonymous",
    "<sip:+@h>": "anonymous",
    "<sip:+0000000000@h>": "anonymous",
    "<sip:u14155550123@h>": "anonymous",
    "<sip:anonymous@anonymous.invalid>": "anonymous",
    "<sip:h>": "anonymous",
    # RFC 3966 section 5.1.5.
    "<tel:4155550123;phone-context=+1>": "+14155550123",
    "<sip:4155550123;phone-context=+1@h;user=phone>": "+14155550123",
    '"a<b;phone-context=+44>" <tel:415-555-0123;phone-context=+1>': "+14155550123",
    '"<tel:1;phone-context=+44>" <tel:+14155550123>': "+14155550123",
    "<tel:4155550123;phone-context=example.com>": "anonymous",
    "<tel:0470123456;phone-context=+32>": "anonymous",
}


def _call(system: System, uri: str, source: str = "<sip:+14155550123@h>", extra: str = "") -> int:
    """Sends an INVITE as it is written, and returns its final status."""
    unique = f"sent{next(_serial)}"
    with SipSocket(system.sip) as wire:
        head = (
            f"INVITE {uri.replace('HOST', system.sip)} SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP {wire.peer};branch=z9hG4bK{unique}\r\n"
            f"From: {source};tag={unique}\r\nTo: <sip:x@{system.sip}>\r\nCall-ID: {unique}\r\nCSeq: 1 INVITE\r\n"
            f"Max-Forwards: 70\r\nContact: <sip:x@{wire.peer}>\r\n{extra}"
            f"Content-Type: application/sdp\r\nContent-Length: {len(SDP)}\r\n\r\n"
        )
        wire.send((head + SDP).encode("utf-8", "surrogateescape"))
        for _ in range(round(ANSWER_SECONDS / 0.1)):
            read_all([wire], 0.1)
            if wire.final:
                break
        return wire.final


@pytest.fixture(scope="module")
def booked(shared_system: System) -> Iterator[Booking]:
    shared_system.wait_ready()
    with Caller(shared_system).hidden("uas_busy", calls=len(DIALLED) + len(SOURCES) + len(OCTETS)):
        yield shared_system.book("LARGE")


@pytest.mark.parametrize(("uri", "status"), DIALLED.items())
def test_a_rented_number_is_found_however_it_is_written(system: System, booked: Booking, uri: str, status: int) -> None:
    n = booked.service.removeprefix("+")
    words: dict[str, Any] = {"n": n, "l": n[2:], "t": n[5:], "d": "-".join(n)}
    assert _call(system, uri.format(**words)) == status


@pytest.mark.parametrize(("source", "caller"), SOURCES.items())
def test_a_caller_has_the_number_that_the_uri_means(system: System, booked: Booking, source: str, caller: str) -> None:
    before = len(booked.calls)
    assert _call(system, f"sip:{booked.service}@HOST", source) == ROUTED
    assert booked.wait_settled(before + 1)[0]["source"] == caller


@pytest.mark.parametrize(("sent", "caller"), OCTETS.items())
def test_an_octet_that_is_not_needed_does_no_harm(
    system: System, booked: Booking, sent: tuple[str, str], caller: str
) -> None:
    before = len(booked.calls)
    source, header = sent
    assert _call(system, f"sip:{booked.service}@HOST", source, f"{header}\r\n") == ROUTED
    assert booked.wait_settled(before + 1)[0]["source"] == caller
