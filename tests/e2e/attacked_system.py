"""A system under attack by SIP messages.

It records the engine's AGI requests, makes good calls at the same time, and checks afterwards that nothing was left
behind.
"""

import contextlib
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from phones.ports import free_port
from phones.sipp import Result, Sipp
from tests.chaos.books import leases_up
from tests.e2e.agi_tap import AgiRequest, AgiTap
from tests.e2e.booking import Booking
from tests.e2e.sip_sockets import SipSocket, read_all
from tests.e2e.system import System

SCENARIOS = Path(__file__).parent / "scenarios"
PLANS = {"LARGE": {"seconds": 1_000_000, "calls": 100_000, "valid_for": 86400}}
RING_SECONDS = 3
# Long enough for an abandoned call, its last retransmission, and the engine's work after it.
QUIET_SECONDS = 90.0
CALLS_FOR_EVER = 10_000_000
SOURCE = "+33199007123"
# A caller who hangs up while the engine answers (agi_failed, CallerGone or HungUp) is no crash.
CRASHES = re.compile(
    r'^.*"event": "(?:agi_crashed|agi_refused|agi_timeout|agi_cut_off|agi_overloaded)".*$', re.MULTILINE
)


@dataclass(frozen=True)
class Usage:
    """The resources of one process; `memory` in kB."""

    memory: int
    files: int
    threads: int

    @classmethod
    def of(cls, pid: int) -> "Usage":
        process = psutil.Process(pid)
        with process.oneshot():
            return cls(process.memory_info().rss // 1024, process.num_fds(), process.num_threads())


class AttackedSystem:
    """The system, a booking to attack (`target`), and a booking whose hidden number answers (`good`).

    Every other hidden number is busy.
    """

    def __init__(self, system: System, tap: AgiTap) -> None:
        self.system = system
        self.tap = tap
        self.good = system.book("LARGE")
        self.target = system.book("LARGE")
        self.asterisk_pid = system.asterisk_pid

    @contextlib.contextmanager
    def good_calls(self, calls: int, rate: float) -> Iterator[Sipp]:
        """Starts the network behind the trunk, and well-behaved callers."""
        with (
            Sipp(
                SCENARIOS / "uas_answers_one.xml",
                port=self.system.trunk_port,
                calls=CALLS_FOR_EVER,
                keys={"answers": self.good.destination},
                timeout=3600,
                trace=False,
            ),
            Sipp(
                SCENARIOS / "uac_persists.xml",
                target=self.system.sip,
                number=self.good.service,
                keys={"source": SOURCE, "talk": 200},
                calls=calls,
                rate=rate,
                patience=60,
                timeout=3600,
                trace=False,
                lenient=True,
            ) as callers,
        ):
            yield callers

    def requests(self, script: str = "route") -> list[AgiRequest]:
        return self.tap.requests(script)

    def malformed_requests(self) -> list[AgiRequest]:
        """Requests that should never reach the engine, because what they hold cannot be a number."""
        return [asked for asked in self.requests() if not is_well_formed(asked)]

    def answers_options(self) -> bool:
        with SipSocket(self.system.sip) as wire:
            lines = [
                f"OPTIONS sip:{self.system.sip} SIP/2.0",
                f"Via: SIP/2.0/UDP {wire.peer};rport;branch=z9hG4bK{time.monotonic_ns()}",
                "From: <sip:monitor@127.0.0.1>;tag=1",
                f"To: <sip:{self.system.sip}>",
                f"Call-ID: {time.monotonic_ns()}",
                "CSeq: 1 OPTIONS",
                "Max-Forwards: 70",
                "Content-Length: 0",
            ]
            wire.send("\r\n".join([*lines, "", ""]).encode())
            deadline = time.monotonic() + 5
            while not wire.final and time.monotonic() < deadline:
                read_all([wire], 0.05)
            return wire.final > 0

    def wait_quiet(self) -> None:
        """Waits until every lease is settled."""
        self.system.until(lambda: self.system.ask(leases_up) == 0, "no lease is up", QUIET_SECONDS)

    def assert_unharmed(self, callers: Result) -> None:
        """Asterisk is running, the ledger adds up, no lease is left, and all good calls went through."""
        assert (callers.failed, callers.exit_code) == (0, 0), callers.errors
        assert self.system.asterisk_pid == self.asterisk_pid
        assert psutil.Process(self.asterisk_pid).is_running()
        assert self.answers_options()
        self.wait_quiet()
        assert self.system.command("ledger", "verify", "--json") == []
        assert "Traceback" not in self.system.engine_log
        assert CRASHES.findall(self.system.engine_log) == []


def is_well_formed(asked: AgiRequest) -> bool:
    """Whether the request has a number that can be dialled, and a caller of digits or none."""
    service, *rest = asked.arguments
    dialled = re.fullmatch(r"\+?[0-9]{4,20}", service) is not None
    return dialled and all(re.fullmatch("[+0-9]*", caller) for caller in rest[:1])


@contextlib.contextmanager
def attacked_system(asterisk_only: Mapping[str, object] | None = None, **overrides: object) -> Iterator[AttackedSystem]:
    """Starts an attacked system; for the arguments see System."""
    port, engine_port = free_port(), free_port()
    settings: dict[str, Any] = {
        "ring_timeout": RING_SECONDS,
        **overrides,
        "plans": PLANS,
        "max_calls_per_caller_per_hour": 10_000,
    }
    system = System({"fastagi_port": engine_port}, asterisk_only=asterisk_only, fastagi_port=port, **settings)
    with AgiTap(port, engine_port) as tap, system:
        yield AttackedSystem(system, tap)


def numbers(system: System, count: int) -> list[Booking]:
    return [system.book("LARGE") for _ in range(count)]
