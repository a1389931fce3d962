"""While the manager interface (AMI) is silent, no live call is dropped and no call overspends (M12)."""

import contextlib
import math
import os
import time
from collections.abc import Iterator

import pytest

from phones.ports import free_port
from tests.e2e.calls import Caller, Outcome, lasted, wait_talking
from tests.e2e.system import System
from tests.e2e.tcp_relay import TcpRelay

# Rule M12 says 60 s. AMI_SILENCE=60 tests that.
SILENCE_SECONDS = float(os.environ.get("AMI_SILENCE", "12"))


@pytest.fixture
def relayed() -> Iterator[tuple[System, TcpRelay]]:
    ami_port = free_port()
    relay = TcpRelay(ami_port)
    with (
        contextlib.closing(relay),
        System(
            {"ami_port": relay.port},
            ami_port=ami_port,
            longest_call=200,
            rtp_timeout=200,  # SIPp sends no sound
            reconcile_interval=1,
            plans={"LARGE": {"seconds": 200, "calls": 25, "valid_for": 3600}},
        ) as system,
    ):
        try:
            yield system, relay
        finally:
            relay.resume()


def test_calls_continue_while_the_manager_interface_is_silent_and_share_their_lease_afterwards(
    relayed: tuple[System, TcpRelay],
) -> None:
    system, relay = relayed
    caller = Caller(system)
    booked = system.book("LARGE")
    with (
        caller.hidden(calls=2),
        caller.dialling(booked.service, "uac_hangs_up", keys={"talk": round((SILENCE_SECONDS + 13) * 1000)}) as first,
    ):
        wait_talking(system, first)
        relay.pause()
        system.until(lambda: system.get("/ready").status == 503, "the engine notices the silence", 15)
        # The first call leases all seconds, and nothing can reduce its limit now. So the second call is refused.
        assert caller.call(booked.service).status == 486
        time.sleep(SILENCE_SECONDS)
        relay.resume()
        system.wait_ready()
        with caller.dialling(booked.service, "uac_hangs_up", keys={"talk": 3000}) as second:
            second.wait()
            assert Outcome(second.messages()).status == 200
        first.wait()
        assert lasted(Outcome(first.messages()).talked, SILENCE_SECONDS + 13)
    booked.wait_settled(3)
    durations = [cdr["duration"] for cdr in booked.calls if cdr["disposition"] == "ANSWERED"]
    talked = [outcome.talked for outcome in (Outcome(first.messages()), Outcome(second.messages()))]
    assert sum(durations) == sum(math.ceil(each or 0) for each in talked)
    assert system.command("ledger", "verify", "--json") == []
