"""Bounds how many pages are made at a time, so that open consoles wait for each other, and calls for none of them."""

import asyncio
from types import TracebackType
from typing import Self

from aiohttp import web

from api.web.frame.protection import PageRefused

AT_ONCE = 4
WAIT_SECONDS = 4.0


class PageTurns:
    """Lets a few requests load their pages' data; the others wait for a while. Use it as a context manager."""

    def __init__(self) -> None:
        self._free = asyncio.Semaphore(AT_ONCE)

    async def __aenter__(self) -> Self:
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                await self._free.acquire()
        except TimeoutError:
            raise PageRefused(503, "Too many pages are being read", "Try again in a moment.") from None
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._free.release()


TURNS = web.AppKey("TURNS", PageTurns)
