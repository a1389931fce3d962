"""API keys: failures are limited and logged by source address; valid keys always work and their use is recorded."""

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from api.http.auth_failures import MAX_FAILURES
from engine.accounts.keys import KeyUse
from engine.domain.times import EpochMs
from engine.storage.errors import StorageUnavailable
from engine.storage.migrate import migrate
from engine.storage.sqlite import SqliteStorage
from tests.integration.api_helpers import HIDDEN, Answer, Api, SettableClock, a_request

pytest_plugins = ["tests.integration.api_fixtures"]

# A proxy that the fixture trusts. Requests of the tests come from 127.0.0.1.
PROXY = "127.0.0.9"


async def guess(api: Api, key: str = "rn_live_guess", **headers: str) -> Answer:
    return await api.call("GET", "/bookings", account=None, headers={"Authorization": f"Bearer {key}", **headers})


async def test_failures_beyond_the_limit_get_429_with_retry_after(api: Api) -> None:
    codes = [(await guess(api, f"rn_live_{index}")).code for index in range(MAX_FAILURES + 3)]
    assert codes == ["unauthorized"] * MAX_FAILURES + ["too_many_failures"] * 3
    answer = await guess(api)
    assert (answer.status, answer.headers["Retry-After"]) == (429, "60")


async def test_a_valid_key_works_from_an_address_with_too_many_failures(api: Api) -> None:
    for _ in range(MAX_FAILURES + 5):
        await guess(api)
    assert (await api.call("GET", "/bookings")).status == 200
    assert (await api.call("POST", "/bookings", a_request())).status == 201
    assert (await guess(api)).status == 429


async def test_a_request_without_a_key_is_not_counted_as_a_failure(api: Api) -> None:
    for _ in range(MAX_FAILURES + 5):
        assert (await api.call("GET", "/bookings", account=None)).status == 401
    assert (await guess(api)).status == 401
    assert len(api.refusals) == 1


@pytest.mark.parametrize("key", ["rn_live_guess", "", "x" * 300, "clé", "a b", f"rn_live_{HIDDEN}"])
async def test_each_failure_is_written_to_the_security_log_without_the_key(api: Api, key: str) -> None:
    await guess(api, key)
    assert api.refusals == [("HTTP", "InvalidPassword", "127.0.0.1")]


async def test_refusals_beyond_the_limit_are_not_logged_each_time(api: Api) -> None:
    for _ in range(3 * MAX_FAILURES):
        await guess(api)
    assert len(api.refusals) == MAX_FAILURES


async def test_requests_for_health_and_unknown_paths_are_not_counted_as_failures(api: Api) -> None:
    wrong = {"Authorization": "Bearer rn_live_guess"}
    for path in ("/health", "/nowhere"):
        await api.call("GET", path, account=None, headers=wrong)
    assert api.refusals == []


@pytest.mark.parametrize("forwarded", ["203.0.113.9", "203.0.113.9, 127.0.0.9", "127.0.0.1", "::1", "x"])
async def test_only_a_trusted_proxy_may_name_the_source_address(api: Api, forwarded: str) -> None:
    for index in range(MAX_FAILURES + 1):
        answer = await guess(api, **{"X-Forwarded-For": f"203.0.113.{index}, {forwarded}"})
    assert answer.status == 429
    assert set(api.refusals) == {("HTTP", "InvalidPassword", "127.0.0.1")}


async def test_a_trusted_proxy_names_the_source_address(api: Api) -> None:
    """Failures count for the named address, not for the proxy."""
    codes = [await through_proxy(api, "203.0.113.9, 198.51.100.7") for _ in range(MAX_FAILURES + 1)]
    assert codes == [401] * MAX_FAILURES + [429]
    assert set(api.refusals) == {("HTTP", "InvalidPassword", "198.51.100.7")}
    assert await through_proxy(api, "198.51.100.8") == 401
    assert await through_proxy(api, "") == 401
    assert [address for _, _, address in api.refusals[-2:]] == ["198.51.100.8", PROXY]


