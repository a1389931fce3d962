"""The page /phone: two tabs ring each other through a rented number, and can do nothing else. In real Chromium.

test_browser_phone_server.py has what the server refuses without any tab.
"""

import asyncio
import os
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from engine.asterisk.browser_phones import CALLER, CALLER_NUMBER
from engine.asterisk.config_files import ROOT
from engine.asterisk.softphones import BROWSER_PHONE, SOFTPHONES
from tests.e2e.browser_tabs import ELSEWHERE, HERTZ, MICROPHONE, Tab, browser, tabs
from tests.e2e.system import System

pytestmark = pytest.mark.asyncio(loop_scope="module")

HIDDEN = BROWSER_PHONE.number
# PHONE_PICTURES=1 renews the pictures of the documents.
PICTURES = ROOT / "docs" / "images" if os.environ.get("PHONE_PICTURES") else None
# The page's own, for scripts: the SIP status of a request that its line refuses.
STATUS_OF_CALL = """new Promise(resolve => telephone.agent.call('sip:%s@127.0.0.1', {
  mediaStream: microphone, eventHandlers: {failed: ({message}) => resolve(message?.status_code ?? 0),
  progress: () => resolve(180)}}))"""
STATUS_OF_REGISTER = """new Promise(resolve => {
  telephone.agent.once('registrationFailed', ({response}) => resolve(response.status_code));
  telephone.agent.once('registered', () => resolve(200));
  telephone.agent.register();
})"""


@dataclass(frozen=True)
class Telephones:
    system: System
    devtools: str

    @property
    def address(self) -> str:
        return self.system.address


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def phones(with_phones: System, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Telephones]:
    async with browser(tmp_path_factory.mktemp("chromium"), *MICROPHONE) as devtools:
        yield Telephones(with_phones, devtools)


@pytest_asyncio.fixture(loop_scope="module")
async def both(phones: Telephones) -> AsyncIterator[tuple[Tab, Tab]]:
    """The caller and the hidden telephone, switched on."""
    async with tabs(phones.devtools, phones.address, "caller", "hidden") as (caller, hidden):
        await caller.switch_on()
        await hidden.switch_on()
        yield caller, hidden
        assert caller.page.seen.complaints == hidden.page.seen.complaints == []


def udp_addresses(system: System) -> set[str]:
    """The addresses of Asterisk's ports for sound, as /proc has them: 0100007F is 127.0.0.1."""
    tables = [Path("/proc/net", table).read_text().splitlines()[1:] for table in ("udp", "udp6")]
    sockets = [line.split()[1].split(":") for table in tables for line in table]
    ports = range(system.settings.rtp_start, system.settings.rtp_end + 1)
    return {address for address, port in sockets if int(port, 16) in ports}


def records(system: System) -> list[dict[str, object]]:
    """The call records of the telephone's rented number, newest first."""
    found = system.command("cdr", "list", "--account", "softphones", "--json")
    return [each for each in found if each["service"] == BROWSER_PHONE.rented]


async def test_two_tabs_ring_each_other_and_hear_each_other(phones: Telephones, both: tuple[Tab, Tab]) -> None:
    caller, hidden = both
    assert await caller.page.do("element('dialled').value") == BROWSER_PHONE.rented
    await caller.click("call")
    await hidden.shows("state", f"a call from {CALLER_NUMBER}")
    await caller.shows("state", "it rings")
    await hidden.click("answer")
    for tab in both:
        await tab.shows("state", "connected with")
        await tab.hears(HERTZ)
    assert await asyncio.to_thread(udp_addresses, phones.system) == {"0100007F"}, "sound is for this machine only"
    # Each hears the other and not itself: both microphones play the same tone.
    for muted, other in (both, both[::-1]):
        await muted.click("mute")
        await other.hears(None)
        await muted.hears(HERTZ)
        await muted.click("mute")
        await other.hears(HERTZ)
    await caller.click("hang-up")
    await caller.shows("outcome", "The call was ended by this telephone")
    await hidden.shows("outcome", "The call was ended by the other side")
    await caller.shows("trace", f"calls trace {CALLER_NUMBER}")
    await hidden.shows("trace", f"calls trace {CALLER_NUMBER}")
    story = await hidden.page.do("element('story').getAttribute('href')")
    assert story == f"console/calls?number=%2B{CALLER_NUMBER[1:]}"
    unsigned = phones.system.request("GET", f"/{story}", headers={"Accept": "application/json"})
    assert unsigned.status == 401, "the console has this page, for those who sign in"
    phones.system.until(lambda: bool(records(phones.system)), "a call record")
    [record] = records(phones.system)
    assert (record["disposition"], record["source"]) == ("ANSWERED", CALLER_NUMBER)
    assert record["duration"]
    received = await caller.received()
    assert re.findall(rf"{HIDDEN[-6:]}|{BROWSER_PHONE.user}", received) == []
    assert "SIP/2.0 200 OK" in received
    assert BROWSER_PHONE.rented in received
    assert HIDDEN in await hidden.received(), "the search proves nothing"


