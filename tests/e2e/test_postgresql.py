"""Calls of a system whose database is on a PostgreSQL server, also while the server hangs and after its death."""

import os
import signal
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
import pytest

from engine.config.postgres_address import PostgresAddress
from phones.listener import CallbackListener
from tests.e2e.calls import Caller, Outcome, is_charged, lasted, wait_talking
from tests.e2e.system import System
from tests.postgresql_server import database_named, postgres_server

pytestmark = pytest.mark.runs_once


@pytest.fixture(scope="module")
def address() -> Iterator[PostgresAddress]:
    with postgres_server() as server:
        yield database_named(server, "calls")


@pytest.fixture(scope="module")
def system(address: PostgresAddress) -> Iterator[System]:
    with System(database_url=address) as system:
        yield system


@contextmanager
def hung(address: PostgresAddress) -> Iterator[None]:
    """The server's processes stop, so that every connection stays and nothing answers."""
    directory = Path(address.partition("?host=")[2])
    with closing(psycopg.connect(address, autocommit=True)) as server:
        rows = server.execute("SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()").fetchall()
    listening = int((directory / "data" / "postmaster.pid").read_text().splitlines()[0])
    processes = [listening, *(pid for (pid,) in rows)]
    try:
        for pid in processes:
            os.kill(pid, signal.SIGSTOP)
        yield
    finally:
        for pid in processes:
            os.kill(pid, signal.SIGCONT)


def test_a_call_is_bridged_metered_recorded_and_sends_a_callback(system: System, listener: CallbackListener) -> None:
    booked = system.book("LARGE", listener.url)
    _, cdr = Caller(system).talk(booked, 1400)
    [callback] = listener.wait()
    assert (callback.content["id"], callback.content["sequence"]) == (cdr["id"], 1)


def test_a_call_is_cut_at_its_limit(system: System) -> None:
    booked, caller = system.book("SMALL"), Caller(system)
    with caller.hidden():
        outcome = caller.call(booked.service)
    assert outcome.status == 200
    assert lasted(outcome.talked, 3)
    assert [cdr["duration"] for cdr in booked.wait_settled()] == [3]
    assert caller.call(booked.service).status == 410


def test_while_the_server_hangs_callers_get_503_and_calls_go_on(system: System, address: PostgresAddress) -> None:
    booked, idle, caller = system.book("LARGE"), system.book("LARGE"), Caller(system)
    with (
        caller.hidden(),
        caller.dialling(booked.service, "uac_hangs_up", keys={"talk": 3_500}) as talking,
    ):
        wait_talking(system, talking)
        with hung(address):
            assert caller.call(idle.service).status == 503
            assert talking.wait().succeeded == 1
            talked = Outcome(talking.messages()).talked
            system.until(lambda: system.get("/ready").status == 503, "it is noticed", 10)
            assert system.get("/health").status == 200
        system.wait_ready()
    # Without a new start: its end stands in the end spool.
    [record] = booked.wait_settled()
    assert (record["disposition"], is_charged(record["duration"], talked)) == ("ANSWERED", True)
    with caller.hidden():
        assert caller.call(idle.service, "uac_hangs_up", talk=100).status == 200
    assert system.command("ledger", "verify", "--json") == []
