"""What the server gives to the page /phone only, its bounds, and what Asterisk has for it. Without a browser."""

import asyncio
from pathlib import Path

import aiohttp
import pytest

from api.phone_page.relay import MAX_MESSAGE, MAX_PHONES
from engine.asterisk.softphones import BROWSER_PHONE
from phones.ports import is_bound
from tests.e2e.browser_tabs import ELSEWHERE
from tests.e2e.system import System
from tests.e2e.test_modules import LOADED, WITH_PAGE, running_modules

pytestmark = pytest.mark.asyncio(loop_scope="module")

HIDDEN = BROWSER_PHONE.number
# Local addresses, with 127.0.0.1 as 0100007F; state 0A is LISTEN.
LISTENING = Path("/proc/net/tcp")


async def test_only_our_own_page_on_this_machine_gets_a_line(with_phones: System) -> None:
    ours = {"Origin": with_phones.address}
    port = with_phones.settings.http_port
    strangers = {
        "no page": {},
        "another origin": {"Origin": "https://evil.example"},
        "another port": {"Origin": "http://127.0.0.1:1"},
        "no origin of its own": {"Origin": "null"},
        "another name": {"Origin": f"http://{ELSEWHERE}:{port}", "Host": f"{ELSEWHERE}:{port}"},
        "a name like ours": {
            "Origin": f"http://127.0.0.1.evil.example:{port}",
            "Host": f"127.0.0.1.evil.example:{port}",
        },
        "through a proxy": ours | {"X-Forwarded-For": "192.0.2.9"},
        "through another one": ours | {"Via": "1.1 proxy"},
    }
    async with aiohttp.ClientSession(with_phones.address) as session:
        for kind, headers in strangers.items():
            async with session.post("/phone/lines/caller", headers=headers) as answer:
                assert (answer.status, "password" in await answer.text()) == (404, False), kind
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await session.ws_connect("/phone/sip", protocols=("sip",), headers=headers)
            assert refused.value.status == 404, kind
        async with session.post("/phone/lines/hidden", headers=ours) as answer:
            assert (answer.status, (await answer.json())["number"]) == (200, HIDDEN)
        async with session.post("/phone/lines/other", headers=ours) as answer:
            assert answer.status == 404
        async with session.get("/phone/sip", headers=ours) as answer:
            assert answer.status == 404


async def test_connections_and_messages_are_bounded(with_phones: System) -> None:
    async with aiohttp.ClientSession(with_phones.address, headers={"Origin": with_phones.address}) as session:
        sockets = [await session.ws_connect("/phone/sip", protocols=("sip",)) for _ in range(MAX_PHONES)]
        assert await status_of(session) == 503
        await sockets[0].send_str("x" * (MAX_MESSAGE + 1))
        await sockets[1].send_bytes(b"OPTIONS")
        for each in sockets[:2]:
            assert (await each.receive(timeout=5)).type is aiohttp.WSMsgType.CLOSE
        for each in sockets:
            await each.close()
        while await status_of(session) == 503:  # noqa: ASYNC110  a place is free once Asterisk has closed its side
            await asyncio.sleep(0.05)


async def status_of(session: aiohttp.ClientSession) -> int:
    """The status with which a telephone's connection is answered."""
    try:
        async with session.ws_connect("/phone/sip", protocols=("sip",)):
            return 101
    except aiohttp.WSServerHandshakeError as refused:
        return refused.status


async def test_asterisk_has_two_modules_more(with_phones: System) -> None:
    assert running_modules(with_phones) == sorted(LOADED + WITH_PAGE)


async def test_asterisks_own_port_is_for_this_machine_and_for_nothing_else(with_phones: System) -> None:
    port = with_phones.settings.browser_phone_port
    table = await asyncio.to_thread(LISTENING.read_text)
    sockets = [line.split() for line in table.splitlines()]
    assert [each[1] for each in sockets if each[1].endswith(f":{port:04X}") and each[3] == "0A"] == [
        f"0100007F:{port:04X}"
    ]
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
        for path in ("/", "/httpstatus", "/static/index.html", "/ari/channels", "/rawman", "/mxml"):
            async with session.get(path) as answer:
                assert answer.status == 404, path


async def test_without_the_setting_there_is_nothing_of_it(system: System) -> None:
    for method, path in (("GET", "/phone"), ("POST", "/phone/lines/caller"), ("GET", "/phone/sip")):
        assert system.request(method, path).status == 404
    assert not is_bound(system.settings.browser_phone_port, "tcp")
    assert "Server Disabled" in system.asterisk_console("http show status")
    assert "browser" not in system.asterisk_console("pjsip show endpoints")
    assert "browser" not in system.asterisk_console("pjsip show transports")