async def test_a_call_that_is_declined_or_given_up_is_explained(both: tuple[Tab, Tab]) -> None:
    caller, hidden = both
    await caller.click("call")
    await hidden.shows("state", "a call from")
    await hidden.click("hang-up")
    await caller.shows(
        "outcome", "the call was declined, or the booking takes no further calls at the moment. (SIP 486)"
    )
    await hidden.shows("outcome", "This telephone declined")
    await caller.click("call")
    await hidden.shows("state", "a call from")
    await caller.click("hang-up")
    await hidden.shows("outcome", "The caller gave up")
    await caller.shows("outcome", "gave the call up")
    await hidden.click("power")
    await hidden.shows("line", "switched off")
    await caller.click("call")
    await caller.shows("outcome", "Open its tab and switch it on. (SIP 503)")


async def test_the_page_is_accessible_in_every_state(both: tuple[Tab, Tab]) -> None:
    caller, hidden = both
    await caller.click("call")
    await hidden.shows("state", "a call from")
    await well_made(hidden, "ringing")
    await hidden.click("answer")
    for tab in both:
        await tab.shows("state", "connected with")
    await caller.click("mute")
    await well_made(caller, "talking")
    await hidden.click("hang-up")
    await caller.shows("outcome", "The call was ended by")
    await well_made(caller, "over")
    await caller.click("power")
    await caller.page.do("say('trouble'), onOver({isOurs: true, seconds: null, byUs: true, status: 200})")
    await caller.shows("outcome", "In Firefox, open about:config and set media.peerconnection.ice.loopback to true.")
    await well_made(caller, "off")
    await caller.page.do("location.hash = '', 0")
    await caller.page.wait("element('telephone').hidden")
    await well_made(caller, "start")


async def well_made(tab: Tab, state: str) -> None:
    """Asserts that nothing is wrong with a tab, wide and narrow, light and dark."""
    for width, scheme in ((1280, "light"), (390, "dark"), (390, "light")):
        await tab.look(width, scheme)
        assert await tab.violations() == [], (state, width, scheme)
        if PICTURES and (state, width, scheme) in {("ringing", 390, "light"), ("over", 390, "light")}:
            await tab.picture(PICTURES / f"phone-{state}.png")


async def test_a_call_needs_no_mouse(phones: Telephones) -> None:
    async with tabs(phones.devtools, phones.address, "caller", "hidden") as both:
        caller, hidden = both
        for tab in both:
            await tab.reach("power")
            await tab.press("Enter")
            await tab.shows("line", "ready")
        await caller.reach("dialled")
        await caller.press("Enter")
        await hidden.shows("state", "a call from")
        assert await hidden.page.do("document.activeElement.id") == "answer"
        await hidden.press(" ")
        await caller.shows("state", "connected with")
        await caller.reach("mute")
        await caller.press(" ")
        assert await caller.page.do("element('mute').ariaPressed") == "true"
        await caller.reach("hang-up")
        await caller.press("Enter")
        await hidden.shows("outcome", "The call was ended by the other side")


