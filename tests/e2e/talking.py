"""Two parties of a call who talk all the time, and what each of them hears besides the other's voice."""

import asyncio
import struct
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from phones.peer import Body, Dialog, Media, Packet, Peer, Reply, media_of, payload_of, sdp
from phones.peer.media import KEYS, KEYS_TYPE, RTP_HEADER
from tests.e2e.booking import Booking
from tests.e2e.calls import SOURCE
from tests.e2e.system import System

SOUND = b"\x9f" * 160
PACKET_SECONDS = 0.02
G729_TYPE = 18


class Side:
    """One side of a call."""

    def __init__(self, media: Media, towards: tuple[str, int]) -> None:
        self.media, self.towards = media, towards
        self._talking = asyncio.ensure_future(self._talk())

    async def _talk(self) -> None:
        while True:
            self.media.send(SOUND, self.towards)
            await asyncio.sleep(PACKET_SECONDS)

    def close(self) -> None:
        self._talking.cancel()
        self.media.close()

    @property
    def beeping(self) -> list[Packet]:
        """The packets that carry another sound than the other side's voice."""
        return [each for each in self.media.received if each.data[1] & 0x7F != KEYS_TYPE and payload_of(each) != SOUND]

    @property
    def keys(self) -> list[tuple[str, bool]]:
        """The telephone keys that it has received, and whether the end of each has come, too."""
        found: dict[bytes, tuple[str, bool]] = {}
        for data in (each.data for each in self.media.received if each.data[1] & 0x7F == KEYS_TYPE):
            key, end, _ = struct.unpack("!BBH", data[RTP_HEADER : RTP_HEADER + 4])
            moment = data[4:8]
            found[moment] = (KEYS[key], bool(end & 0x80) or found.get(moment, ("", False))[1])
        return list(found.values())

    async def until_pressed(self, count: int) -> None:
        """Waits until so many keys have come, with their ends. Raises TimeoutError."""
        async with asyncio.timeout(10):
            while sum(is_over for _, is_over in self.keys) < count:  # noqa: ASYNC110  packets, and no event
                await asyncio.sleep(PACKET_SECONDS)


@dataclass
class Talk:
    """A call of two peers who talk all the time."""

    dialog: Dialog
    caller: Side
    callee: Side
    ended_at: float = 0.0

    @property
    def sides(self) -> tuple[Side, Side]:
        return self.caller, self.callee

    async def wait_ended(self) -> None:
        await self.dialog.requested("BYE", 30)
        self.ended_at = time.time()  # as packets have it


class Network:
    """The telephone network, which answers each call at once."""

    def __init__(self, system: System, carrier: Peer, *, has_converter: bool) -> None:
        self._system = system
        self._carrier = carrier
        self._has_converter = has_converter
        self._callees: list[Side] = []
        self._callers: list[Side] = []
        self._dialogs: list[Dialog] = []

    @classmethod
    @asynccontextmanager
    async def open(cls, system: System, *, has_converter: bool = True) -> AsyncIterator["Network"]:
        carrier = await Peer.open("127.0.0.1")
        network = cls(system, carrier, has_converter=has_converter)
        trunk = await Peer.open("127.0.0.1", system.trunk_port, network._take)
        try:
            yield network
        finally:
            await network._hang_up()
            for side in (*network._callers, *network._callees):
                side.close()
            await carrier.close()
            await trunk.close()

    def _media(self) -> tuple[Media, Body]:
        """Sound in a codec that Asterisk can convert, or in G.729."""
        media = Media.open("127.0.0.1")
        if self._has_converter:
            return media, sdp(media.local)
        media.seal = lambda packet: packet[:1] + bytes([G729_TYPE]) + packet[2:]
        offer = sdp(media.local).content
        for plain, converted in ((b"AVP 0 ", b"AVP 18 "), (b":0 PCMU/", b":18 G729/")):
            assert plain in offer
            offer = offer.replace(plain, converted)
        return media, Body(offer)

    async def _take(self, dialog: Dialog) -> None:
        assert dialog.invite is not None
        media, answer = self._media()
        towards = media_of(dialog.invite)
        assert towards is not None
        self._callees.append(Side(media, towards))
        dialog.answer(Reply(200, body=answer))

    async def call(self, booked: Booking) -> Talk:
        media, offer = self._media()
        asterisk = ("127.0.0.1", self._system.settings.sip_port)
        dialog = await self._carrier.dialog(booked.service, asterisk, source=SOURCE)
        answer = await dialog.answered(dialog.request("INVITE", body=offer))
        self._dialogs.append(dialog)
        towards = media_of(answer)
        assert towards is not None
        self._callers.append(Side(media, towards))
        return Talk(dialog, self._callers[-1], self._callees[-1])

    async def _hang_up(self) -> None:
        """Ends the calls that are still up: a test that fails must not disturb the next one."""
        for dialog in self._dialogs:
            if not any(each.method == "BYE" for each in dialog.messages):
                with suppress(TimeoutError):
                    await dialog.answered(dialog.request("BYE"))
