"""Calls beyond the limits are refused at once, and admitted calls are not harmed."""

import signal
from collections import Counter

from phones.messages import by_call, final_status
from phones.ports import free_port_range, give_back
from phones.sipp import Sipp
from tests.e2e.attacked_system import attacked_system
from tests.e2e.calls import Caller, Outcome, are_charged, lasted
from tests.e2e.system import System

PORTS = 12
PLENTY = {"LARGE": {"seconds": 600, "calls": 100, "valid_for": 3600}}


class SmallSystem(System):
    """A system with ports for twelve calls, and a few more."""

    rtp_ports = 60


def _statuses(callers: Sipp) -> Counter[int | None]:
    return Counter(final_status(trace) for trace in by_call(callers.messages()).values())


def _talked(callers: Sipp) -> list[float]:
    outcomes = [Outcome(trace) for trace in by_call(callers.messages()).values()]
    return [outcome.talked for outcome in outcomes if outcome.talked is not None]


def test_calls_above_the_limit_on_undecided_calls_get_503_at_once_and_the_others_go_through() -> None:
    with System(max_undecided_calls=2, max_concurrent_calls=20) as system:
        booked, caller = system.book("SMALL"), Caller(system)
        with (
            caller.hidden(calls=2) as hidden,
            caller.dialling(booked.service, "uac_hangs_up", calls=10, keys={"talk": 300}) as callers,
        ):
            # The stopped engine decides no call, so that calls wait for the decision and not for a timeout.
            system.signal_engine(signal.SIGSTOP)
            try:
                system.until(lambda: _statuses(callers)[503] == 8, "those above the limit are refused", 2.5)
                assert hidden.messages() == []
            finally:
                system.signal_engine(signal.SIGCONT)
            callers.wait()
            assert _statuses(callers) == {200: 2, 503: 8}
            talked = _talked(callers)
            assert all(lasted(each, 0.3) for each in talked)
        records = booked.wait_settled(2)
        # The engine got no request for the refused calls.
        assert [cdr["disposition"] for cdr in records] == ["ANSWERED"] * 2
        assert are_charged(records, talked)
        assert system.command("ledger", "verify", "--json") == []


def test_when_all_ports_for_calls_are_in_use_further_calls_get_503_and_the_others_continue() -> None:
    with SmallSystem(max_concurrent_calls=30, plans=PLENTY, longest_call=60) as system:
        booked, caller = system.book("LARGE"), Caller(system)
        with (
            caller.hidden(calls=12),
            caller.dialling(booked.service, "uac_hangs_up", calls=12, keys={"talk": 4000}) as first,
        ):
            system.until(lambda: _statuses(first)[200] == 12, "twelve calls are up")
            with caller.dialling(booked.service, "uac_rejected", calls=20) as more:
                more.wait()
                assert _statuses(more) == {503: 20}
            first.wait()
            talked = _talked(first)
            assert all(lasted(each, 4) for each in talked)
        records = booked.wait_settled(12)
        assert [cdr["disposition"] for cdr in records] == ["ANSWERED"] * 12
        assert are_charged(records, talked)
        assert system.command("ledger", "verify", "--json") == []


def test_calls_without_free_ports_are_refused_and_leave_no_hidden_number_in_the_log() -> None:
    rtp = free_port_range(PORTS)
    try:
        with attacked_system(rtp_start=rtp, rtp_end=rtp + PORTS - 1) as attacked:
            caller = Caller(attacked.system)
            with (
                caller.hidden(calls=20),
                caller.dialling(attacked.good.service, "uac_hangs_up", calls=10, keys={"talk": 1500}) as callers,
            ):
                assert 1 <= callers.wait().succeeded <= PORTS // 4
            assert attacked.good.destination[1:] not in attacked.system.asterisk_log
    finally:
        give_back(rtp, PORTS)
