"""The AMI link over real sockets, and the faults that panoramisk does not handle."""

import asyncio
import socket
import time
import tracemalloc
from collections.abc import AsyncIterator

import pytest
import structlog
from hypothesis import example, given, settings
from hypothesis import strategies as st
from panoramisk.actions import Action

from engine.asterisk.ami_connection import MAX_VALUE, AmiConnection, AmiProtocol, refuse_unsafe
from engine.asterisk.ami_link import AmiLink, LinkState
from engine.asterisk.errors import AmiRefused, AmiUnavailable
from tests.integration.ami_links import CHANNEL, FAST, in_vain, linked, unanswered, until_reconnected
from tests.integration.fake_ami import BANNER, EVENT, RIGHTS, FakeAmi
from tests.integration.fake_reports import user_event


@pytest.fixture
async def ami() -> AsyncIterator[FakeAmi]:
    async with FakeAmi() as ami:
        yield ami


async def test_the_link_comes_up_with_the_right_secret_and_receives_user_events_only(ami: FakeAmi) -> None:
    async with linked(ami) as link:
        await link.hang_up(CHANNEL)
    [login], [hangup] = ami.named("Login"), ami.named("Hangup")
    assert (login["Username"], login["Secret"], login["Events"]) == ("us", ami.secret, "user")
    assert (hangup["Channel"], hangup["Cause"]) == (CHANNEL, "16")


async def test_a_wrong_secret_is_reported_without_logging_it(ami: FakeAmi) -> None:
    with structlog.testing.capture_logs() as logged:
        async with linked(ami, secret="wrong-secret", wait=LinkState.WRONG_SECRET) as link:
            with pytest.raises(AmiUnavailable):
                await link.hang_up(CHANNEL)
    assert "ami_login_refused" in {entry["event"] for entry in logged}
    assert "wrong-secret" not in repr(logged)
    assert ami.named("Hangup") == []


async def test_missing_rights_are_not_reported_as_a_wrong_secret(ami: FakeAmi) -> None:
    ami.answer["ListCommands"] = "\r\n".join(line for line in RIGHTS.split("\r\n") if not line.startswith("Hangup"))
    with structlog.testing.capture_logs() as logged:
        async with linked(ami, wait=None) as link:
            await ami.wait_for("ListCommands", 2)
            assert link.state is LinkState.DOWN
    assert "the user us has no right to Hangup" in repr(logged)


async def test_excessive_rights_cause_a_warning_and_the_link_comes_up(ami: FakeAmi) -> None:
    ami.answer["ListCommands"] = f"{RIGHTS}\r\nOriginate: Originate a call.  (Priv: originate,all)"
    with structlog.testing.capture_logs() as logged:
        async with linked(ami) as link:
            await link.hang_up(CHANNEL)
    [warning] = [entry for entry in logged if entry["event"] == "ami_user_has_excessive_rights"]
    assert warning["actions"] == ["Originate"]


async def test_a_callee_who_hears_an_announcement_is_hung_up_after_its_caller(ami: FakeAmi) -> None:
    """Getvar has the same answer for both variables: `no` is the callee's name as well."""
    ami.answer["Getvar"] = "Response: Success\r\nVariable: x\r\nValue: no"
    async with linked(ami) as link:
        await link.hang_up(CHANNEL, 17)
        ami.answer["Getvar"] = "Response: Success\r\nVariable: x\r\nValue: yes"
        await link.hang_up(CHANNEL)
    hung_up = [(action["Channel"], action.get("Cause")) for action in ami.named("Hangup")]
    assert hung_up == [(CHANNEL, "17"), ("no", None), (CHANNEL, "16")]


async def test_a_refused_action_gives_the_reason_and_the_link_stays_up(ami: FakeAmi) -> None:
    ami.answer["Hangup"] = "Response: Error\r\nMessage: No such channel"
    async with linked(ami) as link:
        with pytest.raises(AmiRefused, match="No such channel"):
            await link.hang_up(CHANNEL)
        assert (link.state, ami.connections) == (LinkState.UP, 1)


async def test_an_answer_that_panoramisk_takes_for_a_list_is_read_as_one_answer(ami: FakeAmi) -> None:
    """panoramisk then looks up a key of the action, and drops the connection when it is missing."""
    ami.answer["Hangup"] = "Response: Success\r\nMessage: Hangup successfully queued"
    async with linked(ami) as link:
        await link.hang_up(CHANNEL)
        assert (link.state, ami.connections) == (LinkState.UP, 1)


@pytest.mark.parametrize("value", ["a\r\nAction: Originate", "a\nb", "a\rb", "a\0", "a\x85b", "a\u2028b"])
async def test_a_value_that_would_inject_an_action_is_refused_before_it_is_sent(ami: FakeAmi, value: str) -> None:
    async with linked(ami, ping_every_seconds=60) as link:
        before = len(ami.received)
        with pytest.raises(AmiRefused):
            await link.hang_up(value)
        with pytest.raises(AmiRefused):
            await link.action(f"Hangup{value}")
        with pytest.raises(AmiRefused):
            await link.action("Hangup", **{f"Channel{value}": CHANNEL})
        await link.hang_up(CHANNEL)
        named = [(action["Action"], action["Channel"]) for action in ami.received[before:]]
        assert named == [("Hangup", CHANNEL), ("Getvar", CHANNEL)]


