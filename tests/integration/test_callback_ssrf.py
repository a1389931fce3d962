"""Callbacks cannot reach inside addresses (SSRF), whatever a URL contains and its name resolves to.

Two counters: a listener on loopback, and every TCP connection that the process requests from the kernel.
"""

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import uvloop
from yarl import URL

from engine.callbacks.attempt import open_session
from engine.callbacks.ssrf import AddressForbidden, check_callback
from engine.domain.errors import CallbackNotAcceptable
from engine.domain.policy import CallbackRules
from engine.domain.retry import HttpAnswer, NoAnswer, Trouble
from tests.integration.callback_receiver import Answer, CallbackReceiver
from tests.integration.callback_sending import DEMO, TLS, send
from tests.integration.connection_counter import connections
from tests.spellings import FORBIDDEN_HOSTS, TRICKS

FORBIDDEN = NoAnswer(Trouble.FORBIDDEN)
# A public address. Nothing is sent there, since the counter refuses connections that would leave the machine.
PUBLIC = "8.8.8.8"


@pytest.fixture
async def receiver() -> AsyncIterator[CallbackReceiver]:
    async with CallbackReceiver() as receiver:
        yield receiver


def production(receiver: CallbackReceiver) -> CallbackRules:
    """Send under the rules of production except the port, so that only the address can be refused."""
    return CallbackRules(ports=frozenset({443, receiver.port}))


def url_of(host: str, port: int, scheme: str = "https") -> str:
    has_port = ":" in host.rpartition("]")[2]
    return f"{scheme}://{host}/" if has_port else f"{scheme}://{host}:{port}/"


async def post(url: str, rules: CallbackRules) -> None:
    """Send without the check of the URL, so that only the socket check remains."""
    async with open_session(rules=rules, lookups_at_once=2, tls=TLS) as session, asyncio.timeout(5):
        await session.post(URL(url, encoded=True), data=b"{}", allow_redirects=False)


async def try_all(urls: list[str], rules: CallbackRules) -> None:
    for url in urls:
        try:
            await post(url, rules)
        except (aiohttp.ClientError, OSError, ValueError):
            continue
        raise AssertionError(url)


def all_urls(port: int) -> list[str]:
    hosts = [url_of(host, port, scheme) for host in FORBIDDEN_HOSTS for scheme in ("http", "https")]
    return hosts + [trick.format(port=port) for trick in TRICKS]


async def test_no_spelling_of_a_forbidden_address_gets_a_socket(
    receiver: CallbackReceiver,
) -> None:
    urls = all_urls(receiver.port)
    with connections() as attempts:
        outcomes = {await send(url, production(receiver), timeout_ms=3_000) for url in urls}
    assert outcomes == {FORBIDDEN}
    assert (attempts, receiver.connections) == ([], 0)
    print(f"\nW3: {len(FORBIDDEN_HOSTS)} hosts, {len(TRICKS)} URLs, {len(urls)} attempts: connects {len(attempts)}")  # noqa: T201  the figure


async def test_the_socket_check_alone_refuses_every_spelling(receiver: CallbackReceiver) -> None:
    with connections() as attempts:
        await try_all(all_urls(receiver.port), production(receiver))
    assert (attempts, receiver.connections) == ([], 0)


def test_the_socket_check_alone_works_on_uvloop() -> None:
    """uvloop resolves addresses again before `connect`."""

    async def main() -> None:
        async with CallbackReceiver() as receiver:
            with connections() as attempts:
                await try_all(all_urls(receiver.port), production(receiver))
            assert (attempts, receiver.connections) == ([], 0)
            with connections() as attempts:
                assert await send(receiver.url) == HttpAnswer(204)
            assert attempts == ["127.0.0.1"]

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


