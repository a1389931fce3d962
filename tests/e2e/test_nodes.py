"""Three engines on one PostgreSQL database, two of them at the same Asterisk. Engines are killed while people talk."""

import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import psycopg
import pytest

from engine.asterisk.keepership import TAKE_OVER_SECONDS, engine_id
from phones.ports import free_port
from phones.sipp import Sipp
from tests.e2e.booking import Booking
from tests.e2e.calls import Caller, Outcome, are_charged, is_charged, wait_talking
from tests.e2e.nodes import SecondEngine, SecondNode, StrangeEngine
from tests.e2e.system import System
from tests.postgresql_server import database_named, postgres_server

pytestmark = pytest.mark.runs_once

SECONDS = 12
CALL_EVERY_SECONDS = 0.3
PLANS = {
    "SMALL": {"seconds": 100_000, "calls": 1_000, "valid_for": 3600},
    "MEDIUM": {"seconds": 600, "calls": 25, "valid_for": 3600},
    "LARGE": {"seconds": SECONDS, "calls": 25, "valid_for": 3600},
}


@pytest.fixture(scope="module")
def systems() -> Iterator[tuple[System, SecondEngine, SecondNode]]:
    """An Asterisk with two engines, and an Asterisk with one."""
    with postgres_server() as server:
        ports = [free_port(), free_port()]
        shared: dict[str, Any] = {
            "database_url": database_named(server, "nodes"),
            "plans": PLANS,
            "longest_call": 600,
            "reconcile_interval": 0.5,
        }
        engines = {"fastagi_engines": [f"127.0.0.1:{port}" for port in ports], **shared}
        with (
            System(fastagi_port=ports[0], **engines) as first,
            SecondEngine(first, fastagi_port=ports[1], **engines) as other,
            SecondNode(first, **shared) as second,
        ):
            yield first, other, second


def keeps(system: System) -> bool:
    """Whether the system's engine is the keeper of its Asterisk."""
    assert system.settings.database_url is not None
    with closing(psycopg.connect(system.settings.database_url)) as database:
        rows = database.execute("SELECT engine FROM keepers").fetchall()
    home = engine_id(system.data_dir).partition("/")[0]
    return any(engine.partition("/")[0] == home for (engine,) in rows)


def taken(system: System) -> int:
    """How often the system's engine has become the keeper."""
    return system.engine_log.count("asterisk_taken")


def is_answered(booked: Booking) -> bool:
    """Whether the booking's call counts as answered."""
    assert booked.system.settings.database_url is not None
    with closing(psycopg.connect(booked.system.settings.database_url)) as database:
        rows = database.execute("SELECT state FROM calls WHERE booking_id = %s", (booked.id,)).fetchall()
    return rows == [("LIVE",)]


@contextmanager
def talking(system: System, booked: Booking, *, further_calls: int = 0) -> Iterator[Sipp]:
    """A call, answered, that lasts until it is cut. The hidden number answers further calls too."""
    caller = Caller(system)
    with caller.hidden(calls=1 + further_calls), caller.dialling(booked.service) as sipp:
        wait_talking(system, sipp)
        yield sipp


def durations(booked: Booking, calls: int) -> list[int]:
    return sorted(record["duration"] for record in booked.wait_settled(calls))


def test_calls_in_two_asterisks_share_a_bookings_seconds_exactly(
    systems: tuple[System, SecondEngine, SecondNode],
) -> None:
    first, other, second = systems
    booked = first.book("LARGE")
    second.hidden.add(booked.destination)
    began = time.monotonic()
    with talking(first, booked) as one, talking(second, booked) as two:
        for sipp in (one, two):
            sipp.wait()
    # Each had one half, and both were cut at the same time: one after the other would take all seconds.
    assert sum(durations(booked, 2)) == SECONDS
    assert time.monotonic() - began < SECONDS
    assert not keeps(other)
    assert first.command("ledger", "verify", "--json") == []


