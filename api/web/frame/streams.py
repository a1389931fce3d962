"""Server-sent events: a bounded number of streams, and feeds that read once for all their watchers.

A stream ends when its session ends, when its client does not keep up, and when the engine stops. htmx opens it again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

import structlog
from aiohttp import web
from aiohttp_sse import sse_response

from api.http.long_connections import LongConnections
from engine.runtime.periodic import run_until_one_ends
from engine.storage.errors import StorageError

log = structlog.get_logger(__name__)

MAX_STREAMS = 64
# A browser opens six connections to a server, and pages need one, too.
MAX_STREAMS_OF_SESSION = 5
# A proxy closes a connection that is silent for 15 s.
PING_SECONDS = 10.0
MAX_UNSENT = 8
SEND_SECONDS = 10.0
READ_EVERY_SECONDS = 1.0


def open_streams() -> LongConnections:
    """Returns what counts the streams of an application."""
    refusal = "Too many live pages are open: close one, and reload this one."
    return LongConnections(MAX_STREAMS, refusal, limit_of_owner=MAX_STREAMS_OF_SESSION)


class Feed:
    """Sends the rows of a list and their changes to all watchers.

    It reads while it has watchers, once a second however many they are, and sends what changed.

    Args:
        read: Returns the present rows: HTML of a `tr` by its element's id, in their order.
        target: The selector of the table's body.
        empty: The row that is shown when there are none.
    """

    def __init__(self, read: Callable[[], Awaitable[Mapping[str, str]]], target: str, empty: str) -> None:
        self._read = read
        self._target = target
        self._empty = empty
        self._rows: Mapping[str, str] = {}
        self._watchers: set[asyncio.Queue[str | None]] = set()
        self._task: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()

    async def watch(self, send: Callable[[str], Awaitable[object]], is_open: Callable[[], Awaitable[bool]]) -> None:
        """Sends all rows, then their changes, until `is_open` says False or the client does not keep up.

        Args:
            send: Sends one message.
            is_open: Asked every PING_SECONDS.
        """
        queue: asyncio.Queue[str | None] = asyncio.Queue(MAX_UNSENT)
        async with self._starting:
            if self._task is None:
                self._rows = await self._read()
            self._watchers.add(queue)
            self._task = self._task or asyncio.create_task(self._run())
        try:
            await send(self._all(self._rows))
            while await is_open():
                with suppress(TimeoutError):
                    async with asyncio.timeout(PING_SECONDS):
                        while (message := await queue.get()) is not None:
                            await send(message)
                        return
        finally:
            self._watchers.discard(queue)

    async def _run(self) -> None:
        try:
            while self._watchers:
                await asyncio.sleep(READ_EVERY_SECONDS)
                try:
                    rows = await self._read()
                except StorageError as error:
                    log.warning("feed_not_read", error=type(error).__name__)
                    continue
                message = self._changes(self._rows, rows)
                self._rows = rows
                if message:
                    self._send_to_all(message)
        finally:
            self._task = None
            for queue in self._watchers:
                _put(queue, None)

    def _send_to_all(self, message: str) -> None:
        for queue in list(self._watchers):
            if not _put(queue, message):
                # It does not keep up: its stream ends, and its browser begins again with all rows.
                self._watchers.discard(queue)
                queue.get_nowait()
                _put(queue, None)

    def _all(self, rows: Mapping[str, str]) -> str:
        html = "".join(rows.values()) or self._empty
        return f'<hx-partial hx-target="{self._target}" hx-swap="innerHTML">{html}</hx-partial>'

    def _changes(self, before: Mapping[str, str], now: Mapping[str, str]) -> str:
        if bool(before) != bool(now):  # the row that says "no live calls" comes or goes
            return self._all(now)
        gone = "".join(f'<tr id="{name}" hx-swap-oob="delete"></tr>' for name in before if name not in now)
        changed = "".join(
            html.replace("<tr ", '<tr hx-swap-oob="outerMorph" ', 1)
            for name, html in now.items()
            if name in before and before[name] != html
        )
        new = "".join(html for name, html in now.items() if name not in before)
        added = f'<hx-partial hx-target="{self._target}" hx-swap="beforeend">{new}</hx-partial>' if new else ""
        return gone + changed + added


def _put(queue: asyncio.Queue[str | None], message: str | None) -> bool:
    """Returns False if the queue is full."""
    try:
        queue.put_nowait(message)
    except asyncio.QueueFull:
        return False
    return True


async def send_feed(
    request: web.Request, streams: LongConnections, session_id: str, feed: Feed, is_open: Callable[[], Awaitable[bool]]
) -> web.StreamResponse:
    """Answers with a feed. Raises ProblemError if too many are open."""
    with streams.place(request, session_id):
        async with sse_response(request, ping_interval=PING_SECONDS, send_timeout=SEND_SECONDS) as response:
            watching = feed.watch(response.send, is_open)
            await run_until_one_ends(watching, response.wait(), streams.is_closing.wait())
        return response
