"""The callee of a cell: it rings, answers or refuses, and shows its number wherever its row says."""

import asyncio
from dataclasses import dataclass, field, replace

from phones.messages import Message
from phones.peer import Address, Body, Dialog, Media, Packet, Reply, media_of, sdp, user_of
from tests.e2e.leaks.media_lines import KEY
from tests.e2e.leaks.search import Secret, national
from tests.e2e.leaks.srtp import Srtp, key_in
from tests.e2e.leaks.table import Cell, Column, Request

HOST = "127.0.0.2"
# The number of every caller but those that are hidden numbers themselves.
SOURCE = "+33199007777"
# Asterisk ignores some requests. The callee then continues.
PATIENCE = 0.5
# Longer than any part, also on a very busy machine.
PART_SECONDS = 60.0
RING_SECONDS = 0.15
BOUNDARY = "part"


@dataclass(eq=False)
class Part:
    """A cell while it is played.

    Attributes:
        source: The caller's number.
        pin: The PIN that the caller keys in; empty for none.
        heard: What the callee has received.

    Events: `rung` when the callee has shown everything that it can while ringing, `answered` when the caller has got
    the answer, `go` lets it continue, `played` when it has shown everything.
    """

    cell: Cell
    secret: Secret
    source: str = SOURCE
    pin: str = ""
    heard: list[Packet] = field(default_factory=list)
    rung: asyncio.Event = field(default_factory=asyncio.Event)
    answered: asyncio.Event = field(default_factory=asyncio.Event)
    go: asyncio.Event = field(default_factory=asyncio.Event)
    played: asyncio.Event = field(default_factory=asyncio.Event)

    async def until(self, event: asyncio.Event) -> None:
        """Waits for an event. Raises TimeoutError."""
        async with asyncio.timeout(PART_SECONDS):
            await event.wait()


