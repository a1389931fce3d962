"""A running AMI link to a fake manager interface, in the state that a test needs."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from typing import Any

from engine.asterisk.ami_connection import AmiLimits
from engine.asterisk.ami_link import AmiLink, LinkState
from tests.integration.fake_ami import FakeAmi

# It repeats sooner than the product, but waits longer for an answer: a machine may stand still for seconds.
FAST = AmiLimits(action_seconds=10.0, ping_every_seconds=0.2, first_retry_seconds=0.05, refused_retry_seconds=0.1)
# How long the link waits where a test withholds the answer.
IN_VAIN_SECONDS = 0.3


CHANNEL = "PJSIP/carrier-00000001"


@asynccontextmanager
async def linked(
    ami: FakeAmi,
    *,
    secret: str = "",
    wait: LinkState | None = LinkState.UP,
    reported: Callable[[str], None] = lambda report: None,
    **limits: Any,
) -> AsyncIterator[AmiLink]:
    """Run a link and wait for a state. Asserts that the link stops promptly at the end."""
    link = AmiLink(
        host="127.0.0.1",
        port=ami.port,
        user="us",
        secret=secret or ami.secret,
        reported=reported,
        limits=replace(FAST, **limits),
    )
    stop = asyncio.Event()
    failures: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context))
    running = asyncio.create_task(link.run(stop))
    try:
        if wait is not None:
            await until_state(link, wait)
        yield link
    finally:
        stop.set()
        await asyncio.wait_for(running, 5)
    assert link.state is not LinkState.UP
    assert not failures


@contextmanager
def in_vain(link: AmiLink) -> Iterator[None]:
    """Meanwhile the link waits only IN_VAIN_SECONDS for an answer."""
    # The link, its connection and its protocol share these limits, which are frozen for everybody else.
    limits = link._limits
    usual = limits.action_seconds
    object.__setattr__(limits, "action_seconds", IN_VAIN_SECONDS)
    try:
        yield
    finally:
        object.__setattr__(limits, "action_seconds", usual)


@contextmanager
def unanswered(ami: FakeAmi, link: AmiLink) -> Iterator[None]:
    """Meanwhile Asterisk answers nothing, and the link waits only IN_VAIN_SECONDS for an answer."""
    ami.silent = True
    try:
        with in_vain(link):
            yield
    finally:
        ami.silent = False


async def until_state(link: AmiLink, state: LinkState, seconds: float = 20.0) -> None:
    async with asyncio.timeout(seconds):
        while link.state is not state:  # noqa: ASYNC110  a state, and nothing that could be waited for
            await asyncio.sleep(0.005)


async def until_connected(link: AmiLink, connections: int) -> None:
    """Wait until the link is up for the nth time. It may be down for a moment that `until_state` would miss."""
    async with asyncio.timeout(20):
        while link.connections < connections:  # noqa: ASYNC110  likewise
            await asyncio.sleep(0.005)


async def until_reconnected(ami: FakeAmi, link: AmiLink) -> None:
    await ami.wait_for("Login", 2)
    await until_state(link, LinkState.UP)
