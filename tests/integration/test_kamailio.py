"""The real Kamailio with the configuration that we ship, between a carrier and two nodes."""

import asyncio
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.kamailio import KAMCMD, Kamailio
from engine.config.settings import Settings
from phones.peer.wire import SipTransport
from tests.integration.kamailio_line import (
    CARRIER,
    KAMAILIO,
    NODES,
    OTHER_CARRIER,
    STRANGER,
    Does,
    Line,
    line_of,
)
from tests.kamailio import SHARED, configured

NUMBER = "+3225550001"
CHECK = Path(__file__).resolve().parents[2] / "deploy" / "keepalived" / "check-kamailio"
ELSEWHERE = "192.0.2.1"
# Kamailio leaves a silent node after 1.5 s; with its own default a caller would wait for 30 s. A test waits for longer
# than 1.5 s, because the machine may stand still meanwhile.
SOON_SECONDS = 15.0
TRUNKS = [
    {"name": "first", "uri": f"sip:{CARRIER}", "addresses": [CARRIER]},
    {"name": "second", "uri": f"sip:{OTHER_CARRIER}", "addresses": [OTHER_CARRIER], "dialled_number": "to"},
]


@pytest.fixture(scope="module")
def running() -> Iterator[Line]:
    with line_of(trunks=TRUNKS) as line:
        yield line


@pytest.fixture
def line(running: Line) -> Line:
    running.reset()
    return running


def test_a_number_has_one_node_in_every_spelling_and_numbers_are_spread(line: Line) -> None:
    nodes = set()
    for number in range(8):
        spelled = [f"{prefix}225550{number:03}" for prefix in ("+32", "0032", "32", "0", "")]
        [node] = {line.node_of(each) for each in spelled}
        nodes.add(node)
    assert len(nodes) == 2


def test_a_node_knows_the_trunk_and_that_kamailio_sent_the_request(line: Line) -> None:
    """With any header that the carrier itself sends."""
    forged = ["X-RN-Trunk: first-guessed", "Route: <sip:127.0.0.66;lr>"]
    for source, trunk in ((CARRIER, "first"), (OTHER_CARRIER, "second")):
        line.reset()
        line.call(NUMBER, source=source, headers=forged).hang_up()
        requests = [each for node in line.nodes for each in node.requests]
        assert [each.method for each in requests] == ["INVITE", "ACK", "BYE"]
        assert [each.headers("X-RN-Trunk") for each in requests] == [[f"{trunk}-{SHARED.token}"]] * 3
        assert requests[0].headers("Route") == []


def test_a_caller_may_give_up(line: Line) -> None:
    """The CANCEL says where it comes from, too: otherwise Asterisk would not take it."""
    for node in line.nodes:
        node.does = Does.RING

    async def give_up() -> int | None:
        dialog = await line.dial(NUMBER)
        number = dialog.request("INVITE")
        await dialog.until(lambda each: each.status == 180, 5)
        dialog.cancel()
        return (await dialog.answered(number, 5)).status

    assert line.stage.run(give_up()) == 487
    [node] = [node for node in line.nodes if node.calls]
    line.stage.run(node.calls[0].requested("ACK", 5))
    assert [each.method for each in node.requests] == ["INVITE", "CANCEL", "ACK"]
    assert {each.header("X-RN-Trunk") for each in node.requests} == {f"first-{SHARED.token}"}


def test_a_call_leaves_a_node_that_refuses_and_one_that_says_nothing(line: Line) -> None:
    node = line.node_of(NUMBER)
    node.does = Does.REFUSE
    # The machine may stand still during one of them.
    refused = [line.call(NUMBER) for _ in range(3)]
    assert {call.status for call in refused} == {200}
    assert min(call.waited for call in refused) < 0.5
    node.does = Does.SAY_NOTHING
    first, *later = [line.call(NUMBER) for _ in range(4)]
    assert {call.status for call in (first, *later)} == {200}
    assert first.waited < SOON_SECONDS
    assert min(call.waited for call in later) < 0.5
    assert len(line.other_than(node).calls) == 7
    node.does = Does.ANSWER
    line.kamailio.wait_for(node.name, "AP")
    assert line.node_of(NUMBER) is node


