"""Twilio Proxy's sessions, in both databases: joined by two, closed in time, deleted with their bookings."""

import asyncio
import json
from typing import Any

import pytest

from engine.accounts.accounts import create_account
from engine.bookings.shared_numbers import share
from engine.calls.facts import IncomingCall
from engine.calls.lifecycle import route_call
from engine.domain.ids import AccountId, BookingId, CallId
from engine.domain.numbers import E164
from engine.domain.policy import RetentionPeriods
from engine.domain.routing import Bridge
from engine.domain.times import EpochMs
from engine.domain.twilio_proxy import TOO_MANY_PARTICIPANTS, ProxyRefusal, SessionStatus
from engine.privacy.retention import delete_expired
from engine.storage.reads import Reads
from engine.storage.twilio_proxy import TwilioProxy
from engine.twilio_proxy import upkeep
from engine.twilio_proxy.participants import Joining, join
from engine.twilio_proxy.services import ServiceChange, change_service, create_service
from engine.twilio_proxy.sessions import SessionChange, SessionRequest, change_session, create_session, locked_session
from engine.twilio_proxy.upkeep import AHEAD_MS, sweep_sessions
from tests.contract.samples import CALLBACK, DAY, HIDDEN, OTHER_HIDDEN, POLICY, SECOND
from tests.contract.world import POOL, World

THIRD = E164("+32470999001")
MINUTE = 60 * SECOND


async def session_in(world: World, **fields: Any) -> tuple[str, str]:
    """Returns the ids of a new service and of a session in it."""
    await world.storage.run(share, POOL[0])
    urls = ServiceChange(callback_url=CALLBACK, out_of_session_callback_url=CALLBACK)
    service = await world.storage.run(create_service, world.account, "shop", urls, world.now)
    wanted = SessionRequest(**fields)
    session = await world.storage.run(create_session, world.account, service.id, wanted, world.now, POLICY)
    return service.id, session.id


async def joined(world: World, place: tuple[str, str], number: E164) -> Any:
    return await world.storage.run(join, world.account, *place, Joining(number, "a name"), world.now, POLICY)


async def status(world: World, place: tuple[str, str]) -> SessionStatus:
    found = await world.storage.run(locked_session, world.account, *place, world.now, POLICY)
    return found.state.status


async def reaches(world: World, caller: E164, call_id: str) -> bool:
    incoming = IncomingCall(CallId(call_id), E164(POOL[0]), caller, asserted=caller)
    return isinstance(await world.storage.run(route_call, incoming, world.at, world.policy), Bridge)


async def swept(world: World, now: EpochMs | None = None) -> list[BookingId]:
    """Sweeps the sessions. Returns the bookings whose ends have moved."""
    moved: list[BookingId] = []
    await sweep_sessions(world.storage, now or world.now, POLICY, moved.append)
    return moved


async def test_of_three_who_join_at_once_two_become_the_pair(world: World) -> None:
    place = await session_in(world)
    people = (HIDDEN, OTHER_HIDDEN, THIRD)
    done = await asyncio.gather(*(joined(world, place, each) for each in people), return_exceptions=True)
    [refused] = [each for each in done if isinstance(each, BaseException)]
    assert isinstance(refused, ProxyRefusal)
    assert refused.code == TOO_MANY_PARTICIPANTS
    found = await world.storage.run(locked_session, world.account, *place, world.now, POLICY)
    assert found.booking is not None
    assert found.booking.participants is not None
    assert len({each.number for each in found.booking.participants} & {*people}) == 2
    rows = world.rows("SELECT number, name FROM proxy_participants")
    assert rows == [{"number": None, "name": None}] * 2  # the booking alone has them
    world.check_ledger()


async def test_a_call_moves_the_end_of_a_session_with_a_time_to_live(world: World) -> None:
    place = await session_in(world, ttl=600)
    for number in (HIDDEN, OTHER_HIDDEN):
        await joined(world, place, number)
    world.now += 10 * MINUTE - SECOND
    assert await reaches(world, HIDDEN, "c1")
    [moved] = await swept(world)
    [row] = world.rows("SELECT id, end_at FROM bookings")
    assert row == {"id": moved, "end_at": world.now + 10 * MINUTE}
    await world.ended(CallId("c1"), 0, "BUSY")
    assert await swept(world) == []
    world.now += 10 * MINUTE
    assert not await reaches(world, OTHER_HIDDEN, "c2")
    assert await status(world, place) is SessionStatus.CLOSED
    # Before a sweep has seen that it closed by itself.
    await world.storage.run(change_session, world.account, *place, SessionChange(ttl=0), world.now, POLICY)
    assert world.rows("SELECT idle_until FROM proxy_sessions") == [{"idle_until": None}]
    opened = SessionChange(is_open=True)
    await world.storage.run(change_session, world.account, *place, opened, world.now, POLICY)
    assert await reaches(world, OTHER_HIDDEN, "c3")
    await world.answered(CallId("c3"))
    await world.ended(CallId("c3"), 2_000)
    assert [row["n"] for row in world.rows("SELECT COUNT(*) AS n FROM outbox")] == [3]  # missed, out of session, ended


