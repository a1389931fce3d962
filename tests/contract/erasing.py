"""A person whose number is erased, and what a database still holds of it."""

from typing import Any

from engine.calls import lifecycle as calls
from engine.calls.facts import IncomingCall
from engine.cdr.ledger import audit_page
from engine.domain.booking import Booking
from engine.domain.ids import CallId
from engine.domain.numbers import E164
from engine.domain.routing import Bridge
from engine.domain.spellings import Spellings
from engine.privacy.erasure import erase
from engine.privacy.findings import Findings
from tests.contract.samples import PEPPER
from tests.contract.test_migrations import insert
from tests.contract.world import World, outsider
from tests.postgresql import Outsider

PERSON = E164("+14155550188")
DIGITS = PERSON[1:]


async def erased_from(world: World, number: str = PERSON) -> Findings:
    return await erase(world.storage, Spellings(number), world.now, world.policy, PEPPER)


async def route(world: World, booking: Booking, call_id: CallId, source: str) -> Any:
    # Some telephones write their number into the Call-ID.
    incoming = IncomingCall(call_id, booking.service, source, sip_call_id=f"{source.removeprefix('+')}-1@host")
    return await world.storage.run(calls.route_call, incoming, world.at, world.policy)


async def call(world: World, booking: Booking, call_id: CallId, source: str, answered_ms: int = 3_000) -> None:
    assert isinstance(await route(world, booking, call_id, source), Bridge)
    await world.answered(call_id)
    await world.ended(call_id, answered_ms)


def everything(world: World) -> str:
    """Returns the whole content of the database, table by table."""
    with outsider(world.database) as connection:
        tables = [row["name"] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return "\n".join(repr(connection.execute(f"SELECT * FROM {table}").fetchall()) for table in tables)  # noqa: S608


async def is_balanced(world: World) -> bool:
    return (await world.storage.run(audit_page)).discrepancies == []


def insert_row(world: World, table: str, **row: Any) -> None:
    with outsider(world.database) as connection:
        if isinstance(connection, Outsider):
            connection.execute("SET session_replication_role = replica")  # rows need no owner, as in SQLite
        insert(connection, table, **row)
