"""Classic AGI: one Python process for each script of a call, with pyst2 and sqlite3, on standard input and output.

python -m bench.other_designs.classic_agi DATABASE
"""

import os
import sqlite3
import sys
import time
from pathlib import Path

from asterisk.agi import AGI

Step = tuple[str, tuple[object, ...]]


def main(database: str) -> None:
    with Path(os.devnull).open("w") as nowhere:  # pyst2 logs every line
        agi = AGI(stderr=nowhere)
        with sqlite3.connect(database, isolation_level=None, timeout=30) as db:
            db.execute("PRAGMA synchronous = FULL")
            db.execute("BEGIN IMMEDIATE")
            variables = {"route": route, "answered": answered, "ended": ended}[agi.env["agi_network_script"]](
                agi.env, db
            )
            db.execute("COMMIT")
        for name, value in variables.items():
            agi.set_variable(name, value)


def now() -> int:
    return int(time.time() * 1000)


def route(env: dict[str, str], db: sqlite3.Connection) -> dict[str, str]:
    booking, destination = db.execute(
        "SELECT id, destination FROM bookings WHERE service = ? AND gone_at IS NULL", (env["agi_arg_1"],)
    ).fetchone()
    db.execute(
        "UPDATE bookings SET calls_remaining = calls_remaining - 1, calls_leased = calls_leased + 1 WHERE id = ?",
        (booking,),
    )
    db.execute(
        "INSERT INTO calls (call_id, booking_id, state, source, destination, seconds_leased, started_at, started_ticks)"
        " VALUES (?, ?, 'RINGING', ?, ?, 1800, ?, ?)",
        (env["agi_uniqueid"], booking, env["agi_arg_2"], destination, now(), now()),
    )
    return {"RN_DESTINATION": destination, "RN_BOOKING": booking, "RN_SECONDS": "1800", "RN_VERDICT": "BRIDGE"}


def answered(env: dict[str, str], db: sqlite3.Connection) -> dict[str, str]:
    db.execute("UPDATE calls SET state = 'LIVE' WHERE call_id = ?", (env["agi_arg_1"],))
    return {"TIMEOUT(absolute)": "1800.000", "RN_LIMIT": "set"}


def ended(env: dict[str, str], db: sqlite3.Connection) -> dict[str, str]:
    db.execute(
        "UPDATE calls SET state = 'SETTLED', seconds_charged = 12, ended_at = ? WHERE call_id = ?",
        (now(), env["agi_arg_1"]),
    )
    return {"RN_SETTLED": "yes"}


main(sys.argv[1])
