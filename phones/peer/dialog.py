"""One call, seen from one side: its answers, its requests, and everything that it receives."""

import asyncio
from collections.abc import Callable, Iterable

from phones.errors import PhoneError
from phones.messages import Message
from phones.peer.wire import Address, Packet, Wire
from phones.peer.writing import Body, Reply, answer, compose, token, uri_of

PATIENCE = 60.0

# Chooses the reply to a request within a call; None sends no reply.
Policy = Callable[["Dialog", Message], Reply | None]


def polite(dialog: "Dialog", request: Message) -> Reply | None:
    """Answers 200 to every request, with our session description if the request is an INVITE."""
    return Reply(200, body=dialog.sound if request.method == "INVITE" else None)


class Dialog:
    """One call.

    It acknowledges final answers to its own INVITE, and answers requests by `policy`. The script of the call answers
    the first INVITE. A repeated request gets the same answer again.

    Attributes:
        local: The From of requests that we send, with our tag.
        peer: The To of requests that we send, with its tag once it is known.
    """

    def __init__(self, wire: Wire, remote: Address, call_id: str, local: str, peer: str, target: str) -> None:
        self.wire = wire
        self.remote = remote
        self.call_id = call_id
        self.local = local
        self.peer = peer
        self.target = target
        self.routes: list[str] = []
        self.tag = token()
        self.policy: Policy = polite
        self.sound: Body | None = None
        self.invite: Message | None = None
        self.received: list[Packet] = []
        self.sent: list[bytes] = []
        self._news = asyncio.Event()
        self._cseq = 0
        self._branch = ""
        self._answered: dict[str, bytes] = {}

    @property
    def contact(self) -> str:
        host, port = self.wire.local
        return f"<sip:peer@{host}:{port};transport={self.wire.name.lower()}>"

    @property
    def messages(self) -> list[Message]:
        return [packet.message for packet in self.received]

    # -- sending ----------------------------------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        """Any bytes, at any moment."""
        self.sent.append(data)
        self.wire.send(data, self.remote)

    def request(
        self, method: str, headers: Iterable[str] = (), body: Body | None = None, *, cseq: int | None = None
    ) -> int:
        """Send a request; returns its CSeq number."""
        number = cseq or self._next_cseq()
        branch = self._branch if method == "CANCEL" else f"z9hG4bK{token()}"
        if method == "INVITE":
            self._branch = branch
        self.send(self._compose(method, number, branch, headers, body))
        return number

    def respond(self, request: Message, reply: Reply) -> None:
        data = answer(request, reply, self.tag, self.contact)
        self._answered[_key(request)] = data
        self.send(data)

    def answer(self, reply: Reply) -> None:
        """Answer the INVITE that began this call. Raises PhoneError in a call that we began."""
        if self.invite is None:
            raise PhoneError("there is no INVITE to answer in a call of our own")
        self.respond(self.invite, reply)

    def cancel(self) -> None:
        """Give up the INVITE that we sent last."""
        self.request("CANCEL", cseq=self._cseq)

    def _compose(self, method: str, number: int, branch: str, headers: Iterable[str], body: Body | None) -> bytes:
        host, port = self.wire.local
        own = [
            f"Via: SIP/2.0/{self.wire.name} {host}:{port};branch={branch};rport",
            f"From: {self.local}",
            f"To: {self.peer}",
            f"Call-ID: {self.call_id}",
            f"CSeq: {number} {method}",
            f"Contact: {self.contact}",
            "Max-Forwards: 70",
            *(f"Route: {route}" for route in self.routes),
        ]
        return compose(f"{method} {self.target} SIP/2.0", own, headers, body)

    def _next_cseq(self) -> int:
        self._cseq += 1
        return self._cseq

    # -- receiving --------------------------------------------------------------------------------------------------

    def take(self, packet: Packet) -> None:
        """Handles a received message of this call."""
        message = packet.message
        self.received.append(packet)
        if message.status is not None:
            self._take_response(message)
        elif _key(message) in self._answered:
            self.send(self._answered[_key(message)])
        elif message.method != "ACK" and (self.invite is None or _key(message) != _key(self.invite)):
            reply = self.policy(self, message)
            if reply is not None:
                self.respond(message, reply)
        self._news.set()

    def _take_response(self, message: Message) -> None:
        if message.method != "INVITE" or message.status == 100:
            return
        if ";tag=" in message.header("To"):
            self.peer = message.header("To")
        number = int(message.header("CSeq").split()[0])
        if message.status is not None and message.status >= 300:
            # The ACK of a refusal belongs to the INVITE's transaction and has its URI (RFC 3261, 17.1.1.3).
            self.send(self._compose("ACK", number, self._branch, (), None))
        elif message.header("Contact"):
            self.target = uri_of(message.header("Contact"))
            self.routes = list(reversed(message.headers("Record-Route")))
            if message.status == 200:
                self.send(self._compose("ACK", number, f"z9hG4bK{token()}", (), None))

    async def until(self, wanted: Callable[[Message], bool], patience: float = PATIENCE) -> Message:
        """Waits for the first message, past or future, for which `wanted` is true. Raises TimeoutError."""
        seen = 0
        async with asyncio.timeout(patience):
            while True:
                while seen < len(self.received):
                    seen += 1
                    if wanted(self.received[seen - 1].message):
                        return self.received[seen - 1].message
                self._news.clear()
                await self._news.wait()

    async def requested(self, method: str, patience: float = PATIENCE) -> Message:
        return await self.until(lambda each: each.status is None and each.method == method, patience)

    async def answered(self, cseq: int, patience: float = PATIENCE) -> Message:
        """Waits for the final answer to one of our requests."""

        def final(each: Message) -> bool:
            number, _, method = each.header("CSeq").partition(" ")
            return each.status is not None and each.status >= 200 and int(number) == cseq and method != "CANCEL"

        return await self.until(final, patience)


def _key(request: Message) -> str:
    """Identifies a request: a retransmission has the same key."""
    return f"{request.method} {request.header('Via')} {request.header('CSeq')}"
