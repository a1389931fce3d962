"""An Asterisk that is gone with all its engines: how it is shown, and how an operator has its calls settled."""

import pytest

from engine.asterisk import silent_asterisks
from engine.asterisk.keepership import LOST_SECONDS, keep
from engine.asterisk.silent_asterisks import AsteriskLives, forget, require_silent
from engine.calls import lifecycle as calls
from engine.calls.facts import IncomingCall
from engine.calls.reconciliation import LiveChannels, compare_with_asterisk
from engine.control.operator_warnings import find_asterisks
from engine.domain.dispositions import Disposition
from engine.domain.ids import CallId
from engine.domain.policy import UsagePlan
from engine.domain.times import EpochMs
from engine.metrics.collector import figure_families
from engine.metrics.database_figures import DatabaseReader
from engine.storage.errands import Errand, ErrandKind
from engine.storage.gauges import GaugeReads
from engine.storage.keepers import Keeper, SignOfLife
from engine.storage.operator_reads import OperatorReads
from tests.contract.samples import CALLER, SECOND
from tests.contract.spooling import WorldClock
from tests.contract.world import World, outsider

GONE, HERE = Keeper("gone", "there/eng_1"), Keeper("here", "home/eng_2")
LOST_MS = round(LOST_SECONDS * 1000)
LEASE = 60


