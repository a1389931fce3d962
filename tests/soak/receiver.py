"""The callback receiver of a soak test: it counts callbacks, and fails some of them so that they are sent again."""

from collections import Counter
from types import TracebackType
from typing import Self

from aiohttp import web

FAILS_EACH = 25


class Receiver:
    """The receiver, used as an async context manager. `counts` are the callbacks by type, and the failed ones."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._came = 0
        application = web.Application()
        application.router.add_post("/calls", self._take)
        self._runner = web.AppRunner(application, access_log=None)

    @property
    def url(self) -> str:
        host, port = self._runner.addresses[0][:2]
        return f"http://{host}:{port}/calls"

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.json()
        self._came += 1
        if self._came % FAILS_EACH == 0:
            self.counts["failed"] += 1
            return web.Response(status=503)
        self.counts[body.get("type") or ("call on expired booking" if "message" in body else "call ended")] += 1
        return web.Response(status=204)
