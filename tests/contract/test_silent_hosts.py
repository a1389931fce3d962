"""The address names several hosts, and one of them takes connections but answers nothing, as a machine that hangs."""

import asyncio
import socket
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest

from engine.config.postgres_address import PostgresAddress
from engine.storage.errors import StorageUnavailable
from engine.storage.migrate import newest_revision
from engine.storage.postgresql import connecting, server
from engine.storage.postgresql.connecting import CONNECT_SECONDS, open_connection
from engine.storage.postgresql.read_connection import LOST_SECONDS, PostgresReadConnection
from engine.storage.postgresql.storage import PostgresStorage
from engine.storage.queries import Prepared
from engine.storage.transaction import Transaction

SECONDS = 1.0
SEVEN = Prepared(b"seven", b"SELECT 7 AS n", writes=False)
BACKEND = Prepared(b"backend", b"SELECT pg_backend_pid() AS pid", writes=False)
SLEEP = Prepared(b"sleep", b"SELECT pg_sleep(20)", writes=False)


@pytest.fixture
def directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="rn-") as name:  # the paths of sockets are limited
        yield Path(name)


@pytest.fixture
def silent(directory: Path) -> Iterator[Path]:
    """A host whose kernel takes connections for a server that does nothing."""
    (directory / "silent").mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(directory / "silent" / ".s.PGSQL.5432"))
        listener.listen(128)
        yield directory / "silent"


def own_host(address: PostgresAddress) -> Path:
    return Path(parse_qs(urlsplit(address).query)["host"][0])


def with_hosts(address: PostgresAddress, *hosts: Path) -> PostgresAddress:
    return PostgresAddress(address.replace(f"host={own_host(address)}", f"host={','.join(map(str, hosts))}"))


def host_of(tx: Transaction) -> str:
    return str(tx.accounts._db._connection.info.host)


async def test_commands_and_reads_pass_a_silent_host_at_once(postgres: PostgresAddress, silent: Path) -> None:
    address = with_hosts(postgres, silent, own_host(postgres))
    storage, reads = (
        PostgresStorage(address, connections=2, command_seconds=SECONDS),
        PostgresReadConnection(address, 0.5),
    )
    began = time.monotonic()
    assert await storage.run(host_of) == str(own_host(postgres))
    await reads.open()
    assert (await reads.run(lambda session: session.first(SEVEN, ())))[0] == 7
    server.clock_ahead_ms(address)
    assert time.monotonic() - began < CONNECT_SECONDS
    await reads.close()
    await storage.close()


def test_a_host_that_has_refused_is_asked_again_while_another_one_is_silent(
    postgres: PostgresAddress, silent: Path, directory: Path
) -> None:
    promoted = directory / "promoted"
    address = with_hosts(postgres, silent, promoted)
    later = threading.Timer(0.6, promoted.symlink_to, [own_host(postgres)])
    later.start()
    with open_connection(address) as connection:
        assert connection.info.host == str(promoted)
    later.join()


