"""Tabs of the page /phone in a real browser whose microphone plays a tone."""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from phones import tone
from tests.browser import Page, chromium, opened
from tests.playwright_browser import AXE

HERTZ = 440
# A name that is not this machine's, for a page outside of a secure context; no other name leads anywhere.
ELSEWHERE = "phone.example"
NAMES = f"--host-resolver-rules=MAP {ELSEWHERE} 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
MICROPHONE = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
# Browsers use loopback addresses of their own for sound only with this switch: these calls need no other network.
LOOPBACK = "--allow-loopback-in-peer-connection"
# What the tab hears: how loud it is, and the frequency of the loudest part. Silence has no frequency.
LISTEN = """(() => {
  const context = window.ear ??= new AudioContext();
  const stream = element("sound").srcObject;
  if (window.heard !== stream) {
    window.heard = stream;
    window.analyser = new AnalyserNode(context, {fftSize: 8192, smoothingTimeConstant: 0});
    context.createMediaStreamSource(stream).connect(window.analyser);
  }
  const samples = new Float32Array(analyser.fftSize), bins = new Float32Array(analyser.frequencyBinCount);
  analyser.getFloatTimeDomainData(samples);
  analyser.getFloatFrequencyData(bins);
  const loudness = Math.sqrt(samples.reduce((sum, each) => sum + each * each, 0) / samples.length);
  const loudest = bins.indexOf(bins.reduce((most, each) => Math.max(most, each)));
  return {loudness, hertz: loudness > 0.02 ? loudest * context.sampleRate / analyser.fftSize : null};
})()"""


@dataclass
class Tab:
    page: Page
    address: str

    async def open(self, role: str, host: str = "127.0.0.1") -> None:
        await self.page.tell("Page.navigate", url=f"{self.address.replace('127.0.0.1', host)}/phone#{role}")
        await self.page.wait("document.readyState === 'complete' && document.getElementById('title').textContent")

    async def switch_on(self) -> None:
        await self.click("power")
        await self.shows("line", "ready")

    async def click(self, name: str) -> None:
        await self.page.click(f"document.querySelector('#{name}:not([hidden]):not([disabled])')")

    async def text(self, name: str) -> str:
        return str(await self.page.do(f"document.getElementById('{name}').textContent"))

    async def shows(self, name: str, words: str) -> None:
        """Waits until an element has these words. Raises AssertionError with what it has instead."""
        try:
            await self.page.wait(f"document.getElementById('{name}').textContent.includes({words!r})")
        except TimeoutError:
            raise AssertionError(
                {each: await self.text(each) for each in ("notice", "line", "state", "outcome")}
            ) from None

    async def hears(self, hertz: int | None) -> None:
        """Waits until it hears that tone, or nothing, as the loudest thing three times in a row."""
        test = "null === each.hertz" if hertz is None else f"Math.abs((each.hertz ?? 0) - {hertz}) < 10"
        script = f"(() => {{ const each = {LISTEN}; window.times = {test} ? times + 1 : 0; return times > 2 }})()"
        await self.page.do("window.times = 0")
        try:
            await self.page.wait(script)
        except TimeoutError:
            raise AssertionError(await self.page.do(LISTEN)) from None

    async def press(self, key: str) -> None:
        """Presses Tab, Enter or the space bar."""
        code, text = {"Tab": (9, ""), "Enter": (13, "\r"), " ": (32, " ")}[key]
        for kind in ("keyDown", "keyUp"):
            await self.page.tell("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code, text=text)

    async def reach(self, name: str) -> None:
        """Presses Tab until an element has the focus, which must be visible."""
        focus = "document.activeElement.id || document.activeElement.tagName"
        passed: list[str] = []
        while await self.page.do(focus) != name:
            assert len(passed) < 20, passed
            await self.press("Tab")
            passed.append(await self.page.do(focus))
        assert await self.page.do("getComputedStyle(document.activeElement).outlineStyle") != "none"

    async def look(self, width: int, scheme: str) -> None:
        """Gives the tab this width and colour scheme."""
        size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
        await self.page.tell("Emulation.setDeviceMetricsOverride", **size)
        feature = {"name": "prefers-color-scheme", "value": scheme}
        await self.page.tell("Emulation.setEmulatedMedia", features=[feature])

    async def violations(self) -> list[str]:
        """What axe-core finds wrong, and what is wider than the window."""
        if not await self.page.do("'axe' in window"):
            await self.page.do(f"{AXE.read_text()}; 0")
        found = await self.page.do(
            "axe.run(document, {resultTypes: ['violations']}).then(done => done.violations.map("
            "each => each.id + ' ' + each.nodes.map(node => node.html.slice(0, 200))))"
        )
        is_wide = await self.page.do("document.documentElement.scrollWidth > innerWidth")
        return [*found, *(["wider than the window"] if is_wide else [])]

    async def picture(self, path: Path) -> None:
        shot = await self.page.tell("Page.captureScreenshot", captureBeyondViewport=True)
        await asyncio.to_thread(path.write_bytes, base64.b64decode(shot["data"]))

    async def received(self) -> str:
        """All that the server has sent to this tab, and what it shows."""
        shown = await self.page.do("document.documentElement.outerHTML + element('dialled').value")
        return "\n".join([*self.page.seen.frames, *await self.page.bodies(), shown])


@asynccontextmanager
async def browser(directory: Path, *options: str) -> AsyncIterator[str]:
    """Runs a browser with a microphone that plays the tone; yields the address of its DevTools."""
    sound = directory / "tone.wav"
    tone.write(sound, HERTZ, 5, rate=48_000)
    async with chromium(directory, NAMES, LOOPBACK, f"--use-file-for-fake-audio-capture={sound}", *options) as devtools:
        yield devtools


@asynccontextmanager
async def tabs(devtools: str, address: str, *roles: str) -> AsyncIterator[list[Tab]]:
    """Opens a tab for each role."""
    async with AsyncExitStack() as stack:
        opened_tabs = [Tab(await stack.enter_async_context(opened(devtools)), address) for _ in roles]
        for tab, role in zip(opened_tabs, roles, strict=True):
            await tab.open(role)
        yield opened_tabs
        for tab in opened_tabs:  # a tab that stays registered would take the next test's calls
            await tab.page.tell("Page.navigate", url="about:blank")