class CalleeScript:
    """Plays the callee of one part; each of its texts contains the number."""

    def __init__(self, part: Part, dialog: Dialog, media: Media) -> None:
        self.part, self.dialog, self.media = part, dialog, media
        self.row, self.column = part.cell.row, part.cell.column
        assert dialog.invite is not None
        self.towards = media_of(dialog.invite)
        number, (host, port) = part.secret.number, dialog.wire.local  # of the trunk that is called
        self.words = {"n": number, "d": number[1:], "national": national(number), "host": host,
                      "a": f"{host}:{port}", "tag": dialog.tag}  # fmt: skip
        dialog.policy = self.policy
        part.heard = dialog.received
        self.key = KEY if part.cell.is_secure_throughout else None
        if self.key is not None:
            encrypt(media)

    @property
    def over(self) -> bool:
        """Whether the other side has ended the call."""
        return any(each.status is None and each.method in ("BYE", "CANCEL") for each in self.dialog.messages)

    def fill(self, lines: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(line.format(**self.words) for line in lines)

    @property
    def sound(self) -> Body:
        described = self.describe()
        if not self.row.mime:
            return described
        other = f"Content-Type: application/ISUP\r\n\r\n{self.words['n']}\r\n".encode()
        first = b"Content-Type: application/sdp\r\n\r\n" + described.content
        parts = b"".join(b"--" + BOUNDARY.encode() + b"\r\n" + each for each in (first, other))
        return Body(parts + b"--" + BOUNDARY.encode() + b"--\r\n", f"multipart/mixed;boundary={BOUNDARY}")

    def describe(self, more: tuple[str, ...] = ()) -> Body:
        return sdp(self.media.local, lines=self.fill(self.row.sdp + more), key=self.key)

    def reply(self, status: int, body: Body | None = None) -> Reply:
        return Reply(status, self.row.reason.format(**self.words), self.fill(self.row.headers), body)

    def policy(self, _: Dialog, request: Message) -> Reply:
        return self.reply(200, self.sound if request.method == "INVITE" else None)

    def refuse_at_once(self) -> None:
        """Answers as a trunk that cannot take the call."""
        self.dialog.answer(self.reply(503))

    async def play(self) -> None:
        await self.ring()
        await self.say("early", self.row.early)
        await self.ask()
        await asyncio.sleep(RING_SECONDS)
        self.part.rung.set()
        if self.part.cell.talks:
            await self.talk()
        elif self.column is Column.UNSCREENED:
            await self.listen()
        elif self.column is Column.SPOKEN:
            await self.refuse(503)
        elif self.column in (Column.REFUSED, Column.ENGINE_LOST):
            await self.part.until(self.part.go)
            await self.refuse(self.row.refuses or 486)
        else:
            await self.dialog.requested("CANCEL")
            await self.refuse(self.row.refuses or 487)

    async def ring(self) -> None:
        """Rings. If it will send requests, it first makes sure that Asterisk knows the dialog (RFC 3262).

        A request that overtakes the 180 would belong to no dialog, and Asterisk logs the From of unknown sources.
        """
        ringing = self.reply(180)
        if self.row.requests:
            self.dialog.answer(replace(ringing, headers=(*ringing.headers, "Require: 100rel", "RSeq: 1")))
            await self.dialog.requested("PRACK")
        else:
            self.dialog.answer(ringing)
        for status in (181, 183):
            self.dialog.answer(self.reply(status, self.sound if status == 183 else None))

    async def talk(self) -> None:
        self.dialog.answer(self.reply(200, self.sound))
        if self.part.cell.transport == "udp":
            # Asterisk has the callee's answer, the caller not yet. Over TCP the order would be unknown.
            await self.say("answering", 3)
        await self.dialog.requested("ACK")
        if self.column in (Column.SCREENED, Column.WHISPERED):
            await self.show_unheard()
        if self.column is Column.SCREENED:
            await self.media.press("1", self.asterisks_media)
        await self.part.until(self.part.answered)
        await self.part.until(self.part.go)
        await self.ask()
        # Some of it arrives before the end of the call, also on a busy machine.
        await self.say("late", 15)
        if self.over:
            return  # before it could show everything; the test of the cell notices that
        self.part.played.set()
        if self.column.callee_ends:
            # In a request of ours, To is the other side.
            lines = [line for line in self.row.headers + self.row.bye if not line.startswith("To:")]
            await self.dialog.answered(self.dialog.request("BYE", self.fill(tuple(lines))))
        else:
            await self.dialog.requested("BYE")

    async def listen(self) -> None:
        """Answers as a voicemail box does: it speaks, and presses no key."""
        self.dialog.answer(self.reply(200, self.sound))
        await self.dialog.requested("ACK")
        await self.show_unheard()
        self.part.played.set()
        await self.dialog.requested("BYE")

    async def show_unheard(self) -> None:
        """Shows everything while Asterisk has the callee's answer, and the caller has none."""
        await self.ask()
        await self.say("unheard", 10)

    @property
    def asterisks_media(self) -> Address:
        assert self.towards is not None
        return self.towards

    async def refuse(self, status: int) -> None:
        self.dialog.answer(self.reply(status))
        self.part.played.set()
        await self.dialog.requested("ACK")

    async def ask(self) -> None:
        for request in self.row.requests:
            if self.over:
                # The request belongs to no call any more, and Asterisk logs the From of unknown sources.
                return
            number = self.dialog.request(request.method, self.fill(request.headers), self.body_of(request))
            try:
                await self.dialog.answered(number, PATIENCE)
            except TimeoutError:
                continue

    def body_of(self, request: Request) -> Body | None:
        if request.sdp:
            return self.describe(request.media)
        return Body(request.text.format(**self.words).encode(), "text/plain") if request.text else None

    async def say(self, when: str, packets: int) -> None:
        if self.towards is not None:
            words = f"{when} {self.words['n']} ".encode()
            self.media.report(self.words["n"].encode(), (self.towards[0], self.towards[1] + 1))
            await self.media.stream((words * 20)[:160], self.towards, packets)


def encrypt(media: Media) -> None:
    """Encrypts what a side sends, with the key of its session descriptions."""
    sealed = Srtp(key_in([KEY]) or "")
    media.seal, media.seal_report = sealed.seal, sealed.seal_report


class Callees:
    """All callees of a run, at one address with a port for each trunk. The dialled number selects the part.

    `dialled` counts the calls to each number. Those in `busy` are of no part.
    """

    def __init__(self) -> None:
        self.parts: dict[str, Part] = {}
        self.dialled: dict[str, int] = {}
        self.busy: set[str] = set()

    async def play_first(self, dialog: Dialog) -> None:
        """Plays a call on the first trunk, which refuses some calls before anything rings."""
        await self._play(dialog, refuses=True)

    async def play_second(self, dialog: Dialog) -> None:
        """Plays a call on the second trunk."""
        await self._play(dialog, refuses=False)

    async def _play(self, dialog: Dialog, *, refuses: bool) -> None:
        assert dialog.invite is not None
        number = user_of(dialog.invite.start_line.split()[1])
        self.dialled[number] = self.dialled.get(number, 0) + 1
        part = self.parts.get(number)
        if number in self.busy:
            dialog.answer(Reply(180))
            dialog.answer(Reply(486))
            return
        if part is None:
            dialog.answer(Reply(404))
            return
        media = Media.open(HOST)
        part.secret.media.append(media.local)
        try:
            script = CalleeScript(part, dialog, media)
            if refuses and part.cell.column is Column.SECOND_TRUNK:
                script.refuse_at_once()
            else:
                await script.play()
        finally:
            media.close()
