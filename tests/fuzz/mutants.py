"""Makes INVITEs that are wrong in many ways, determined by a seed."""

import random
from collections.abc import Callable
from dataclasses import dataclass

# Texts that can break parsers, dialplans, AGI lines, SQL and logs, in place of a number, a name or a value.
POISON = (
    b"",
    b"\0",
    b"%00",
    b"%0d%0aX-Injected:%20yes",
    b"\r\nX-Injected: yes",
    b"\nSET VARIABLE RN_VERDICT BRIDGE",
    b"%n%n%s%s%x",
    b"%s" * 60,
    b"${EXTEN}",
    b"${SHELL(true)}",
    b"$[1/0]",
    b"&PJSIP/0900@trunk",
    b",30,T",
    b'"',
    b'"""',
    b"\\",
    b'\\"',
    b"'; DROP TABLE calls; --",
    b"<<<<",
    b">>>>",
    b";;;;",
    b"@@@@",
    b"[[[[",
    b"(((((",
    b"\xff\xfe",
    b"\xc0\x80",
    b"\xf0\x9f\x93\x9e",
    b"\xd9\xa3\xd9\xa3\xd9\xa1",  # Arabic digits
    b"\xef\xbc\x93",  # a full-width digit
    b"+" * 40,
    b"0" * 40,
    b"9" * 400,
    b"-1",
    b"0",
    b"2147483648",
    b"4294967296",
    b"18446744073709551616",
    b"1e309",
    b"A" * 300,
    b"A" * 5000,
    b" " * 200,
    b"\t \t",
)
SDP = (
    b"v=0",
    b"v=-1",
    b"o=- 1 1 IN IP4 999.999.999.999",
    b"o=" + b"x" * 2000,
    b"s=",
    b"c=IN IP4 0.0.0.0",
    b"c=IN IP6 ::1",
    b"c=IN IP4 127.0.0.1/255/255",
    b"t=99999999999999999999 -1",
    b"m=audio 0 RTP/AVP 0",
    b"m=audio 65536 RTP/AVP 0",
    b"m=audio -1 RTP/AVP 0",
    b"m=audio 30000 RTP/AVP " + b"0 " * 300,
    b"m=audio 30000 RTP/AVP 999999",
    b"m=audio 30000/99 RTP/SAVP 0",
    b"m=video 30002 RTP/AVP 31",
    b"m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
    b"a=rtpmap:0 PCMU/0",
    b"a=rtpmap:0 PCMU/99999999999/8",
    b"a=rtpmap:" + b"9" * 200,
    b"a=fmtp:0 " + b"x=1;" * 400,
    b"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" + b"A" * 500,
    b"a=candidate:1 1 UDP 1 127.0.0.1 1 typ host",
    b"a=ptime:0",
    b"a=ptime:-20",
    b"a=" + b"sendrecv" * 100,
    b"b=AS:-1",
    b"=",
    b"\0=\0",
)
LARGEST = 60_000
# The share that is mutated twice; otherwise nearly half of all mutants would still be valid calls.
TWICE = 0.5


@dataclass(frozen=True)
class Template:
    """A valid INVITE: the dialled number (`service`), and host:port of Asterisk (`target`) and sender (`peer`)."""

    service: str
    target: str
    peer: str

    def invite(self, serial: int, caller: str) -> list[bytes]:
        """The lines of a valid INVITE: headers, an empty line, SDP."""
        body = [
            b"v=0",
            b"o=fuzz 1 1 IN IP4 127.0.0.1",
            b"s=-",
            b"c=IN IP4 127.0.0.1",
            b"t=0 0",
            b"m=audio 30000 RTP/AVP 0 8 101",
            b"a=rtpmap:0 PCMU/8000",
            b"a=rtpmap:101 telephone-event/8000",
            b"a=fmtp:101 0-16",
            b"a=sendrecv",
        ]
        length = sum(len(line) + 2 for line in body)
        head = [
            f"INVITE sip:{self.service}@{self.target} SIP/2.0",
            f"Via: SIP/2.0/UDP {self.peer};rport;branch=z9hG4bK{serial}",
            f'From: "Caller" <sip:{caller}@{self.peer}>;tag=f{serial}',
            f"To: <sip:{self.service}@{self.target}>",
            f"Call-ID: fuzz-{serial}@{self.peer}",
            f"CSeq: {serial % 1000 + 1} INVITE",
            "Max-Forwards: 70",
            f"Contact: <sip:{caller}@{self.peer}>",
            "Allow: INVITE, ACK, CANCEL, BYE, UPDATE",
            "Supported: 100rel, timer, replaces",
            "Session-Expires: 1800;refresher=uac",
            f"P-Asserted-Identity: <sip:{caller}@{self.peer}>",
            "Privacy: none",
            f"Diversion: <sip:{caller}@{self.peer}>;reason=unconditional",
            "Content-Type: application/sdp",
            f"Content-Length: {length}",
        ]
        return [*(line.encode() for line in head), b"", *body]