def test_a_dead_node_is_noticed_soon(line: Line) -> None:
    line.nodes[0].does = Does.SAY_NOTHING
    assert line.kamailio.wait_for(line.nodes[0].name, "IP") < SOON_SECONDS


def test_a_caller_gets_the_answer_of_the_node_that_takes_the_call(line: Line) -> None:
    node = line.node_of(NUMBER)
    node.does, line.other_than(node).does = Does.REFUSE, Does.BE_BUSY
    assert line.call(NUMBER).status == 486


@pytest.mark.parametrize("does", [Does.REFUSE, Does.SAY_NOTHING])
def test_a_caller_gets_503_soon_if_no_node_takes_the_call(line: Line, does: Does) -> None:
    for node in line.nodes:
        node.does = does
    call = line.call(NUMBER)
    assert call.status == 503
    assert call.waited < SOON_SECONDS


def test_a_call_is_tried_on_two_nodes_and_on_no_third_one() -> None:
    with line_of((*NODES, "127.0.0.23"), trunks=TRUNKS) as line:
        line.reset()
        for node in line.nodes:
            node.does = Does.REFUSE
        assert line.call(NUMBER).status == 503
        assert sum(any(each.method == "INVITE" for each in node.requests) for node in line.nodes) == 2


def test_a_node_begins_no_call_through_kamailio(line: Line) -> None:
    assert line.call(NUMBER, source=NODES[0]).status == 403
    assert [node.calls for node in line.nodes] == [[], []]


def test_a_drained_node_gets_no_calls_and_keeps_those_that_it_has(line: Line) -> None:
    call = line.call(NUMBER)
    [node] = [node for node in line.nodes if node.calls]
    line.kamailio.command("dispatcher.set_state", "d", "1", f"sip:{node.name}")
    assert line.node_of(NUMBER) is line.other_than(node)
    call.hang_up()
    assert node.requests[-1].method == "BYE"
    line.kamailio.command("dispatcher.set_state", "ap", "1", f"sip:{node.name}")
    assert line.node_of(NUMBER) is node


@pytest.mark.parametrize(
    ("transport", "source", "is_killed"),
    [
        ("udp", CARRIER, True),
        ("tcp", CARRIER, True),
        ("tls", CARRIER, True),
        ("tcp", OTHER_CARRIER, False),
        ("tls", OTHER_CARRIER, False),
    ],
)
def test_calls_go_on_after_kamailio_was_killed_and_show_nothing_of_what_is_behind(
    line: Line, transport: SipTransport, source: str, is_killed: bool
) -> None:
    """A lost connection is opened again by the side that has something to say: the carrier or Kamailio.

    The other carrier takes no connections, and gets everything over the one that it has opened.
    """
    calls = [line.call(NUMBER, source=source, transport=transport) for _ in range(2)]
    [node] = [node for node in line.nodes if node.calls]
    if is_killed:
        line.kamailio.kill()
        line.kamailio.start()
        if transport != "udp":
            line.reconnect(calls[0].dialog)
    sides = [(calls[0].dialog, node.calls[0]), (node.calls[1], calls[1].dialog)]
    for one, other in sides:
        for asking, asked in ((one, other), (other, one)):
            line.ask(asking, "UPDATE")
            assert asked.messages[-1].method == "UPDATE"
        line.ask(one, "BYE")
        assert other.messages[-1].method == "BYE"
    for call in calls:
        assert len(call.seen) >= 4
        assert {packet.source[0] for packet in call.dialog.received} == {KAMAILIO}
        for text in call.seen:
            for inside in (*NODES, SHARED.token, "X-RN-Trunk", "amailio", "important to us"):
                assert inside not in text, text


def test_strangers_are_refused_and_a_flood_of_theirs_is_held(line: Line) -> None:
    refused = line.call(NUMBER, source=STRANGER)
    assert refused.status == 403

    async def flood() -> int:
        dialogs = [await line.dial(NUMBER, STRANGER) for _ in range(100)]
        for dialog in dialogs:
            dialog.request("INVITE")
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.3)
        return sum(bool(dialog.received) for dialog in dialogs)

    answers = line.stage.run(flood())
    assert 0 < answers < 40
    assert line.call(NUMBER, source=STRANGER, patience=0.5).status is None
    assert line.call(NUMBER).status == 200
    assert [node.name for node in line.nodes if any(STRANGER in each.text for each in node.requests)] == []


