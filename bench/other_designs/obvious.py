"""The obvious design: panoramisk's FastAGI and aiosqlite without changes.

Each step is one transaction, awaited statement by statement. It reads and writes the same facts as the engine, without
limits, rules, checks and logs.

    python -m bench.other_designs.obvious PORT DATABASE
"""

import asyncio
import json
import sys
import time
import uuid
from typing import Any

import aiosqlite
from panoramisk import fast_agi

Statement = tuple[str, tuple[object, ...]]

LEASE = """UPDATE bookings SET seconds_remaining = seconds_remaining - 1800, seconds_leased = seconds_leased + 1800,
    calls_remaining = calls_remaining - 1, calls_leased = calls_leased + 1
    WHERE service = ? AND gone_at IS NULL AND calls_remaining > 0"""
NEW_CALL = """INSERT INTO calls
    (call_id, booking_id, state, source, destination, seconds_leased, started_at, started_ticks)
    SELECT ?, id, 'RINGING', ?, destination, 1800, ?, ? FROM bookings WHERE service = ? AND gone_at IS NULL"""
SET_LIVE = "UPDATE calls SET state = 'LIVE', callee_channel = ?, answered_at = ?, answered_ticks = ? WHERE call_id = ?"
SET_SETTLED = "UPDATE calls SET state = 'SETTLED', seconds_charged = ?, ended_at = ? WHERE call_id = ?"
SETTLE = """UPDATE bookings SET
    seconds_leased = seconds_leased - 1800, seconds_remaining = seconds_remaining + 1800 - ?,
    seconds_settled = seconds_settled + ?, calls_leased = calls_leased - 1, calls_settled = calls_settled + 1
    WHERE id = (SELECT booking_id FROM calls WHERE call_id = ?)"""
OF_CALL = "FROM calls AS c JOIN bookings AS b ON b.id = c.booking_id WHERE c.call_id = ?"
RECORD = f"""INSERT INTO cdrs
    (id, account_id, booking_id, call_id, started_at, duration, source, service, destination, disposition)
    SELECT ?, b.account_id, b.id, c.call_id, c.started_at, ?, c.source, b.service, c.destination, 'ANSWERED'
    {OF_CALL}"""
WRITE_CALLBACK = f"""INSERT INTO outbox (id, account_id, booking_id, url, body, state, attempts, created_at, due_at)
    SELECT ?, b.account_id, b.id, b.callback, ?, 'PENDING', 0, ?, ? {OF_CALL}"""


class Obvious:
    def __init__(self, db: aiosqlite.Connection) -> None:
        self._db = db
        self._one_at_a_time = asyncio.Lock()

    async def _step(self, *statements: Statement) -> list[Any]:
        async with self._one_at_a_time:
            await self._db.execute("BEGIN IMMEDIATE")
            rows = [await (await self._db.execute(sql, values)).fetchone() for sql, values in statements]
            await self._db.execute("COMMIT")
        return rows

    async def route(self, request: fast_agi.Request) -> None:
        headers = request.headers
        service, caller, now = headers["agi_arg_1"], headers["agi_arg_2"], _now()
        booking, *_ = await self._step(
            ("SELECT * FROM bookings WHERE service = ? AND gone_at IS NULL", (service,)),
            (LEASE, (service,)),
            (NEW_CALL, (headers["agi_uniqueid"], caller, now, now, service)),
        )
        variables = {"RN_DESTINATION": booking["destination"], "RN_SHOWN": caller, "RN_BOOKING": booking["id"]}
        await _set_variables(request, variables | {"RN_SECONDS": "1800", "RN_RING": "30", "RN_VERDICT": "BRIDGE"})

    async def answered(self, request: fast_agi.Request) -> None:
        headers, now = request.headers, _now()
        await self._step((SET_LIVE, (headers["agi_uniqueid"], now, now, headers["agi_arg_1"])))
        await _set_variables(request, {"TIMEOUT(absolute)": "1800.000", "RN_LIMIT": "set"})

    async def ended(self, request: fast_agi.Request) -> None:
        call, seconds, now = request.headers["agi_arg_1"], int(request.headers["agi_arg_2"]) // 1000, _now()
        cdr = uuid.uuid4().hex
        body = json.dumps({"id": cdr, "duration": seconds})
        await self._step(
            (SET_SETTLED, (seconds, now, call)),
            (SETTLE, (seconds, seconds, call)),
            (RECORD, (cdr, seconds, call)),
            (WRITE_CALLBACK, (uuid.uuid4().hex, body, now, now, call)),
        )
        await _set_variables(request, {"RN_SETTLED": "yes"})


def _now() -> int:
    return int(time.time() * 1000)


async def _set_variables(request: fast_agi.Request, variables: dict[str, str]) -> None:
    for name, value in variables.items():
        await request.send_command(f'SET VARIABLE {name} "{value}"')


async def main(port: int, database: str) -> None:
    db = await aiosqlite.connect(database, isolation_level=None)
    db.row_factory = aiosqlite.Row
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
        await db.execute(f"PRAGMA {pragma}")
    design = Obvious(db)
    application = fast_agi.Application(loop=asyncio.get_running_loop())
    for path, script in (("route", design.route), ("answered", design.answered), ("ended", design.ended)):
        application.add_route(path, script)
    server = await asyncio.start_server(application.handler, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
