"""Passes SIP messages between the page's WebSocket and Asterisk's (RFC 7118).

Asterisk's own WebSocket would serve the page too. But it listens on another port, so the page's policy would have to
name another origin; it does not check the Origin of pages; and it does not limit messages as tightly.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import structlog
from aiohttp import WSCloseCode, WSMsgType, web

from api.http.long_connections import LongConnections
from api.http.problems import ProblemError
from api.phone_page.guard import PHONES, require_own_page
from engine.runtime.periodic import run_until_one_ends

log = structlog.get_logger(__name__)

PROTOCOL = "sip"
# Two telephones, and some of tabs that were reloaded or opened twice.
MAX_PHONES = 8
# A browser's INVITE has about 3 KiB.
MAX_MESSAGE = 16 * 1024
# The server notices a browser that vanished within one and a half times this time.
HEARTBEAT_SECONDS = 20.0
# For Asterisk to accept a connection, or to close one.
ASTERISK_SECONDS = 2.0
OPEN = web.AppKey("OPEN", LongConnections)


def open_phones() -> LongConnections:
    """Returns what counts the telephones of an application."""
    return LongConnections(MAX_PHONES, "Too many telephones are open: close some tabs.")


async def relay(request: web.Request) -> web.StreamResponse:
    """Serves one telephone until one side closes."""
    require_own_page(request)
    phones = request.app[OPEN]
    page = web.WebSocketResponse(protocols=(PROTOCOL,), max_msg_size=MAX_MESSAGE, heartbeat=HEARTBEAT_SECONDS)
    if not page.can_prepare(request):
        raise ProblemError("not_found", "This path is for the telephones' WebSockets.")
    with phones.place(request):
        async with _asterisk(request.app[PHONES].port) as asterisk:
            await page.prepare(request)
            await _pass_on(page, asterisk, phones.is_closing)
    return page


@asynccontextmanager
async def _asterisk(port: int) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """Connects to Asterisk. Raises ProblemError if it does not answer."""
    async with aiohttp.ClientSession(trust_env=False) as session:
        try:
            async with asyncio.timeout(ASTERISK_SECONDS):
                socket = await session.ws_connect(
                    f"ws://127.0.0.1:{port}/ws",
                    protocols=(PROTOCOL,),
                    max_msg_size=MAX_MESSAGE,
                    timeout=aiohttp.ClientWSTimeout(ws_close=ASTERISK_SECONDS),
                )
        except (aiohttp.ClientError, TimeoutError) as error:
            log.warning("phone_without_asterisk", error=type(error).__name__)
            raise ProblemError("overloaded", "Asterisk does not answer.") from error
        async with socket:
            yield socket


async def _pass_on(
    page: web.WebSocketResponse, asterisk: aiohttp.ClientWebSocketResponse, is_closing: asyncio.Event
) -> None:
    """Passes messages on, both ways, until one side has closed or the server stops, and then closes the page's side."""
    try:
        await run_until_one_ends(_one_way(page, asterisk), _one_way(asterisk, page), is_closing.wait())
    finally:
        await page.close(code=WSCloseCode.GOING_AWAY)


async def _one_way(
    source: web.WebSocketResponse | aiohttp.ClientWebSocketResponse,
    target: web.WebSocketResponse | aiohttp.ClientWebSocketResponse,
) -> None:
    async for message in source:
        if message.type is not WSMsgType.TEXT:
            return  # SIP is text
        await target.send_str(message.data)


async def close_all(app: web.Application) -> None:
    """Closes all telephones when the server stops; those that wait for Asterisk yet, as soon as it answers."""
    app[OPEN].is_closing.set()
