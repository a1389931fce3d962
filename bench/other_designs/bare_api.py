"""The bare API: aiohttp and aiosqlite, and nothing between them.

It looks up the key, writes the same rows as the product in one transaction for each request, and answers with the same
fields. It has no checks, no limits, no problem documents and no log.

    python -m bench.other_designs.bare_api PORT DATABASE PEPPER
"""

import asyncio
import sys
import time
import uuid
from datetime import UTC, datetime
from typing import Any

import aiosqlite
import uvloop
from aiohttp import web

from engine.accounts.keys import key_digest

SECONDS, CALLS, DAYS = 1_000_000_000, 100_000_000, 90
KEY = "SELECT account_id FROM api_keys WHERE digest = ? AND revoked_at IS NULL"
FREE = "SELECT e164 FROM numbers WHERE state = 'FREE' ORDER BY idle_since, e164 LIMIT 1"
TAKE = "UPDATE numbers SET state = 'BOOKED' WHERE e164 = ?"
BOOK = """INSERT INTO bookings (
    id, account_id, service, destination, usage_plan, callback, created_at, end_at,
    seconds_granted, seconds_remaining, seconds_leased, seconds_settled,
    calls_granted, calls_remaining, calls_leased, calls_settled
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0, ?, ?, 0, 0) RETURNING *"""
GRANT = """INSERT INTO grants (id, booking_id, usage_plan, seconds, calls, granted_at)
    VALUES (?, ?, ?, ?, ?, ?)"""
BOOKINGS = """SELECT * FROM bookings WHERE account_id = ? AND gone_at IS NULL AND +COALESCE(exhausted_at, end_at) > ?
    ORDER BY id DESC LIMIT ?"""
CDRS = "SELECT * FROM cdrs WHERE account_id = ? ORDER BY started_at DESC, id DESC LIMIT ?"

Row = aiosqlite.Row


def instant(at: int) -> str:
    return datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def booking_of(row: Row) -> dict[str, Any]:
    return {
        "id": row["id"],
        "service": row["service"],
        "endTime": instant(row["end_at"]),
        "secondsRemaining": row["seconds_remaining"],
        "minutesRemaining": row["seconds_remaining"] // 60,
        "callsRemaining": row["calls_remaining"],
        "destination": row["destination"],
        "usagePlan": row["usage_plan"],
        "status": "ACTIVE",
        "callback": row["callback"],
        "createdAt": instant(row["created_at"]),
        "maxConcurrentCalls": row["max_concurrent_calls"],
        "maxCallsPerCallerPerHour": row["max_calls_per_caller_per_hour"],
        "maxCallSeconds": row["max_call_seconds"],
        "callerId": row["caller_id"],
        "refuseAnonymous": bool(row["refuse_anonymous"]),
        "reverse": bool(row["reverse"]),
        "paused": bool(row["paused"]),
        "label": row["label"] or None,
        "metadata": {},
    }


def record_of(row: Row) -> dict[str, Any]:
    return {
        "id": row["id"],
        "timestamp": instant(row["started_at"]),
        "duration": row["duration"],
        "source": row["source"],
        "destination": row["destination"],
        "service": row["service"],
        "bookingId": row["booking_id"],
        "disposition": row["disposition"],
    }


class Bare:
    def __init__(self, db: aiosqlite.Connection, pepper: str) -> None:
        self._db = db
        self._pepper = pepper
        self._one_at_a_time = asyncio.Lock()

    async def _rows(self, sql: str, *values: object) -> list[Row]:
        return list(await self._db.execute_fetchall(sql, values))

    async def _account(self, request: web.Request) -> str:
        digest = key_digest(request.headers["Authorization"].removeprefix("Bearer "), self._pepper)
        [row] = await self._rows(KEY, digest)
        return str(row["account_id"])

    async def create(self, request: web.Request) -> web.Response:
        account, body = await self._account(request), await request.json()
        booking, now = f"bkg_{uuid.uuid4().hex}", int(time.time() * 1000)
        end = now + DAYS * 86_400_000
        plan = body["usagePlan"]
        chosen = (body["destination"], plan, body["callback"], now, end, SECONDS, SECONDS, CALLS, CALLS)
        async with self._one_at_a_time:
            await self._db.execute("BEGIN IMMEDIATE")
            [free] = await self._rows(FREE)
            await self._db.execute(TAKE, (free["e164"],))
            [row] = await self._rows(BOOK, booking, account, free["e164"], *chosen)
            await self._db.execute(GRANT, (f"grt_{uuid.uuid4().hex}", booking, plan, SECONDS, CALLS, now))
            await self._db.execute("COMMIT")
        return web.json_response(booking_of(row), status=201)

    async def bookings(self, request: web.Request) -> web.Response:
        now = int(time.time() * 1000)
        limit = int(request.query["limit"])
        rows = await self._rows(BOOKINGS, await self._account(request), now, limit + 1)
        return page([booking_of(row) for row in rows[:limit]], len(rows) > limit)

    async def cdrs(self, request: web.Request) -> web.Response:
        limit = int(request.query["limit"])
        rows = await self._rows(CDRS, await self._account(request), limit + 1)
        return page([record_of(row) for row in rows[:limit]], len(rows) > limit)


def page(data: list[dict[str, Any]], more: bool) -> web.Response:
    return web.json_response({"data": data, "hasMore": more, "nextCursor": data[-1]["id"] if more else None})


async def main(port: int, database: str, pepper: str) -> None:
    db = await aiosqlite.connect(database, isolation_level=None)
    db.row_factory = Row
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
        await db.execute(f"PRAGMA {pragma}")
    bare, application = Bare(db, pepper), web.Application()
    application.router.add_post("/bookings", bare.create)
    application.router.add_get("/bookings", bare.bookings)
    application.router.add_get("/cdr", bare.cdrs)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()


uvloop.run(main(int(sys.argv[1]), sys.argv[2], sys.argv[3]))
