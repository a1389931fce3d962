"""Idle connections from a stranger fill Asterisk's table of connections, but not the way of calls over UDP.

Asterisk closes a connection on which it has read no request for 32 s. deploy/firewall.nft keeps strangers out, and lets
each address of a carrier have fewer connections than the table has (test_firewall.py).
"""

import os
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from tests.e2e.calls import Caller
from tests.e2e.sip_sockets import SipSocket, read_all
from tests.e2e.system import System
from tests.e2e.test_sip_torture import UNKNOWN_ADDRESS

# Asterisk 22 of Debian has room for some 1,020.
CONNECTIONS = 1_200
PAUSE_SECONDS = 0.003
ANSWER_SECONDS = 1.0
# After this time Asterisk has closed every connection that is idle, with a margin.
LONGEST_IDLE_SECONDS = 45.0


@contextmanager
def idle_connections(system: System) -> Iterator[None]:
    host, _, port = system.sip.rpartition(":")
    with ExitStack() as stack:
        for _ in range(CONNECTIONS):
            connection = stack.enter_context(socket.create_connection((host, int(port)), 5, (UNKNOWN_ADDRESS, 0)))
            connection.setblocking(False)
            time.sleep(PAUSE_SECONDS)  # the queue of new connections is short
        yield


def open_files(system: System) -> int:
    return len(os.listdir(f"/proc/{system.asterisk_pid}/fd"))  # noqa: PTH208  only their number


def answers_over_tcp(system: System) -> bool:
    with SipSocket(system.sip, transport="tcp") as wire:
        lines = (
            f"OPTIONS sip:x@{system.sip} SIP/2.0",
            f"Via: SIP/2.0/TCP {wire.peer};rport;branch=z9hG4bK{time.monotonic_ns()}",
            "From: <sip:x@x>;tag=1",
            "To: <sip:x@x>",
            f"Call-ID: {time.monotonic_ns()}@x",
            "CSeq: 1 OPTIONS",
            "Max-Forwards: 70",
            "Content-Length: 0",
        )
        wire.send("\r\n".join([*lines, "", ""]).encode())
        read_all([wire], ANSWER_SECONDS)
        return bool(wire.statuses)


def test_calls_over_udp_go_on_beside_a_thousand_idle_connections(system: System, caller: Caller) -> None:
    before = open_files(system)
    booked = system.book("LARGE")
    with idle_connections(system):
        assert open_files(system) > before + 900, "the connections are up"
        with caller.hidden():
            outcome = caller.call(booked.service, "uac_hangs_up", talk=300)
        assert outcome.status == 200
        assert outcome.waited < 5
    system.until(lambda: answers_over_tcp(system), "Asterisk answers over TCP again", LONGEST_IDLE_SECONDS)