async def test_an_account_with_many_sessions_does_not_delay_those_of_another(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "A_SWEEP", 2)
    monkeypatch.setattr(upkeep, "BATCH", 1)
    other = (await world.storage.run(create_account, "Bob", world.now)).id
    await world.storage.run(share, POOL[0])
    booked: dict[AccountId, set[BookingId]] = {world.account: set(), other: set()}
    for index, account in enumerate((world.account, world.account, world.account, other)):
        service = await world.storage.run(create_service, account, f"shop {index}", ServiceChange(), world.now)
        session = await world.storage.run(
            create_session, account, service.id, SessionRequest(ttl=600 + index), world.now, POLICY
        )
        people = [E164(f"+324709990{index}{side}") for side in range(2)]
        for number in people:
            await world.storage.run(join, account, service.id, session.id, Joining(number), world.now, POLICY)
        found = await world.storage.run(locked_session, account, service.id, session.id, world.now, POLICY)
        assert found.booking is not None
        booked[account] |= {found.booking.id}
        world.now += SECOND
        assert await reaches(world, people[0], f"c{index}")
    world.now += 10 * MINUTE - 10 * SECOND
    first, second = await swept(world)
    assert (first in booked[world.account], {second}) == (True, booked[other])
    assert {*await swept(world)} == booked[world.account] - {first}


async def test_callbacks_are_numbered_without_a_gap_also_where_none_is_wanted_for_a_time(world: World) -> None:
    place = await session_in(world)
    for number in (HIDDEN, OTHER_HIDDEN):
        await joined(world, place, number)
    for index, url in enumerate((CALLBACK, "", CALLBACK)):
        change = ServiceChange(callback_url=url)
        await world.storage.run(change_service, world.account, place[0], change, world.now)
        assert await reaches(world, HIDDEN, f"c{index}")
        await world.answered(CallId(f"c{index}"))
        await world.ended(CallId(f"c{index}"), 2_000)
    bodies = [json.loads(row["body"]) for row in world.rows("SELECT body FROM outbox ORDER BY id")]
    assert [body["sequence"] for body in bodies] == [1, 2]


async def test_a_session_that_is_closed_while_a_sweep_comes_to_it_stays_closed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = await session_in(world, ttl=600)
    for number in (HIDDEN, OTHER_HIDDEN):
        await joined(world, place, number)
    world.now += 10 * MINUTE - SECOND
    assert await reaches(world, HIDDEN, "c1")
    read = await world.storage.run(lambda tx: tx.twilio_proxy.idle(world.now, EpochMs(world.now + AHEAD_MS), None, 9))
    assert len(read) == 1
    closed = SessionChange(ttl=0, is_open=False)
    await world.storage.run(change_session, world.account, *place, closed, world.now, POLICY)
    monkeypatch.setattr(TwilioProxy, "idle", lambda *_: read)
    assert await swept(world) == []
    assert await status(world, place) is SessionStatus.CLOSED
    assert not await reaches(world, OTHER_HIDDEN, "c2")


async def test_lists_are_read_in_pages_and_sessions_go_with_their_bookings(world: World) -> None:
    place = await session_in(world, unique_name="order")
    for number in (HIDDEN, OTHER_HIDDEN):
        await joined(world, place, number)
    waiting = await world.storage.run(create_session, world.account, place[0], SessionRequest(), world.now, POLICY)
    async with Reads(world.database) as reads:
        proxy = reads.twilio_proxy
        assert [each.id for each in await proxy.services(world.account, None, 9)] == [place[0]]
        assert [each.id for each in await proxy.sessions(place[0], None, 9)] == [waiting.id, place[1]]
        assert [each.id for each in await proxy.sessions(place[0], waiting.id, 9)] == [place[1]]
        assert (await proxy.service(world.account, place[0])) is not None
        assert (await proxy.session(place[0], place[1])) is not None
        [rented] = await proxy.numbers(place[0], "", 9)
        assert (rented.service, rented.sessions) == (POOL[0], 1)
        assert await proxy.number(place[0], E164(POOL[0])) == rented
        assert await proxy.number(place[0], E164(POOL[1])) is None
        assert len(await proxy.participants(place[1])) == 2
        [booking] = world.rows("SELECT id FROM bookings")
        assert await proxy.last_call(booking["id"]) is None
    closed = SessionChange(is_open=False)
    await world.storage.run(change_session, world.account, *place, closed, world.now, POLICY)
    world.now += POLICY.grace_ms
    await world.sweep()
    assert await status(world, place) is SessionStatus.CLOSED
    world.now += 31 * DAY
    await delete_expired(world.storage, world.now, RetentionPeriods(180 * DAY, 30 * DAY, 30 * DAY))
    assert [row["id"] for row in world.rows("SELECT id FROM proxy_sessions")] == [waiting.id]
    assert world.rows("SELECT id FROM proxy_participants") == []
    await swept(world, EpochMs(4_000_000_000_000))  # ids have the machine's time
    assert world.rows("SELECT id FROM proxy_sessions") == []
