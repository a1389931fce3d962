"""SIP over TLS and sound over SRTP: a call works with both, and is refused without one of them."""

import itertools
import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from phones import tone
from phones.baresip import Baresip
from phones.baresip_files import Tls
from phones.errors import CallEndedError, PhoneTimeoutError
from phones.ports import free_port, free_port_range, is_bound
from tests.e2e.booking import Booking
from tests.e2e.calls import HEARD_SECONDS
from tests.e2e.certificates import Authority
from tests.e2e.system import READY_SECONDS, System

CALLER_HZ, CALLEE_HZ = 440, 620
TALK_SECONDS = 2.0
OPTIONS = (
    "OPTIONS sip:127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TLS 127.0.0.1:9;rport;branch=z9hG4bK{0}\r\nFrom: <sip:a@b>;tag=1\r\n"
    "To: <sip:127.0.0.1>\r\nCall-ID: tls{0}\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
)

_serial = itertools.count(1)


@dataclass(frozen=True)
class Secured:
    """A system that requires TLS and SRTP.

    `ours` is the CA of its settings, `theirs` another CA. The carrier answers at `network_port`.
    """

    system: System
    ours: Authority
    theirs: Authority
    network_port: int

    def network(self, booked: Booking, tls: Tls, record: Path | None = None) -> Baresip:
        """The hidden number's telephone, behind the trunk."""
        return Baresip(
            "network",
            numbers=[booked.destination],
            port=self.network_port,
            answer="auto",
            tone=CALLEE_HZ,
            record=record,
            tls=tls,
        )

    def caller(self, tls: Tls, record: Path | None = None) -> Baresip:
        server = f"127.0.0.1:{self.system.settings.sip_tls_port}"
        return Baresip("+33199007777", server=server, tone=CALLER_HZ, record=record, tls=tls)

    @property
    def good(self) -> Tls:
        return Tls(self.ours.issue(), self.ours.file)


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    directory = tmp_path_factory.mktemp("tls")
    ours, theirs = Authority(directory, "ours"), Authority(directory, "theirs")
    certificate = ours.issue()
    port = free_port_range(2)  # the telephone uses the second one for TLS
    system = System(
        sip_plain=False,
        sip_tls_port=free_port(),
        sip_tls_certificate=certificate,
        sip_tls_key=certificate,
        sip_tls_ca=ours.file,
        sip_tls_client_certificate=True,
        media_encryption="sdes",
        trunk_uri=f"sip:127.0.0.1:{port + 1};transport=tls",
    )
    with system:
        yield Secured(system, ours, theirs, port)


def _refused(secured: Secured, booked: Booking, caller: Tls, callee: Tls | None = None) -> int | None:
    """Makes a call that must be refused, and returns the status."""
    with ExitStack() as phones:
        if callee is not None:
            phones.enter_context(secured.network(booked, callee))
        phone = phones.enter_context(secured.caller(caller))
        phone.dial(booked.service)
        with pytest.raises(CallEndedError) as refused:
            phone.wait_established()
        return refused.value.ending.status


def _dispositions(booked: Booking) -> list[str]:
    return [cdr["disposition"] for cdr in booked.wait_settled()]


def test_sound_goes_both_ways_over_tls_and_srtp(secured: Secured, tmp_path: Path) -> None:
    booked = secured.system.book("LARGE")
    callee = secured.network(booked, secured.good, tmp_path / "callee.wav")
    caller = secured.caller(secured.good, tmp_path / "caller.wav")
    with callee, caller:
        caller.dial(booked.service)
        caller.wait_established()
        with pytest.raises(PhoneTimeoutError):
            caller.wait_closed(TALK_SECONDS)
        caller.hangup()
        caller.wait_closed()
        callee.wait_closed()
    assert tone.seconds_of(tmp_path / "caller.wav", CALLEE_HZ) > HEARD_SECONDS
    assert tone.seconds_of(tmp_path / "callee.wav", CALLER_HZ) > HEARD_SECONDS
    assert _dispositions(booked) == ["ANSWERED"]