@given(st.text(max_size=2 * MAX_VALUE))
@example("a\r\nAction: Originate")
@example("é" * MAX_VALUE)
@settings(max_examples=300, deadline=None)
async def test_any_value_is_refused_or_becomes_exactly_one_field(value: str) -> None:
    try:
        refuse_unsafe("Hangup", {"Channel": value})
    except AmiRefused:
        return
    wire = str(Action({"Action": "Hangup", "Channel": value})).encode()
    fields = dict(line.split(b": ", 1) for line in wire.removesuffix(b"\r\n\r\n").split(b"\r\n"))
    assert list(fields) == [b"Action", b"ActionID", b"Channel"]
    assert fields[b"Channel"].decode() == value
    assert not {b"\r", b"\n", b"\0"} & {bytes([byte]) for byte in fields[b"Channel"]}


async def test_an_unanswered_action_fails_at_its_deadline(ami: FakeAmi) -> None:
    async with linked(ami, ping_every_seconds=60) as link:
        began = time.monotonic()
        with unanswered(ami, link), pytest.raises(AmiUnavailable, match="no answer to Hangup"):
            await link.hang_up(CHANNEL)
        assert 0.25 < time.monotonic() - began < FAST.action_seconds


async def test_a_late_answer_is_not_taken_for_the_answer_to_another_action(ami: FakeAmi) -> None:
    async with linked(ami, ping_every_seconds=60) as link:
        ami.late["Hangup"] = 0.5
        ami.answer["Hangup"] = "Response: Error\r\nMessage: of the first"
        with in_vain(link), pytest.raises(AmiUnavailable):
            await link.hang_up("first")
        ami.late.clear()
        del ami.answer["Hangup"]
        await asyncio.sleep(0.3)
        await link.hang_up("second")


async def test_waiting_actions_fail_when_a_half_open_connection_is_given_up(ami: FakeAmi) -> None:
    """Pending actions fail when the connection is given up, not at their own deadline."""
    async with linked(ami, ping_every_seconds=0.1) as link:
        ami.late["Hangup"] = 60  # the pings after it are not answered either
        ending = [asyncio.create_task(link.hang_up(CHANNEL)) for _ in range(5)]
        began = time.monotonic()
        await asyncio.sleep(0)
        with in_vain(link):  # only the pings: the time of the actions runs already
            ends = await asyncio.gather(*ending, return_exceptions=True)
        assert {type(end) for end in ends} == {AmiUnavailable}
        assert time.monotonic() - began < FAST.action_seconds - 1


async def test_bytes_before_the_connection_is_ready_cause_no_crash() -> None:
    """uvloop can deliver bytes before create_connection returns. A test cannot force the moment."""
    reports: list[str] = []
    connection = AmiConnection(FAST, reports.append)
    ours, theirs = socket.socketpair()
    await asyncio.get_running_loop().create_connection(lambda: AmiProtocol(connection, FAST), sock=ours)
    theirs.sendall(BANNER + EVENT % b"x" + user_event("a report"))
    theirs.close()
    with structlog.testing.capture_logs() as logged:
        await asyncio.wait_for(connection.lost.wait(), 10)
    assert (logged, reports) == ([], ["a report"])


async def test_the_number_of_pending_actions_is_bounded(ami: FakeAmi) -> None:
    async with linked(ami, max_pending=10, ping_every_seconds=60) as link:
        with unanswered(ami, link):
            ends = await asyncio.gather(*(link.hang_up(CHANNEL) for _ in range(30)), return_exceptions=True)
            assert sum("10 actions wait" in str(end) for end in ends) == 20
        await link.hang_up(CHANNEL)
    assert len(ami.named("Hangup")) == 11


async def test_a_flood_of_events_neither_delays_actions_nor_fills_the_memory(ami: FakeAmi) -> None:
    async with linked(ami) as link:
        await ami.send(EVENT % (b"x" * 100) * 100)
        tracemalloc.start()
        try:
            for _ in range(20):
                await ami.send(EVENT % (b"x" * 100) * 200)
                await asyncio.wait_for(link.hang_up(CHANNEL), 5)
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
async def test_the_link_reconnects_after_a_peer_sends_nonsense(ami: FakeAmi, nonsense: bytes) -> None:
    async with linked(ami, ping_every_seconds=60) as link:
        await ami.send(nonsense)
        await until_reconnected(ami, link)
        await link.hang_up(CHANNEL)


@pytest.mark.parametrize("silent", [True, False])
async def test_stop_ends_the_link_promptly_in_every_phase(ami: FakeAmi, *, silent: bool) -> None:
    ami.silent = silent
    async with linked(ami, wait=None, action_seconds=30):
        await ami.wait_for("Login")
    await asyncio.wait_for(ami.until(lambda: ami.open_connections == 0), 5)


async def test_an_action_without_a_link_is_refused_at_once(ami: FakeAmi) -> None:
    link = AmiLink(host="127.0.0.1", port=ami.port, user="us", secret=ami.secret)
    with pytest.raises(AmiUnavailable, match="no link"):
        await link.hang_up(CHANNEL)