async def test_the_caller_can_call_rented_numbers_only_and_cannot_register(both: tuple[Tab, Tab]) -> None:
    caller, _ = both
    nobodys = {
        "emergency": ["112", "911", "+112"],
        "hidden numbers": [HIDDEN, HIDDEN.removeprefix("+"), *(phone.number for phone in SOFTPHONES)],
        "endpoints": [BROWSER_PHONE.user, CALLER, *(phone.user for phone in SOFTPHONES), "trunk-main", "carrier-main"],
        "contexts and extensions": ["s", "h", f"1*main*{HIDDEN}**5"],
    }
    for kind, numbers in nobodys.items():
        for number in numbers:
            assert await caller.page.do(STATUS_OF_CALL.replace("%s", number)) == 404, (kind, number)
    await caller.click("call")  # the same line rings the rented number
    await caller.shows("state", "it rings")
    await caller.click("hang-up")
    assert await caller.page.do(STATUS_OF_REGISTER) in {403, 404}


async def test_the_hidden_telephone_can_call_nobody(both: tuple[Tab, Tab]) -> None:
    _, hidden = both
    for number in (BROWSER_PHONE.rented, SOFTPHONES[0].rented, "112", "s", "h"):
        assert await hidden.page.do(STATUS_OF_CALL.replace("%s", number)) == 404, number


@pytest.mark.parametrize("change", [{"user": SOFTPHONES[0].user}, {"password": "a-guess"}, {"user": "trunk-main"}])
async def test_the_passwords_of_the_page_open_no_other_line(phones: Telephones, change: dict[str, str]) -> None:
    async with tabs(phones.devtools, phones.address, "hidden") as [tab]:
        await tab.page.do(f"const ask = askForLine; askForLine = async () => ({{...await ask(), ...{change}}}), 0")
        await tab.click("power")
        await tab.shows("line", "not registered")
        await tab.shows("notice", "Asterisk has refused it")


async def test_a_line_that_is_lost_comes_back(both: tuple[Tab, Tab], phones: Telephones) -> None:
    caller, hidden = both
    await asyncio.to_thread(phones.system.stop_engine)
    for tab in both:
        await tab.shows("notice", "The line is not connected")
        assert await tab.page.do("element('call').disabled")
    await asyncio.to_thread(phones.system.start_engine)
    for tab in both:
        await tab.shows("line", "ready")
        assert await tab.page.do("element('notice').hidden")
    await caller.click("call")
    await hidden.shows("state", "a call from")
    for tab in both:
        tab.page.seen.complaints.clear()  # the browser's own, about the connections that failed


async def test_a_second_tab_takes_the_telephone_over(phones: Telephones, both: tuple[Tab, Tab]) -> None:
    caller, hidden = both
    async with tabs(phones.devtools, phones.address, "hidden") as [newer]:
        await newer.switch_on()
        await hidden.shows("notice", "Another tab has become this telephone")
        await hidden.shows("line", "switched off")
        await caller.click("call")
        await newer.shows("state", "a call from")


async def test_the_page_says_that_its_context_is_not_secure(phones: Telephones) -> None:
    async with tabs(phones.devtools, phones.address) as _, tabs(phones.devtools, phones.address, "caller") as [tab]:
        await tab.open("caller", ELSEWHERE)
        await tab.shows("notice", "not in a secure context")
        await tab.shows("notice", f"http://127.0.0.1:{phones.system.settings.http_port}/phone")
        await tab.click("power")
        await tab.shows("notice", "only in a secure context")
        await tab.shows("line", "switched off")
        # Neither is there a line for a page of another name, which its owner may have pointed to this machine.
        assert await tab.page.do("fetch('phone/lines/caller', {method: 'POST'}).then(answer => answer.status)") == 404


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((*MICROPHONE, "--use-fake-ui-for-media-stream=deny"), "The browser refuses the microphone"),
        ((), "This machine has no microphone"),
    ],
    ids=["refused", "missing"],
)
async def test_the_page_says_what_is_wrong_with_the_microphone(
    with_phones: System, tmp_path: Path, options: tuple[str, ...], said: str
) -> None:
    async with browser(tmp_path, *options) as devtools, tabs(devtools, with_phones.address, "caller") as [tab]:
        await tab.click("power")
        await tab.shows("notice", said)
        await tab.shows("line", "switched off")
        assert await tab.page.do("document.querySelector('[role=alert]').textContent") == await tab.text("notice")
