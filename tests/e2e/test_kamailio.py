"""A real Asterisk with its engine behind the real Kamailio: calls work, end, and show the caller nothing.

The second node is scripted, and says nothing until the last test.
"""

import asyncio
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass

import pytest

from cluster.kamailio import Kamailio
from engine.config.secrets import kamailio_secrets
from engine.config.types import Profile
from phones.peer.dialog import Dialog
from phones.peer.peer import Peer
from phones.peer.stage import Stage
from phones.peer.writing import sdp
from phones.ports import free_port
from tests.e2e.booking import Booking
from tests.e2e.calls import SOURCE, Caller
from tests.e2e.system import System
from tests.integration.kamailio_line import Does, Node
from tests.kamailio import kamailio_of

KAMAILIO, ASTERISK, OTHER, CARRIER = "127.0.0.6", "127.0.0.31", "127.0.0.32", "127.0.0.12"


@dataclass
class Behind:
    """A system behind Kamailio, and the carrier before it.

    Attributes:
        sip: The address and port of Asterisk.
        other: The other node.
    """

    system: System
    kamailio: Kamailio
    stage: Stage
    carrier: Peer
    sip: tuple[str, int]
    other: Node

    async def dial(self, booked: Booking, *, headers: tuple[str, ...] = (), directly: bool = False) -> Dialog:
        """Calls a rented number, and waits for the final answer."""
        target = self.sip if directly else self.kamailio.address
        dialog = await self.carrier.dialog(booked.service, target, source=SOURCE)
        dialog.request("INVITE", headers, sdp((CARRIER, 4000)))
        await dialog.answered(1, 20)
        return dialog


@pytest.fixture(scope="module")
def behind() -> Iterator[Behind]:
    port = free_port()
    system = System(
        # In production Asterisk has a list of those who may send requests.
        asterisk_only={"profile": Profile.PRODUCTION},
        sip_host=ASTERISK,
        sip_port=port,
        kamailio_host=KAMAILIO,
        kamailio_port=free_port(),
        nodes=[f"{host}:{port}" for host in (ASTERISK, OTHER)],
        carrier_addresses=[CARRIER],
    )
    with system, Stage() as stage:
        carrier, other = stage.run(Peer.open(CARRIER)), Node(stage, OTHER, port)
        other.does = Does.SAY_NOTHING
        with kamailio_of(system.settings, kamailio_secrets(system.data_dir / "secrets")) as kamailio:
            kamailio.wait_for(f"{ASTERISK}:{port}", "AP")
            kamailio.wait_for(other.name, "IP")
            yield Behind(system, kamailio, stage, carrier, (ASTERISK, port), other)
        for peer in (carrier, other.peer):
            stage.run(peer.close())


def assert_shows_nothing(call: Dialog, booked: Booking) -> None:
    """Neither the hidden number, nor what is behind Kamailio; only the body names where the sound comes from."""
    assert call.messages
    for message in call.messages:
        assert booked.destination[-6:] not in message.text
        head = message.text.partition("\n\n")[0]
        for inside in (ASTERISK, "X-RN-Trunk", "amailio", "sterisk"):
            assert inside not in head, head


@pytest.mark.parametrize("who", ["caller", "callee"])
def test_a_call_ends_although_kamailio_was_killed_and_shows_nothing(behind: Behind, who: str) -> None:
    booked = behind.system.book("LARGE")
    scenario = "uas_answer" if who == "caller" else "uas_hangs_up"
    with Caller(behind.system).hidden(scenario, talk=1500):
        call = behind.stage.run(behind.dial(booked))
        assert call.messages[-1].status == 200
        behind.kamailio.kill()
        behind.kamailio.start()

        async def end() -> None:
            if who == "caller":
                assert (await call.answered(call.request("BYE"), 10)).status == 200
            else:
                await call.requested("BYE", 10)

        behind.stage.run(end())
    [cdr] = booked.wait_settled()
    assert (cdr["disposition"], cdr["hungUpBy"]) == ("ANSWERED", who.upper())
    assert_shows_nothing(call, booked)


def test_a_caller_who_gives_up_is_heard(behind: Behind) -> None:
    booked = behind.system.book("LARGE")

    async def give_up() -> Dialog:
        dialog = await behind.carrier.dialog(booked.service, behind.kamailio.address, source=SOURCE)
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


@pytest.mark.parametrize(("scenario", "status"), [("uas_busy", 486), ("uas_declines", 486), (None, 503)])
def test_a_refused_call_shows_nothing(behind: Behind, scenario: str | None, status: int) -> None:
    """Without a scenario no telephone listens behind the trunk, and only the first node can say so."""
    booked = behind.system.book("LARGE")
    with Caller(behind.system).hidden(scenario) if scenario else nullcontext():
        call = behind.stage.run(behind.dial(booked))
    assert call.messages[-1].status == status
    assert_shows_nothing(call, booked)


def test_asterisk_takes_no_call_that_does_not_come_through_kamailio(behind: Behind) -> None:
    """Not from the carrier's own address either, with any value of the header."""
    booked = behind.system.book("LARGE")
    for headers in ((), ("X-RN-Trunk: main",), (f"X-RN-Trunk: main-{'0' * 32}",)):
        call = behind.stage.run(behind.dial(booked, headers=headers, directly=True))
        assert call.messages[-1].status == 401, headers


def test_no_call_is_lost_while_the_engine_of_a_node_is_away(behind: Behind) -> None:
    """Two numbers whose last digits differ by one have different first nodes."""
    booked = [behind.system.book() for _ in range(2)]
    assert abs(int(booked[0].service[-1]) - int(booked[1].service[-1])) % 2 == 1
    behind.other.does = Does.ANSWER
    behind.kamailio.wait_for(behind.other.name, "AP")
    behind.system.stop_engine()
    for each in booked:
        assert behind.stage.run(behind.dial(each)).messages[-1].status == 200
    assert len(behind.other.calls) == 2
