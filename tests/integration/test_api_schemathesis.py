"""Schemathesis generates right and wrong requests from /openapi.json and checks every answer against the document.

The API runs as in production, over real storage, with two accounts.

A longer run: `SCHEMATHESIS_EXAMPLES=500 pytest -s tests/integration/test_api_schemathesis.py`, with another seed each
time; `SCHEMATHESIS_SEED=…` repeats one.
"""

import asyncio
import json
import os
import random
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from api.app import ROUTES, build_app
from api.http.auth import FAILURES
from api.http.auth_failures import FailureLimit
from api.http.dependencies import DEPENDENCIES
from api.http.server import build_runner
from engine.bookings.number_pool import import_numbers
from engine.bookings.shared_numbers import share
from engine.callbacks.ssrf import check_callback
from engine.domain.account_limits import AccountLimits
from engine.domain.ids import CallId
from engine.domain.policy import CallbackRules
from tests.integration.api_helpers import DAY, POLICY, START, TESTED, Api
from tests.integration.callback_sending import failed_callback

pytest_plugins = ["tests.integration.api_fixtures"]

ROOT = Path(__file__).parents[2]
HOOKS = "tests.integration.schemathesis_hooks"
EXAMPLES = int(os.environ.get("SCHEMATHESIS_EXAMPLES", "0"))
SEED = int(os.environ.get("SCHEMATHESIS_SEED", random.randrange(2**32) if EXAMPLES else "1"))
# More numbers than a run books, since a booked number is quarantined afterwards.
POOL = [f"+3319900{last:04}" for last in range(7_000)]
# A pair takes one more for each of its swaps. No request names one of these.
SHARED = 200


@pytest.fixture
async def address(api: Api, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    """The API as in production. Both accounts have a booking, a call record, a blocked caller and a failed callback."""
    await api.storage.run(import_numbers, list(enumerate(POOL)), START)
    for number in POOL[:SHARED]:
        await api.storage.run(share, number)
    for account in ("ours", "theirs"):
        booking = await api.book(account=account, usagePlan="LARGE")
        for seconds in (0, 3):
            await api.talk(booking["service"], CallId(f"call-{account}-{seconds}"), seconds)
        path = f"/bookings/{booking['id']}/blocked-callers"
        await api.call("POST", path, {"caller": "+33199007002"}, account=account)
        await api.storage.run(failed_callback, START)
    # Otherwise most requests for a redelivery would get 429, as test_api_callbacks.py tests.
    monkeypatch.setattr("engine.callbacks.redelivery.REDELIVERY_COOLDOWN_MS", 0)
    deps = replace(
        api.client.app[DEPENDENCIES],
        check_callback=partial(check_callback, rules=CallbackRules(ports=frozenset({443, 8443}))),
        # Hundreds of requests renew one booking, and thousands make one.
        policy=replace(POLICY, horizon_ms=1_000 * 365 * DAY, account_limits=AccountLimits(len(POOL), len(POOL))),
    )
    app = build_app(deps)
    app[FAILURES] = FailureLimit(limit=10**6)  # otherwise most wrong keys would get 429; tested in test_api_keys.py
    runner = build_runner(app, shutdown_seconds=1.0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


def configure(directory: Path, keys: dict[str, str]) -> Path:
    """Two users who must not see each other's data."""
    users = directory / "users.json"
    users.write_text(
        json.dumps(
            {
                "auth": [
                    {"name": name, "fixedHeaders": [{"name": "Authorization", "value": f"Bearer {key}"}]}
                    for name, key in keys.items()
                ]
            }
        )
    )
    config = directory / "schemathesis.toml"
    config.write_text(
        f"[auth.wfc]\npath = {json.dumps(str(users))}\nuser = 'ours'\npeers = {json.dumps(list(keys))}\n"
        "[cache]\nenabled = false\n"
    )
    return config


async def run(address: str, directory: Path, config: Path, test_key: str) -> tuple[dict[str, Any], str]:
    """Run schemathesis and return its report and output."""
    report = directory / "report.json"
    options = {"--checks": "all", "--max-examples": EXAMPLES or 20, "--seed": SEED, "--report-json-path": report}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", config, "run", f"{address}/openapi.json"),
        *(str(part) for option in options.items() for part in option),
        *("--report", "json", "--continue-on-failure", "--generation-database", "none", "--no-color"),
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(ROOT), "SCHEMATHESIS_HOOKS": HOOKS, "SCHEMATHESIS_TEST_KEY": test_key},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        said, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return json.loads(report.read_text()), said.decode()


@pytest.mark.timeout(0 if EXAMPLES else 600)
async def test_generated_requests_get_the_answers_of_the_openapi_document(
    api: Api, address: str, tmp_path: Path
) -> None:
    users = {name: api.keys[name] for name in ("ours", "theirs")}
    report, said = await run(address, tmp_path, configure(tmp_path, users), api.keys[TESTED])
    cases = report["test_cases"]
    print(f"\nschemathesis, seed {SEED}: {cases['generated']} cases, {cases['with_failures']} with failures")  # noqa: T201
    assert (report["failures"], report["errors"], report["exit_code"]) == ([], [], 0), said
    assert report["complete"]
    assert {phase["status"] for phase in report["phases"].values()} == {"success"}
    assert {kind: found for kind, found in report["warnings"].items() if found} == {}, said
    # Every operation succeeded at least once.
    accepted = {
        name: sum(rates["accepted"] for rates in phases.values()) for name, phases in report["valid_rates"].items()
    }
    assert [name for name, count in accepted.items() if not count] == [], said
    # Only the loader of schemathesis requests the document itself.
    assert set(accepted) == {f"{route.method} {route.path}" for route in ROUTES} - {"GET /openapi.json"}
    assert cases["generated"] > 40 * len(ROUTES)