def test_a_deleted_bookings_calls_end_in_every_asterisk_at_once(
    systems: tuple[System, SecondEngine, SecondNode],
) -> None:
    first, _, second = systems
    booked = first.book("MEDIUM")
    second.hidden.add(booked.destination)
    with talking(first, booked) as one, talking(second, booked) as two:
        assert second.request("DELETE", f"/bookings/{booked.id}").status == 204
        for sipp in (one, two):
            sipp.wait()
    assert max(durations(booked, 2)) < PLANS["MEDIUM"]["seconds"] / 10


def test_a_rolling_restart_of_both_engines_drops_no_call(systems: tuple[System, SecondEngine, SecondNode]) -> None:
    first, other, _ = systems
    long, short, caller = first.book("MEDIUM"), first.book("SMALL"), Caller(first)
    is_over, outcomes = threading.Event(), list[Outcome]()

    def call_again_and_again() -> None:
        while not is_over.is_set():
            outcomes.append(caller.call(short.service, "uac_hangs_up", talk=100))
            is_over.wait(CALL_EVERY_SECONDS)

    with talking(first, long, further_calls=1_000) as sipp:
        began = time.monotonic()
        calling = threading.Thread(target=call_again_and_again)
        calling.start()
        for engine in (first, other):
            engine.stop_engine()
            engine.start_engine()
            engine.wait_ready()
        is_over.set()
        calling.join()
        assert first.request("DELETE", f"/bookings/{long.id}").status == 204
        sipp.wait()
        talked = time.monotonic() - began
    statuses = [outcome.status for outcome in outcomes]
    assert len(statuses) > 4
    assert set(statuses) == {200}, statuses
    assert abs(durations(long, 1)[0] - talked) < 3
    assert are_charged(short.wait_settled(len(outcomes)), [outcome.talked for outcome in outcomes])
    assert first.command("ledger", "verify", "--json") == []


def test_when_the_keeper_dies_or_stops_the_other_engine_takes_its_calls_over(
    systems: tuple[System, SecondEngine, SecondNode],
) -> None:
    first, other, _ = systems
    booked, idle, caller = first.book("MEDIUM"), first.book("LARGE"), Caller(first)
    assert (keeps(first), keeps(other)) == (True, False)
    with talking(first, booked, further_calls=2) as one:
        before = taken(other)
        first.kill_engine()
        killed = time.monotonic()
        outcome = caller.call(idle.service, "uac_hangs_up", talk=100)
        assert (outcome.status, outcome.waited < 5) == (200, True)
        other.until(lambda: taken(other) > before, "the other engine takes over")
        assert TAKE_OVER_SECONDS - 2 < time.monotonic() - killed < TAKE_OVER_SECONDS + 20
        assert keeps(other)
        # Only a keeper can take seconds back from the first call. It may have to find out first that this one talks.
        other.until(lambda: is_answered(booked), "the answer is known")
        assert caller.call(booked.service, "uac_hangs_up", talk=100).status == 200
        first.start_engine()
        first.wait_ready()
        assert not keeps(first)
        stopped = time.monotonic()
        other.stop_engine()
        first.until(lambda: keeps(first), "the first engine takes over")
        assert time.monotonic() - stopped < 5
        assert first.request("DELETE", f"/bookings/{booked.id}").status == 204
        one.wait()
    [record] = idle.wait_settled()
    assert is_charged(record["duration"], outcome.talked)
    assert durations(booked, 2)[0] == 1
    assert first.command("ledger", "verify", "--json") == []


def test_an_engine_whose_asterisk_has_a_copied_token_decides_on_no_call(
    systems: tuple[System, SecondEngine, SecondNode],
) -> None:
    first, _, second = systems
    shared = {"database_url": first.settings.database_url, "plans": PLANS, "longest_call": 600}
    with StrangeEngine(first, second, **shared) as strange:
        log = strange.data_dir / "engine.log"
        strange.until(lambda: "agi_token_of_another_asterisk" in log.read_text(), "it is noticed")
        assert strange.get("/ready").status == 503
        assert "another one's token" in strange.get("/health").body["parts"]["asterisk"]
        assert not keeps(strange)
