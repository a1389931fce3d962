"""Asterisk asks a list of engines: one that refuses or hangs is passed over, and the caller never waits for long."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from engine.asterisk.config_files import find_program, write_own
from engine.config import secrets
from phones.ports import free_port
from tests.e2e.calls import Caller
from tests.e2e.system import System


@contextmanager
def _engines(system: System, engines: list[str]) -> Iterator[None]:
    """Inside its `with`, Asterisk asks these engines."""
    kept = secrets.load(system.data_dir / "secrets")
    try:
        write_own(system.settings.model_copy(update={"fastagi_engines": engines}), kept, find_program())
        system.asterisk_console("dialplan reload")
        yield
    finally:
        write_own(system.settings, kept, find_program())
        system.asterisk_console("dialplan reload")


@pytest.fixture
def hanging() -> Iterator[str]:
    """An engine that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def test_engines_that_refuse_or_hang_are_passed_over(system: System, caller: Caller, hanging: str) -> None:
    ours, refusing = f"127.0.0.1:{system.settings.fastagi_port}", f"127.0.0.1:{free_port()}"
    booked = system.book("LARGE")
    for engines, waits in (([refusing, ours], 0.0), ([refusing, hanging, ours], 1.0)):
        with _engines(system, engines), caller.hidden(ring=10):
            outcome = caller.call(booked.service, "uac_hangs_up", talk=100)
        assert outcome.status == 200, engines
        assert waits <= outcome.waited < waits + 0.9, engines
    assert [cdr["disposition"] for cdr in booked.wait_settled(2)] == ["ANSWERED"] * 2


def test_a_caller_gets_503_within_3_seconds_if_all_engines_hang(system: System, caller: Caller, hanging: str) -> None:
    booked = system.book("LARGE")
    with _engines(system, [hanging, hanging]), caller.hidden() as hidden:
        outcome = caller.call(booked.service)
    assert outcome.status == 503
    assert 2.9 <= outcome.waited < 5
    assert hidden.messages() == []
    assert booked.now["secondsRemaining"] == 7
