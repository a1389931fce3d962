"""Two Asterisks with one token: their engines must not settle each other's calls."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

import pytest
from structlog.testing import capture_logs

from engine.asterisk import keepership as module
from engine.asterisk.asterisk_mark import AsteriskMark
from engine.asterisk.errors import AmiError
from engine.asterisk.keepership import SILENT_SECONDS, STRANGE_BEATS, TAKE_OVER_SECONDS, SharedKeepership
from engine.storage.keepers import Keeper
from tests.contract.marking import Link
from tests.contract.spooling import WorldClock
from tests.contract.world import World

PROVEN = STRANGE_BEATS + 2


@dataclass
class Machines:
    """Engines of one name, and the clock that all of them watch.

    Attributes:
        decided: The engines that would have decided on a call at some moment since `begin`.
    """

    world: World
    boot: list[float]
    running: dict[str, tuple[SharedKeepership, Link]] = field(default_factory=dict)
    decided: set[str] = field(default_factory=set)

    def begin(self, name: str, asterisk: dict[str, str]) -> SharedKeepership:
        link = Link(asterisk)
        keeper = Keeper("one name", f"{name}/eng")
        made = SharedKeepership(self.world.storage, keeper, WorldClock(self.world), AsteriskMark(link))
        self.running[name] = (made, link)
        return made

    async def run(self, seconds: float) -> None:
        for _ in range(round(seconds)):
            for name, (each, _) in list(self.running.items()):
                with suppress(AmiError):
                    await each.refresh_mark()
                await each.ask()
                self.decided |= {name} if each.may_decide else set()
            self.boot[0] += 1

    def restart(self, asterisk: dict[str, str]) -> None:
        """Its process ends, and with it all links."""
        asterisk.clear()
        for _, link in self.running.values():
            link.connections += link.variables is asterisk


@pytest.fixture
def machines(shared: World, monkeypatch: pytest.MonkeyPatch) -> Machines:
    boot = [1_000.0]
    monkeypatch.setattr(module, "boot_seconds", lambda: boot[0])
    return Machines(shared, boot)


async def test_the_engine_of_another_asterisk_decides_on_no_call_and_never_becomes_the_keeper(
    machines: Machines,
) -> None:
    one = machines.begin("one", {})
    await machines.run(2)
    with capture_logs() as logged:
        other = machines.begin("other", {})
        await machines.run(PROVEN)
    assert (one.is_certain, one.is_stranger, other.is_stranger) == (True, False, True)
    assert [each["event"] for each in logged if each["log_level"] == "error"] == ["agi_token_of_another_asterisk"]
    # Its keeper stops, is started again, and dies.
    await one.leave()
    del machines.running["one"]
    await machines.run(2)
    again = machines.begin("one", {})
    await machines.run(2)
    assert again.is_certain
    del machines.running["one"]
    await machines.run(2 * TAKE_OVER_SECONDS)
    assert not other.is_ours
    assert machines.decided == {"one"}


@pytest.mark.parametrize("is_down", [False, True], ids=["", "without a link of the keeper"])
async def test_a_second_engine_of_the_same_asterisk_decides_and_takes_over_also_after_a_restart_of_asterisk(
    machines: Machines, is_down: bool
) -> None:
    asterisk: dict[str, str] = {}
    machines.begin("one", asterisk)
    await machines.run(2)
    other = machines.begin("other", asterisk)
    await machines.run(2)
    assert other.may_decide
    machines.restart(asterisk)
    machines.running["one"][1].is_down = is_down
    for _ in range(round(3 * PROVEN)):
        await machines.run(1)
        assert (other.may_decide, other.is_stranger) == (True, False)
    del machines.running["one"]
    await machines.run(TAKE_OVER_SECONDS + 1)
    assert other.is_certain


async def test_a_mark_that_a_reload_of_the_dialplan_has_cleared_is_made_again(machines: Machines) -> None:
    asterisk: dict[str, str] = {}
    machines.begin("one", asterisk)
    await machines.run(2)
    asterisk.clear()
    await machines.run(2)
    other = machines.begin("other", asterisk)
    await machines.run(PROVEN)
    assert (other.may_decide, other.is_stranger) == (True, False)


async def test_after_the_restart_of_its_machine_an_engine_decides_before_it_becomes_the_keeper(
    machines: Machines,
) -> None:
    machines.begin("one", {})
    await machines.run(2)
    del machines.running["one"]
    again = machines.begin("one after a restart", {})
    await machines.run(SILENT_SECONDS)
    assert machines.decided == {"one"}
    await machines.run(2)
    assert (again.may_decide, again.is_ours) == (True, False)
    await machines.run(TAKE_OVER_SECONDS - SILENT_SECONDS)
    assert again.is_certain


async def test_an_engine_with_the_right_asterisk_again_is_no_stranger_any_more(machines: Machines) -> None:
    asterisk: dict[str, str] = {}
    machines.begin("one", asterisk)
    other = machines.begin("other", {})
    await machines.run(2 + PROVEN)
    assert other.is_stranger
    link = machines.running["other"][1]
    link.variables, link.connections = asterisk, 2
    await machines.run(2)
    assert (other.is_stranger, other.may_decide) == (False, True)


async def test_two_engines_that_set_a_mark_at_once_agree_on_one(monkeypatch: pytest.MonkeyPatch) -> None:
    asterisk: dict[str, str] = {}
    marks = [AsteriskMark(Link(asterisk)) for _ in range(2)]
    act: Callable[..., object] = Link.action

    async def slowly(self: Link, name: str, **fields: str) -> object:
        await asyncio.sleep(0)
        return await act(self, name, **fields)  # type: ignore[misc]

    monkeypatch.setattr(Link, "action", slowly)
    await asyncio.gather(*(mark.make() for mark in marks))
    await asyncio.gather(*(mark.read() for mark in marks))
    assert marks[0].value == marks[1].value == next(iter(asterisk.values()))