async def through_proxy(api: Api, forwarded: str) -> int:
    """Send a wrong key from the proxy's address and return the status."""
    reader, writer = await asyncio.open_connection("127.0.0.1", api.client.port, local_addr=(PROXY, 0))
    writer.write(
        b"GET /bookings HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer rn_live_guess\r\n"
        + f"X-Forwarded-For: {forwarded}\r\n\r\n".encode()
    )
    answer = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    await writer.wait_closed()
    return int(answer.split(b" ")[1])


async def test_each_use_of_a_valid_key_is_reported(api: Api) -> None:
    await api.call("GET", "/bookings")
    await api.call("GET", "/bookings", account="theirs")
    await api.call("GET", "/bookings/none", account="theirs")
    await guess(api)
    ours, theirs = await key_ids(api.storage, "ours"), await key_ids(api.storage, "theirs")
    assert api.keys_used == [*ours, *theirs, *theirs]


async def key_ids(storage: SqliteStorage, account: str) -> list[str]:
    rows: list[dict[str, Any]] = await storage.run(
        lambda tx: tx.accounts._db.execute(
            "SELECT k.id FROM api_keys k JOIN accounts a ON a.id = k.account_id WHERE a.name = ?", (account,)
        ).fetchall()
    )
    return [row["id"] for row in rows]


def last_used(database: Path) -> dict[str, int | None]:
    with sqlite3.connect(database) as connection:
        return dict(connection.execute("SELECT id, last_used_at FROM api_keys").fetchall())


@pytest.fixture
async def with_keys(tmp_path: Path) -> Any:
    """Storage with two keys, and its file."""
    database = tmp_path / "keys.sqlite3"
    migrate(database)
    with sqlite3.connect(database) as connection:
        connection.execute(
            "INSERT INTO accounts (id, name, webhook_secret, created_at) VALUES ('acc_1', 'ann', 'whsec_x', 0)"
        )
        for key in ("key_1", "key_2"):
            connection.execute(
                "INSERT INTO api_keys (id, account_id, digest, hint, created_at) VALUES (?, 'acc_1', ?, 'x', 0)",
                (key, key),
            )
    connection.close()
    storage = SqliteStorage(database)
    yield storage, database
    await storage.close()


async def test_uses_are_written_together_and_the_latest_wins(with_keys: Any) -> None:
    storage, database = with_keys
    clock, stop = SettableClock(), asyncio.Event()
    use = KeyUse(storage, clock, write_seconds=30)
    writing = asyncio.create_task(use.run(stop))
    for _ in range(1000):
        clock.advance(1)
        use.used("key_1")
    await asyncio.sleep(0.05)
    assert last_used(database) == {"key_1": None, "key_2": None}  # no request writes to the database
    stop.set()
    await writing
    assert last_used(database) == {"key_1": clock.now(), "key_2": None}


async def test_uses_are_written_while_the_engine_runs(with_keys: Any) -> None:
    storage, database = with_keys
    clock, stop = SettableClock(), asyncio.Event()
    use = KeyUse(storage, clock, write_seconds=0.02)
    writing = asyncio.create_task(use.run(stop))
    for key in ("key_1", "key_2"):
        use.used(key)
        for _ in range(500):
            await asyncio.sleep(0.01)
            if last_used(database)[key] == clock.now():
                break
        assert last_used(database)[key] == clock.now()
        clock.advance(60_000)
    stop.set()
    await writing


async def test_an_earlier_use_never_replaces_a_later_one_and_an_unknown_key_is_ignored(with_keys: Any) -> None:
    storage, database = with_keys
    clock = SettableClock()
    for now in (2_000, 1_000):
        clock.instant = EpochMs(now)
        use = KeyUse(storage, clock)
        use.used("key_1")
        use.used("key_gone")
        stop = asyncio.Event()
        stop.set()
        await asyncio.gather(use.run(stop), use._write())
    assert last_used(database) == {"key_1": 2_000, "key_2": None}


async def test_uses_that_could_not_be_written_are_written_later(
    with_keys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage, database = with_keys
    clock = SettableClock()
    use = KeyUse(storage, clock)
    use.used("key_1")

    async def fails(*_: object) -> None:
        raise StorageUnavailable("locked")

    with monkeypatch.context() as broken:
        broken.setattr(storage, "run", fails)
        await use._write()
    assert last_used(database)["key_1"] is None
    await use._write()
    assert last_used(database)["key_1"] == clock.now()
