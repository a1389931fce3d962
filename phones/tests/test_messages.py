"""SIPp's message trace is parsed into its messages."""

from datetime import datetime

import pytest

from phones import messages

INVITE = """\
INVITE sip:+4930123@127.0.0.1:5060 SIP/2.0
From: <sip:+49170@127.0.0.1:5062>;tag=1
Call-ID: 1-2@127.0.0.1
CSeq: 1 INVITE
Diversion: <sip:1@127.0.0.1>
diversion: <sip:2@127.0.0.1>
Content-Length: 5

v=0
"""
TRACE = f"""\
----------------------------------------------- 2026-01-31 12:00:00.250000
UDP message sent (216 bytes):

{INVITE}
----------------------------------------------- 2026-01-31 12:00:00.500000
UDP message received [90] bytes :

SIP/2.0 200 OK
Call-ID: 1-2@127.0.0.1
CSeq: 1 INVITE

----------------------------------------------- 2026-01-31 12:00:01.000000
TCP message sent (80 bytes):

ACK sip:1@127.0.0.1 SIP/2.0
Call-ID: 1-2@127.0.0.1
CSeq: 1 ACK

----------------------------------------------- 2026-01-31 12:00:04.125000
UDP message received [80] bytes :

BYE sip:1@127.0.0.1 SIP/2.0
Call-ID: 1-2@127.0.0.1
CSeq: 7 BYE

"""


def test_each_message_is_read_with_its_direction_and_time() -> None:
    read = messages.parse(TRACE)
    assert [message.direction for message in read] == ["sent", "received", "sent", "received"]
    assert [message.method for message in read] == ["INVITE", "INVITE", "ACK", "BYE"]
    assert [message.status for message in read] == [None, 200, None, None]
    assert read[0].at == datetime(2026, 1, 31, 12, 0, 0, 250_000).astimezone().timestamp()
    assert read[0].text.startswith(INVITE)


def test_an_empty_trace_has_no_message() -> None:
    assert messages.parse("") == []


def test_headers_are_found_whatever_their_case_but_not_in_the_body() -> None:
    invite = messages.parse(TRACE)[0]
    assert invite.headers("DIVERSION") == ["<sip:1@127.0.0.1>", "<sip:2@127.0.0.1>"]
    assert invite.call_id == "1-2@127.0.0.1"
    assert invite.header("v=0") == ""


def test_a_call_has_its_status_and_duration() -> None:
    calls = messages.by_call(messages.parse(TRACE))
    assert list(calls) == ["1-2@127.0.0.1"]
    assert messages.final_status(calls["1-2@127.0.0.1"]) == 200
    assert messages.talk_time(calls["1-2@127.0.0.1"]) == pytest.approx(3.125)


def test_an_unanswered_call_has_no_duration() -> None:
    ringing = [message for message in messages.parse(TRACE) if message.status is None]
    assert messages.final_status(ringing) is None
    assert messages.talk_time(ringing) is None
