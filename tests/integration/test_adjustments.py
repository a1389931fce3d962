"""Adjustments with calls up, over a real database and a real socket to Asterisk's side; and the socket on which the
command line asks for them."""

import asyncio
import json
import socket
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from engine import adjustments, control
from engine.adjustments import MAX_ADJUSTMENT, MAX_REASON, Adjustment
from engine.control import MAX_CONVERSATIONS, SOCKET, ControlServer, EngineRefused, EngineSilent, ask_engine
from engine.domain.errors import InvalidInput, NotFound
from engine.domain.plans import UsagePlan
from engine.storage.errors import StorageUnavailable
from engine.storage.rows import Grant
from tests.contract.samples import SECOND
from tests.contract.world import World
from tests.integration.fake_channels import FakeChannels
from tests.integration.test_limits import Exchange, ami, at_work, world

__all__ = ["ami", "world"]  # fixtures

GRANTED = 300


@pytest.fixture
async def exchange(world: World, ami: FakeChannels) -> AsyncIterator[Exchange]:
    async with at_work(world, ami) as exchange:
        yield exchange
        world.check_ledger()
        granted = (await world.stored(exchange.booking)).seconds.granted
        assert sum(exchange.ami.limits[call_id] for call_id in exchange.ami.up) <= granted


def an_adjustment(booking_id: str = "bkg_1", seconds: int = -120, calls: int = 0, **changes: Any) -> Adjustment:
    return Adjustment(
        **{"id": "grt_1", "booking_id": booking_id, "reason": "a complaint"} | changes, seconds=seconds, calls=calls
    )


async def adjust(exchange: Exchange, seconds: int, calls: int = 0, **changes: Any) -> tuple[int, int]:
    done = await exchange.keeper.adjust(an_adjustment(exchange.booking.id, seconds, calls, **changes))
    return done.seconds, done.calls


async def test_seconds_that_a_call_holds_are_taken_once_asterisk_has_lowered_its_limit(exchange: Exchange) -> None:
    await exchange.talk("c1")
    assert await adjust(exchange, -120) == (-120, 0)
    assert exchange.leases() == exchange.ami.limits == {"c1": 180}
    stored = (await exchange.world.stored(exchange.booking)).seconds
    assert (stored.granted, stored.remaining, stored.leased) == (180, 0, 180)


async def test_calls_that_are_up_bear_it_together(exchange: Exchange) -> None:
    await exchange.talk("c1")
    await exchange.talk("c2")
    assert await adjust(exchange, -100) == (-100, 0)
    assert exchange.leases() == exchange.ami.limits == {"c1": 100, "c2": 100}


async def test_seconds_that_were_talked_stay(exchange: Exchange) -> None:
    await exchange.talk("c1")
    exchange.world.now += 59_400
    assert await adjust(exchange, -1000) == (-240, 0)
    assert exchange.leases() == {"c1": 60}
    assert exchange.ami.limits["c1"] == pytest.approx(0.6, abs=0.1)


async def test_what_a_ringing_call_holds_stays(exchange: Exchange) -> None:
    await exchange.incoming("c1")
    assert await adjust(exchange, -1000, -1000) == (-290, -9)
    assert exchange.leases() == {"c1": 10}


async def test_seconds_that_are_given_lengthen_the_calls_that_are_up(exchange: Exchange) -> None:
    await exchange.talk("c1")
    await exchange.talk("c2")
    assert await adjust(exchange, 100, 5) == (100, 5)
    await exchange.until_leased(c1=200, c2=200)


async def test_while_asterisk_does_not_obey_only_what_nobody_holds_is_taken(exchange: Exchange) -> None:
    await exchange.talk("c1")
    exchange.ami.silent = True
    assert await adjust(exchange, -120) == (0, 0)
    assert exchange.leases() == {"c1": 300}
    exchange.ami.silent = False
    assert await adjust(exchange, -120, id="grt_2") == (-120, 0)
    assert exchange.leases() == {"c1": 180}


