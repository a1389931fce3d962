"""A callback's URL goes out exactly as the customer gave it: the request line is compared byte for byte.

RFC 3986, 6.2.3: `/c` and `/c?` are different URLs. RFC 9112, 3.2.1: the target is path and query as they are; an empty
path is sent as `/`. A receiver that signs, or maps, its URLs depends on it.
"""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.callbacks import connector
from engine.callbacks.ssrf import check_callback
from engine.domain.errors import CallbackNotAcceptable
from engine.domain.retry import HttpAnswer
from tests.integration.callback_sending import DEMO, send

# What follows the authority of the URL, and the target that goes out if it is another one.
TARGETS = {
    "": "/",
    "?": "/?",
    "?a=b": "/?a=b",
    "??": "/??",
    "/": None,
    "/?": None,
    "/c": None,
    "/c?": None,
    "/c??": None,
    "/c?a?b?": None,
    "/c/?": None,
    "/c?&": None,
    "/c?&&a&=&=b&": None,
    "/c?a=b=c": None,
    "/c?a=b;c=d": None,
    "/c?a=/../b//": None,
    "/a%2Fb%2fc": None,
    "/%7e%7E~": None,
    "/%41%61": None,
    "/%2e%2E/%2e/c": None,
    "/%25%2525": None,
    "/%": None,
    "/%zz%4": None,
    "/%00%0A%0d%20": None,
    "/%C3%A9%c3%a9%E9": None,
    "/%3F%23?%3F%23": None,
    "/a+b%20c?a+b%20c%2B": None,
    "/;a=b;c/;;d": None,
    "//": None,
    "///a//b///": None,
    "//other.example/c": None,
    "/.": None,
    "/..": None,
    "/./../a/./b/../..//.": None,
    "/...": None,
    "/a./b..": None,
    "/http://other.example/?": None,
    "/a:b@c:80": None,
    "/!$&'()*+,;=:@-._~": None,
    "/?!$&'()*+,;=:@-._~/?": None,
    "/[a]?[b]=[]": None,
    "/A/a?A=a&a=A": None,
    "/c?sig=a%2Bb+c%3D&x=%7e": None,
}


async def request_line(rest: str, authority: str = "127.0.0.1:{port}", scheme: str = "http") -> bytes:
    """What a receiver reads first when the URL has this behind its authority."""
    lines: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines.append(await reader.readline())
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    url = f"{scheme}://{authority.format(port=server.sockets[0].getsockname()[1])}{rest}"
    try:
        check_callback(url, DEMO)
        assert await send(url) == HttpAnswer(204)
    finally:
        server.close()
    [line] = lines
    return line


@pytest.mark.parametrize("rest", TARGETS)
async def test_the_url_goes_out_as_it_was_given(rest: str) -> None:
    assert await request_line(rest) == b"POST %s HTTP/1.1\r\n" % (TARGETS[rest] or rest).encode()


@pytest.mark.parametrize("authority", ["localhost:{port}", "LocalHost:{port}", "Receiver.example.:{port}"])
@pytest.mark.parametrize("scheme", ["http", "HTTP"])
@pytest.mark.parametrize("rest", ["?", "/c?", "//c/%2f?"])
async def test_the_spelling_of_scheme_and_host_changes_nothing(
    rest: str, scheme: str, authority: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    look_up = connector._look_up
    monkeypatch.setattr(connector, "_look_up", lambda _, *more: look_up("127.0.0.1", *more))
    line = await request_line(rest, authority, scheme)
    assert line == b"POST %s HTTP/1.1\r\n" % (TARGETS.get(rest) or rest).encode()


@settings(max_examples=60, deadline=None)
@given(st.text("/?;:@%2Ff.~+&=[]'!aA", max_size=12))
async def test_any_mix_of_these_goes_out_as_it_was_given(written: str) -> None:
    rest = f"/{written}"
    try:
        check_callback(f"http://127.0.0.1:9{rest}", DEMO)
    except CallbackNotAcceptable:
        return
    assert await request_line(rest) == b"POST %s HTTP/1.1\r\n" % rest.encode()
