"""Reports of answers and ends that are lost or late: calls cost what they talked, and are settled within one round.

`-s` prints the figures.
"""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from phones.messages import by_call
from phones.ports import free_port
from tests.e2e.booking import Booking
from tests.e2e.calls import LATE_SECONDS, Caller, Outcome, are_charged, is_charged, lasted, wait_talking
from tests.e2e.system import System
from tests.e2e.tcp_relay import TcpRelay

ROUND_SECONDS = 1.0
# A round begins when the last one has ended, and the database commits.
MARGIN_SECONDS = 4.0
TALKS = (1200, 2300, 3400)


@pytest.fixture(scope="module")
def relayed() -> Iterator[tuple[System, TcpRelay]]:
    ami_port = free_port()
    relay = TcpRelay(ami_port)
    with (
        contextlib.closing(relay),
        System(
            {"ami_port": relay.port},
            ami_port=ami_port,
            longest_call=60,
            reconcile_interval=ROUND_SECONDS,
            plans={"LARGE": {"seconds": 600, "calls": 25, "valid_for": 3600}},
        ) as system,
    ):
        try:
            yield system, relay
        finally:
            relay.resume()


def _ends(booked: Booking) -> list[float]:
    """When its calls were settled, in seconds since the epoch."""
    with booked.system.database() as database:
        rows = database.execute("SELECT ended_at FROM calls WHERE booking_id = ? ORDER BY ended_at", [booked.id])
        return [ended_at / 1000 for (ended_at,) in rows]


@pytest.mark.parametrize("cut", ["before the answers", "during the calls"])
def test_ends_whose_events_are_lost_are_settled_from_the_spool_within_a_round(
    relayed: tuple[System, TcpRelay], cut: str
) -> None:
    system, relay = relayed
    system.wait_ready()
    booked, caller = system.book("LARGE"), Caller(system)
    with contextlib.ExitStack() as stack:
        stack.enter_context(caller.hidden(calls=len(TALKS), ring=1000))
        phones = [
            stack.enter_context(caller.dialling(booked.service, "uac_hangs_up", keys={"talk": talk})) for talk in TALKS
        ]
        for phone in phones:
            if cut == "during the calls":
                wait_talking(system, phone)
            else:
                system.until(lambda phone=phone: any(m.status == 180 for m in phone.messages()), "it rings")  # type: ignore[misc]
        relay.cut()
        for phone in phones:
            phone.wait()
        system.until(lambda: len(booked.calls) == len(TALKS), "the ends are settled without a link", 5)
        relay.resume()
        traces = [phone.messages() for phone in phones]
    byes = sorted(next(m.at for m in trace if m.method == "BYE") for trace in traces)
    waits = [settled - bye for settled, bye in zip(_ends(booked), byes, strict=True)]
    print(f"\nlink cut {cut}: settled after {[f'{each:.2f} s' for each in waits]}")  # noqa: T201  the figure
    assert max(waits) < ROUND_SECONDS + MARGIN_SECONDS
    assert are_charged(booked.calls, [Outcome(trace).talked for trace in traces])
    assert {cdr["disposition"] for cdr in booked.calls} == {"ANSWERED"}
    system.wait_ready()
    assert system.command("ledger", "verify", "--json") == []


def test_an_answer_whose_event_is_lost_is_found_within_a_round_and_its_time_counts_from_the_answer(
    relayed: tuple[System, TcpRelay],
) -> None:
    system, relay = relayed
    system.wait_ready()
    booked, caller = system.book("LARGE"), Caller(system)
    with caller.hidden(ring=800), caller.dialling(booked.service, "uac_hangs_up", keys={"talk": 8500}) as callers:
        system.until(lambda: any(m.status == 180 for m in callers.messages()), "it rings")
        relay.cut()
        wait_talking(system, callers)
        answered = next(message.at for message in callers.messages() if message.method == "ACK")
        relay.resume()
        system.wait_ready()
        linked = time.time()
        system.until(lambda: "call_found_talking" in system.engine_log, "it is found", ROUND_SECONDS + MARGIN_SECONDS)
        print(f"\nanswer lost: found {time.time() - linked:.2f} s after the link came back")  # noqa: T201  the figure
        with system.database() as database:
            [(noted,)] = database.execute("SELECT answered_at FROM calls WHERE booking_id = ?", [booked.id])
        assert noted / 1000 == pytest.approx(answered, abs=LATE_SECONDS)
        callers.wait()
        talked = Outcome(callers.messages()).talked
    [cdr] = booked.wait_settled()
    assert is_charged(cdr["duration"], talked)