@pytest.fixture
async def dead(shared: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """An Asterisk that died with a call that rang and three that talked, of which the last was seen up after 25 s."""
    monkeypatch.setattr(silent_asterisks, "WATCH_SECONDS", 0.0)
    for keeper in (GONE, HERE):
        await beat(shared, keeper)
    booking = await shared.book(UsagePlan.LARGE)
    for number in range(4):
        incoming = IncomingCall(CallId(f"c{number}"), booking.service, CALLER, asterisk=GONE.asterisk)
        await shared.storage.run(calls.route_call, incoming, shared.at, shared.policy, room_was_made=True)
    for number in range(1, 4):
        await shared.answered(CallId(f"c{number}"))
    shared.now += 25 * SECOND
    seen = LiveChannels(frozenset({CallId("c3")}), {})
    await shared.storage.run(compare_with_asterisk, seen, shared.at.boot_ms, GONE.asterisk)
    return shared


async def beat(world: World, keeper: Keeper) -> None:
    await world.storage.run(keep, keeper, SignOfLife(world.now, f"{keeper.asterisk}.example", ""), None)


def charged(world: World) -> dict[str, int]:
    return {row["call_id"]: row["duration"] for row in world.rows("SELECT call_id, duration FROM cdrs")}


@pytest.mark.parametrize(
    ("off_after", "now_after", "seconds"),
    [(10, 600, [0, 10, 10, 25]), (30, 31, [0, 30, 30, 30]), (600, 600, [0, LEASE, LEASE, LEASE])],
    ids=["off before it was last seen", "off afterwards", "off after all leases"],
)
async def test_a_forgotten_asterisks_calls_are_charged_until_it_was_off_and_never_above_their_leases(
    dead: World, off_after: int, now_after: int, seconds: list[int]
) -> None:
    began = EpochMs(dead.now - 25 * SECOND)
    errand = Errand("err_1", GONE.asterisk, ErrandKind.HANG_UP, "c1", 0, dead.at.boot_ms)
    await dead.storage.run(lambda tx: tx.errands.insert(errand))
    dead.now = EpochMs(began + now_after * SECOND)
    off_at = EpochMs(began + off_after * SECOND)
    assert await forget(dead.storage, WorldClock(dead), dead.policy, GONE.asterisk, off_at) == 4
    assert charged(dead) == {f"c{number}": each for number, each in enumerate(seconds)}
    assert {row["disposition"] for row in dead.rows("SELECT disposition FROM cdrs")} == {Disposition.LOST}
    assert dead.rows("SELECT SUM(seconds_leased) AS leased FROM bookings") == [{"leased": 0}]
    assert dead.rows("SELECT asterisk FROM keepers") == [{"asterisk": HERE.asterisk}]
    assert dead.rows("SELECT id FROM errands") == []
    dead.check_ledger()
    # It was not off after all: its engine ends what the books do not have.
    await beat(dead, GONE)
    up = frozenset(map(CallId, ("c1", "c2")))
    found = LiveChannels(up, {}, callers=up)
    compared = await dead.storage.run(compare_with_asterisk, found, dead.at.boot_ms, GONE.asterisk)
    assert compared.unmetered == up


async def test_a_living_asterisk_is_not_forgotten(dead: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def beats(_: float) -> None:
        await beat(dead, GONE)

    monkeypatch.setattr(silent_asterisks, "sleep", beats)
    with pytest.raises(AsteriskLives, match="there again"):
        await forget(dead.storage, WorldClock(dead), dead.policy, GONE.asterisk, dead.now)
    assert charged(dead) == {}


async def test_an_asterisk_whose_engine_puts_calls_through_again_is_not_forgotten(dead: World) -> None:
    """A machine that has just come back decides on calls for some seconds before its engine becomes the keeper."""
    booking = await dead.book(UsagePlan.LARGE)
    incoming = IncomingCall(CallId("c9"), booking.service, CALLER, asterisk=GONE.asterisk)
    await dead.storage.run(calls.route_call, incoming, dead.at, dead.policy, room_was_made=True)
    with pytest.raises(AsteriskLives, match="there again"):
        await forget(dead.storage, WorldClock(dead), dead.policy, GONE.asterisk, dead.now)
    assert charged(dead) == {}


async def test_an_asterisk_with_calls_is_shown_as_silent_after_a_minute(dead: World) -> None:
    async def seen() -> tuple[list[str], dict[str, float]]:
        async with OperatorReads(dead.database) as operator, GaugeReads(dead.database) as gauges:
            warnings = await find_asterisks(operator, dead.now, 0)
            figures = await DatabaseReader(gauges, WorldClock(dead)).read()
        samples = [sample for family in figure_families(figures) for sample in family.samples]
        return [f"{each.subject}: {each.what}" for each in warnings], {
            each.name.removeprefix("rented_numbers_silent_"): each.value for each in samples if "silent" in each.name
        }

    one = next(each for each in await dead.storage.run(lambda tx: tx.keepers.asterisks()) if each.calls)
    with pytest.raises(AsteriskLives, match=r"gone\.example"):
        require_silent(one, dead.now)
    assert await seen() == ([], {"asterisks": 0, "leased_seconds": 0})
    dead.now += LOST_MS
    require_silent(one, dead.now)
    warnings, sums = await seen()
    assert sums == {"asterisks": 1, "leased_seconds": 4 * LEASE}
    [warning] = warnings
    assert "gone.example" in warning
    assert "its 4 calls hold 240 seconds until their leases are over" in warning
    # The name of a machine is all that HERE has left: no call is up there.
    await dead.storage.run(lambda tx: tx.keepers.leave(HERE))
    assert (await seen())[1]["asterisks"] == 1
    await beat(dead, GONE)
    assert await seen() == ([], {"asterisks": 0, "leased_seconds": 0})


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE keepers SET beaten_at = 0 WHERE asterisk = 'gone'",
        "UPDATE calls SET ended_at = 1, state = 'VOIDED', seconds_charged = 0",
    ],
    ids=["its engine is of the former version", "it has no calls"],
)
async def test_an_asterisk_is_not_shown_as_silent(dead: World, change: str) -> None:
    dead.now += 10 * LOST_MS
    async with OperatorReads(dead.database) as operator:
        assert len(await find_asterisks(operator, dead.now, 0)) == 1
        with outsider(dead.database) as connection:
            connection.execute(change)
        assert await find_asterisks(operator, dead.now, 0) == []
