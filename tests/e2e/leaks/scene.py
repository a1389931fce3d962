"""A carrier, a trunk and another address around one system, for tests of single calls."""

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from phones.messages import Message
from phones.peer import Body, Dialog, Media, Peer, Play, Reply, Stage, keys_of, media_of, offer, sdp, user_of
from tests.e2e.leaks.callee import SOURCE
from tests.e2e.leaks.caller import HOST
from tests.e2e.leaks.search import Secret, Shown, leaks
from tests.e2e.leaks.system import Hidden, LeakSystem

# Long enough for an unwanted call to arrive: everything runs on this machine.
QUIET_SECONDS = 0.4
PATIENCE = 0.5  # with requests that Asterisk may leave without an answer
ANSWER_SECONDS = 5.0


class Scene:
    """The peers around a system.

    Attributes:
        other: An address that should never receive anything.
        dialled: The numbers that calls to the trunk dialled, in order.
        play: What the trunk does with a call.
        answer: The trunk's answer to a call, by default 200.
    """

    def __init__(self, system: LeakSystem, stage: Stage, carrier: str) -> None:
        self.system = system
        self.stage = stage
        self.dialled: list[str] = []
        self.answer: Reply | None = None
        self.play: Play = self._play
        self._sound: dict[str, Media] = {}
        self.trunk = stage.run(Peer.open(*system.trunk, self._begin))
        self.carrier = stage.run(Peer.open(carrier))
        self.other = stage.run(Peer.open("127.0.0.4"))

    async def _begin(self, dialog: Dialog) -> None:
        await self.play(dialog)

    async def _play(self, dialog: Dialog) -> None:
        assert dialog.invite is not None
        self.dialled.append(user_of(dialog.invite.start_line.split()[1]))
        dialog.sound = self.describe(dialog)
        dialog.answer(Reply(180))
        dialog.answer(self.answer or Reply(200, body=dialog.sound))

    def describe(self, dialog: Dialog) -> Body:
        """Opens a media port for a call and returns its session description."""
        media = self._sound[dialog.call_id] = Media.open(dialog.wire.local[0])
        return sdp(media.local)

    def key_reaches(self, key: str, presser: Dialog, listener: Dialog) -> bool:
        """Whether a telephone key that one side presses reaches the other side."""
        towards = next(found for each in presser.messages if (found := media_of(each)))
        ours, theirs = self._sound[presser.call_id], self._sound[listener.call_id]
        self.stage.run(ours.press(key, towards))
        self.quiet()
        return key in keys_of(theirs.received)

    @property
    def callee(self) -> Dialog:
        """The callee's side of the first call."""
        return next(iter(self.trunk.calls.values()))

    @property
    def media(self) -> list[Media]:
        """The sound of all calls, of both sides."""
        return list(self._sound.values())

    def call(
        self,
        service: str,
        headers: Iterable[str] = (),
        lines: Iterable[Sequence[str]] = (),
        source: str = SOURCE,
    ) -> tuple[Dialog, Message]:
        """Dials a number, with these media if any. Returns the caller's dialog and the final answer."""
        return self.stage.run(self._call(service, headers, tuple(lines), source))

    async def _call(
        self, service: str, headers: Iterable[str], lines: Sequence[Sequence[str]], source: str
    ) -> tuple[Dialog, Message]:
        dialog = await self.carrier.dialog(service, self.system.asterisk, source=source)
        dialog.sound = self.describe(dialog)
        body = offer(self._sound[dialog.call_id].local, lines) if lines else dialog.sound
        return dialog, await dialog.answered(dialog.request("INVITE", headers, body))

    def offer(self, dialog: Dialog, lines: Iterable[Sequence[str]]) -> int | None:
        """Offers other media within a call. Returns the status of the answer, or None."""
        body = offer(self._sound[dialog.call_id].local, lines, version=2)
        return self.stage.run(self._answer(dialog, "INVITE", (), body, ANSWER_SECONDS))

    def ask(
        self,
        dialog: Dialog,
        method: str,
        headers: Iterable[str] = (),
        text: str = "",
        patience: float = ANSWER_SECONDS,
    ) -> int | None:
        """Sends a request in a call. Returns the status of the answer, or None."""
        return self.stage.run(self._ask(dialog, method, headers, text, patience))

    def ask_anew(self, peer: Peer, method: str, user: str, headers: Iterable[str] = (), text: str = "") -> int | None:
        """Sends a request outside of any call. Returns the status of the answer, or None."""

        async def begin() -> int | None:
            dialog = await peer.dialog(user, self.system.asterisk, source=SOURCE)
            return await self._ask(dialog, method, headers, text, ANSWER_SECONDS)

        return self.stage.run(begin())

    async def _ask(self, dialog: Dialog, method: str, headers: Iterable[str], text: str, patience: float) -> int | None:
        body = Body(text.encode(), "text/plain") if text else None
        return await self._answer(dialog, method, headers, body, patience)

    async def _answer(
        self, dialog: Dialog, method: str, headers: Iterable[str], body: Body | None, patience: float
    ) -> int | None:
        try:
            return (await dialog.answered(dialog.request(method, headers, body), patience)).status
        except TimeoutError:
            return None

    def quiet(self) -> None:
        """Waits long enough for an unwanted call to arrive."""
        time.sleep(QUIET_SECONDS)

    def leaks(self, hidden: Hidden) -> list[str]:
        """Searches everything that the carrier's side received for a hidden number."""
        shown = Shown(self.carrier.packets, [], [], None)
        return leaks(shown, Secret(hidden.number, (hidden.service, SOURCE), self.system.trunk))

    def close(self) -> None:
        for peer in (self.carrier, self.trunk, self.other):
            self.stage.run(peer.close())
        for media in self._sound.values():
            self.stage.run(_close(media))


async def _close(media: Media) -> None:
    media.close()


@contextmanager
def scene(system: LeakSystem, carrier: str = HOST) -> Iterator[Scene]:
    with Stage() as stage:
        opened = Scene(system, stage, carrier)
        try:
            yield opened
        finally:
            opened.close()
