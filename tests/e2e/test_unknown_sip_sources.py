"""SIP sources that are neither the carrier nor a softphone get a refusal, and never reach the engine.

Softphones may register from any address, so with softphones Asterisk asks unknown sources for a password. Without
softphones an access list refuses them. Only a firewall can suppress these answers (deploy/firewall.nft).
"""

import itertools
import time
from collections.abc import Iterator

import pytest

from engine.config.types import Profile
from phones.ports import Transport
from tests.e2e.attacked_system import AttackedSystem, attacked_system
from tests.e2e.sip_sockets import SipSocket, read_all
from tests.e2e.test_sip_torture import UNKNOWN_ADDRESS

METHODS = [
    *("INVITE", "REGISTER", "OPTIONS", "SUBSCRIBE", "MESSAGE", "PUBLISH", "NOTIFY", "REFER", "INFO", "UPDATE"),
    *("PRACK", "BYE", "CANCEL", "ACK", "NONSENSE"),
]
# PJSIP refuses these before it authenticates: no such transaction (BYE, CANCEL, PRACK: 481) or no method (405, 501).
WITHOUT_AUTHENTICATION = {405, 481, 501}
MARK = "from-an-unknown-source"
ANSWER_SECONDS = 1.0

_serial = itertools.count(1)


@pytest.fixture
def with_softphones(attacked: AttackedSystem) -> AttackedSystem:
    attacked.tap.forget()
    return attacked


@pytest.fixture(scope="module")
def carrier_only() -> Iterator[AttackedSystem]:
    with attacked_system(asterisk_only={"profile": Profile.PRODUCTION}) as attacked:
        yield attacked


def _request(method: str, attacked: AttackedSystem, wire: SipSocket, number: str) -> bytes:
    lines = [
        f"{method} sip:{number}@{attacked.system.sip} SIP/2.0",
        f"Via: SIP/2.0/{wire.transport.upper()} {wire.peer};rport;branch=z9hG4bK{next(_serial)}",
        f"From: <sip:{MARK}@example.net>;tag=1",
        f"To: <sip:{number}@{attacked.system.sip}>",
        f"Call-ID: {next(_serial)}@{MARK}",
        f"CSeq: 1 {method}",
        "Max-Forwards: 70",
        f"Contact: <sip:{MARK}@{wire.peer}>",
        "Event: presence",
        "Refer-To: <sip:+33199006666@127.0.0.1>",
        "Content-Length: 0",
    ]
    return "\r\n".join([*lines, "", ""]).encode()


def _answers(attacked: AttackedSystem, requests: list[tuple[str, str]], transport: Transport) -> list[list[int]]:
    """Sends each (method, number) from an unlisted address. Returns the statuses of the answers."""
    wires = []
    for method, number in requests:
        time.sleep(0.02)  # PJSIP's queue holds five TCP connections
        wires.append(SipSocket(attacked.system.sip, source=UNKNOWN_ADDRESS, transport=transport))
        wires[-1].send(_request(method, attacked, wires[-1], number))
    read_all(wires, ANSWER_SECONDS)
    for wire in wires:
        wire.socket.close()
    return [wire.statuses for wire in wires]


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_unknown_sources_are_asked_for_a_password_where_there_are_softphones(
    with_softphones: AttackedSystem, transport: Transport
) -> None:
    attacked = with_softphones
    answers = _answers(attacked, [(method, attacked.target.service) for method in METHODS], transport)
    odd = {
        method: statuses
        for method, statuses in zip(METHODS, answers, strict=True)
        if not set(statuses) <= {401} | WITHOUT_AUTHENTICATION
    }
    assert odd == {}
    assert answers[METHODS.index("INVITE")] == answers[METHODS.index("REGISTER")] == [401]
    assert answers[METHODS.index("ACK")] == []
    assert attacked.requests() == []


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_unknown_sources_are_refused_where_there_are_no_softphones(
    carrier_only: AttackedSystem, transport: Transport
) -> None:
    attacked = carrier_only
    answers = dict(
        zip(
            METHODS,
            _answers(attacked, [(method, attacked.target.service) for method in METHODS], transport),
            strict=True,
        )
    )
    assert answers.pop("ACK") == []
    assert set(map(tuple, answers.values())) == {(403,)}
    assert attacked.requests() == []
    # The log holds nothing that the source could choose.
    assert MARK not in attacked.system.asterisk_log


def test_a_rented_number_gets_the_same_answer_as_an_unknown_number(
    with_softphones: AttackedSystem, carrier_only: AttackedSystem
) -> None:
    for attacked in (with_softphones, carrier_only):
        numbers = [attacked.target.service, "+33199006666", "softphone1", "x"]
        answers = _answers(attacked, [("INVITE", number) for number in numbers], "udp")
        assert answers[1:] == answers[:1] * 3


def test_the_carrier_is_put_through_where_unknown_sources_are_refused(carrier_only: AttackedSystem) -> None:
    with carrier_only.good_calls(calls=3, rate=3) as callers:
        outcome = callers.wait()
    assert {asked.arguments[0] for asked in carrier_only.requests()} == {carrier_only.good.service}
    carrier_only.assert_unharmed(outcome)


@pytest.mark.parametrize("source", [UNKNOWN_ADDRESS, "127.0.0.1"])
def test_no_source_can_forge_lines_in_asterisks_log(with_softphones: AttackedSystem, source: str) -> None:
    attacked = with_softphones
    line = "[2026-01-01T00:00:00.000+0000] NOTICE[1] x.c: Request 'REGISTER' from 'x' failed for '192.0.2.66:5060'"
    with SipSocket(attacked.system.sip, source=source) as wire:
        whole = _request("INVITE", attacked, wire, attacked.target.service)
        headless = whole.replace(b"CSeq", b"X-CSeq").replace(b"Content-Length: 0\r\n\r\n", b"\r\n")
        unreadable = whole.replace(b"sip:", b"si p:", 1)
        for raw in (headless, unreadable, whole.replace(b"Via", b"X-Via")):
            wire.send(raw + line.encode() + b"\r\n")
            wire.send(raw.replace(b"Max-Forwards: 70", line.encode()))
            wire.send(raw.replace(MARK.encode(), f"x\r\n{line}".encode(), 1))
        read_all([wire], ANSWER_SECONDS)
    assert not [each for each in attacked.system.asterisk_log.splitlines() if each.startswith("[2026-01-01T")]
    assert "192.0.2.66" not in attacked.system.asterisk_log
