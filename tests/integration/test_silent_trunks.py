"""Calls whose trunk sends nothing are sent on, and no others, whatever becomes of them meanwhile."""

import asyncio
from typing import Any, cast

import pytest
from panoramisk.message import Message

from engine.asterisk import silent_trunks
from engine.asterisk.errors import AmiRefused, AmiUnavailable
from engine.asterisk.silent_trunks import SilentTrunks
from engine.domain.ids import CallId
from tests.virtual_time import VIRTUAL, run

CALL = CallId("c1")
TWO = "first/+1/&second/+1/"
LOOK_SECONDS = 0.3


class Asterisk:
    """A link to an Asterisk with one call.

    Attributes:
        variables: The call's variables and functions.
        redirects: How often the call was sent on.
        error: What every action raises.
    """

    def __init__(self, *, answers: str = "", tried: str = "", routes: str = TWO) -> None:
        self.variables = {"HANGUPCAUSE_KEYS()": answers, "RN_TRIED": tried, "RN_ROUTES": routes}
        self.redirects = 0
        self.error: Exception | None = None

    async def action(self, name: str, **fields: str) -> Message:
        assert fields["Channel"] == CALL
        if self.error is not None:
            raise self.error
        if not self.variables["RN_ROUTES"]:
            raise AmiRefused("no such channel")
        if name == "Redirect":
            assert (fields["Context"], fields["Exten"], fields["Priority"]) == ("rented-numbers", "0", "tried")
            self.redirects += 1
            ways = self.variables["RN_ROUTES"].split("&")
            self.variables["RN_TRIED"] += f"/{ways[0]}:SILENT::0"
            self.variables["RN_ROUTES"] = "&".join(ways[1:])
        return Message({"Response": "Success", "Value": self.variables.get(fields.get("Variable", ""), "")})


@pytest.fixture(autouse=True)
def virtual_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silent_trunks, "time", VIRTUAL)


def watched(asterisk: Asterisk, looks: float, *, is_over: bool = False) -> int:
    """Watches the call for the time of so many looks. Returns how often it was sent on."""
    run(_watch(asterisk, looks, is_over=is_over))
    return asterisk.redirects


async def _watch(asterisk: Asterisk, looks: float, *, is_over: bool) -> None:
    watch, stop = SilentTrunks(cast("Any", asterisk), silent_seconds=LOOK_SECONDS), asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(watch.run(stop))
        await asyncio.sleep(0.02)
        watch.watch(CALL)
        if is_over:
            watch.leave(CALL)
        await asyncio.sleep(LOOK_SECONDS * (looks + 0.5))
        stop.set()


@pytest.mark.parametrize(
    ("asterisk", "looks", "redirects"),
    [
        (Asterisk(), 0.3, 0),
        (Asterisk(), 1, 1),
        # It is sent on once for each silent trunk, from the last one to its end.
        (Asterisk(), 4, 2),
        (Asterisk(routes=f"{TWO}&third/+1/"), 5, 3),
        (Asterisk(routes="only/+1/"), 3, 1),
        # Any answer shows that the trunk is alive, also a 100.
        (Asterisk(answers="PJSIP/trunk-first-00000001"), 2, 0),
        # An attempt that has begun just now has its whole time.
        (Asterisk(tried="zeroth:CONGESTION:503:34"), 1, 0),
        (Asterisk(tried="zeroth:CONGESTION:503:34"), 2, 1),
    ],
)
def test_a_call_is_sent_on_when_its_trunk_was_silent_for_its_time(
    asterisk: Asterisk, looks: float, redirects: int
) -> None:
    assert watched(asterisk, looks) == redirects


@pytest.mark.parametrize("error", [AmiRefused("no such channel"), AmiUnavailable("no link")])
def test_a_call_that_has_ended_or_cannot_be_reached_is_left_alone(error: Exception) -> None:
    asterisk = Asterisk()
    asterisk.error = error
    assert watched(asterisk, 2) == 0


def test_a_call_that_was_answered_or_has_ended_is_not_looked_at() -> None:
    assert watched(Asterisk(), 2, is_over=True) == 0