Mutation = Callable[[random.Random, list[bytes]], bytes]


def joined(lines: list[bytes]) -> bytes:
    return b"\r\n".join(lines) + b"\r\n"


def flip_bits(chance: random.Random, lines: list[bytes]) -> bytes:
    raw = bytearray(joined(lines))
    for _ in range(chance.choice((1, 1, 2, 5, 40))):
        raw[chance.randrange(len(raw))] ^= 1 << chance.randrange(8)
    return bytes(raw)


def cut(chance: random.Random, lines: list[bytes]) -> bytes:
    raw = joined(lines)
    return raw[: chance.randrange(len(raw))]


def repeat_a_line(chance: random.Random, lines: list[bytes]) -> bytes:
    chosen = chance.randrange(len(lines))
    times = chance.choice((1, 1, 2, 20, 200))
    return joined(lines[:chosen] + [lines[chosen]] * times + lines[chosen:])


def leave_out_lines(chance: random.Random, lines: list[bytes]) -> bytes:
    gone = set(chance.sample(range(len(lines)), chance.choice((1, 1, 2, 5))))
    return joined([line for index, line in enumerate(lines) if index not in gone])


def shuffle_lines(chance: random.Random, lines: list[bytes]) -> bytes:
    return joined([lines[0], *chance.sample(lines[1:], len(lines) - 1)])


def poison_the_number(chance: random.Random, lines: list[bytes]) -> bytes:
    """Puts a poison after, before or in place of the digits of the dialled number or of the caller."""
    poison, index = chance.choice(POISON), chance.choice((0, 2, 3, 7, 11, 13))
    user = lines[index].partition(b"sip:")[2].partition(b"@")[0]
    worse = chance.choice((user + poison, poison + user, user[:4] + poison + user[4:], poison))
    return joined([*lines[:index], lines[index].replace(user, worse, 1), *lines[index + 1 :]])


def poison_a_value(chance: random.Random, lines: list[bytes]) -> bytes:
    index = chance.randrange(1, 16)
    name = lines[index].partition(b":")[0]
    return joined([*lines[:index], name + b": " + chance.choice(POISON), *lines[index + 1 :]])


def poison_anywhere(chance: random.Random, lines: list[bytes]) -> bytes:
    raw = joined(lines)
    for _ in range(chance.choice((1, 2, 5))):
        at = chance.randrange(len(raw))
        raw = raw[:at] + chance.choice(POISON) + raw[at + chance.choice((0, 0, 1, 10)) :]
    return raw


def lie_about_numbers(chance: random.Random, lines: list[bytes]) -> bytes:
    index = chance.choice((5, 6, 10, 15))
    name = lines[index].partition(b":")[0]
    number = chance.choice((b"-1", b"0", b"1", b"99999", b"4294967296", b"9" * 30, b"1.5", b"0x10", b"", b"7 INVITE"))
    return joined([*lines[:index], name + b": " + number, *lines[index + 1 :]])


def nest_quotes(chance: random.Random, lines: list[bytes]) -> bytes:
    depth = chance.choice((1, 3, 100, 1000))
    name = chance.choice((b'"' * depth, b'\\"' * depth, b"<" * depth, b'"<' * depth, b"(" * depth + b")" * depth))
    index = chance.choice((2, 3, 7, 11))
    return joined([*lines[:index], lines[index].replace(b"<", name + b"<", 1), *lines[index + 1 :]])