async def test_without_the_checks_these_spellings_reach_the_listener(receiver: CallbackReceiver) -> None:
    """Without this the tests above could count 0 for another reason."""
    found = []
    with connections() as attempts:
        for host in FORBIDDEN_HOSTS:
            timeout = aiohttp.ClientTimeout(total=1)
            async with aiohttp.ClientSession(timeout=timeout, trust_env=False) as session:
                try:
                    await session.post(URL(url_of(host, receiver.port, "http"), encoded=True), data=b"{}")
                except (aiohttp.ClientError, OSError, ValueError):
                    continue
                found.append(host)
    assert len(found) == len(receiver.requests) >= 8
    assert len(attempts) >= 50


def names(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """A name server of an attacker. Each look-up gets the next answer. Returns the list of look-ups."""
    asked: list[str] = []
    left = list(answers)

    def look_up(host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        asked.append(host)
        found = left.pop(0) if len(left) > 1 else left[0]
        families = [socket.AF_INET6 if ":" in address else socket.AF_INET for address in found]
        return [
            (family, socket.SOCK_STREAM, 6, "", (address, port))
            for family, address in zip(families, found, strict=True)
        ]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return asked


@pytest.mark.parametrize(
    "answers",
    [
        ["127.0.0.1"],
        ["::1", "127.0.0.1"],
        ["::ffff:127.0.0.1"],
        ["10.0.0.1", "169.254.169.254", "fe80::1"],
        ["0.0.0.0"],  # noqa: S104  what a name resolves to
        ["64:ff9b::7f00:1", "2002:7f00:1::", "fd00::1", "100.64.0.1", "224.0.0.1", "255.255.255.255"],
        ["fe80::1%lo", "::1%lo"],
    ],
    ids=str,
)
async def test_a_public_name_with_an_inside_address_is_not_connected(
    receiver: CallbackReceiver, answers: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A CNAME to `localhost` or to an inside name has the same effect."""
    asked = names(monkeypatch, answers)
    with connections() as attempts:
        outcome = await send(f"https://customer.example.com:{receiver.port}/", production(receiver))
    assert outcome == FORBIDDEN
    assert asked == ["customer.example.com"]
    assert (attempts, receiver.connections) == ([], 0)


async def test_only_public_addresses_of_a_mixed_answer_are_tried(
    receiver: CallbackReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    for mixed in (["127.0.0.1", PUBLIC], [PUBLIC, "127.0.0.1"], ["::1", PUBLIC, "10.0.0.1"]):
        names(monkeypatch, mixed)
        with connections() as attempts:
            outcome = await send(f"https://customer.example.com:{receiver.port}/", production(receiver))
        assert isinstance(outcome, NoAnswer)
        assert set(attempts) == {PUBLIC}
    assert receiver.connections == 0


async def test_a_name_is_checked_again_at_each_attempt(
    receiver: CallbackReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding: the address is public at booking and at the first attempt, and an inside one at the next."""
    asked = names(monkeypatch, [PUBLIC], ["127.0.0.1"])
    url = f"https://customer.example.com:{receiver.port}/"
    check_callback(url, production(receiver))
    with connections() as attempts:
        outcomes = [await send(url, production(receiver)) for _ in range(3)]
    assert outcomes == [NoAnswer(Trouble.CONNECTION), FORBIDDEN, FORBIDDEN]
    assert asked == ["customer.example.com"] * 3
    assert (attempts, receiver.connections) == ([PUBLIC], 0)


async def test_a_name_that_changes_within_one_attempt_is_refused(
    receiver: CallbackReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An event loop that resolved again between the check and `connect` would get the new answer."""
    loop = asyncio.get_running_loop()
    connect = loop.sock_connect

    async def rebound(sock: socket.socket, _address: Any) -> None:
        await connect(sock, ("127.0.0.1", receiver.port))

    monkeypatch.setattr(loop, "sock_connect", rebound)
    names(monkeypatch, [PUBLIC])
    with connections() as attempts:
        outcome = await send(f"https://customer.example.com:{receiver.port}/", production(receiver))
    assert outcome == FORBIDDEN
    assert (attempts, receiver.connections) == ([], 0)


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 305, 307, 308])
async def test_a_redirect_is_not_followed(receiver: CallbackReceiver, status: int) -> None:
    async with CallbackReceiver() as elsewhere:
        for target in (elsewhere.url, "http://169.254.169.254/latest/meta-data/", "file:///etc/passwd", "//127.0.0.1/"):
            receiver.answer_with(Answer(status, headers={"Location": target, "Refresh": f"0; url={target}"}))
            with connections() as attempts:
                assert await send(receiver.url) == HttpAnswer(status)
            assert attempts == ["127.0.0.1"]
        assert elsewhere.connections == 0


async def test_proxy_variables_and_netrc_are_ignored(
    receiver: CallbackReceiver, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login ann password hunter2\ndefault login ann password hunter2\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HOME", str(tmp_path))
    async with CallbackReceiver() as proxy:
        for name in ("http_proxy", "https_proxy", "all_proxy", "ws_proxy", "wss_proxy"):
            monkeypatch.setenv(name, proxy.url)
            monkeypatch.setenv(name.upper(), proxy.url)
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        assert await send(receiver.url) == HttpAnswer(204)
        assert await send(proxy.url.replace("http", "https"), production(proxy)) == FORBIDDEN
        assert proxy.connections == 0
    assert "Authorization" not in receiver.requests[0].headers
    assert "Proxy-Authorization" not in receiver.requests[0].headers


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "localhost", "LOCALHOST"])
async def test_the_demo_allows_loopback(host: str) -> None:
    async with CallbackReceiver(host if host[0] == "1" else "127.0.0.1") as receiver:
        with connections() as attempts:
            assert await send(receiver.url_on(host)) == HttpAnswer(204)
        assert (len(attempts), receiver.connections) == (1, 1)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "localhost", "customer.example.com"])
async def test_the_demo_refuses_this_systems_own_ports(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with CallbackReceiver() as own:
        rules = CallbackRules(ports=frozenset(), this_machine=True, own_ports=frozenset({own.port}))
        if host[0] == "c":
            names(monkeypatch, ["127.0.0.1"])
        with connections() as attempts:
            assert await send(own.url_on(host), rules) == FORBIDDEN
            with pytest.raises(aiohttp.ClientConnectorError) as refused:
                await post(own.url_on(host), rules)
        assert isinstance(refused.value.os_error, AddressForbidden)
        assert (attempts, own.connections) == ([], 0)


@pytest.mark.parametrize("host", ["0.0.0.0", "::ffff:127.0.0.1", "10.255.255.1", "169.254.169.254"])  # noqa: S104
async def test_the_demo_allows_loopback_only(receiver: CallbackReceiver, host: str) -> None:
    with connections() as attempts, pytest.raises(aiohttp.ClientConnectorError) as refused:
        await post(receiver.url_on(host), DEMO)
    assert isinstance(refused.value.os_error, AddressForbidden)
    assert (attempts, receiver.connections) == ([], 0)


async def test_a_url_accepted_at_booking_is_checked_again_at_each_attempt(
    receiver: CallbackReceiver,
) -> None:
    """The operator may have made the rules stricter since the booking."""
    check_callback(receiver.url, DEMO)
    stricter = CallbackRules(ports=frozenset({443}))
    with pytest.raises(CallbackNotAcceptable):
        check_callback(receiver.url, stricter)
    with connections() as attempts:
        for rules in (stricter, production(receiver)):
            assert await send(receiver.url, rules) == FORBIDDEN
    assert (attempts, receiver.connections) == ([], 0)


async def test_a_port_outside_the_operators_list_gets_no_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    names(monkeypatch, [PUBLIC])
    rules = CallbackRules(ports=frozenset({443}))
    with connections() as attempts:
        for port in (22, 25, 80, 3306, 8080):
            assert await send(f"https://customer.example.com:{port}/", rules) == FORBIDDEN
            with pytest.raises(aiohttp.ClientConnectorError):
                await post(f"https://customer.example.com:{port}/", rules)
    assert attempts == []