def test_hosts_that_refuse_are_not_waited_for(
    postgres: PostgresAddress, silent: Path, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = directory / "one", directory / "other"
    began = time.monotonic()
    with monkeypatch.context() as patch:
        patch.setattr(connecting, "NEXT_HOST_SECONDS", 60)
        with pytest.raises(psycopg.OperationalError, match=r"/one/.* No such file.*; .*/other/.* No such file"):
            open_connection(with_hosts(postgres, one, other))
    assert time.monotonic() - began < 30
    with pytest.raises(psycopg.OperationalError, match=r"/silent does not answer; .*/one/.* No such file"):
        open_connection(with_hosts(postgres, silent, one), seconds=0.4)
    with pytest.raises(psycopg.OperationalError, match="match"):
        open_connection(f"{postgres}&port=1,2,3&host=a,b")


def test_a_database_is_upgraded_past_a_silent_host(postgres: PostgresAddress, silent: Path) -> None:
    with psycopg.connect(postgres, autocommit=True) as outside:
        outside.execute("DROP DATABASE IF EXISTS upgraded")
        outside.execute("CREATE DATABASE upgraded TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'")
    address = PostgresAddress(
        urlsplit(with_hosts(postgres, silent, own_host(postgres)))._replace(path="/upgraded").geturl()
    )
    began = time.monotonic()
    server.migrate(address)
    assert time.monotonic() - began < 5 * CONNECT_SECONDS
    assert server.revision_of(address) == newest_revision()


@pytest.fixture
async def broken(postgres: PostgresAddress, directory: Path) -> AsyncIterator[tuple[PostgresReadConnection, Path]]:
    """A connection that reads, whose server has gone away after its first read, and where it can come back."""
    host = directory / "host"
    host.symlink_to(own_host(postgres))
    reads = PostgresReadConnection(with_hosts(postgres, host), 0.5)
    await reads.open()
    process = (await reads.run(lambda session: session.first(BACKEND, ())))[0]
    host.unlink()
    with psycopg.connect(postgres, autocommit=True) as outside:
        outside.execute("SELECT pg_terminate_backend(%s, 5000)", (process,))
    yield reads, host
    await reads.close()


async def test_reads_wait_for_a_server_that_comes_back(
    broken: tuple[PostgresReadConnection, Path], postgres: PostgresAddress
) -> None:
    reads, host = broken
    waiting = [asyncio.ensure_future(reads.run(lambda session: session.first(SEVEN, ()))) for _ in range(3)]
    await asyncio.sleep(LOST_SECONDS / 2)
    assert not any(each.done() for each in waiting)
    host.symlink_to(own_host(postgres))
    async with asyncio.timeout(LOST_SECONDS):
        assert [row[0] for row in await asyncio.gather(*waiting)] == [7, 7, 7]


async def test_reads_wait_once_for_a_server_that_stays_away(
    broken: tuple[PostgresReadConnection, Path], postgres: PostgresAddress
) -> None:
    reads, host = broken
    began = time.monotonic()
    for _ in range(3):
        with pytest.raises(StorageUnavailable, match="No such file"):
            await reads.run(lambda session: session.first(SEVEN, ()))
        assert LOST_SECONDS - 0.3 < time.monotonic() - began < LOST_SECONDS + 1
    host.symlink_to(own_host(postgres))
    assert (await reads.run(lambda session: session.first(SEVEN, ())))[0] == 7


async def test_after_a_host_stopped_answering_another_one_comes_first(
    postgres: PostgresAddress, directory: Path
) -> None:
    """It may be a former primary, which still takes connections, but cannot commit."""
    other = directory / "other"
    other.symlink_to(own_host(postgres))
    storage = PostgresStorage(with_hosts(postgres, own_host(postgres), other), connections=1, command_seconds=SECONDS)
    assert await storage.run(host_of) == str(own_host(postgres))
    with pytest.raises(StorageUnavailable, match="does not answer"):
        await storage.run(lambda tx: tx.accounts._db.all(SLEEP, ()))
    assert await storage.run(host_of) == str(other)
    with pytest.raises(StorageUnavailable, match="does not answer"):
        await storage.run(lambda tx: tx.accounts._db.all(SLEEP, ()))
    assert await storage.run(host_of) == str(own_host(postgres))
    await storage.close()


async def test_a_connection_that_comes_too_late_for_one_command_serves_the_next(
    postgres: PostgresAddress, silent: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connecting, "NEXT_HOST_SECONDS", 1.2)
    address = with_hosts(postgres, silent, own_host(postgres))
    storage = PostgresStorage(address, connections=1, command_seconds=1.0)
    with pytest.raises(StorageUnavailable, match="too long to connect"):
        await storage.run(host_of)
    assert await asyncio.wait_for(storage.run(host_of), 5) == str(own_host(postgres))
    await storage.close()
