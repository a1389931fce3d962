"""A real Asterisk with its engine behind the real Kamailio: calls work, end, and show the caller nothing.

The second node is scripted, and says nothing until the last test.
"""

import asyncio
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import pytest

from cluster.kamailio import Kamailio
from engine.config.secrets import kamailio_secrets
from engine.config.types import Profile
from phones import tone
from phones.baresip import Baresip
from phones.baresip_files import Tls
from phones.errors import PhoneTimeoutError
from phones.peer.dialog import Dialog
from phones.peer.peer import Peer
from phones.peer.stage import Stage
from phones.peer.wire import SipTransport
from phones.peer.writing import sdp
from phones.ports import free_port
from tests.e2e.booking import Booking
from tests.e2e.calls import HEARD_SECONDS, SOURCE, Caller
from tests.e2e.certificates import Authority
from tests.e2e.system import System
from tests.integration.kamailio_line import Does, Node, secure_peer, tls_settings
from tests.kamailio import kamailio_of

KAMAILIO, ASTERISK, OTHER, CARRIER = "127.0.0.6", "127.0.0.31", "127.0.0.32", "127.0.0.12"
# A telephone, whose calls are the carrier's as well.
TELEPHONE = "127.0.0.1"
STRANGER = "127.0.0.67"
CALLER_HZ, CALLEE_HZ = 440, 620
TALK_SECONDS = 2.0


@dataclass
class Behind:
    """A system behind Kamailio, and the carrier before it.

    Attributes:
        secure: The same carrier, which speaks TLS.
        authority: The CA of whom Kamailio accepts certificates.
        sip: The address and port of Asterisk.
        other: The other node.
    """

    system: System
    kamailio: Kamailio
    stage: Stage
    carrier: Peer
    secure: Peer
    authority: Authority
    sip: tuple[str, int]
    other: Node

    async def prepare(self, booked: Booking, transport: SipTransport = "udp") -> Dialog:
        """Prepares a call to a rented number."""
        if transport == "tls":
            target = self.kamailio.tls_address
            return await self.secure.dialog(booked.service, target, source=SOURCE, transport=transport)
        return await self.carrier.dialog(booked.service, self.kamailio.address, source=SOURCE)

    async def dial(self, booked: Booking, transport: SipTransport = "udp") -> Dialog:
        """Calls a rented number, and waits for the final answer."""
        return await answered(await self.prepare(booked, transport))

    async def dial_directly(self, booked: Booking, headers: tuple[str, ...]) -> Dialog:
        """Calls a rented number at Asterisk itself, and waits for the final answer."""
        return await answered(await self.carrier.dialog(booked.service, self.sip, source=SOURCE), headers)


async def answered(dialog: Dialog, headers: tuple[str, ...] = ()) -> Dialog:
    dialog.request("INVITE", headers, sdp((CARRIER, 4000)))
    await dialog.answered(1, 20)
    return dialog


def status_of(call: Dialog) -> int | None:
    """The final status. Kamailio's processes may let a provisional answer come after it."""
    return next(each.status for each in call.messages if each.status is not None and each.status >= 200)


async def asked(dialog: Dialog, method: str) -> int | None:
    """Sends a request within a call. Returns the status of its answer."""
    return (await dialog.answered(dialog.request(method), 10)).status


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Behind]:
    port = free_port()
    authority = Authority(tmp_path_factory.mktemp("tls"), "authority")
    system = System(
        # In production Asterisk has a list of those who may send requests.
        asterisk_only={"profile": Profile.PRODUCTION},
        sip_host=ASTERISK,
        sip_port=port,
        kamailio_host=KAMAILIO,
        kamailio_port=free_port(),
        nodes=[f"{host}:{port}" for host in (ASTERISK, OTHER)],
        carrier_addresses=[CARRIER, TELEPHONE],
        media_encryption="optional",
        **tls_settings(authority, KAMAILIO),
    )
    with system, Stage() as stage:
        carrier, other = stage.run(Peer.open(CARRIER)), Node(stage, OTHER, port)
        secure = stage.run(secure_peer(CARRIER, authority))
        other.does = Does.SAY_NOTHING
        with kamailio_of(system.settings, kamailio_secrets(system.data_dir / "secrets")) as kamailio:
            kamailio.wait_for(f"{ASTERISK}:{port}", "AP")
            kamailio.wait_for(other.name, "IP")
            yield Behind(system, kamailio, stage, carrier, secure, authority, (ASTERISK, port), other)
        for peer in (carrier, secure, other.peer):
            stage.run(peer.close())


def assert_shows_nothing(call: Dialog, booked: Booking) -> None:
    """Neither the hidden number, nor what is behind Kamailio; only the body names where the sound comes from."""
    assert call.messages
    for message in call.messages:
        assert booked.destination[-6:] not in message.text
        head = message.text.partition("\n\n")[0]
        for inside in (ASTERISK, "X-RN-Trunk", "amailio", "sterisk"):
            assert inside not in head, head


