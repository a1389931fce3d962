"""A short soak (`make soak` is the long one): nothing that the engine holds grows with its calls; and one that leaks is
caught."""

from dataclasses import replace
from pathlib import Path

import pytest

from engine.domain.notifications import EventType
from tests.soak.plan import Kind, Wanted
from tests.soak.run import run

SHORT = Wanted(rate=15, requests=2, warm_up=3, watched=8, talk=1, life=2, sample_every=0.25, sweep=1)
# Kept: a task for each callback, and a list that grows with each new id.
LEAKS = """
import asyncio
import aiohttp
import uuid_utils

kept = []
request, uuid7 = aiohttp.ClientSession._request, uuid_utils.uuid7

async def request_and_stay(*arguments, **options):
    kept.append(asyncio.create_task(asyncio.Event().wait()))
    return await request(*arguments, **options)

def uuid7_and_more(*arguments):
    kept.extend([object() for _ in range(200)])
    return uuid7(*arguments)

aiohttp.ClientSession._request, uuid_utils.uuid7 = request_and_stay, uuid7_and_more
"""


def test_the_engines_resources_do_not_grow_with_its_calls() -> None:
    report = run(SHORT, lambda line: None)
    assert report.failures == []
    # It was a test of something: calls of each kind came through, and customers were told of all there is to tell.
    assert report.calls >= 0.9 * SHORT.rate * SHORT.watched
    assert all(report.counts[kind.name] > 0 for kind in Kind), report.counts
    told = {*EventType, "call ended", "call on expired booking", "failed"} - {EventType.BOOKING_LOW_SECONDS}
    assert all(report.counts[f"callback: {each}"] > 0 for each in told), report.counts


def test_an_engine_that_leaks_a_task_and_a_list_is_detected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sitecustomize.py").write_text(LEAKS)
    root = Path(__file__).resolve().parents[2]
    leaking = replace(SHORT, rate=10, warm_up=1, watched=4, life=1)
    report = run(leaking, lambda line: None, {"PYTHONPATH": f"{tmp_path}:{root}"})
    found = {failure.partition(":")[0] for failure in report.failures}
    assert {"tasks", "pieces of memory"} <= found
    assert [each for each in report.failures if each.startswith("tasks: grew")]
