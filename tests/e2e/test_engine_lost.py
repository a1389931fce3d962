"""If the engine is absent, hangs or sends nonsense, the caller gets 503, and no call is bridged unmetered."""

import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.e2e.calls import Caller, Outcome, lasted, wait_talking
from tests.e2e.system import System


def test_a_caller_gets_503_without_an_engine(system: System, caller: Caller) -> None:
    booked = system.book("LARGE")
    system.kill_engine()
    try:
        with caller.hidden() as hidden:
            outcome = caller.call(booked.service)
            assert outcome.status == 503
            assert outcome.waited < 1.0
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
            assert outcome.waited < 3.3
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
                assert outcome.waited < 3.3, talk.__name__
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
            # The callee's trace is exact: the caller's BYE waits until Asterisk has spooled the end.
            assert lasted(Outcome(callee.messages()).talked, 3)
    finally:
        system.start_engine()
        system.wait_ready()
