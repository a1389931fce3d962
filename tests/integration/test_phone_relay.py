"""The relay of the page /phone without its Asterisk; tests/e2e/test_browser_phone_server.py has it with one."""

import asyncio

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestServer

from api.http.dependencies import TIME_LIMIT
from api.http.routes import Handler
from api.phone_page import relay
from api.phone_page.served import prepare
from engine.asterisk.browser_phones import BrowserPhones


@web.middleware
async def limited(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Limits a request's time, as the API does."""
    async with asyncio.timeout(30) as request[TIME_LIMIT]:
        return await handler(request)


async def test_the_server_stops_while_a_telephone_waits_for_asterisk() -> None:
    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    silent = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    app = web.Application(middlewares=[limited])
    prepare(app, BrowserPhones(silent.sockets[0].getsockname()[1], {}))
    app.router.add_get("/phone/sip", relay.relay)
    server = TestServer(app)
    await server.start_server()
    url = str(server.make_url("/")).rstrip("/")
    async with aiohttp.ClientSession(headers={"Origin": url}) as session:
        telephone = asyncio.create_task(session.ws_connect(f"{url}/phone/sip", protocols=("sip",)))
        while not app[relay.OPEN]:  # noqa: ASYNC110  the request has no event for it
            await asyncio.sleep(0.01)
        await server.close()
        assert isinstance((await asyncio.gather(telephone, return_exceptions=True))[0], aiohttp.ClientError)
    silent.close()
