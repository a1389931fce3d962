"""How a ringing call is ended for a newcomer: only while it rings, and the newcomer waits until it is settled."""

import asyncio
from typing import cast

import pytest
from panoramisk.message import Message

from engine.asterisk import ringing_ends
from engine.asterisk.ami_link import AmiLink
from engine.asterisk.errors import AmiRefused, AmiUnavailable
from engine.asterisk.ringing_ends import RingingEnds
from engine.domain.ids import CallId

CALL, PEER = CallId("c1"), "PJSIP/trunk-main-1"


class Link:
    """The link to an Asterisk with one call. `fails` is raised by the action of that name."""

    def __init__(self, peer: str = "", taken: str = "", fails: dict[str, Exception] | None = None) -> None:
        self.values = {"DIALEDPEERNAME": peer, "RN_TAKEN": taken}
        self.fails = fails or {}
        self.ended: list[tuple[str, int]] = []

    async def action(self, name: str, **fields: str) -> Message:
        assert fields["Channel"] == CALL
        if name in self.fails:
            raise self.fails[name]
        return Message({"Response": "Success", "Value": self.values[fields["Variable"]]})

    async def hang_up(self, channel: str, cause: int) -> None:
        if "Hangup" in self.fails:
            raise self.fails["Hangup"]
        self.ended.append((channel, cause))


def ends(link: Link) -> RingingEnds:
    return RingingEnds(cast("AmiLink", link))


@pytest.mark.parametrize("newcomers", [1, 2])
@pytest.mark.parametrize("link", [Link(), Link(PEER, "no")], ids=["rings", "is announced"])
async def test_a_newcomer_waits_until_the_call_that_gives_way_is_settled(link: Link, newcomers: int) -> None:
    link.ended.clear()
    ending = ends(link)
    waiting = [asyncio.create_task(ending.end(CALL)) for _ in range(newcomers)]
    await asyncio.sleep(0.01)
    ending.settled(CallId("another"))
    await asyncio.sleep(0.01)
    assert not any(task.done() for task in waiting)
    # SIP 486 to its caller.
    assert link.ended == [(CALL, 17)]
    ending.settled(CALL)
    async with asyncio.timeout(ringing_ends.LONGEST_WAIT_SECONDS / 2):
        await asyncio.gather(*waiting)
    assert ending._awaited == {}


@pytest.mark.parametrize(
    "link",
    [
        Link(PEER),
        Link(PEER, "yes"),
        Link(fails={"Getvar": AmiUnavailable("no link")}),
        Link(fails={"Getvar": AmiRefused("no such channel")}),
        Link(fails={"Hangup": AmiRefused("no such channel")}),
        Link(fails={"Hangup": AmiUnavailable("lost")}),
    ],
    ids=["answered", "key pressed", "no link", "ended", "ends just now", "link lost"],
)
async def test_a_call_that_rings_no_more_is_left_alone_and_nobody_waits(link: Link) -> None:
    ending = ends(link)
    async with asyncio.timeout(ringing_ends.LONGEST_WAIT_SECONDS / 2):
        await asyncio.gather(ending.end(CALL), ending.end(CALL))
    assert (link.ended, ending._awaited) == ([], {})


async def test_a_newcomer_who_runs_out_of_time_does_not_keep_another_one_waiting() -> None:
    ending = ends(Link())
    first = asyncio.create_task(ending.end(CALL))
    await asyncio.sleep(0)
    second = asyncio.create_task(ending.end(CALL))
    await asyncio.sleep(0.01)
    first.cancel()
    async with asyncio.timeout(ringing_ends.LONGEST_WAIT_SECONDS / 2):
        await second
    assert ending._awaited == {}


async def test_nobody_waits_for_long_for_a_report_that_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ringing_ends, "LONGEST_WAIT_SECONDS", 0.02)
    ending = ends(Link())
    async with asyncio.timeout(5):
        await ending.end(CALL)
    assert ending._awaited == {}
