"""The link to Asterisk's manager interface, over real sockets, against all that panoramisk leaves to us."""

import asyncio
import socket
import time
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import islice
from typing import Any

import pytest
import structlog
from hypothesis import example, given, settings
from hypothesis import strategies as st
from panoramisk.actions import Action

from engine.ami.connection import MAX_VALUE, Connection, Limits, Protocol, refuse_unsafe
from engine.ami.errors import AmiRefused, AmiUnavailable
from engine.ami.link import AmiLink, LinkState, back_off
from tests.integration.fake_ami import BANNER, EVENT, RIGHTS, FakeAmi

# The product's own figures are some ten times these.
FAST = Limits(action_seconds=0.3, ping_every_seconds=0.2, first_retry_seconds=0.05, refused_retry_seconds=0.1)
CHANNEL = "PJSIP/carrier-00000001"


@asynccontextmanager
async def linked(
    ami: FakeAmi, *, secret: str = "", wait: LinkState | None = LinkState.UP, **limits: Any
) -> AsyncIterator[AmiLink]:
    """A running link, in the state that is waited for; it must end promptly, whatever happened to it."""
    link = AmiLink(
        host="127.0.0.1", port=ami.port, user="us", secret=secret or ami.secret, limits=replace(FAST, **limits)
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
        await asyncio.wait_for(running, 0.2)
    assert link.state is not LinkState.UP
    assert not failures


async def until_state(link: AmiLink, state: LinkState, seconds: float = 5.0) -> None:
    async with asyncio.timeout(seconds):
        while link.state is not state:  # noqa: ASYNC110  a state, and nothing that could be waited for
            await asyncio.sleep(0.005)


@pytest.fixture
async def ami() -> AsyncIterator[FakeAmi]:
    async with FakeAmi() as ami:
        yield ami


async def test_with_the_right_secret_the_link_is_up_and_asks_for_no_events(ami: FakeAmi) -> None:
    async with linked(ami) as link:
        await link.hang_up(CHANNEL)
    [login], [hangup] = ami.named("Login"), ami.named("Hangup")
    assert (login["Username"], login["Secret"], login["Events"]) == ("us", ami.secret, "off")
    assert (hangup["Channel"], hangup["Cause"]) == (CHANNEL, "16")


async def test_a_wrong_secret_is_said_without_repeating_it(ami: FakeAmi) -> None:
    with structlog.testing.capture_logs() as logged:
        async with linked(ami, secret="wrong-secret", wait=LinkState.WRONG_SECRET) as link:
            with pytest.raises(AmiUnavailable):
                await link.hang_up(CHANNEL)
    assert "ami_login_refused" in {entry["event"] for entry in logged}
    assert "wrong-secret" not in repr(logged)
    assert ami.named("Hangup") == []


async def test_once_the_secret_is_right_the_link_comes_up_by_itself(ami: FakeAmi) -> None:
    right, ami.secret = ami.secret, "not yet this one"
    async with linked(ami, secret=right, wait=LinkState.WRONG_SECRET) as link:
        ami.secret = right
        await until_state(link, LinkState.UP)


async def test_a_wrong_secret_is_forgotten_when_asterisk_is_gone(ami: FakeAmi) -> None:
    async with linked(ami, secret="wrong", wait=LinkState.WRONG_SECRET) as link:
        await ami.stop()
        await until_state(link, LinkState.DOWN)


async def test_a_wrong_secret_is_logged_once_and_tried_seldom(ami: FakeAmi) -> None:
    with structlog.testing.capture_logs() as logged:
        async with linked(ami, secret="wrong", wait=None, first_retry_seconds=0.001, refused_retry_seconds=0.3):
            await ami.wait_for("Login", 3)
    assert len([entry for entry in logged if entry["event"] == "ami_login_refused"]) == 1
    assert ami.connections == 3
    assert Limits().refused_retry_seconds >= 60


async def test_an_asterisk_that_is_away_is_logged_once(ami: FakeAmi) -> None:
    await ami.stop()
    with structlog.testing.capture_logs() as logged:
        async with linked(ami, wait=None, first_retry_seconds=0.01, longest_retry_seconds=0.02) as link:
            await asyncio.sleep(0.3)
            await ami.start()
            await until_state(link, LinkState.UP)
    assert [entry["event"] for entry in logged] == ["ami_down", "ami_up"]


async def test_a_user_without_the_rights_that_we_need_is_not_called_a_wrong_secret(ami: FakeAmi) -> None:
    ami.answer["ListCommands"] = "\r\n".join(line for line in RIGHTS.split("\r\n") if not line.startswith("Hangup"))
    with structlog.testing.capture_logs() as logged:
        async with linked(ami, wait=None) as link:
            await ami.wait_for("ListCommands", 2)
            assert link.state is LinkState.DOWN
    assert "the user us has no right to Hangup" in repr(logged)


async def test_a_user_with_rights_that_nobody_needs_is_warned_of_and_used(ami: FakeAmi) -> None:
    ami.answer["ListCommands"] = f"{RIGHTS}\r\nOriginate: Originate a call.  (Priv: originate,all)"
    with structlog.testing.capture_logs() as logged:
        async with linked(ami) as link:
            await link.hang_up(CHANNEL)
    [warning] = [entry for entry in logged if entry["event"] == "ami_user_has_rights_that_we_do_not_need"]
    assert warning["actions"] == ["Originate"]


async def test_an_action_that_asterisk_refuses_says_why_and_the_link_stays(ami: FakeAmi) -> None:
    ami.answer["Hangup"] = "Response: Error\r\nMessage: No such channel"
    async with linked(ami) as link:
        with pytest.raises(AmiRefused, match="No such channel"):
            await link.hang_up(CHANNEL)
        assert (link.state, ami.connections) == (LinkState.UP, 1)


async def test_an_answer_that_panoramisk_takes_for_the_begin_of_a_list_is_one_answer(ami: FakeAmi) -> None:
    """It looks for a key of the action then, and drops the connection when that is missing."""
    ami.answer["Hangup"] = "Response: Success\r\nMessage: Hangup successfully queued"
    async with linked(ami) as link:
        await link.hang_up(CHANNEL)
        assert (link.state, ami.connections) == (LinkState.UP, 1)


@pytest.mark.parametrize("value", ["a\r\nAction: Originate", "a\nb", "a\rb", "a\0", "a\x85b", "a\u2028b"])
async def test_a_value_that_would_begin_another_action_is_refused_before_the_wire(ami: FakeAmi, value: str) -> None:
    async with linked(ami, ping_every_seconds=60) as link:
        before = len(ami.received)
        with pytest.raises(AmiRefused):
            await link.hang_up(value)
        with pytest.raises(AmiRefused):
            await link.action(f"Hangup{value}")
        with pytest.raises(AmiRefused):
            await link.action("Hangup", **{f"Channel{value}": CHANNEL})
        await link.hang_up(CHANNEL)
        assert [action["Channel"] for action in ami.received[before:]] == [CHANNEL]


@given(st.text(max_size=2 * MAX_VALUE))
@example("a\r\nAction: Originate")
@example("é" * MAX_VALUE)
@settings(max_examples=300, deadline=None)
async def test_any_value_is_one_field_of_one_action_or_refused(value: str) -> None:
    try:
        refuse_unsafe("Hangup", {"Channel": value})
    except AmiRefused:
        return
    wire = str(Action({"Action": "Hangup", "Channel": value})).encode()
    fields = dict(line.split(b": ", 1) for line in wire.removesuffix(b"\r\n\r\n").split(b"\r\n"))
    assert list(fields) == [b"Action", b"ActionID", b"Channel"]
    assert fields[b"Channel"].decode() == value
    assert not {b"\r", b"\n", b"\0"} & {bytes([byte]) for byte in fields[b"Channel"]}


async def test_an_action_that_is_not_answered_ends_at_its_deadline(ami: FakeAmi) -> None:
    async with linked(ami, ping_every_seconds=60) as link:
        ami.silent = True
        began = time.monotonic()
        with pytest.raises(AmiUnavailable, match="no answer to Hangup"):
            await link.hang_up(CHANNEL)
        assert 0.25 < time.monotonic() - began < 10


async def test_an_answer_that_comes_too_late_is_nobody_elses(ami: FakeAmi) -> None:
    async with linked(ami, ping_every_seconds=60) as link:
        ami.late["Hangup"] = 0.5
        ami.answer["Hangup"] = "Response: Error\r\nMessage: of the first"
        with pytest.raises(AmiUnavailable):
            await link.hang_up("first")
        ami.late.clear()
        del ami.answer["Hangup"]
        await asyncio.sleep(0.3)
        await link.hang_up("second")


async def test_a_peer_that_stops_answering_is_noticed_within_two_pings(ami: FakeAmi) -> None:
    async with linked(ami) as link:
        ami.silent = True
        await until_state(link, LinkState.DOWN, 2 * FAST.ping_every_seconds + FAST.action_seconds)
        ami.silent = False
        await until_state(link, LinkState.UP)
    assert ami.connections > 1


async def test_nothing_that_waits_outlives_a_half_open_peer(ami: FakeAmi) -> None:
    """Everything that waits for the connection is told when it is given up, not after a deadline of its own."""
    async with linked(ami, action_seconds=1.0, ping_every_seconds=0.1) as link:
        ami.silent = True
        await ami.wait_for("Ping")
        await asyncio.sleep(0.7)
        began = time.monotonic()
        ends = await asyncio.gather(*(link.hang_up(CHANNEL) for _ in range(5)), return_exceptions=True)
        assert {type(end) for end in ends} == {AmiUnavailable}
        assert time.monotonic() - began < 10


@pytest.mark.parametrize("drop", ["on the action", "before its answer", "with a restart"])
async def test_nothing_is_ever_sent_again_after_a_reconnect(ami: FakeAmi, drop: str) -> None:
    """The answer was lost, not the action: Asterisk may have done it."""
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


async def until_reconnected(ami: FakeAmi, link: AmiLink) -> None:
    await ami.wait_for("Login", 2)
    await until_state(link, LinkState.UP)


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


def test_waits_between_attempts_grow_up_to_a_limit_and_half_of_each_is_chance() -> None:
    limits = Limits(first_retry_seconds=0.2, longest_retry_seconds=5.0)
    longest = list(islice(back_off(limits, lambda least, most: most), 8))
    shortest = list(islice(back_off(limits, lambda least, most: least), 8))
    assert longest == [0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0]
    assert shortest == [wait / 2 for wait in longest]
    assert len({*islice(back_off(limits), 20)}) == 20


async def test_a_peer_that_ends_each_connection_once_it_is_made_is_tried_ever_more_seldom(ami: FakeAmi) -> None:
    ami.drop_on.add("Hangup")
    async with linked(ami, first_retry_seconds=0.02, longest_retry_seconds=60, ping_every_seconds=60) as link:
        made = []
        for _ in range(5):
            began = time.monotonic()
            with pytest.raises(AmiUnavailable):
                await link.hang_up(CHANNEL)
            await until_state(link, LinkState.DOWN)
            await until_state(link, LinkState.UP)
            made.append(time.monotonic() - began)
    # The fifth wait is at least half of 16 times the first, which is at most 0.02 s.
    assert made[-1] > 0.16


async def test_a_peer_that_closes_at_once_is_tried_again_without_a_crash(ami: FakeAmi) -> None:
    ami.closes_at_once = True
    async with linked(ami, wait=None) as link:
        await asyncio.sleep(0.2)
        ami.closes_at_once = False
        await until_state(link, LinkState.UP)


async def test_bytes_that_come_before_the_connection_is_ready_are_no_crash() -> None:
    """uvloop hands them over before create_connection has returned; when, cannot be forced from outside."""
    connection = Connection(FAST)
    ours, theirs = socket.socketpair()
    await asyncio.get_running_loop().create_connection(lambda: Protocol(connection, FAST), sock=ours)
    theirs.sendall(BANNER + EVENT % b"x")
    theirs.close()
    with structlog.testing.capture_logs() as logged:
        await asyncio.wait_for(connection.lost.wait(), 1)
    assert logged == []


async def test_what_waits_for_an_answer_is_bounded(ami: FakeAmi) -> None:
    async with linked(ami, max_pending=10, ping_every_seconds=60) as link:
        ami.silent = True
        ends = await asyncio.gather(*(link.hang_up(CHANNEL) for _ in range(30)), return_exceptions=True)
        assert sum("10 actions wait" in str(end) for end in ends) == 20
        ami.silent = False
        await link.hang_up(CHANNEL)
    assert len(ami.named("Hangup")) == 11


async def test_a_flood_of_events_neither_delays_actions_nor_fills_the_memory(ami: FakeAmi) -> None:
    async with linked(ami) as link:
        await ami.send(EVENT % (b"x" * 100) * 100)
        tracemalloc.start()
        try:
            for _ in range(20):
                await ami.send(EVENT % (b"x" * 100) * 200)
                await asyncio.wait_for(link.hang_up(CHANNEL), 1)
            grown, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert grown < 400_000
        assert link.state is LinkState.UP


@pytest.mark.parametrize(
    "nonsense",
    [
        pytest.param(b"x" * 3_000_000, id="a message without an end"),
        pytest.param(b"Event: a\r\nEvent: b\r\n\r\n", id="doubled event"),
        pytest.param(b"Response: Success\r\nActionID: a\r\nActionID: b\r\n\r\n", id="doubled id"),
        pytest.param(b"Event: Shutdown\r\nShutdown: Cleanly\r\n\r\n", id="a shutdown"),
    ],
)
async def test_a_peer_that_talks_nonsense_is_left_and_tried_again(ami: FakeAmi, nonsense: bytes) -> None:
    async with linked(ami, ping_every_seconds=60) as link:
        await ami.send(nonsense)
        await until_reconnected(ami, link)
        await link.hang_up(CHANNEL)


@pytest.mark.parametrize("silent", [True, False])
async def test_stop_ends_the_link_promptly_in_every_phase(ami: FakeAmi, *, silent: bool) -> None:
    ami.silent = silent
    async with linked(ami, wait=None, action_seconds=30):
        await ami.wait_for("Login")
    await asyncio.wait_for(ami.until(lambda: ami.open_connections == 0), 1)


async def test_without_a_link_an_action_is_refused_at_once(ami: FakeAmi) -> None:
    link = AmiLink(host="127.0.0.1", port=ami.port, user="us", secret=ami.secret)
    with pytest.raises(AmiUnavailable, match="no link"):
        await link.hang_up(CHANNEL)
