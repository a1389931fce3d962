"""kill -9 of the worker at each of its write points, and while it sends: every callback arrives, under its own id, and
state, log and endpoint say the same."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from engine.runtime.failpoints import VARIABLE
from tests.integration.callback_fixtures import Office, office, receiver, working
from tests.integration.callback_receiver import Answer, CallbackReceiver
from tests.integration.callback_worker_process import CONFIG

__all__ = ["office", "receiver"]

ROOT = Path(__file__).parents[2]
CALLBACKS = 12
# Each in the middle of things.
POINTS = [
    "line_up committed:2",
    "begin_all before commit:2",
    "begin_all committed:2",
    "record before commit:2",
    "record committed:2",
]


async def killed_at(office: Office, point: str) -> None:
    victim = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.integration.callback_worker_process", str(office.path)),
        cwd=ROOT,
        env=os.environ | {VARIABLE: point},
    )
    async with asyncio.timeout(30):
        assert await victim.wait() == -signal.SIGKILL


def check(office: Office, receiver: CallbackReceiver, ids: list[str]) -> None:
    rows = office.rows()
    assert {request.event_id for request in receiver.requests} == set(ids)  # none lost, none under another id
    assert [row["state"] for row in rows] == ["DELIVERED"] * len(ids)
    logged = office.select("SELECT callback_id, MAX(attempt) AS last FROM callback_attempts GROUP BY 1 ORDER BY 1")
    # The last try is the one that delivered it: outcome and log were kept together.
    assert [(row["callback_id"], row["last"]) for row in logged] == [(row["id"], row["attempts"]) for row in rows]
    assert office.select("SELECT status FROM callback_attempts WHERE status NOT IN (200, 503)") == []
    [endpoint] = office.select("SELECT failing_since, disabled_at, last_attempt_at FROM callback_endpoints")
    assert (endpoint["failing_since"], endpoint["disabled_at"]) == (None, None)
    # What was sent and not logged is what the killed one had under way.
    [logs] = office.select("SELECT COUNT(*) AS count FROM callback_attempts")
    assert 0 <= len(receiver.requests) - logs["count"] <= CONFIG.workers


@pytest.mark.parametrize("point", POINTS)
async def test_after_a_kill_at_any_write_all_callbacks_are_delivered_and_the_log_agrees(
    office: Office, receiver: CallbackReceiver, point: str
) -> None:
    receiver.answer_with(Answer(503), Answer(200))
    ids = await office.post(receiver.url, CALLBACKS)
    await killed_at(office, point)
    async with working(office, CONFIG):
        await office.until("DELIVERED", CALLBACKS)
    check(office, receiver, ids)


async def test_after_a_kill_between_send_and_record_a_callback_is_sent_again_with_its_id(
    office: Office, receiver: CallbackReceiver
) -> None:
    receiver.answer_with(Answer(200, delay=0.4), Answer(200))
    [event_id] = await office.post(receiver.url)
    victim = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.integration.callback_worker_process", str(office.path)), cwd=ROOT
    )
    await receiver.wait_for(1, timeout=30)
    victim.kill()
    await victim.wait()
    async with working(office, CONFIG):
        await office.until("DELIVERED")
    assert [request.event_id for request in receiver.requests] == [event_id] * 2
    assert [row["attempt"] for row in office.select("SELECT attempt FROM callback_attempts")] == [2]