async def test_an_adjustment_that_comes_again_is_not_done_again(exchange: Exchange) -> None:
    await exchange.talk("c1")
    assert [await adjust(exchange, -120) for _ in range(3)] == [(-120, 0)] * 3
    await exchange.until_leased(c1=180)
    assert exchange.world.rows("SELECT seconds, reason, usage_plan FROM grants WHERE id = 'grt_1'") == [
        {"seconds": -120, "reason": "a complaint", "usage_plan": None}
    ]


async def test_calls_that_come_and_go_meanwhile_leave_books_that_balance(exchange: Exchange) -> None:
    await exchange.talk("c1")
    exchange.ami.late["AbsoluteTimeout"] = 0.05
    outcomes = await asyncio.gather(
        adjust(exchange, -200), exchange.incoming("c2"), adjust(exchange, -60, id="grt_2"), exchange.incoming("c3")
    )
    taken = sum(outcome[0] for outcome in outcomes if isinstance(outcome, tuple))
    assert (await exchange.world.stored(exchange.booking)).seconds.granted == GRANTED + taken
    assert -260 <= taken <= -230


async def test_a_booking_that_is_not_there_is_not_adjusted(exchange: Exchange) -> None:
    with pytest.raises(NotFound):
        await exchange.keeper.adjust(an_adjustment("bkg_unknown"))


@pytest.mark.parametrize(
    "wrong",
    [
        {"seconds": 0, "calls": 0},
        {"seconds": MAX_ADJUSTMENT + 1},
        {"calls": -MAX_ADJUSTMENT - 1},
        {"reason": ""},
        {"reason": "  "},
        {"reason": "two\nlines"},
        {"reason": "x" * (MAX_REASON + 1)},
    ],
    ids=str,
)
def test_an_adjustment_must_move_something_and_say_why(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        an_adjustment(**wrong)


# The socket.

DONE = Grant("grt_1", "bkg_1", None, -120, 0, 1, "a complaint")


def _is_heard(directory: Path) -> bool:
    """Directories of these tests may have longer paths than sockets."""
    with control._reachable(directory) as path, socket.socket(socket.AF_UNIX) as connection:
        return connection.connect_ex(str(path)) == 0


@asynccontextmanager
async def serving(directory: Path, answer: Any) -> AsyncIterator[list[Adjustment]]:
    """A control server whose `adjust` returns or raises `answer`, or never ends if that is None."""
    asked: list[Adjustment] = []
    stop = asyncio.Event()

    async def adjust(adjustment: Adjustment) -> Grant:
        asked.append(adjustment)
        if answer is None:
            await asyncio.Event().wait()
        if isinstance(answer, Exception):
            raise answer
        assert isinstance(answer, Grant)
        return answer

    task = asyncio.create_task(ControlServer(directory, adjust).run(stop))
    try:
        async with asyncio.timeout(20):
            while not _is_heard(directory):  # noqa: ASYNC110  there is no event of it
                await asyncio.sleep(0.01)
            yield asked
    finally:
        stop.set()
        await task


async def ask(directory: Path) -> Grant | None:
    return await asyncio.to_thread(ask_engine, directory, an_adjustment())


async def test_an_adjustment_reaches_the_engine_as_it_was_asked_for(tmp_path: Path) -> None:
    async with serving(tmp_path, DONE) as asked:
        assert await ask(tmp_path) == DONE
        assert asked == [an_adjustment()]


async def test_the_path_may_be_longer_than_a_sockets(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 120) / ("e" * 120)
    deep.mkdir(parents=True)
    async with serving(deep, DONE):
        assert await ask(deep) == DONE


async def test_only_its_owner_can_open_the_socket_and_it_goes_with_the_engine(tmp_path: Path) -> None:
    async with serving(tmp_path, DONE):
        mode = (tmp_path / SOCKET).stat().st_mode
        assert stat.S_ISSOCK(mode)
        assert stat.S_IMODE(mode) == 0o600
    assert not (tmp_path / SOCKET).exists()
    assert await ask(tmp_path) is None


async def test_a_dead_engines_socket_is_no_engine_and_does_not_stop_the_next_one(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / SOCKET))
    assert await ask(tmp_path) is None
    async with serving(tmp_path, DONE):
        assert await ask(tmp_path) == DONE


