"""Setting the wall clock by an hour during calls changes neither their price nor their limits (M9).

Asterisk and the engine each have a wall clock of their own, which the test sets; their monotonic clocks stay the
machine's. `-s` prints the figures.
"""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from engine.asterisk.wall_clock import CHECK_SECONDS
from engine.domain.metering import MESSAGE_MS
from phones.ports import free_port
from phones.sipp import Sipp
from tests.e2e.calls import LATE_SECONDS, Caller, Outcome, lasted, wait_talking
from tests.e2e.system import System
from tests.e2e.tcp_relay import TcpRelay
from tests.e2e.wall_clock import WallClock

HOUR = 3600
TALK_SECONDS = (1.4, 1.9, 2.3)
LIMIT_SECONDS = 3
VALID_SECONDS = 1800


@dataclass(frozen=True)
class Timed:
    """A system with settable clocks: both together, as on one machine, or one alone, as on two machines."""

    system: System
    asterisk: WallClock
    engine: WallClock
    ami: TcpRelay

    def set(self, who: str, seconds: int) -> None:
        for name, clock in (("asterisk", self.asterisk), ("engine", self.engine)):
            if who in {name, "both"}:
                clock.set_by(seconds)

    def noticed(self, times: int) -> None:
        """Waits until the engine has noticed this number of clock changes in total."""
        self.system.until(
            lambda: self.system.engine_log.count("wall_clock_was_set") >= times, "the engine notices the change"
        )

    @property
    def steps(self) -> int:
        return self.system.engine_log.count("wall_clock_was_set")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Timed]:
    directory = tmp_path_factory.mktemp("clocks")
    asterisk, engine = WallClock(directory / "asterisk"), WallClock(directory / "engine")
    ami_port = free_port()
    with (
        contextlib.closing(TcpRelay(ami_port)) as relay,
        System(
            {"ami_port": relay.port},
            asterisk_environment=asterisk.environment,
            engine_environment=engine.environment,
            ami_port=ami_port,
            longest_call=4 * HOUR,
            reconcile_interval=1,
            lost_call_margin=1,
            rtp_timeout=2 * HOUR,  # SIPp sends no sound, and Asterisk measures silence by the wall clock too
            plans={
                "SMALL": {"seconds": LIMIT_SECONDS, "calls": 25, "valid_for": 2 * 24 * HOUR},
                "MEDIUM": {"seconds": 4 * HOUR, "calls": 25, "valid_for": VALID_SECONDS},
                "LARGE": {"seconds": 4 * HOUR, "calls": 25, "valid_for": 2 * 24 * HOUR},
            },
        ) as system,
    ):
        yield Timed(system, asterisk, engine, relay)
        relay.resume()


@pytest.fixture
def timed(made: Timed) -> Iterator[Timed]:
    """The system with correct clocks; at the end the clocks are set right again."""
    made.system.wait_ready()
    yield made
    made.ami.resume()
    made.system.wait_ready()
    before = made.steps
    made.set("both", 0)
    made.noticed(before + 1)


@pytest.fixture
def parties(timed: Timed) -> Caller:
    return Caller(timed.system)


def _up(system: System, sipp: Sipp) -> None:
    wait_talking(system, sipp)


def fair(cost: int, talked: float, error: float = LATE_SECONDS) -> bool:
    """Whether the cost is every started second, within the error of the caller's times on a busy machine."""
    return -error <= cost - talked <= 1 + error


@pytest.mark.parametrize(
    ("who", "hours"), [("both", 1), ("both", -1), ("asterisk", 1), ("asterisk", -1), ("engine", 1)]
)
def test_calls_cost_their_talk_time_and_keep_their_limits(timed: Timed, parties: Caller, who: str, hours: int) -> None:
    """Three callers hang up; a fourth call is cut at its limit."""
    booked = [timed.system.book("LARGE") for _ in TALK_SECONDS]
    limited = timed.system.book("SMALL")
    with parties.hidden(calls=len(booked) + 1), contextlib.ExitStack() as stack:
        callers = [
            stack.enter_context(parties.dialling(each.service, "uac_hangs_up", keys={"talk": round(talk * 1000)}))
            for each, talk in zip(booked, TALK_SECONDS, strict=True)
        ]
        waits = stack.enter_context(parties.dialling(limited.service))
        for phone in (*callers, waits):
            _up(timed.system, phone)
        timed.set(who, hours * HOUR)
        for phone in (*callers, waits):
            phone.wait()
        talked = [Outcome(phone.messages()).talked or 0 for phone in callers]
        until_limit = Outcome(waits.messages()).talked or 0
    charged = [each.wait_settled()[0]["duration"] for each in booked]
    [cut] = limited.wait_settled()
    figures = f"talked {[round(t, 3) for t in talked]} s, charged {charged} s; limit {LIMIT_SECONDS} s"
    print(f"\n{who} set by {hours:+} h: {figures}: talked {until_limit:.3f} s, charged {cut['duration']} s")  # noqa: T201
    assert all(lasted(seconds, talk) for seconds, talk in zip(talked, TALK_SECONDS, strict=True))
    # The engine learns a change of Asterisk's clock alone from messages, which are late on a busy machine.
    error = MESSAGE_MS / 1000 if who == "asterisk" else LATE_SECONDS
    assert all(fair(cost, seconds, error) for cost, seconds in zip(charged, talked, strict=True))
    assert fair(cut["duration"], min(until_limit, LIMIT_SECONDS), error)
    # Not an hour later: the engine notices the change within a second, or a few on a busy machine. A clock set forward
    # may cut calls early. A renewed limit counts from the answer, shortly before the two can talk.
    assert until_limit < LIMIT_SECONDS + 10 * CHECK_SECONDS
    assert hours > 0 or until_limit > LIMIT_SECONDS - LATE_SECONDS


def test_a_call_without_a_working_limit_is_ended_once_asterisk_can_be_reached(timed: Timed, parties: Caller) -> None:
    """Its overdue lease is settled in full. Until the AMI answers, only its parties can end the call."""
    booked = timed.system.book("SMALL")
    with parties.hidden(), parties.dialling(booked.service) as callers:
        _up(timed.system, callers)
        timed.ami.pause()
        timed.set("both", -HOUR)
        [cdr] = booked.wait_settled()
        assert (cdr["disposition"], cdr["duration"]) == ("LOST", LIMIT_SECONDS)
        assert callers.messages()[-1].method != "BYE"
        timed.ami.resume()
        callers.wait()
    assert booked.now["secondsRemaining"] == 0
    assert len(booked.calls) == 1
    assert timed.system.command("ledger", "verify", "--json") == []


def test_a_booking_ends_by_the_present_wall_clock(timed: Timed, parties: Caller) -> None:
    booked = timed.system.book("MEDIUM")
    with parties.hidden(), parties.dialling(booked.service, "uac_hangs_up", keys={"talk": 6500}) as callers:
        _up(timed.system, callers)
        timed.set("both", VALID_SECONDS - 5)
        time.sleep(1.5)
        timed.set("both", 0)
        callers.wait()
        assert lasted(Outcome(callers.messages()).talked, 6.5)
    other = timed.system.book("MEDIUM")
    with parties.hidden(), parties.dialling(other.service) as callers:
        _up(timed.system, callers)
        noticed = timed.steps
        timed.set("engine", HOUR)
        callers.wait()
        talked = Outcome(callers.messages()).talked or 0
    # A sweep may have ended the call before the engine looked at its clocks.
    timed.noticed(noticed + 1)
    assert talked < 20
    assert other.now["status"] == "EXPIRED"
    assert fair(other.wait_settled()[0]["duration"], talked)
