"""The API behind the proxies of deploy/proxy: it works, its limits hold, and no number and no key is written."""

import ipaddress
import json
import ssl
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from api.app import build_app
from api.http.dependencies import DEPENDENCIES
from api.http.server import build_runner
from tests.integration.api_helpers import CALLER, HIDDEN, Api, a_request
from tests.integration.proxies import KINDS, Proxy, running

pytest_plugins = ["tests.integration.api_fixtures"]

CLIENT = "127.0.0.7"
FORGED = "203.0.113.9"


@pytest.fixture
async def behind(api: Api) -> AsyncIterator[tuple[web.AppRunner, int]]:
    """The API as in production, with a proxy on this machine, and its port."""
    deps = replace(api.client.app[DEPENDENCIES], proxies=(ipaddress.ip_network("127.0.0.1"),))
    runner = build_runner(build_app(deps), shutdown_seconds=0.5)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield runner, runner.addresses[0][1]
    await runner.cleanup()


class Client:
    """A customer's client behind the proxy."""

    def __init__(self, session: aiohttp.ClientSession, port: int, key: str) -> None:
        self._session = session
        self._port = port
        self._key = key
        self.request_ids: list[str] = []

    async def call(self, method: str, path: str, **options: object) -> tuple[int, str]:
        headers = {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"}
        url = URL(f"https://127.0.0.1:{self._port}{path}", encoded=True)
        async with self._session.request(method, url, **{"headers": headers, **options}) as answer:  # type: ignore[arg-type]
            self.request_ids += answer.headers.getall("X-Request-Id", [])
            return answer.status, await answer.text()


def written_by(proxy: Proxy) -> str:
    files = [path for path in proxy.directory.rglob("*") if path.is_file()]
    return "\n".join(path.read_bytes().decode("utf-8", "replace") for path in files)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_proxied_api_works_and_leaves_no_number_on_the_proxy(
    kind: str, tmp_path: Path, api: Api, behind: tuple[web.AppRunner, int]
) -> None:
    runner, api_port = behind
    async with running(kind, tmp_path, api_port) as proxy:
        trust = ssl.create_default_context(cafile=str(proxy.authority))
        connector = aiohttp.TCPConnector(ssl=trust, local_addr=(CLIENT, 0))
        async with aiohttp.ClientSession(connector=connector) as session:
            client = Client(session, proxy.port, api.keys["ours"])
            await use(client)
            await is_refused(client, api)
            await runner.cleanup()
            status, _ = await client.call("GET", f"/bookings?cursor={HIDDEN[1:]}")
            assert status == 502
    written = written_by(proxy)
    for secret in (HIDDEN[1:], CALLER[1:], api.keys["ours"], "rn_live_"):
        assert secret not in written, secret
    log = proxy.log.read_text()
    assert CLIENT in log
    assert "/bookings/bkg_" in log, "the log shows what was asked, without the numbers"
    assert len(client.request_ids) > 5
    assert [each for each in client.request_ids if each not in log] == [], "and the ids that the API's log has"


async def use(client: Client) -> None:
    """Sends requests with numbers in every place that a number may have."""
    status, text = await client.call("POST", "/bookings", json=a_request())
    booking = json.loads(text)
    assert (status, booking["destination"]) == (201, HIDDEN)
    place = f"/bookings/{booking['id']}"
    blocked = {"caller": CALLER}
    assert (await client.call("POST", f"{place}/blocked-callers", json=blocked))[0] in {200, 201}
    status, text = await client.call("GET", f"{place}/explain?source=%2B{CALLER[1:]}")
    assert (status, json.loads(text)["putThrough"]) == (200, False)
    assert (await client.call("DELETE", f"{place}/blocked-callers/%2B{CALLER[1:]}"))[0] == 204
    assert (await client.call("GET", "/cdr.csv"))[0] == 200
    assert (await client.call("GET", f"/{HIDDEN[1:]}/x"))[0] == 404


async def is_refused(client: Client, api: Api) -> None:
    """The limits of the proxy agree with the API's, and the client's address reaches the API."""
    big = json.dumps(a_request()) + " " * 70_000
    status, text = await client.call("POST", "/bookings", data=big)
    assert (status, json.loads(text)["code"]) == (413, "too_large"), "the API's own refusal"
    status, text = await client.call("POST", "/bookings", data=big * 10)
    assert status == 413
    forged = {"Authorization": f"Bearer rn_live_{HIDDEN[1:]}", "X-Forwarded-For": FORGED, "X-Request-Id": HIDDEN[1:]}
    assert (await client.call("GET", "/bookings", headers=forged))[0] == 401
    assert api.refusals[-1][2] == CLIENT