@pytest.mark.parametrize("late", ["answer", "end", "both"])
def test_events_that_come_late_change_neither_price_nor_limit(relayed: tuple[System, TcpRelay], late: str) -> None:
    """The link stands still for 4 s without being lost."""
    system, relay = relayed
    system.wait_ready()
    booked, caller = system.book("LARGE"), Caller(system)
    changed = system.request("PUT", f"/bookings/{booked.id}", {"usagePlan": "LARGE", "maxCallSeconds": 9})
    assert changed.status == 200
    talk, ring = (2500, 500) if late == "both" else (5500, 500)
    with (
        caller.hidden(calls=2, ring=ring),
        caller.dialling(booked.service, "uac_hangs_up", keys={"talk": talk}) as callers,
        caller.dialling(booked.service) as limited,
    ):
        for phone in (callers, limited):
            system.until(lambda phone=phone: any(m.status == 180 for m in phone.messages()), "it rings")  # type: ignore[misc]
        if late == "end":
            wait_talking(system, callers)
            time.sleep(3.5)
        relay.pause()
        time.sleep(4)
        relay.resume()
        callers.wait()
        limited.wait()
        outcomes = [Outcome(trace) for phone in (callers, limited) for trace in by_call(phone.messages()).values()]
    assert lasted(outcomes[0].talked, talk / 1000)
    assert lasted(outcomes[1].talked, 9)
    shorter, longer = sorted(cdr["duration"] for cdr in booked.wait_settled(2))
    assert (is_charged(shorter, outcomes[0].talked), longer) == (True, 9)


def test_a_call_whose_end_is_spooled_is_not_lost_however_long_the_engine_was_away() -> None:
    """At its start the engine finds that the call must have ended long ago, and a long end spool to read."""
    plans = {"LARGE": {"seconds": 3, "calls": 25, "valid_for": 3600}}
    with System(plans=plans, ring_timeout=2, lost_call_margin=1) as system:
        booked, other, caller = system.book("LARGE"), system.book("LARGE"), Caller(system)
        with caller.hidden():
            assert caller.call(other.service, "uac_hangs_up", talk=100).status == 200
        other.wait_settled()
        with caller.hidden(), caller.dialling(booked.service, "uac_hangs_up", keys={"talk": 1500}) as callers:
            wait_talking(system, callers)
            system.kill_engine()
            # The end of a call that is settled, again and again, so that the end of this one stands far behind it.
            spool = system.settings.journal / "ends"
            spool.write_text(spool.read_text() * 4000)
            callers.wait()
            talked = Outcome(callers.messages()).talked
        time.sleep(2 + 3 + 1)  # ringing, lease and margin
        system.start_engine()
        system.wait_ready()
        [cdr] = booked.wait_settled()
        assert (cdr["disposition"], is_charged(cdr["duration"], talked)) == ("ANSWERED", True)


class WithoutSpool(System):
    """A system whose Asterisk writes the end spool into a directory that does not exist, as if it had no right to."""

    def alter(self, etc: Path) -> None:
        dialplan = etc / "extensions_rented_numbers.conf"
        there = f"FILE({self.settings.journal}/"
        text = dialplan.read_text()
        assert there in text
        dialplan.write_text(text.replace(there, f"FILE({self.settings.journal}/absent/"))


def test_without_a_spool_ends_are_settled_by_their_events_and_doctor_warns() -> None:
    with WithoutSpool(reconcile_interval=ROUND_SECONDS) as system:
        booked, caller = system.book("LARGE"), Caller(system)
        assert _journal(system)["verdict"] == "ok"
        with caller.hidden(), caller.dialling(booked.service, "uac_hangs_up", keys={"talk": 1500}) as callers:
            callers.wait()
            ended, talked = time.time(), Outcome(callers.messages()).talked
            system.until(lambda: len(booked.calls) == 1, "the end is settled", 5)
            print(f"\nno spool: settled after {time.time() - ended:.2f} s")  # noqa: T201  the figure
        assert [is_charged(cdr["duration"], talked) for cdr in booked.calls] == [True]
        found = _journal(system)
        assert found["verdict"] == "warning"
        assert "Asterisk's user must be able to write" in found["fix"]
        assert system.command("ledger", "verify", "--json") == []


def _journal(system: System) -> dict[str, str]:
    findings: list[dict[str, str]] = system.command("doctor", "--json")
    return next(finding for finding in findings if finding["part"] == "journal")