def break_line_ends(chance: random.Random, lines: list[bytes]) -> bytes:
    end = chance.choice((b"\n", b"\r", b"\n\r", b"\r\r\n", b"\r\n ", b"\r\n\t", b"\r\n\r\n", b"\0\r\n"))
    if chance.random() < 0.5:
        return end.join(lines) + b"\r\n"
    at = chance.randrange(1, len(lines))
    return joined(lines[:at])[:-2] + end + joined(lines[at:])


def break_the_sdp(chance: random.Random, lines: list[bytes]) -> bytes:
    blank = lines.index(b"")
    body = list(lines[blank + 1 :])
    for _ in range(chance.choice((1, 2, 4, 30))):
        body.insert(chance.randrange(len(body) + 1), chance.choice(SDP))
    if chance.random() < 0.3:
        del body[: chance.randrange(1, 5)]
    length = b"Content-Length: %d" % sum(len(line) + 2 for line in body)
    return joined([*lines[: blank - 1], length, b"", *body])


def add_odd_headers(chance: random.Random, lines: list[bytes]) -> bytes:
    odd = (
        b"Replaces: x;to-tag=1;from-tag=2",
        b"Require: 100rel",
        b"Require: " + b"x," * 500,
        b"Route: <sip:127.0.0.1:1;lr>",
        b"Record-Route: <sip:127.0.0.1:1;lr>",
        b'Authorization: Digest username="x", realm="", nonce="' + b"n" * 400 + b'", uri="", response=""',
        b"Expires: -1",
        b"Content-Type: multipart/mixed;boundary=x",
        b"Content-Encoding: gzip",
        b"Join: x",
        b"Refer-To: <sip:0900@127.0.0.1>",
        b"Referred-By: <sip:x@y>",
        b"History-Info: <sip:x@y>;index=1",
        b"Identity: " + b"e" * 3000,
        b"X-" + b"n" * 200 + b": v",
        b": no name",
        b"no colon at all",
        b"l: 3",
        b"f: <sip:other@127.0.0.1>;tag=2",
    )
    at = chance.randrange(1, 16)
    return joined([*lines[:at], *chance.choices(odd, k=chance.choice((1, 2, 30))), *lines[at:]])


def change_the_start(chance: random.Random, lines: list[bytes]) -> bytes:
    method, uri, _ = lines[0].split(b" ")
    start = chance.choice(
        (
            b"invite " + uri + b" SIP/2.0",
            method + b" " + uri + b" SIP/3.0",
            method + b" " + uri,
            method + b" " + uri.replace(b"sip:", b"sips:") + b" SIP/2.0",
            method + b" " + uri.replace(b"sip:", b"tel:").partition(b"@")[0] + b" SIP/2.0",
            method + b" " + uri + b";user=phone;" + b"p=v;" * 200 + b" SIP/2.0",
            b"INFO " + uri + b" SIP/2.0",
            b"SIP/2.0 200 OK",
            b"\r\n\r\n" + lines[0],
            b"GET / HTTP/1.1",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        )
    )
    return joined([start, *lines[1:]])


def untouched(_chance: random.Random, lines: list[bytes]) -> bytes:
    """Leaves the INVITE valid, so that some requests are routed as ordinary calls."""
    return joined(lines)


MUTATIONS: tuple[Mutation, ...] = (
    flip_bits,
    cut,
    repeat_a_line,
    leave_out_lines,
    shuffle_lines,
    poison_the_number,
    poison_a_value,
    poison_anywhere,
    lie_about_numbers,
    nest_quotes,
    break_line_ends,
    break_the_sdp,
    add_odd_headers,
    change_the_start,
    untouched,
)


def mutant(seed: int, serial: int, template: Template) -> bytes:
    """Makes a mutant. The same seed, serial and template give the same mutant."""
    chance = random.Random(f"{seed}/{serial}")
    caller = f"+3319900{chance.randrange(10_000):04}"
    mutation = chance.choice(MUTATIONS)
    raw = mutation(chance, template.invite(serial, caller))
    if mutation is not untouched and chance.random() < TWICE:
        raw = chance.choice((flip_bits, poison_anywhere))(chance, raw.split(b"\r\n"))
    return raw[:LARGEST]
