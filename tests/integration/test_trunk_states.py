"""The engine knows from Asterisk which trunks are up, and what it does not know counts as up."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import cast

import pytest
import structlog

from engine.asterisk import trunk_states
from engine.asterisk.ami_link import AmiLink
from engine.asterisk.trunk_states import TrunkStates, calls_by_trunk
from engine.domain.call_ends import FULL, Attempt, DialplanEnd
from engine.runtime.clock import SystemClock
from tests.integration.ami_links import linked
from tests.integration.fake_ami import FakeAmi

LOOK_SECONDS = 0.02


class Devices(FakeAmi):
    """A manager interface that answers DEVICE_STATE. A state that is None is refused."""

    def __init__(self, **states: str | None) -> None:
        super().__init__()
        self.states = states

    def _answer(self, action: Mapping[str, str]) -> bytes:
        if action["Action"] != "Getvar":
            return super()._answer(action)
        name = action["Variable"].removeprefix("DEVICE_STATE(PJSIP/trunk-").removesuffix(")")
        state = self.states[name]
        lines = "Response: Error" if state is None else f"Response: Success\r\nVariable: x\r\nValue: {state}"
        return f"{lines}\r\nActionID: {action['ActionID']}\r\n\r\n".encode()


@asynccontextmanager
async def watching(
    ami: Devices, monkeypatch: pytest.MonkeyPatch, first_answer: float = 0.0
) -> AsyncIterator[TrunkStates]:
    monkeypatch.setattr(trunk_states, "LOOK_SECONDS", LOOK_SECONDS)
    monkeypatch.setattr(trunk_states, "LOOK_AGAIN_SECONDS", 10 * LOOK_SECONDS)
    monkeypatch.setattr(trunk_states, "FIRST_ANSWER_SECONDS", first_answer)
    stop = asyncio.Event()
    async with ami, linked(ami) as link, asyncio.TaskGroup() as tasks:
        states = TrunkStates(link, SystemClock(), dict.fromkeys(ami.states, 0))
        tasks.create_task(states.run(stop))
        try:
            yield states
        finally:
            stop.set()


async def until(states: TrunkStates, **wanted: str) -> None:
    async with asyncio.timeout(20):
        while {name: str(status.state) for name, status in states.statuses.items()} != wanted:  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def test_each_trunk_has_the_state_of_its_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    ami = Devices(a="NOT_INUSE", b="INUSE", c="UNAVAILABLE", d="INVALID", e="", f=None)
    async with watching(ami, monkeypatch) as states:
        await until(states, a="up", b="up", c="down", d="missing", e="unknown", f="unknown")
        assert states.dead == {"c"}
        assert [states.is_up(name) for name in "abcdefz"] == [True, True, False, True, True, True, True]


async def test_a_trunk_that_asterisk_has_not_asked_yet_is_not_down(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asterisk says UNAVAILABLE from its start until the first answer to its OPTIONS."""
    ami = Devices(a="UNAVAILABLE", b="NOT_INUSE")
    async with watching(ami, monkeypatch, first_answer=20 * LOOK_SECONDS) as states:
        await until(states, a="unknown", b="up")
        assert not states.dead
        ami.states["b"] = "UNAVAILABLE"
        await until(states, a="unknown", b="down")
        await until(states, a="down", b="down")


async def test_a_change_is_logged_once_and_all_trunks_dead_too(monkeypatch: pytest.MonkeyPatch) -> None:
    ami = Devices(a="NOT_INUSE", b="NOT_INUSE")
    with structlog.testing.capture_logs() as logged:
        async with watching(ami, monkeypatch) as states:
            await until(states, a="up", b="up")
            since = states.statuses["b"].since
            ami.states["a"] = "UNAVAILABLE"
            await until(states, a="down", b="up")
            assert states.statuses["b"].since == since
            ami.states["b"] = "UNAVAILABLE"
            await until(states, a="down", b="down")
            await asyncio.sleep(5 * LOOK_SECONDS)
            assert states.dead == {"a", "b"}
            ami.states["b"] = "NOT_INUSE"
            await until(states, a="down", b="up")
            assert states.dead == {"a"}
    events = [(entry["event"], entry.get("trunk")) for entry in logged if "trunk" in entry["event"]]
    assert events == [("trunk_down", "a"), ("trunk_down", "b"), ("all_trunks_down", None), ("trunk_back", "b")]


async def test_a_dead_trunk_counts_as_up_while_asterisk_cannot_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    ami = Devices(a="UNAVAILABLE")
    async with watching(ami, monkeypatch) as states:
        await until(states, a="down")
        await ami.stop()
        await until(states, a="unknown")
        assert states.dead == frozenset()
        await ami.start()
        await until(states, a="down")


async def test_an_asterisk_that_does_not_know_the_function_is_asked_rarely(monkeypatch: pytest.MonkeyPatch) -> None:
    ami = Devices(a="")
    async with watching(ami, monkeypatch) as states:
        await ami.wait_for("Getvar")
        await asyncio.sleep(5 * LOOK_SECONDS)
        assert len(ami.named("Getvar")) == 1
        ami.states["a"] = "NOT_INUSE"
        await until(states, a="up")


async def test_the_last_failure_of_a_trunk_is_kept_and_what_is_not_its_fault_is_not() -> None:
    states = TrunkStates(cast("AmiLink", None), SystemClock(), {"a": 0, "b": 0, "c": 0})  # nothing is asked
    failed, busy = Attempt("a", "CONGESTION", 503, 34), Attempt("b", "BUSY", 486, 17)
    states.note_end(DialplanEnd("BUSY", "b", (failed, Attempt("c", FULL), busy)))
    assert [status.failure for status in states.statuses.values()] == [failed, None, None]
    states.note_end(DialplanEnd("CHANUNAVAIL", "gone", (Attempt("gone", "CHANUNAVAIL", 404, 1),)))
    assert states.statuses["a"].failed_at is not None


def test_calls_are_counted_by_the_names_of_their_channels() -> None:
    channels = ["", "PJSIP/carrier-a-00000001", "PJSIP/trunk-a-00000002", "PJSIP/trunk-a-1-0000000f", "Local/1@x-0;1"]
    assert calls_by_trunk([*channels, "PJSIP/trunk-a-00000003"]) == {"a": 2, "a-1": 1}