def test_a_caller_without_srtp_is_refused_without_a_request_to_the_engine(secured: Secured) -> None:
    booked = secured.system.book("LARGE")
    asked = secured.system.engine_log.count("call_routed")
    assert _refused(secured, booked, Tls(secured.ours.issue(), secured.ours.file, srtp=False)) == 488
    assert secured.system.engine_log.count("call_routed") == asked
    assert booked.calls == []


def test_a_hidden_number_without_srtp_is_never_bridged(secured: Secured) -> None:
    booked = secured.system.book("LARGE")
    callee = Tls(secured.ours.issue(), secured.ours.file, srtp=False)
    assert _refused(secured, booked, secured.good, callee) == 503
    assert _dispositions(booked) == ["UNREACHABLE"]


@pytest.mark.parametrize("wrong", ["authority", "name"])
def test_a_carrier_with_a_wrong_certificate_gets_no_call(secured: Secured, wrong: str) -> None:
    booked = secured.system.book("LARGE")
    shown = secured.theirs.issue() if wrong == "authority" else secured.ours.issue("other.example")
    assert _refused(secured, booked, secured.good, Tls(shown, secured.ours.file)) == 503
    assert _dispositions(booked) == ["UNREACHABLE"]


def test_no_port_accepts_sip_without_tls(secured: Secured) -> None:
    port = secured.system.settings.sip_port
    assert not is_bound(port)
    assert not is_bound(port, "tcp")


def _answered(secured: Secured, context: ssl.SSLContext) -> bytes:
    """The first line of the answer over TLS; empty if the connection is refused."""
    context.load_verify_locations(secured.ours.file)
    address = ("127.0.0.1", secured.system.settings.sip_tls_port)
    try:
        with (
            socket.create_connection(address, 5) as plain,
            context.wrap_socket(plain, server_hostname="127.0.0.1") as wire,
        ):
            wire.sendall(OPTIONS.format(next(_serial)).encode())
            return wire.recv(4096).partition(b"\r\n")[0]
    except (ssl.SSLError, ConnectionError):
        return b""


def _client(certificate: Path | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if certificate is not None:
        context.load_cert_chain(certificate)
    return context


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_a_client_must_present_a_certificate_of_the_configured_ca(secured: Secured, version: str) -> None:
    def over(certificate: Path | None) -> bytes:
        context = _client(certificate)
        context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
        return _answered(secured, context)

    assert over(secured.ours.issue()) == b"SIP/2.0 200 OK"
    assert over(secured.theirs.issue()) == b""
    assert over(None) == b""


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.parametrize("version", ["TLSv1", "TLSv1_1"])
def test_older_versions_of_tls_are_refused(secured: Secured, version: str) -> None:
    context = _client(secured.ours.issue())
    # By default the client itself would not offer them.
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
    assert _answered(secured, context) == b""


def test_a_call_to_a_sips_trunk_has_a_sips_contact(tmp_path: Path) -> None:
    """RFC 3261, 8.1.1.8. Otherwise requests within the call could come back over a way that is not encrypted."""
    authority = Authority(tmp_path, "ours")
    certificate = authority.issue()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with socket.create_server(("127.0.0.1", 0)) as trunk:
        trunk.settimeout(READY_SECONDS)
        system = System(
            sip_tls_port=free_port(),
            sip_tls_certificate=certificate,
            sip_tls_key=certificate,
            sip_tls_ca=authority.file,
            trunk_uri=f"sips:127.0.0.1:{trunk.getsockname()[1]}",
        )
        with system, Baresip("+33199007777", server=system.sip) as caller:
            caller.dial(system.book("LARGE").service)
            connection, _ = trunk.accept()
            with context.wrap_socket(connection, server_side=True) as wire:
                invite = wire.recv(65536)
    assert invite.startswith(b"INVITE sips:")
    assert [line[:14] for line in invite.split(b"\r\n") if line.startswith(b"Contact:")] == [b"Contact: <sips"]
