"""fail2ban finds refused sources in the logs of a running system: SIP and AMI in Asterisk's, API and AGI in ours."""

import re
import socket
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from tests.e2e.system import System
from tests.fail2ban import banned_by

# Each attack comes from its own loopback address, none of which belongs to a carrier of the tests.
FORGED = "IPV4/UDP/192.0.2.99/5060"
QUOTED = f'x",RemoteAddress="{FORGED}'


class UnknownSource:
    """Sends SIP requests over UDP from an address that Asterisk does not know."""

    def __init__(self, system: System, address: str) -> None:
        self._server = ("127.0.0.1", system.settings.sip_port)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((address, 0))
        self._socket.settimeout(5)
        self._own = "{}:{}".format(*self._socket.getsockname())

    def send(self, method: str, user: str, *, call_id: str = "", authorization: str = "") -> str:
        """Sends a request and returns the answer. `user` is the raw user part of the From header."""
        uri = f"sip:{self._server[0]}:{self._server[1]}"
        lines = [
            f"{method} {uri} SIP/2.0",
            f"Via: SIP/2.0/UDP {self._own};rport;branch=z9hG4bK{uuid.uuid4().hex}",
            "Max-Forwards: 70",
            f"From: <sip:{user}@example.com>;tag=1",
            f"To: <{uri}>",
            f"Call-ID: {call_id or uuid.uuid4().hex}",
            f"CSeq: 1 {method}",
            f"Contact: <sip:x@{self._own}>",
            *([f"Authorization: {authorization}"] if authorization else []),
            "Content-Length: 0",
        ]
        self._socket.sendto("\r\n".join([*lines, "", ""]).encode(), self._server)
        return self._socket.recv(4096).decode()

    def register(self, user: str, response: str = "0" * 32) -> None:
        """Registers with a wrong password."""
        challenge = self.send("REGISTER", user)
        of = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
        self.send(
            "REGISTER",
            user,
            authorization=f'Digest username="{user}",realm="{of["realm"]}",nonce="{of["nonce"]}",'
            f'uri="sip:127.0.0.1",response="{response}",algorithm=MD5,qop=auth,nc=00000001,cnonce="x",'
            f'opaque="{of["opaque"]}"',
        )

    def close(self) -> None:
        self._socket.close()


@contextmanager
def unknown_source(system: System, address: str) -> Iterator[UnknownSource]:
    source = UnknownSource(system, address)
    try:
        yield source
    finally:
        source.close()


def test_refused_sip_requests_are_found_with_their_source_address(system: System) -> None:
    with unknown_source(system, "127.0.77.1") as unknown:
        assert unknown.send("INVITE", "100").startswith("SIP/2.0 401")
    with unknown_source(system, "127.0.77.2") as guesser:
        guesser.register("softphone1")
    with unknown_source(system, "127.0.77.3") as forger:
        forger.send("OPTIONS", QUOTED.replace('"', "%22")[:60])
    with unknown_source(system, "127.0.77.4") as forger:
        forger.send("OPTIONS", "x", call_id=f'{QUOTED}",Y="')
    with unknown_source(system, "127.0.77.5") as forger:
        forger.register("softphone1", response=QUOTED.replace('"', '\\"'))
    with unknown_source(system, "127.0.77.6") as forger:
        forger.send("OPTIONS", "x%0ay")
    with unknown_source(system, "127.0.77.7") as honest:
        assert "401" in honest.send("REGISTER", "softphone1")  # the challenge only, which is no failure

    log = system.data_dir / "asterisk" / "log" / "security"
    system.until(lambda: "127.0.77.7/" in log.read_text(errors="replace"), "the last request is logged")
    found = banned_by(log)
    assert {address for address in found if address.startswith("127.0.77.")} == {
        f"127.0.77.{last}" for last in range(1, 7)
    }
    assert not [address for address in found if not address.startswith("127.")]


def test_a_wrong_manager_secret_is_found(system: System) -> None:
    log = system.data_dir / "asterisk" / "log" / "security"
    with socket.create_connection(("127.0.0.1", system.settings.ami_port), timeout=5) as ami:
        ami.sendall(b"Action: Login\r\nUsername: rented-numbers\r\nSecret: guessed\r\n\r\n")
        while b"Authentication failed" not in (answer := ami.recv(4096)):
            assert answer
    system.until(lambda: 'SecurityEvent="InvalidPassword"' in log.read_text(errors="replace"), "it is logged")
    assert "127.0.0.1" in banned_by(log)


def test_a_wrong_api_key_is_found_and_is_not_logged(system: System) -> None:
    log = system.data_dir / "security.log"
    url = f"http://127.0.0.1:{system.settings.http_port}/bookings"
    request = urllib.request.Request(url, headers={"Authorization": "Bearer rn_live_guessed-key"})
    with pytest.raises(urllib.error.HTTPError, match="401") as refused:
        urllib.request.urlopen(request, timeout=5)  # noqa: S310  the scheme is ours
    refused.value.close()
    assert banned_by(log)[-1] == "127.0.0.1"
    assert "guessed" not in log.read_text()
    assert system.get("/bookings").status == 200  # a valid key from the same address still works


def test_an_unauthenticated_agi_request_is_found(system: System) -> None:
    log = system.data_dir / "security.log"
    with socket.create_connection(("127.0.0.1", system.settings.fastagi_port), timeout=5) as connection:
        names = {"agi_network_script": "route", "agi_channel": "x", "agi_uniqueid": "x", "agi_arg_1": "guessed"}
        connection.sendall("".join(f"{name}: {value}\n" for name, value in names.items()).encode() + b"\n")
        with suppress(ConnectionError):
            assert connection.recv(4096) == b""
    system.until(lambda: 'Service="AGI"' in log.read_text(), "it is logged")
    assert banned_by(log)[-1] == "127.0.0.1"
    assert "guessed" not in log.read_text()


def test_a_late_bye_of_a_callee_leaves_no_hidden_number_in_the_log(system: System) -> None:
    """After the call the hidden number may send a BYE, perhaps from an unlisted address."""
    booked = system.book()
    with unknown_source(system, "127.0.77.8") as callee:
        assert "481" in callee.send("BYE", booked.destination)
        callee.send("INVITE", "end-of-this-test")
    log = system.data_dir / "asterisk" / "log" / "security"
    system.until(lambda: "end-of-this-test" in log.read_text(errors="replace"), "the later request is logged")
    assert booked.destination.removeprefix("+") not in log.read_text(errors="replace")
