"""What the databases themselves refuse in the tables of the call path, whichever program writes it.

PostgreSQL checks with functions and a trigger what SQLite checks with a CHECK for each rule (migration 0046), so each
rule is tried on both.
"""

from typing import Any

from engine.domain.ids import CallId
from engine.domain.policy import UsagePlan
from tests.contract.world import INTEGRITY_ERRORS, World, outsider

REFUSED = {
    "bookings": (
        "seconds_granted = seconds_granted + 1",
        "seconds_remaining = -1, seconds_leased = seconds_leased + seconds_remaining + 1",
        "seconds_leased = -1, seconds_remaining = seconds_remaining + seconds_leased + 1",
        "seconds_settled = -1, seconds_remaining = seconds_remaining + seconds_settled + 1",
        "seconds_forgotten = -1",
        "seconds_forgotten = seconds_settled + 1",
        "calls_granted = calls_granted + 1",
        "calls_remaining = -1, calls_leased = calls_leased + calls_remaining + 1",
        "calls_leased = -1, calls_remaining = calls_remaining + calls_leased + 1",
        "calls_settled = -1, calls_remaining = calls_remaining + calls_settled + 1",
        "calls_forgotten = -1",
        "calls_forgotten = calls_settled + 1",
        "callbacks_posted = -1",
        "max_concurrent_calls = 0",
        "max_calls_per_caller_per_hour = 0",
        "max_call_seconds = 0",
        "caller_id = 'nobody'",
        "refuse_anonymous = 2",
        "paused = 2",
        "language = 'xx'",
        "whisper = 2",
        "greeting = 2",
        "screening = 'press2'",
        "reverse = 2",
        "accept_former_callers = 2",
        "forgotten = 2",
        "beep = 2",
        "start_at = created_at",
        "start_at = end_at",
    ),
    "calls": (
        "state = 'BUSY'",
        "seconds_leased = 0",
        "seconds_charged = -1",
        "seconds_charged = seconds_leased + 1",
        "state = 'LIVE'",
        "ended_at = NULL",
        "state = 'LIVE', ended_at = NULL",
        "answered_at = NULL",
        "answered_ticks = NULL",
        "direction = 'sideways'",
        "returnable = 2",
        "of_pair = 2",
    ),
    "cdrs": (
        "duration = -1",
        "further_calls = -1",
        "sip_code = 199",
        "sip_code = 700",
        "hangup_cause = 0",
        "hangup_cause = 128",
        "hung_up_by = 'MOTHER'",
        "direction = 'sideways'",
        "of_pair = 2",
    ),
    "outbox": (
        "state = 'LOST'",
        "claimed = 2",
        "attempts_before = -1",
        "attempts_before = attempts + 1",
        "state = 'DELIVERED'",
        "finished_at = 1",
    ),
}


async def test_a_row_that_breaks_a_rule_is_refused(world: World) -> None:
    booking = await world.book(UsagePlan.LARGE)
    await world.bridge(booking, "c1")
    await world.answered(CallId("c1"))
    await world.ended(CallId("c1"), 5_000)
    statements = [f"UPDATE {table} SET {rule}" for table, rules in REFUSED.items() for rule in rules]  # noqa: S608  ours
    with outsider(world.database) as connection:
        assert [each for each in statements if not _is_refused(connection, each)] == []


def _is_refused(connection: Any, statement: str, parameters: tuple[Any, ...] = ()) -> bool:
    try:
        connection.execute(statement, parameters)
    except INTEGRITY_ERRORS as error:
        return "check" in str(error).lower()
    return False


async def test_a_new_row_is_checked_too(world: World) -> None:
    await world.book()
    with outsider(world.database) as connection:
        row = connection.execute("SELECT * FROM bookings").fetchone() | {"id": "bkg_other", "service": "+3225559999"}
        statement = f"INSERT INTO bookings ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})"  # noqa: S608  ours
        for broken in ({"caller_id": "nobody"}, {"seconds_granted": row["seconds_granted"] + 1}):
            assert _is_refused(connection, statement, tuple((row | broken).values()))
        assert not _is_refused(connection, statement, tuple(row.values()))
        connection.execute("DELETE FROM bookings WHERE id = 'bkg_other'")


async def test_a_choice_that_is_not_made_breaks_no_rule(world: World) -> None:
    await world.book()
    left_out = "max_concurrent_calls = NULL, max_calls_per_caller_per_hour = NULL, max_call_seconds = NULL"
    with outsider(world.database) as connection:
        connection.execute(f"UPDATE bookings SET {left_out}, start_at = NULL")  # noqa: S608  the line above
