"""Clients of exports, and enough records for an export to take a while."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from api.resources.exports import UNDER_WAY
from engine.domain.ids import CallId
from tests.integration.api_helpers import Api
from tests.integration.many_cdrs import copies

# About 6 MB, more than the socket buffers hold.
MANY = 30_000
LAST_CHUNK = b"\r\n0\r\n\r\n"


async def booked_and_called(api: Api, seconds: int = 12) -> Any:
    booking = await api.book(usagePlan="LARGE")
    await api.talk(booking["service"], CallId("call-1"), seconds)
    return booking


async def many(api: Api, count: int = MANY) -> None:
    await booked_and_called(api)
    [record] = (await api.call("GET", "/cdr")).body["data"]
    await copies(api, record["id"], count - 1)


@dataclass
class Export:
    """A client that reads on demand, and little at a time."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def lines(self) -> int:
        """Read a complete answer and return the number of its records."""
        count, end = 0, b""
        while chunk := await self.reader.read(64 * 1024):
            count += chunk.count(b"cdr_")
            end = (end + chunk)[-len(LAST_CHUNK) :]
        assert end == LAST_CHUNK
        return count

    async def rest(self, pause: float = 0.0) -> bytes:
        """Read until the server closes."""
        found = bytearray()
        while chunk := await self.reader.read(256 * 1024):
            found += chunk
            await asyncio.sleep(pause)
        return bytes(found)


@asynccontextmanager
async def exporting(api: Api, path: str = "/cdr.csv", account: str = "ours") -> AsyncIterator[Export]:
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
    connection.connect((api.client.host, api.client.port))
    connection.setblocking(False)
    reader, writer = await asyncio.open_connection(sock=connection, limit=64 * 1024)
    head = f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {api.keys[account]}\r\n\r\n"
    writer.write(head.encode())
    assert b" 200 " in await reader.readline()
    try:
        yield Export(reader, writer)
    finally:
        writer.transport.abort()


async def until_none_is_under_way(api: Api) -> None:
    for _ in range(1_000):
        if not api.client.app[UNDER_WAY]:
            return
        await asyncio.sleep(0.01)
    raise AssertionError("exports are still under way")
