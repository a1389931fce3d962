"""The real Kamailio speaks TLS with carriers: with whom, in which versions, and for how long.

That calls go on over TLS as over UDP is in test_kamailio.py.
"""

import re
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.config.settings import Settings
from phones.peer.wire import SipTransport
from phones.peer.writing import token
from tests.e2e.certificates import Authority
from tests.integration.kamailio_line import CALLER, CARRIER, STRANGER, Line, line_of, secure_peer
from tests.integration.test_kamailio import NUMBER, TRUNKS


@pytest.fixture(scope="module")
def running() -> Iterator[Line]:
    with line_of(trunks=TRUNKS) as line:
        yield line


@pytest.fixture
def line(running: Line) -> Line:
    running.reset()
    return running


def test_a_stranger_over_tls_is_refused_with_any_certificate(line: Line) -> None:
    assert line.call(NUMBER, source=STRANGER, transport="tls").status == 403
    assert [node.calls for node in line.nodes] == [[], []]


@pytest.mark.parametrize("transport", ["tcp", "tls"])
def test_a_carriers_connection_stays_open_for_as_long_as_a_call_may_last(line: Line, transport: SipTransport) -> None:
    """Without traffic. A stranger's does not."""
    for source in (CARRIER, STRANGER):
        line.call(NUMBER, source=source, transport=transport, patience=0.2)
    listed = line.kamailio.command("core.tcp_list")
    found = re.findall(rf"type: {transport.upper()}.*?lifetime: (\d+).*?src_ip: (\S+)", listed, re.DOTALL)
    seconds = {source: int(lifetime) for lifetime, source in found}
    assert seconds[CARRIER] >= Settings().longest_call.total_seconds()
    assert seconds[STRANGER] <= 600


def test_a_carrier_may_write_sips(line: Line) -> None:
    """Nodes get the number without it: they would demand TLS from Kamailio."""

    async def call_and_hang_up() -> tuple[int | None, str]:
        dialog = await line.dial(NUMBER, transport="tls")
        dialog.target, dialog.peer = (each.replace("sip:", "sips:", 1) for each in (dialog.target, dialog.peer))
        answer = await dialog.answered(dialog.request("INVITE"), 5)
        [called] = [call for node in line.nodes for call in node.calls]
        assert (await called.answered(called.request("BYE"), 5)).status == 200
        assert called.invite is not None
        assert [each for each in called.invite.headers("Record-Route") if "sips:" in each] == []
        return answer.status, called.invite.start_line

    status, dialled = line.stage.run(call_and_hang_up())
    assert (status, dialled.partition("@")[0]) == (200, f"INVITE sip:{NUMBER}")


def client(**how: ssl.TLSVersion) -> ssl.SSLContext:
    """A client that would accept Kamailio with any certificate, and shows none."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    # By default the client itself would not offer old versions.
    context.set_ciphers("ALL:@SECLEVEL=0")
    for name, version in how.items():
        setattr(context, name, version)
    return context


def options_over(line: Line, context: ssl.SSLContext) -> bytes:
    """Asks from the carrier's address whether calls are taken. Returns the status line; empty if TLS was refused."""
    unique = token()
    asking = (
        f"OPTIONS sip:127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TLS 127.0.0.10:9;rport;branch=z9hG4bK{unique}\r\n"
        f"From: <sip:a@b>;tag=1\r\nTo: <sip:127.0.0.1>\r\nCall-ID: {unique}\r\nCSeq: 1 OPTIONS\r\n"
        "Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
    )
    try:
        with (
            socket.create_connection(line.kamailio.tls_address, 5, (CARRIER, 0)) as plain,
            context.wrap_socket(plain) as wire,
        ):
            wire.sendall(asking.encode())
            return wire.recv(4096).partition(b"\r\n")[0]
    except (ssl.SSLError, ConnectionError):
        return b""


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_tls_takes_two_versions_and_certificates_of_the_configured_ca_alone(line: Line, tmp_path: Path) -> None:
    ours, theirs = line.authority.issue(CARRIER), Authority(tmp_path, "theirs").issue(CARRIER)
    for version, good in (("TLSv1", False), ("TLSv1_1", False), ("TLSv1_2", True), ("TLSv1_3", True)):
        only = ssl.TLSVersion[version]
        for shown in (ours, theirs, None):
            context = client(minimum_version=only, maximum_version=only)
            if shown is not None:
                context.load_cert_chain(shown)
            accepted = b"SIP/2.0 200 OK" if good and shown is ours else b""
            assert options_over(line, context) == accepted, (version, shown)


def test_kamailio_connects_only_to_a_carrier_with_a_certificate_of_the_configured_ca(
    line: Line, tmp_path: Path
) -> None:
    """This carrier shows a good certificate when it calls, and another one where it says that it can be reached."""
    theirs = Authority(tmp_path, "theirs").issue(CARRIER)
    carrier = line.stage.run(secure_peer(CARRIER, line.authority, shows=theirs))

    async def call_and_hang_up() -> tuple[int | None, int | None]:
        dialog = await carrier.dialog(NUMBER, line.kamailio.tls_address, source=CALLER, transport="tls")
        answer = await dialog.answered(dialog.request("INVITE"), 5)
        assert answer.status == 200, line.kamailio.log[-2000:]
        [called] = [call for node in line.nodes for call in node.calls]
        ended = await called.answered(called.request("BYE"), 5)
        assert [message.method for message in dialog.messages if message.status is None] == []
        return answer.status, ended.status

    try:
        answered, ended = line.stage.run(call_and_hang_up())
    finally:
        line.stage.run(carrier.close())
    assert answered == 200
    assert ended in (408, 477, 503)