@pytest.mark.parametrize("method", ["BYE", "INVITE", "ACK"])
@pytest.mark.parametrize(("target", "route"), [("sip:any@{outside}", ""), ("sip:any@{node}", "<sip:{outside};lr>")])
def test_what_claims_to_be_within_a_call_goes_to_nodes_only(line: Line, method: str, target: str, route: str) -> None:
    """Otherwise a sender that forges a carrier's address could use us as a relay, and learn our token."""
    line.stranger.packets.clear()
    places = {"outside": "{}:{}".format(*line.stranger.local), "node": line.nodes[0].name}

    async def forge() -> list[int | None]:
        dialog = await line.dial(NUMBER)
        dialog.peer += ";tag=any"
        dialog.target = target.format(**places)
        dialog.routes = ["<sip:{}:{};lr>".format(*line.kamailio.address), *([route.format(**places)] if route else [])]
        dialog.request(method)
        await asyncio.sleep(0.3)
        return [message.status for message in dialog.messages]

    answers = line.stage.run(forge())
    assert line.stranger.packets == []
    assert answers in ([403], [] if method == "ACK" else [403])


def status_of(line: Line, method: str, tag: str = "") -> int | None:
    """Sends a carrier's request, within a call if there is a tag. Returns the status of the answer."""

    async def ask() -> int | None:
        dialog = await line.dial(NUMBER)
        dialog.peer += tag
        return (await dialog.answered(dialog.request(method), 5)).status

    return line.stage.run(ask())


@pytest.mark.parametrize(
    ("method", "tag", "status"),
    [("OPTIONS", "", 200), ("REGISTER", "", 405), ("MESSAGE", "", 405), ("BYE", "", 405), ("BYE", ";tag=any", 481)],
)
def test_a_carrier_may_ask_whether_calls_are_taken_and_nothing_else(
    line: Line, method: str, tag: str, status: int
) -> None:
    assert status_of(line, method, tag) == status


def test_a_carrier_learns_that_no_node_takes_calls(line: Line) -> None:
    """Near the end: for 1.5 s after a node answers again, an older OPTIONS request may take it out once more."""
    for node in line.nodes:
        node.does = Does.SAY_NOTHING
    for node in line.nodes:
        line.kamailio.wait_for(node.name, "IP")
    assert status_of(line, "OPTIONS") == 503


def test_kamailio_takes_a_configuration_with_ipv6_addresses() -> None:
    with configured(Settings(kamailio_host="::1", nodes=["[::1]:5061", "[2001:db8::7]:5060"])) as kamailio:
        assert kamailio.check().returncode == 0


def test_keepalived_learns_whether_kamailio_works_here_and_on_the_machine_without_the_address(
    line: Line, tmp_path: Path
) -> None:
    kamcmd = tmp_path / "kamcmd"
    kamcmd.write_text(f'#!/bin/sh\nexec {KAMCMD} -s unix:{line.kamailio.directory}/kamailio_ctl "$@"\n')
    kamcmd.chmod(0o755)
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}

    def works(kamailio: Kamailio, address: str) -> bool:
        words = [str(CHECK), address, str(kamailio.address[1])]
        return subprocess.run(words, env=environment, timeout=10, check=False).returncode == 0

    here = line.kamailio.address[0]
    assert works(line.kamailio, here)
    assert works(line.kamailio, ELSEWHERE)
    assert line.kamailio.pid is not None
    os.killpg(line.kamailio.pid, signal.SIGSTOP)
    assert not works(line.kamailio, here)
    assert not works(line.kamailio, ELSEWHERE)
    os.killpg(line.kamailio.pid, signal.SIGCONT)
    assert works(line.kamailio, here)
    line.kamailio.kill()
    assert not works(line.kamailio, here)
    assert not works(line.kamailio, ELSEWHERE)
    line.kamailio.start()
