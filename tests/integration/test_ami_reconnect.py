"""The AMI link when Asterisk stops, comes back, or refuses the login."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
import structlog

from engine.asterisk.ami_connection import AmiLimits
from engine.asterisk.ami_link import LinkState
from engine.asterisk.errors import AmiUnavailable
from tests.integration.ami_links import CHANNEL, FAST, linked, until_connected, until_reconnected, until_state
from tests.integration.fake_ami import FakeAmi


@pytest.fixture
async def ami() -> AsyncIterator[FakeAmi]:
    async with FakeAmi() as ami:
        yield ami


async def test_the_link_comes_up_by_itself_once_the_secret_is_right(ami: FakeAmi) -> None:
    right, ami.secret = ami.secret, "not yet this one"
    async with linked(ami, secret=right, wait=LinkState.WRONG_SECRET) as link:
        ami.secret = right
        await until_state(link, LinkState.UP)


async def test_the_state_wrong_secret_ends_when_asterisk_is_down(ami: FakeAmi) -> None:
    async with linked(ami, secret="wrong", wait=LinkState.WRONG_SECRET) as link:
        await ami.stop()
        await until_state(link, LinkState.DOWN)


async def test_a_wrong_secret_is_logged_once_and_retried_seldom(ami: FakeAmi) -> None:
    with structlog.testing.capture_logs() as logged:
        async with linked(ami, secret="wrong", wait=None, first_retry_seconds=0.001, refused_retry_seconds=0.3):
            await ami.wait_for("Login", 3)
    [refused] = [entry for entry in logged if entry["event"] == "ami_login_refused"]
    assert refused["next_attempt_seconds"] == 0.3, "the operator must know how long to wait"
    assert ami.connections == 3
    assert AmiLimits().refused_retry_seconds >= 60


async def test_an_asterisk_that_is_ending_has_refused_no_secret(ami: FakeAmi) -> None:
    """It is asked again as soon as one that is away, and not after the minute that a wrong secret costs."""
    ami.answer["Login"] = "Response: Error\r\nMessage: Asterisk is shutting down"
    with structlog.testing.capture_logs() as logged:
        async with linked(ami, wait=None, first_retry_seconds=0.01, refused_retry_seconds=60) as link:
            await ami.wait_for("Login", 2)
            assert link.state is LinkState.DOWN
            del ami.answer["Login"]
            await until_state(link, LinkState.UP)
    assert [entry["event"] for entry in logged] == ["ami_down", "ami_up"]


async def test_an_unreachable_asterisk_is_logged_once(ami: FakeAmi) -> None:
    await ami.stop()
    with structlog.testing.capture_logs() as logged:
        async with linked(ami, wait=None, first_retry_seconds=0.01, longest_retry_seconds=0.02) as link:
            await asyncio.sleep(0.3)
            await ami.start()
            await until_state(link, LinkState.UP)
    assert [entry["event"] for entry in logged] == ["ami_down", "ami_up"]


@pytest.mark.parametrize("drop", ["on the action", "before its answer", "with a restart"])
async def test_no_action_is_resent_after_a_reconnect(ami: FakeAmi, drop: str) -> None:
    """Only the answer was lost: Asterisk may have carried out the action."""
    async with linked(ami) as link:
        if drop == "on the action":
            ami.drop_on.add("Hangup")
        else:
            ami.late["Hangup"] = 60
        calling = asyncio.gather(*(link.hang_up(f"PJSIP/{n}") for n in range(3)), return_exceptions=True)
        await ami.wait_for("Hangup")
        if drop == "before its answer":
            ami.drop()
        if drop == "with a restart":
            await ami.stop()
            await ami.start()
        assert {type(end) for end in await calling} == {AmiUnavailable}
        ami.drop_on.clear()
        ami.late.clear()
        sent = len(ami.named("Hangup"))
        ami.greeting = b"Event: FullyBooted\r\nPrivilege: system,all\r\nStatus: Fully Booted\r\n\r\n"
        await until_reconnected(ami, link)
        await asyncio.sleep(2 * FAST.ping_every_seconds)
        assert len(ami.named("Hangup")) == sent <= 3


async def test_after_a_restart_on_the_same_port_calls_can_be_ended_again(ami: FakeAmi) -> None:
    async with linked(ami) as link:
        await ami.stop()
        await until_state(link, LinkState.DOWN)
        with pytest.raises(AmiUnavailable):
            await link.hang_up(CHANNEL)
        await asyncio.sleep(0.2)
        await ami.start()
        await until_state(link, LinkState.UP)
        await link.hang_up(CHANNEL)
        assert ami.open_connections == 1
    assert len(ami.named("Hangup")) == 1


async def test_retries_back_off_from_a_peer_that_drops_every_connection(ami: FakeAmi) -> None:
    ami.drop_on.add("Hangup")
    async with linked(ami, first_retry_seconds=0.02, longest_retry_seconds=60, ping_every_seconds=60) as link:
        made = []
        for drops in range(1, 6):
            began = time.monotonic()
            with pytest.raises(AmiUnavailable):
                await link.hang_up(CHANNEL)
            await until_connected(link, drops + 1)
            made.append(time.monotonic() - began)
    # The fifth wait is at least half of 16 times the first, which is at most 0.02 s.
    assert made[-1] > 0.16


async def test_a_peer_that_closes_at_once_is_retried_without_a_crash(ami: FakeAmi) -> None:
    ami.closes_at_once = True
    async with linked(ami, wait=None) as link:
        await asyncio.sleep(0.2)
        ami.closes_at_once = False
        await until_state(link, LinkState.UP)
