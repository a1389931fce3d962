"""No call's end is lost when the engine, Asterisk, the database or the network fails."""

import contextlib
import resource
import sqlite3
import time
from collections.abc import Callable, Iterator

import pytest

from tests.contract.ledger import broken_rules
from tests.e2e.booking import Booking
from tests.e2e.calls import Caller, Outcome, is_charged, lasted, wait_talking
from tests.e2e.system import System


@pytest.fixture(scope="module")
def crash_system() -> Iterator[System]:
    with System(
        longest_call=60,
        plans={
            "SMALL": {"seconds": 4, "calls": 25, "valid_for": 3600},
            "MEDIUM": {"seconds": 14, "calls": 25, "valid_for": 3600},
            "LARGE": {"seconds": 600, "calls": 25, "valid_for": 3600},
        },
        reconcile_interval=1,
        rtp_timeout=30,
    ) as system:
        yield system


@pytest.fixture
def parties(crash_system: System) -> Caller:
    crash_system.wait_ready()
    return Caller(crash_system)


def _ledger_adds_up(system: System) -> bool:
    """Checks the rules on the database itself, which is faster than to start `ledger verify`."""
    with system.database() as database:
        return broken_rules(database) == {}


def _nothing_leased(booked: Booking) -> Callable[[], bool]:
    """A condition: the booking has no lease."""

    def check() -> bool:
        with booked.system.database() as database:
            [(leased,)] = database.execute("SELECT seconds_leased FROM bookings WHERE id = ?", [booked.id])
        return bool(leased == 0)

    return check


def test_a_call_that_ends_without_the_engine_is_settled_after_its_restart(
    crash_system: System, parties: Caller
) -> None:
    booked = crash_system.book("LARGE")
    with parties.hidden(), parties.dialling(booked.service, "uac_hangs_up", keys={"talk": 2500}) as callers:
        wait_talking(crash_system, callers)
        crash_system.kill_engine()
        callers.wait()
        talked = Outcome(callers.messages()).talked
    crash_system.wait_spooled(booked.id, 1)
    crash_system.start_engine()
    crash_system.wait_ready()
    [cdr] = booked.wait_settled()
    assert (cdr["disposition"], is_charged(cdr["duration"], talked)) == ("ANSWERED", True)
    assert _ledger_adds_up(crash_system)


def test_a_live_call_is_extended_and_settled_by_the_restarted_engine(crash_system: System, parties: Caller) -> None:
    booked = crash_system.book("MEDIUM")
    with parties.hidden(), parties.dialling(booked.service) as callers:
        wait_talking(crash_system, callers)
        crash_system.kill_engine()
        crash_system.start_engine()
        crash_system.wait_ready()
        assert crash_system.request("PUT", f"/bookings/{booked.id}", {"usagePlan": "SMALL"}).status == 200
        callers.wait()
        assert lasted(Outcome(callers.messages()).talked, 18)
    assert [cdr["duration"] for cdr in booked.wait_settled()] == [18]


@pytest.mark.parametrize("returns", ["during the call", "after it"])
def test_a_call_answered_without_the_engine_gets_its_full_time(
    crash_system: System, parties: Caller, returns: str
) -> None:
    """Its time counts from the answer, which was not reported, and not from the INVITE."""
    booked = crash_system.book("LARGE")
    assert (
        crash_system.request("PUT", f"/bookings/{booked.id}", {"usagePlan": "LARGE", "maxCallSeconds": 12}).status
        == 200
    )
    with parties.hidden(ring=1500), parties.dialling(booked.service) as callers:
        crash_system.until(lambda: any(m.status == 180 for m in callers.messages()), "it rings")
        crash_system.kill_engine()
        wait_talking(crash_system, callers)
        if returns == "during the call":
            crash_system.start_engine()
        callers.wait()
        assert lasted(Outcome(callers.messages()).talked, 12)
    if returns == "after it":
        crash_system.start_engine()
    crash_system.wait_ready()
    assert [cdr["duration"] for cdr in booked.wait_settled()] == [12]
    assert _ledger_adds_up(crash_system)


def test_calls_of_a_killed_asterisk_are_settled_and_no_lease_remains(crash_system: System, parties: Caller) -> None:
    booked = crash_system.book("LARGE")
    with parties.hidden(calls=2), parties.dialling(booked.service, calls=2) as callers:
        wait_talking(crash_system, callers, 2)
        time.sleep(3.5)
        crash_system.kill_asterisk()
        killed_at = time.monotonic()
        crash_system.start_asterisk()
        crash_system.until(_nothing_leased(booked), "every lease is settled", 60)
    assert time.monotonic() - killed_at < 60
    for cdr in booked.wait_settled(2):
        assert cdr["disposition"] == "LOST"
        assert 1 <= cdr["duration"] <= 5
    assert _ledger_adds_up(crash_system)


@pytest.mark.sqlite_only
def test_with_a_locked_database_calls_are_refused_and_no_end_is_lost(crash_system: System, parties: Caller) -> None:
    booked = crash_system.book("LARGE")
    with parties.hidden(), parties.dialling(booked.service, "uac_hangs_up", keys={"talk": 1500}) as callers:
        wait_talking(crash_system, callers)
        with contextlib.closing(sqlite3.connect(crash_system.settings.database, isolation_level=None)) as intruder:
            intruder.execute("BEGIN IMMEDIATE")
            refused = parties.call(booked.service)
            callers.wait()
            talked = Outcome(callers.messages()).talked
            time.sleep(4)
            intruder.execute("ROLLBACK")
    assert refused.status == 503
    assert refused.waited < 5
    assert "ANSWERED" in [cdr["disposition"] for cdr in booked.wait_settled()]
    crash_system.until(_nothing_leased(booked), "every lease is settled", 30)
    [answered] = [cdr["duration"] for cdr in booked.calls if cdr["disposition"] == "ANSWERED"]
    assert is_charged(answered, talked)
    assert _ledger_adds_up(crash_system)


@pytest.mark.sqlite_only
def test_with_a_full_disk_calls_are_refused_and_no_end_is_lost(crash_system: System, parties: Caller) -> None:
    booked = crash_system.book("LARGE")
    with parties.hidden(), parties.dialling(booked.service, "uac_hangs_up", keys={"talk": 1500}) as callers:
        wait_talking(crash_system, callers)
        # Only the engine's process cannot make files grow. Asterisk's side writes the end spool.
        _, hard = resource.prlimit(crash_system.engine_pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
        assert hard == resource.RLIM_INFINITY
        refused = parties.call(booked.service)
        callers.wait()
        talked = Outcome(callers.messages()).talked
        resource.prlimit(
            crash_system.engine_pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        )
    assert refused.status == 503
    crash_system.until(lambda: len(booked.calls) == 1, "the end is settled", 15)
    assert is_charged(booked.calls[0]["duration"], talked)
    crash_system.until(_nothing_leased(booked), "every lease is settled", 30)
    assert _ledger_adds_up(crash_system)


def test_a_callee_that_falls_silent_is_hung_up() -> None:
    with System(
        longest_call=60, plans={"LARGE": {"seconds": 600, "calls": 25, "valid_for": 3600}}, rtp_timeout=2
    ) as system:
        booked = system.book("LARGE")
        parties = Caller(system)
        # SIPp sends no sound at all, as if every BYE and every packet were lost.
        with parties.hidden():
            outcome = parties.call(booked.service)
        assert outcome.talked == pytest.approx(2.5, abs=1.0)
        assert booked.wait_settled()[0]["duration"] <= 4
