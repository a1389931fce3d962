"""The search finds a planted secret in every place, and finds nothing in clean messages."""

import struct
from collections.abc import Iterable

import pytest

from phones.peer import Packet, sdp
from tests.e2e.leaks.search import Secret, Shown, leaks

SECRET = Secret(
    "+33199003472", ("+33199000112", "+33199007777"), ("127.0.0.2", 15062), [("127.0.0.2", 41002)],
    frozenset({"acc-1", "line@1"}),
)  # fmt: skip
ASTERISK = ("127.0.0.1", 5060)
HEAD = (
    b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 127.0.0.1:34566;branch=z9hG4bKabcdef\r\nFrom: <sip:+33199007777@127.0.0.1>\r\n"
    b"To: <sip:+33199000112@127.0.0.1>;tag=00347acc-1990-4034-9acc-172199003472\r\nCSeq: 1 INVITE\r\n"
)
ANSWERED_AT = 10.0


def shown(
    *, lines: Iterable[bytes] = (), body: bytes = b"", start: bytes = b"", sound: Iterable[Packet] = (),
    reports: Iterable[Packet] = (), source: tuple[str, int] = ASTERISK, answered_at: float | None = ANSWERED_AT,
) -> Shown:  # fmt: skip
    head = HEAD.replace(b"SIP/2.0 200 OK", start) if start else HEAD
    data = head + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + body
    return Shown([Packet(ANSWERED_AT, source, data)], list(sound), list(reports), answered_at)


def rtp(at: float, payload: bytes, source: tuple[str, int] = ("127.0.0.1", 20000)) -> Packet:
    return Packet(at, source, struct.pack("!BBHII", 0x80, 0, 1, 160, 7) + payload)


def test_what_a_caller_may_receive_is_no_leak() -> None:
    """Its own number, the rented number, Asterisk's address, random tags, and the callee's voice after the answer."""
    voice = rtp(ANSWERED_AT + 0.001, b"+33199003472")
    assert leaks(shown(body=sdp(("127.0.0.1", 20000)).content, sound=[voice]), SECRET) == []


@pytest.mark.parametrize(
    "text",
    [
        "+33199003472", "33199003472", "0033199003472", "0199003472", "199003472", "003472", "990034", "1990034",
        "01 99 00 34 72", "+33 1 99 00 34 72", "01.99.00.34.72", "+33(1)99-00-34-72", "01/99/00/34/72",
        "%2B33199003472", "%30%31%39%39%30%30%33%34%37%32", "x003472x",
        "acc-1", "sip:acc-1@carrier.example", "sip:line@1@carrier.example", "sip:line%401@carrier.example",
        "127.0.0.2", "sip:x@127.0.0.2:5060", "somewhere:15062",
    ],
)  # fmt: skip
def test_every_form_of_the_number_the_address_and_the_account_is_found_in_every_place(text: str) -> None:
    planted = text.encode()
    assert leaks(shown(lines=[b"X-Any: " + planted]), SECRET)
    assert leaks(shown(start=b"SIP/2.0 486 " + planted), SECRET)
    for line in ("o=", "s=", "i=", "a=x-any:"):
        assert leaks(shown(body=sdp(("127.0.0.1", 20000), lines=[line + text]).content), SECRET), line


def test_the_callees_media_address_and_port_are_found() -> None:
    assert leaks(shown(body=sdp(("127.0.0.2", 20000)).content), SECRET)
    assert leaks(shown(body=sdp(("127.0.0.1", 41002)).content), SECRET)


@pytest.mark.parametrize("answered_at", [None, ANSWERED_AT])
def test_any_sound_before_the_answer_is_found(answered_at: float | None) -> None:
    early = ANSWERED_AT - 0.001
    silence = leaks(shown(sound=[rtp(early, b"\xff" * 160)], answered_at=answered_at), SECRET)
    number = leaks(shown(sound=[rtp(early, b"it is +33199003472")], answered_at=answered_at), SECRET)
    assert silence == ["1 packets of sound before the answer"]
    assert number == [*silence, "sound before the answer: the number"]


def test_the_number_in_an_rtcp_report_is_found_at_any_time() -> None:
    assert leaks(shown(reports=[Packet(99.0, ASTERISK, b"\x81\xca...+33199003472")]), SECRET)


def test_any_packet_directly_from_the_callee_is_found() -> None:
    assert leaks(shown(source=("127.0.0.2", 5060)), SECRET)
    assert leaks(shown(sound=[rtp(ANSWERED_AT + 1, b"hello", ("127.0.0.2", 41002))]), SECRET)


def test_runs_of_digits_that_the_caller_knows_are_not_searched_and_all_others_are() -> None:
    assert {"990034", "900347", "003472", "199003"} == SECRET.digits
