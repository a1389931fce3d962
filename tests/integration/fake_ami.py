"""A fake of Asterisk's manager interface on loopback, well behaved or not.

async with FakeAmi() as ami:
    ami.answer["Hangup"] = "Response: Error\\r\\nMessage: No such channel"
    ...                                # a link logs in with ami.secret
    ami.named("Hangup")                # what it received, in order, over all connections
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from tests.integration.fake_reports import user_event

BANNER = b"Asterisk Call Manager/9.0.0\r\n"
SUCCESS = "Response: Success\r\nMessage: done"
RIGHTS = (
    "Response: Success\r\nAbsoluteTimeout: Set absolute timeout.  (Priv: system,call,all)\r\n"
    "Getvar: Gets a channel variable or function value.  (Priv: call,reporting,all)\r\n"
    "Hangup: Hangup channel.  (Priv: system,call,all)\r\nPing: Keepalive command.  (Priv: <none>)\r\n"
    "Redirect: Redirect (transfer) a call.  (Priv: call,all)\r\n"
    "Setvar: Sets a channel variable or function value.  (Priv: call,all)\r\n"
    "Status: List channel status.  (Priv: system,call,reporting,all)"
)
REFUSED = "Response: Error\r\nMessage: Authentication failed"
EVENT = b"Event: Newexten\r\nPrivilege: dialplan,all\r\nChannel: PJSIP/carrier-1\r\nAppData: %s\r\n\r\n"
PATIENCE_SECONDS = 10.0


class FakeAmi:
    """A fake manager interface. After `stop` and `start` it keeps its port and its list of received actions.

    Attributes:
        answer: The lines of the answer by action name, without the ActionID.
        late: Seconds before the answer by action name.
        drop_on: Names of actions that end the connection instead of being answered.
        silent: Whether actions are received but never answered.
        greeting: Bytes that are sent after the answer to a login.
    """

    def __init__(self) -> None:
        self.secret = "right-secret-of-these-tests"
        self.received: list[Mapping[str, str]] = []
        self.connections = 0
        self.answer: dict[str, str] = {"ListCommands": RIGHTS}
        self.late: dict[str, float] = {}
        self.drop_on: set[str] = set()
        self.silent = False
        self.closes_at_once = False
        self.greeting = b""
        self.port = 0
        self._server: asyncio.Server | None = None
        self._writers: dict[asyncio.Task[Any], asyncio.StreamWriter] = {}
        self._listening: set[asyncio.StreamWriter] = set()
        self._changed = asyncio.Condition()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop like a crash, without a farewell."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
            self._server = None
        self.drop()

    def drop(self) -> None:
        """Reset every connection, and drop the pending answers."""
        for serving, writer in self._writers.items():
            writer.transport.abort()
            serving.cancel()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self.until(lambda: not self._writers)

    def named(self, action: str) -> list[Mapping[str, str]]:
        return [each for each in self.received if each["Action"] == action]

    @property
    def open_connections(self) -> int:
        return len(self._writers)

    async def wait_for(self, action: str, count: int = 1) -> None:
        """Wait until the action was received `count` times in total. Raises TimeoutError."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self.until(lambda: len(self.named(action)) >= count)

    async def until(self, true: Callable[[], bool]) -> None:
        async with self._changed:
            await self._changed.wait_for(true)

    async def send(self, data: bytes) -> None:
        """Send bytes to every connection."""
        for writer in tuple(self._writers.values()):
            writer.write(data)
            await writer.drain()

    async def report(self, report: str) -> None:
        """Send a report of the dialplan to every connection that logged in for such events. Elsewhere it is lost."""
        for writer in tuple(self._listening):
            with suppress(ConnectionError):
                writer.write(user_event(report))
                await writer.drain()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if self.closes_at_once:
            writer.transport.abort()
            return
        serving = asyncio.current_task()
        assert serving is not None
        self._writers[serving] = writer
        try:
            writer.write(BANNER)
            # asyncio reports a cancelled stream handler as a crash.
            with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                while True:
                    raw = await reader.readuntil(b"\r\n\r\n")
                    await self._take(raw.decode(), writer)
        finally:
            del self._writers[serving]
            self._listening.discard(writer)
            writer.close()
            async with self._changed:
                self._changed.notify_all()

    async def _take(self, raw: str, writer: asyncio.StreamWriter) -> None:
        action = dict(line.split(": ", 1) for line in raw.removesuffix("\r\n\r\n").split("\r\n"))
        self.received.append(action)
        async with self._changed:
            self._changed.notify_all()
        if action["Action"] in self.drop_on:
            writer.transport.abort()
        elif not self.silent:
            await asyncio.sleep(self.late.get(action["Action"], 0))
            writer.write(self._answer(action))
            await writer.drain()
            if action.get("Events") == "user" and action.get("Secret") == self.secret:
                self._listening.add(writer)

    def _answer(self, action: Mapping[str, str]) -> bytes:
        login = action["Action"] == "Login"
        right = not login or action["Secret"] == self.secret
        text = self.answer.get(action["Action"], SUCCESS) if right else REFUSED
        answer = f"{text}\r\nActionID: {action['ActionID']}\r\n\r\n".encode()
        return answer + self.greeting if login and right else answer