@pytest.mark.parametrize("transport", ["udp", "tls"])
@pytest.mark.parametrize("who", ["caller", "callee"])
def test_a_call_ends_although_kamailio_was_killed_and_shows_nothing(
    behind: Behind, who: str, transport: SipTransport
) -> None:
    """The connection of a call over TLS is opened again by the side that hangs up: the carrier or Kamailio."""
    booked = behind.system.book("LARGE")
    scenario = "uas_answer" if who == "caller" else "uas_hangs_up"
    with Caller(behind.system).hidden(scenario, talk=1500):
        call = behind.stage.run(behind.dial(booked, transport))
        assert status_of(call) == 200
        # Asterisk has the ACK, which came before this: it would be lost with the connection.
        assert behind.stage.run(asked(call, "OPTIONS")) == 200
        behind.kamailio.kill()
        behind.kamailio.start()

        async def end() -> None:
            if who == "caller":
                if transport == "tls":
                    await behind.secure.reconnect(call)
                assert await asked(call, "BYE") == 200
            else:
                await call.requested("BYE", 10)

        behind.stage.run(end())
    [cdr] = booked.wait_settled()
    assert (cdr["disposition"], cdr["hungUpBy"]) == ("ANSWERED", who.upper())
    assert_shows_nothing(call, booked)


@pytest.mark.parametrize("transport", ["udp", "tls"])
def test_a_caller_who_gives_up_is_heard(behind: Behind, transport: SipTransport) -> None:
    booked = behind.system.book("LARGE")

    async def give_up() -> Dialog:
        dialog = await behind.prepare(booked, transport)
        dialog.request("INVITE", (), sdp((CARRIER, 4000)))
        await dialog.until(lambda each: each.status == 180, 10)
        await asyncio.sleep(0.1)
        dialog.cancel()
        assert (await dialog.answered(1, 10)).status == 487
        return dialog

    with Caller(behind.system).hidden("uas_no_answer"):
        call = behind.stage.run(give_up())
    assert_shows_nothing(call, booked)
    [cdr] = booked.wait_settled()
    assert cdr["hungUpBy"] == "CALLER"


@pytest.mark.parametrize(
    ("scenario", "status", "transport"),
    [("uas_busy", 486, "udp"), ("uas_declines", 486, "tls"), (None, 503, "udp"), (None, 503, "tls")],
)
def test_a_refused_call_shows_nothing(
    behind: Behind, scenario: str | None, status: int, transport: SipTransport
) -> None:
    """Without a scenario no telephone listens behind the trunk, and only the first node can say so."""
    booked = behind.system.book("LARGE")
    with Caller(behind.system).hidden(scenario) if scenario else nullcontext():
        call = behind.stage.run(behind.dial(booked, transport))
    assert status_of(call) == status
    assert_shows_nothing(call, booked)


def test_a_telephone_talks_over_tls_and_srtp_and_its_call_is_paid(behind: Behind, tmp_path: Path) -> None:
    booked = behind.system.book("LARGE")
    server = "{}:{}".format(*behind.kamailio.tls_address)
    callee = Baresip(
        "network",
        numbers=[booked.destination],
        port=behind.system.trunk_port,
        answer="auto",
        tone=CALLEE_HZ,
        record=tmp_path / "callee.wav",
    )
    tls = Tls(behind.authority.issue(TELEPHONE), behind.authority.file)
    caller = Baresip(SOURCE, server=server, tone=CALLER_HZ, record=tmp_path / "caller.wav", tls=tls)
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
    [cdr] = booked.wait_settled()
    assert (cdr["disposition"], cdr["hungUpBy"]) == ("ANSWERED", "CALLER")
    assert cdr["duration"] >= TALK_SECONDS


@pytest.mark.parametrize("wrong", ["address", "certificate"])
def test_a_strangers_client_over_tls_reaches_no_node(behind: Behind, tmp_path: Path, wrong: str) -> None:
    """Its address or its certificate is not that of a carrier."""
    booked = behind.system.book("LARGE")
    host, authority = (STRANGER, behind.authority) if wrong == "address" else (CARRIER, Authority(tmp_path, "theirs"))
    stranger = behind.stage.run(secure_peer(host, authority, trusts=behind.authority))

    async def call() -> int | None:
        dialog = await stranger.dialog(booked.service, behind.kamailio.tls_address, source=SOURCE, transport="tls")
        try:
            return (await dialog.answered(dialog.request("INVITE", (), sdp((host, 4000))), 1)).status
        except TimeoutError:
            return None

    try:
        # TLS 1.3 refuses a client's certificate only after its handshake, so the connection seems to be open.
        assert behind.stage.run(call()) == (403 if wrong == "address" else None)
    finally:
        behind.stage.run(stranger.close())
    assert booked.calls == []
    assert booked.service not in behind.system.asterisk_log


def test_asterisk_takes_no_call_that_does_not_come_through_kamailio(behind: Behind) -> None:
    """Not from the carrier's own address either, with any value of the header."""
    booked = behind.system.book("LARGE")
    for headers in ((), ("X-RN-Trunk: main",), (f"X-RN-Trunk: main-{'0' * 32}",)):
        call = behind.stage.run(behind.dial_directly(booked, headers))
        assert status_of(call) == 401, headers


def test_no_call_is_lost_while_the_engine_of_a_node_is_away(behind: Behind) -> None:
    """Two numbers whose last digits differ by one have different first nodes."""
    booked = [behind.system.book() for _ in range(2)]
    assert abs(int(booked[0].service[-1]) - int(booked[1].service[-1])) % 2 == 1
    behind.other.does = Does.ANSWER
    behind.kamailio.wait_for(behind.other.name, "AP")
    behind.system.stop_engine()
    transports: tuple[SipTransport, ...] = ("udp", "tls")
    for each in booked:
        for transport in transports:
            assert status_of(behind.stage.run(behind.dial(each, transport))) == 200
    assert len(behind.other.calls) == 4
