"""The rate limit of an account: which requests count, its headers, and that other accounts are not affected."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from api.app import RequestLimits
from api.http.rate_limit import QUOTA, RateLimit
from engine.accounts.accounts import set_limits
from engine.domain.ids import AccountId
from phones.ports import free_port
from tests.e2e.api_client import send
from tests.integration.api_helpers import TESTED, Answer, Api, a_request
from tests.integration.api_routes import QUERY
from tests.integration.cli_runner import Cli, wait_until_it_answers
from tests.programs import ended

pytest_plugins = ["tests.integration.api_fixtures"]

# One more request every 12 seconds, longer than any test lasts.
PER_MINUTE = 5


@pytest.fixture
def api_limits() -> RequestLimits:
    return RequestLimits(requests_per_minute=PER_MINUTE)


def remaining(answer: Answer) -> int:
    match = re.fullmatch(r'"requests";r=([0-9]+);t=[0-9]+', answer.headers["RateLimit"])
    assert match is not None
    return int(match[1])


async def test_every_answer_to_a_valid_key_has_rate_limit_headers(api: Api) -> None:
    """Every request costs one: HEAD, a refusal, and a sandbox route."""
    seen = [
        await api.call("GET", "/bookings"),
        await api.call("HEAD", "/cdr"),
        await api.call("POST", "/bookings", a_request(destination="nonsense")),
        await api.call("GET", "/test/clock"),
        await api.call("GET", f"/cdr.csv?service={QUERY['service']}"),
    ]
    assert [answer.status for answer in seen] == [200, 200, 422, 403, 200]
    assert [remaining(answer) for answer in seen] == [4, 3, 2, 1, 0]
    assert {answer.headers["RateLimit-Policy"] for answer in seen} == {'"requests";q=5;w=60'}


async def test_a_request_beyond_the_limit_is_refused_and_not_carried_out(api: Api) -> None:
    for _ in range(PER_MINUTE):
        await api.call("HEAD", "/bookings")
    refused = await api.call("POST", "/bookings", a_request())
    assert (refused.status, refused.code, refused.body["retryable"]) == (429, "too_many_requests", True)
    assert remaining(refused) == 0
    assert 1 <= int(refused.headers["Retry-After"]) <= 60 // PER_MINUTE
    assert await api.storage.run(lambda tx: tx.numbers.page("", "BOOKED", 1)) == []


async def test_another_account_is_not_affected(api: Api) -> None:
    for _ in range(3 * PER_MINUTE):
        last = await api.call("GET", "/bookings")
    assert last.status == 429
    theirs = [await api.call("POST", "/bookings", a_request(), account="theirs") for _ in range(PER_MINUTE)]
    assert [answer.status for answer in theirs] == [201] * PER_MINUTE


@pytest.mark.parametrize("path", ["/health", "/ready", "/openapi.json"])
async def test_requests_to_public_routes_are_not_counted(api: Api, path: str) -> None:
    for account in ("ours", None):
        for _ in range(2 * PER_MINUTE):
            answer = await api.call("GET", path, account=account)
            assert answer.status == 200
            assert not {"RateLimit", "RateLimit-Policy"} & set(answer.headers)
    assert len(api.client.app[QUOTA]) == 0


async def test_a_request_without_a_valid_key_costs_no_account_anything(api: Api) -> None:
    wrong: dict[str, Any] = {"Authorization": "Bearer wrong"}
    answers = [await api.call("GET", "/bookings", account=None, headers=wrong) for _ in range(3)]
    assert {answer.status for answer in answers} == {401}
    assert all("RateLimit" not in answer.headers for answer in answers)
    assert len(api.client.app[QUOTA]) == 0


async def test_an_account_with_a_limit_of_its_own_has_it_at_once_and_its_sandbox_too(api: Api) -> None:
    for _ in range(PER_MINUTE):
        await api.call("HEAD", "/bookings")
    await api.storage.run(set_limits, "ours", {"requests_per_minute": 2 * PER_MINUTE})
    seen = [await api.call("GET", "/bookings") for _ in range(PER_MINUTE + 1)]
    assert [answer.status for answer in seen] == [200] * PER_MINUTE + [429]
    assert {answer.headers["RateLimit-Policy"] for answer in seen} == {'"requests";q=10;w=60'}
    assert "10 requests per minute" in seen[-1].body["detail"]
    assert remaining(await api.call("HEAD", "/bookings", account=TESTED)) == 2 * PER_MINUTE - 1
    assert remaining(await api.call("HEAD", "/bookings", account="theirs")) == PER_MINUTE - 1
    # A limit that is lowered below what was sent already: the bucket is empty, and fills within a minute.
    await api.storage.run(set_limits, "ours", {"requests_per_minute": 1})
    refused = await api.call("GET", "/bookings")
    assert (refused.status, remaining(refused)) == (429, 0)
    assert 55 <= int(refused.headers["Retry-After"]) <= 60


def test_a_bucket_fills_evenly_up_to_the_limit() -> None:
    quota, now = RateLimit(60), 1_000.0
    assert all(quota.count(AccountId("a"), now).allowed for _ in range(60))
    for after, more in ((0.0, 0), (0.99, 0), (1.0, 1), (1.5, 0), (4.0, 3), (1_000.0, 60)):
        allowed = [quota.count(AccountId("a"), now + after).allowed for _ in range(61)]
        assert sum(allowed) == more, after


def test_a_refused_request_costs_nothing() -> None:
    quota = RateLimit(60)
    for _ in range(10_000):
        refused = quota.count(AccountId("a"), 0.0)
    assert (refused.allowed, refused.remaining) == (False, 0)
    assert refused.next_in == pytest.approx(1.0)
    assert quota.count(AccountId("a"), 1.0).allowed


@pytest.mark.parametrize("per_minute", [1, 7, 60, 600, 999_983])
def test_each_request_takes_one_from_the_remaining(per_minute: int) -> None:
    quota = RateLimit(per_minute)
    for spent in range(1, min(per_minute, 700) + 1):
        standing = quota.count(AccountId("a"), 12_345.678)
        assert (standing.allowed, standing.remaining) == (True, per_minute - spent)
        assert standing.full_in == pytest.approx(spent * 60 / per_minute, abs=1e-6)


def test_accounts_with_a_full_bucket_are_forgotten() -> None:
    quota = RateLimit(600)
    for second in range(1_000):
        for each in range(3):
            quota.count(AccountId(f"account-{second}-{each}"), float(second))
        assert len(quota) <= 6
    # An account that fills slowly is kept for longer.
    slow = RateLimit(600)
    slow.count(AccountId("slow"), 0.0, 1)
    for second in (1, 59):
        slow.count(AccountId("fast"), float(second))
    assert not slow.count(AccountId("slow"), 59.0, 1).allowed
    assert slow.count(AccountId("slow"), 60.0, 1).allowed
    # Nothing is stored for other accounts, however often they send requests.
    for _ in range(1_000):
        quota.count(AccountId("a"), 5_000.0)
    assert len(quota) <= 7


def test_the_engine_applies_the_setting(tmp_path: Path) -> None:
    cli = Cli(tmp_path)
    cli.set_up("demo")
    port = free_port()
    settings = cli.settings(
        profile="demo",
        http_port=str(port),
        fastagi_port=str(free_port()),
        ami_port=str(free_port()),
        requests_per_minute="2",
    )
    with ended(
        subprocess.Popen(cli.command("serve"), cwd=cli.directory, env=settings, stderr=subprocess.DEVNULL)
    ) as engine:
        try:
            wait_until_it_answers(f"http://127.0.0.1:{port}/health", engine)
            key = {"Authorization": f"Bearer {(cli.data / 'demo' / 'api-key').read_text().strip()}"}
            statuses = [send("GET", f"http://127.0.0.1:{port}/bookings", None, key).status for _ in range(3)]
        finally:
            engine.kill()
    assert statuses == [200, 200, 429]
