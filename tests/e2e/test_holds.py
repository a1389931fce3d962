"""Silence ends a call only when it means that the BYE was lost: who is on hold, or may not send, is silent too.

RFC 3264, 5.1: `sendonly`, `recvonly` and `inactive` concern RTP only; RTCP goes on. RFC 3550, 6.2: whoever takes part
sends RTCP, also who sends no sound. Asterisk's rtp_timeout and rtp_timeout_hold: seconds without either.
"""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from phones.peer import Body, Dialog, Media, Peer, Reply, Stage, media_of, sdp, user_of
from phones.peer.wire import Address
from tests.e2e.leaks.callee import SOURCE
from tests.e2e.leaks.caller import HOST
from tests.e2e.leaks.system import Hidden, LeakSystem

SILENCE = 4.0
HOLD = 9.0
# Longer than any of them, and shorter than the calls may be.
PATIENCE = 14.0
SOUND = b"\xff" * 160


@dataclass(frozen=True)
class Case:
    """What one side offers or answers and sends; the other side talks all the time. cut: after how long; None: never.

    late: it does so in a re-INVITE, one second after the call has begun.
    """

    line: str
    cut: float | None
    reports: bool = False
    late: bool = False


CASES = {
    "sendrecv": Case("a=sendrecv", SILENCE),
    "sendrecv with reports": Case("a=sendrecv", None, reports=True),
    "recvonly with reports": Case("a=recvonly", None, reports=True),
    # Asterisk's own: a peer that is silent in both, against RFC 3550, cannot be told from a dead one.
    "recvonly without reports": Case("a=recvonly", SILENCE),
    "sendonly": Case("a=sendonly", HOLD),
    "sendonly with reports": Case("a=sendonly", None, reports=True),
    "inactive": Case("a=inactive", HOLD),
    "inactive with reports": Case("a=inactive", None, reports=True),
    "address 0.0.0.0": Case("c=IN IP4 0.0.0.0", HOLD),
    "held later, sendonly": Case("a=sendonly", HOLD, late=True),
    "held later, inactive": Case("a=inactive", HOLD, late=True),
}
CELLS = [(name, side) for name in CASES for side in ("caller", "callee") if side == "caller" or not CASES[name].late]


class HoldCall:
    """One call; `play` returns after how many seconds it was cut, or None."""

    def __init__(self, case: Case, side: str) -> None:
        self._case = case
        self._caller_is_silent = side == "caller"
        self._caller, self._callee = Media.open("127.0.0.1"), Media.open("127.0.0.2")
        self._sending: list[asyncio.Task[None]] = []

    async def answer(self, dialog: Dialog) -> None:
        assert dialog.invite is not None
        dialog.sound = self._describe(self._callee, silent=not self._caller_is_silent)
        dialog.answer(Reply(200, body=dialog.sound))
        self._send(self._callee, media_of(dialog.invite), silent=not self._caller_is_silent)

    async def play(self, carrier: Peer, asterisk: Address, hidden: Hidden) -> float | None:
        dialog = await carrier.dialog(hidden.service, asterisk, source=SOURCE)
        first = sdp(self._caller.local) if self._case.late else self._describe(self._caller, self._caller_is_silent)
        dialog.sound = first
        try:
            answer = await dialog.answered(dialog.request("INVITE", (), first))
            assert answer.status == 200
            began = time.monotonic()
            self._send(self._caller, media_of(answer), self._caller_is_silent)
            if self._case.late:
                began = await self._hold(dialog, media_of(answer))
            try:
                await dialog.requested("BYE", PATIENCE)
            except TimeoutError:
                await dialog.answered(dialog.request("BYE"))
                return None
            return time.monotonic() - began
        finally:
            for task in self._sending:
                task.cancel()
            self._caller.close()
            self._callee.close()

    async def _hold(self, dialog: Dialog, towards: Address | None) -> float:
        assert towards is not None
        await self._caller.stream(SOUND, towards, 50)
        held = self._describe(self._caller, silent=True)
        assert (await dialog.answered(dialog.request("INVITE", (), held))).status == 200
        return time.monotonic()

    def _describe(self, media: Media, silent: bool) -> Body:
        described = sdp(media.local)
        if not silent:
            return described
        line = self._case.line
        if line.startswith("a="):
            return Body(described.content.replace(b"a=sendrecv", line.encode()))
        return sdp(media.local, lines=[line])

    def _send(self, media: Media, towards: Address | None, silent: bool) -> None:
        if towards is None or (silent and not self._case.reports):
            return
        self._sending.append(asyncio.ensure_future(self._reports(towards, media) if silent else _talk(media, towards)))

    async def _reports(self, towards: Address, media: Media) -> None:
        while True:
            media.report(b"peer", (towards[0], towards[1] + 1))
            await asyncio.sleep(0.5)


async def _talk(media: Media, towards: Address) -> None:
    while True:
        media.send(SOUND, towards)
        await asyncio.sleep(0.02)


@pytest.fixture(scope="module")
def lasted() -> Iterator[dict[tuple[str, str], float | None]]:
    """All calls at once, so that their waits cost no more than one."""
    with LeakSystem(rtp_timeout=SILENCE, rtp_hold_timeout=HOLD) as system, Stage() as stage:
        hidden = {system.hide(): cell for cell in CELLS}
        yield stage.run(_play_all(system, hidden))


async def _play_all(system: LeakSystem, hidden: dict[Hidden, tuple[str, str]]) -> dict[tuple[str, str], float | None]:
    calls = {each: HoldCall(CASES[name], side) for each, (name, side) in hidden.items()}
    by_number = {each.number: call for each, call in calls.items()}

    async def pick_up(dialog: Dialog) -> None:
        assert dialog.invite is not None
        await by_number[user_of(dialog.invite.start_line.split()[1])].answer(dialog)

    trunk, carrier = await Peer.open(*system.trunk, pick_up), await Peer.open(HOST)
    try:
        seconds = await asyncio.gather(*(call.play(carrier, system.asterisk, each) for each, call in calls.items()))
    finally:
        for peer in (carrier, trunk):
            await peer.close()
    return dict(zip(hidden.values(), seconds, strict=True))


@pytest.mark.parametrize(("name", "side"), CELLS)
def test_who_may_be_silent_is_cut_later_or_never(
    lasted: dict[tuple[str, str], float | None], name: str, side: str
) -> None:
    expected, seconds = CASES[name].cut, lasted[name, side]
    if expected is None:
        assert seconds is None
    else:
        # Asterisk counts whole seconds of the wall clock.
        assert seconds is not None
        assert expected - 1.2 < seconds < expected + 3.0
