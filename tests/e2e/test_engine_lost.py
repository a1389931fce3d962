"""If the engine is absent, hangs or sends nonsense, the caller gets 503, and no call is bridged unmetered.

A call that has its route needs no engine any more: it is answered, cut at its limit and ended without one. `-s` prints
how long a BYE waits for its answer.
"""

import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from phones.messages import Message, by_call
from tests.e2e.calls import Caller, Outcome, are_charged, lasted, wait_talking
from tests.e2e.system import System


def test_a_caller_gets_503_without_an_engine(system: System, caller: Caller) -> None:
    booked = system.book("LARGE")
    system.kill_engine()
    try:
        with caller.hidden() as hidden:
            outcome = caller.call(booked.service)
            assert outcome.status == 503
            assert outcome.waited < 2.5
            assert hidden.messages() == []
    finally:
        system.start_engine()
    system.wait_ready()
    assert booked.now["secondsRemaining"] == 7


def test_a_caller_gets_503_within_3_seconds_if_the_engine_hangs(system: System, caller: Caller) -> None:
    booked = system.book("LARGE")
    system.signal_engine(signal.SIGSTOP)
    try:
        with caller.hidden() as hidden:
            outcome = caller.call(booked.service)
            assert outcome.status == 503
            assert outcome.waited < 5
            assert hidden.messages() == []
    finally:
        system.signal_engine(signal.SIGCONT)
    # When it continues, it finds a request without a caller, and gives back what it leased for it.
    system.until(lambda: booked.now["secondsRemaining"] == 7, "the lease is given back")
    with caller.hidden():
        assert caller.call(booked.service, "uac_hangs_up", talk=100).status == 200


Talk = Callable[[socket.socket], None]


def _close(connection: socket.socket) -> None:
    connection.recv(4096)


def _garbage(connection: socket.socket) -> None:
    connection.sendall(b"\x00\xff banana \r\n" * 100)


def _half_a_verdict(connection: socket.socket) -> None:
    connection.sendall(b'SET VARIABLE RN_DESTINATION "+33199007001"\nSET VARIABLE ARRAY(RN_VERD')


def _another_verdict(connection: socket.socket) -> None:
    connection.sendall(b'SET VARIABLE RN_VERDICT "MAYBE"\n')
    connection.recv(4096)


@contextmanager
def _impostor(port: int, talk: Talk) -> Iterator[None]:
    """Another program at the engine's port."""
    with socket.create_server(("127.0.0.1", port)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    talk(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_a_caller_gets_503_if_the_engine_sends_nonsense(system: System, caller: Caller) -> None:
    booked = system.book("LARGE")
    system.stop_engine()
    try:
        for talk in (_close, _garbage, _half_a_verdict, _another_verdict):
            with _impostor(system.settings.fastagi_port, talk), caller.hidden() as hidden:
                outcome = caller.call(booked.service)
                assert outcome.status == 503, talk.__name__
                assert outcome.waited < 5, talk.__name__
                assert hidden.messages() == [], talk.__name__
    finally:
        system.start_engine()
        system.wait_ready()


def test_a_live_call_continues_without_the_engine_and_ends_at_its_limit(system: System, caller: Caller) -> None:
    booked = system.book("SMALL")
    try:
        with caller.hidden() as callee, caller.dialling(booked.service) as callers:
            wait_talking(system, callers)
            system.kill_engine()
            assert callers.wait().succeeded == 1
            assert callee.wait().succeeded == 1
            assert lasted(Outcome(callers.messages()).talked, 3)
    finally:
        system.start_engine()
        system.wait_ready()


@contextmanager
def _without_engine(system: System, how: str) -> Iterator[None]:
    """Inside its `with`, the engine is stopped or killed."""
    if how == "stopped":
        system.signal_engine(signal.SIGSTOP)
    else:
        system.kill_engine()
    try:
        yield
    finally:
        if how == "stopped":
            system.signal_engine(signal.SIGCONT)
        else:
            system.start_engine()
    system.wait_ready()


@pytest.mark.parametrize("how", ["stopped", "killed"])
def test_a_call_answered_without_an_engine_talks_for_its_share(system: System, caller: Caller, how: str) -> None:
    booked = system.book("LARGE")  # 7 s; no call may last longer than 4
    with caller.hidden(ring=1500), caller.dialling(booked.service) as callers:
        system.until(lambda: any(m.status == 180 for m in callers.messages()), "it rings")
        with _without_engine(system, how):
            assert callers.wait().succeeded == 1
        outcome = Outcome(callers.messages())
    assert lasted(outcome.talked, 4)
    [cdr] = booked.wait_settled()
    assert (cdr["disposition"], cdr["duration"]) == ("ANSWERED", 4)
    assert (booked.now["secondsRemaining"], booked.now["callsRemaining"]) == (3, 24)


def _bye_waits(trace: list[Message]) -> list[float]:
    """Seconds between each BYE and its answer."""
    waits = []
    for call in by_call(trace).values():
        bye = next(message for message in call if message.method == "BYE" and message.status is None)
        waits.append(next(m.at for m in call if m.method == "BYE" and m.status == 200) - bye.at)
    return waits


@pytest.mark.parametrize("how", ["stopped", "killed"])
def test_the_bye_of_a_caller_waits_for_no_engine(system: System, caller: Caller, how: str) -> None:
    """Five callers hang up at about the same time, and Asterisk spools the ends of their calls."""
    booked = system.book("LARGE")
    for _ in range(2):  # so that each may talk for four seconds, and none is cut
        assert system.request("PUT", f"/bookings/{booked.id}", {"usagePlan": "LARGE"}).status == 200
    with (
        caller.hidden(calls=5),
        caller.dialling(booked.service, "uac_hangs_up", calls=5, keys={"talk": 600}) as callers,
    ):
        wait_talking(system, callers, 5)
        with _without_engine(system, how):
            assert callers.wait().succeeded == 5
            system.wait_spooled(booked.id, 5)
        trace = callers.messages()
    waits = sorted(_bye_waits(trace))
    print(f"\nengine {how}: BYE answered after {[f'{1000 * each:.0f} ms' for each in waits]}")  # noqa: T201  the figure
    assert waits[-1] < 2
    assert are_charged(booked.wait_settled(5), [Outcome(each).talked for each in by_call(trace).values()])