@pytest.mark.parametrize("error", [NotFound("there is no such booking"), StorageUnavailable("disk full")])
async def test_a_refusal_is_told_in_the_engines_words(tmp_path: Path, error: Exception) -> None:
    async with serving(tmp_path, error):
        with pytest.raises(EngineRefused, match=str(error)):
            await ask(tmp_path)


async def test_an_engine_that_hangs_is_given_up_and_it_is_said_that_nobody_knows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "ADJUST_SECONDS", 0.2)
    async with serving(tmp_path, None):
        with pytest.raises(EngineSilent):
            await ask(tmp_path)


GOOD = {"id": "grt_1", "booking_id": "bkg_1", "seconds": -1, "calls": 0, "reason": "x"}
LINES: dict[str, bytes] = {
    "nothing": b"",
    "no end": b"{",
    "no JSON": b"adjust\n",
    "not UTF-8": b"\xff\xfe\n",
    "no object": b"[]\n",
    "deep": b"[" * 3000 + b"\n",
    "a field less": json.dumps({**GOOD, "reason": None}).encode() + b"\n",
    "a field more": json.dumps({**GOOD, "sql": "x"}).encode() + b"\n",
    "text for a number": json.dumps({**GOOD, "seconds": "1"}).encode() + b"\n",
    "a fraction": json.dumps({**GOOD, "seconds": 1.5}).encode() + b"\n",
    "a number for text": json.dumps({**GOOD, "booking_id": 1}).encode() + b"\n",
    "true for a number": json.dumps({**GOOD, "seconds": True}).encode() + b"\n",
    "nothing to do": json.dumps({**GOOD, "seconds": 0}).encode() + b"\n",
    "too long": b"x" * 100_000 + b"\n",
}


@pytest.mark.parametrize("line", LINES.values(), ids=LINES)
async def test_what_is_no_adjustment_is_refused_and_the_next_one_is_heard(
    tmp_path: Path, line: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "READ_SECONDS", 0.3)
    async with serving(tmp_path, DONE) as asked:
        reader, writer = await asyncio.open_unix_connection(str(tmp_path / SOCKET))
        with_answer = await _said(reader, writer, line)
        assert with_answer == b"" or "refused" in json.loads(with_answer)
        assert asked == []
        assert await ask(tmp_path) == DONE


async def _said(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, line: bytes) -> bytes:
    try:
        writer.write(line)
        await writer.drain()
        return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


async def test_peers_that_say_nothing_do_not_keep_others_out_for_longer_than_they_are_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "READ_SECONDS", 0.3)
    async with serving(tmp_path, DONE):
        silent = [await asyncio.open_unix_connection(str(tmp_path / SOCKET)) for _ in range(MAX_CONVERSATIONS)]
        assert await ask(tmp_path) == DONE
        for _, writer in silent:
            writer.close()


async def test_one_that_goes_before_the_answer_harms_nobody(tmp_path: Path) -> None:
    async with serving(tmp_path, DONE) as asked:
        for _ in range(3):
            _, writer = await asyncio.open_unix_connection(str(tmp_path / SOCKET))
            writer.write(json.dumps(GOOD).encode() + b"\n")
            writer.close()
        assert await ask(tmp_path) == DONE
        assert len(asked) == 4


async def test_a_booking_whose_end_was_reached_may_be_given_something_and_stays_expired(world: World) -> None:
    booking = await world.book(UsagePlan.MEDIUM)
    world.now = booking.end_at + SECOND
    await world.storage.run(adjustments.adjust, an_adjustment(booking.id, 60), world.at, world.policy)
    assert (await world.stored(booking)).seconds.granted == 360
    world.check_ledger()
