"""The page on a carrier that asks for a password, registers behind NAT and dies in mid-day, followed word for word."""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.local.findings import Finding, Verdict
from engine.local.running_asterisk import running_asterisk
from phones.messages import Message
from phones.peer import Account, Dialog, Media, Peer, Stage, media_of, sdp, uri_of
from phones.ports import free_port
from tests.e2e.carriers.scripted import ScriptedCarrier
from tests.e2e.carriers.system import EXTERNAL, SOURCE, identifying
from tests.e2e.system import System

PAGE = Path(__file__).resolve().parents[3] / "docs" / "asterisk.md"
HOST, OTHER_CARRIER = "127.0.0.2", "127.0.0.5"
PASSWORD = "as the carrier sent it"


def documented() -> dict[str, Any]:
    """The settings of the page."""
    text = PAGE.read_text().partition("## A carrier that asks for a password")[2]
    return tomllib.loads(text.partition("```toml\n")[2].partition("```")[0])


class Documented:
    """A system with the page's trunks; only addresses are other ones, and the intervals are shorter.

    Attributes:
        line: The carrier of the first trunk.
    """

    def __init__(self, stage: Stage) -> None:
        main, second = documented()["trunks"]
        port = free_port()
        main |= {"uri": f"sip:{HOST}:{port}", "qualify": 1}
        second |= {"uri": f"sip:{OTHER_CARRIER}:9;transport=tcp", "addresses": [OTHER_CARRIER], "qualify": 1}
        self.stage = stage
        self.user = str(main["username"])
        self.domain = str(main["from_domain"])
        account = Account(self.user, PASSWORD, realm=self.domain)
        self.line = ScriptedCarrier(stage, (HOST, port), {self.user: account}, lambda _: account)
        self.system = System(
            trunks=[main, second],
            trunk_passwords={"main": PASSWORD},
            external_address=EXTERNAL,
            local_networks=["127.0.0.1/32"],
            longest_call=60,
        )

    def call(self, service: str) -> tuple[Dialog, Message]:
        """Calls a rented number over the registration."""
        return self.stage.run(self._call(service))

    async def _call(self, service: str) -> tuple[Dialog, Message]:
        peer = await Peer.open(HOST)
        dialog = await peer.dialog(service, ("127.0.0.1", self.system.settings.sip_port), source=SOURCE)
        contact, _ = self.line.contacts[self.user]
        dialog.target = f"sip:{service}@{contact.partition('@')[2]}"
        media = Media.open(HOST)
        dialog.sound = sdp(media.local)
        final = await dialog.answered(dialog.request("INVITE", (), dialog.sound))
        if final.status == 200:
            await dialog.answered(dialog.request("BYE"))
        media.close()
        await peer.close()
        return dialog, final

    def state(self) -> str:
        return str(self.system.get("/health").body["trunks"]["main"])

    def doctor(self) -> list[Finding]:
        return [each for each in running_asterisk(self.system.settings) if each.part == "asterisk registrations"]


@pytest.fixture(scope="module")
def page() -> Iterator[Documented]:
    with Stage() as stage:
        made = Documented(stage)
        try:
            with made.system:
                made.system.until(lambda: made.user in made.line.contacts, "the trunk is registered")
                made.system.until(lambda: made.state() == "up", "the trunk is up")
                yield made
        finally:
            made.line.close()


def test_calls_come_in_over_the_registration_and_leave_with_the_account(page: Documented) -> None:
    register = page.line.registers[-1]
    assert register.header("To").startswith(f"<sip:{page.user}@{page.domain}>")
    assert register.header("Expires") == str(documented()["trunks"][0]["expires"])
    assert EXTERNAL in uri_of(register.header("Contact"))
    booked = page.system.book("LARGE")
    _, final = page.call(booked.service)
    assert final.status == 200
    invite = page.line.calls[booked.destination].invite
    assert invite is not None
    account = f"sip:{page.user}@{page.domain}"
    asserted = f"P-Asserted-Identity: <sip:{SOURCE}@{page.domain}>"
    assert identifying(invite) == (f"From: <{account}>", asserted)
    sound = media_of(invite)
    assert sound is not None
    assert sound[0] == EXTERNAL
    assert booked.wait_settled()[0]["disposition"] == "ANSWERED"


def test_a_carrier_that_dies_in_mid_day_is_seen_and_used_again_when_it_is_back(page: Documented) -> None:
    assert [finding.verdict for finding in page.doctor()] == [Verdict.OK]
    page.line.answers_options, page.line.on_register = False, lambda request: None
    try:
        page.system.until(lambda: page.state() == "down", "the trunk is down")
        booked = page.system.book("LARGE")
        page.call(booked.service)
        assert booked.destination not in page.line.calls
    finally:
        page.line.answers_options, page.line.on_register = True, page.line.accept
    page.system.until(lambda: page.state() == "up", "the trunk is up again")
    booked = page.system.book("LARGE")
    assert page.call(booked.service)[1].status == 200
    assert booked.destination in page.line.calls


def test_the_other_carriers_calls_come_from_its_addresses(page: Documented) -> None:
    booked = page.system.book("LARGE")

    async def call() -> int | None:
        peer = await Peer.open(OTHER_CARRIER)
        dialog = await peer.dialog(booked.service, ("127.0.0.1", page.system.settings.sip_port), source=SOURCE)
        media = Media.open(OTHER_CARRIER)
        dialog.sound = sdp(media.local)
        final = await dialog.answered(dialog.request("INVITE", (), dialog.sound))
        await dialog.answered(dialog.request("BYE"))
        media.close()
        await peer.close()
        return final.status

    assert page.stage.run(call()) == 200
