"""Runs headless Chromium over its DevTools protocol. It reaches this machine only and records what a page did."""

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp

from phones import child

PROGRAM = Path(__file__).parents[1] / ".tools" / "bin" / "chromium"
START_SECONDS = 30.0
WAIT_SECONDS = 30.0
STOP_SECONDS = 10.0
# No name is looked up, and only this machine's address is reached.
OFFLINE = ("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--disable-background-networking")
# There may be neither a graphics card nor much shared memory.
FRUGAL = ("--disable-gpu", "--disable-dev-shm-usage")
DOMAINS = ("Page", "Runtime", "Network", "Log", "Audits")


@dataclass
class Seen:
    """What a page did.

    Attributes:
        urls: All that it requested.
        complaints: The browser's own messages.
        answers: The ids of the answers that it received, for Network.getResponseBody.
        frames: The texts that it received over WebSockets.
    """

    urls: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)
    frames: list[str] = field(default_factory=list)

    def note(self, event: str, facts: dict[str, Any]) -> None:
        match event:
            case "Network.requestWillBeSent":
                self.urls.append(facts["request"]["url"])
            case "Network.loadingFinished":
                self.answers.append(facts["requestId"])
            case "Network.webSocketFrameReceived":
                self.frames.append(facts["response"]["payloadData"])
            case "Audits.issueAdded":  # includes violations of a policy
                self.complaints.append(json.dumps(facts["issue"]))
            case "Log.entryAdded":
                self.complaints.append(json.dumps(facts["entry"]))
            case "Runtime.exceptionThrown":
                self.complaints.append(json.dumps(facts["exceptionDetails"]))
            case "Runtime.consoleAPICalled" if facts["type"] in {"error", "warning", "assert"}:
                self.complaints.append(json.dumps(facts["args"]))


class Page:
    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self.seen = Seen()

    async def read(self) -> None:
        async for message in self._socket:
            answer = json.loads(message.data)
            if "id" in answer:
                self._answers.pop(answer["id"]).set_result(answer)
            else:
                self.seen.note(answer["method"], answer["params"])

    async def tell(self, method: str, **params: Any) -> dict[str, Any]:
        """Sends a command. Raises AssertionError if the browser refuses it."""
        number = next(self._numbers)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": number, "method": method, "params": params})
        message = await answer
        assert "error" not in message, message
        result: dict[str, Any] = message["result"]
        return result

    async def do(self, script: str) -> Any:
        """Returns the value of an expression in the page. Raises AssertionError if it throws."""
        done = await self.tell("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in done, done
        return done["result"].get("value")

    async def wait(self, script: str) -> None:
        """Waits until an expression is true. Raises TimeoutError."""
        async with asyncio.timeout(WAIT_SECONDS):
            while not await self.do(f"Boolean({script})"):  # noqa: ASYNC110  there is no event of it
                await asyncio.sleep(0.02)

    async def click(self, element: str) -> None:
        """Clicks the element that the expression `element` returns, as soon as it exists, as a user would."""
        await self.wait(element)
        await self.tell("Runtime.evaluate", expression=f"({element}).click(), 0", userGesture=True)

    async def bodies(self) -> list[str]:
        """The bodies of all answers that it received."""
        got = [await self.tell("Network.getResponseBody", requestId=each) for each in self.seen.answers]
        return [each["body"] for each in got]

    async def type(self, element: str, text: str) -> None:
        await self.wait(element)
        await self.do(f"({element}).focus(), 0")
        await self.tell("Input.insertText", text=text)


@asynccontextmanager
async def chromium(directory: Path, *more: str) -> AsyncIterator[str]:
    """Runs Chromium with its profile in `directory` and `more` options; yields the address of its DevTools."""
    command = [str(PROGRAM), *OFFLINE, *FRUGAL, *more, f"--user-data-dir={directory}", "--remote-debugging-port=0"]
    with (directory / "log").open("wb") as log:
        browser = subprocess.Popen(command, stdout=log, stderr=log)  # noqa: ASYNC220  ended below
    try:
        yield await _devtools(directory, browser)
    finally:
        await asyncio.to_thread(child.stop, browser, STOP_SECONDS)


@asynccontextmanager
async def opened(devtools: str) -> AsyncIterator[Page]:
    """Yields a new, empty page."""
    async with aiohttp.ClientSession() as session:
        async with session.put(f"http://{devtools}/json/new?about:blank") as answer:
            target = await answer.json(content_type=None)
        async with session.ws_connect(target["webSocketDebuggerUrl"], max_msg_size=0) as socket:
            page = Page(socket)
            reading = asyncio.create_task(page.read())
            try:
                for domain in DOMAINS:
                    await page.tell(f"{domain}.enable")
                yield page
            finally:
                reading.cancel()


async def _devtools(directory: Path, browser: subprocess.Popen[bytes]) -> str:
    """Returns the address once Chromium has written its port into a file."""
    async with asyncio.timeout(START_SECONDS):
        while browser.poll() is None:
            # Until the file is complete, its first line may be all of it.
            with suppress(FileNotFoundError, ValueError):
                port, _ = (directory / "DevToolsActivePort").read_text().split("\n")
                return f"127.0.0.1:{port}"
            await asyncio.sleep(0.02)
    raise AssertionError((directory / "log").read_text())
