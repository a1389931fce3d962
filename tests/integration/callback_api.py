"""The API on the machine's clock, with a worker that delivers to this machine."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

from aiohttp import ClientSession, web

from api.app import build_app
from api.http.dependencies import DEPENDENCIES
from api.http.server import build_runner
from engine.callbacks.ssrf import check_callback
from engine.callbacks.worker import CallbackWorker
from engine.domain.policy import DeliveryRules
from engine.runtime.clock import SystemClock
from tests.integration.api_helpers import Api
from tests.integration.callback_sending import DEMO


@contextlib.asynccontextmanager
async def delivering(api: Api, key: str, config: DeliveryRules, **limits: Any) -> AsyncIterator[ClientSession]:
    """Runs the API, with other limits if any, and a worker, and yields a client with that key."""
    worker, stop = CallbackWorker(api.storage, SystemClock(), config), asyncio.Event()
    deps = api.client.app[DEPENDENCIES]
    deps = replace(
        deps,
        limits=replace(deps.limits, **limits),
        clock=SystemClock(),
        check_callback=lambda url: check_callback(url, DEMO),
    )
    loop = asyncio.get_running_loop()
    api.storage.when_posted(lambda accounts: loop.call_soon_threadsafe(worker.wake, accounts))
    runner = build_runner(build_app(deps), shutdown_seconds=1.0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    address = f"http://127.0.0.1:{runner.addresses[0][1]}"
    authorization = {"Authorization": f"Bearer {api.keys[key]}"}
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(worker.run(stop))
        async with ClientSession(address, headers=authorization) as client:
            yield client
        stop.set()
    await runner.cleanup()
