"""kill -9 of the worker at each of its writes and during a send.

Every callback arrives with its own id, and state, log and endpoint agree.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from engine.runtime.failpoints import VARIABLE
from tests.integration.callback_fixtures import Outbox, outbox, receiver, working
from tests.integration.callback_receiver import Answer, CallbackReceiver
from tests.integration.callback_worker_process import CONFIG

__all__ = ["outbox", "receiver"]

ROOT = Path(__file__).parents[2]
CALLBACKS = 12
# Writes with work before and after them.
POINTS = [
    "line_up committed:2",
    "begin_all before commit:2",
    "begin_all committed:2",
    "record before commit:2",
    "record committed:2",
]


async def killed_at(outbox: Outbox, point: str) -> None:
    worker = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.integration.callback_worker_process", str(outbox.path)),
        cwd=ROOT,
        env=os.environ | {VARIABLE: point},
    )
    async with asyncio.timeout(30):
        assert await worker.wait() == -signal.SIGKILL


def check(outbox: Outbox, receiver: CallbackReceiver, ids: list[str]) -> None:
    rows = outbox.rows()
    assert {request.event_id for request in receiver.requests} == set(ids)  # none is lost, and none has another id
    assert [row["state"] for row in rows] == ["DELIVERED"] * len(ids)
    logged = outbox.select("SELECT callback_id, MAX(attempt) AS last FROM callback_attempts GROUP BY 1 ORDER BY 1")
    # The last logged attempt delivered it, since outcome and log are written together.
    assert [(row["callback_id"], row["last"]) for row in logged] == [(row["id"], row["attempts"]) for row in rows]
    assert outbox.select("SELECT status FROM callback_attempts WHERE status NOT IN (200, 503)") == []
    [endpoint] = outbox.select("SELECT failing_since, disabled_at, last_attempt_at FROM callback_endpoints")
    assert (endpoint["failing_since"], endpoint["disabled_at"]) == (None, None)
    # Only the attempts that the killed worker had under way were sent and not logged.
    [logs] = outbox.select("SELECT COUNT(*) AS count FROM callback_attempts")
    assert 0 <= len(receiver.requests) - logs["count"] <= CONFIG.workers


@pytest.mark.parametrize("point", POINTS)
async def test_after_a_kill_at_any_write_all_callbacks_are_delivered_and_the_log_agrees(
    outbox: Outbox, receiver: CallbackReceiver, point: str
) -> None:
    receiver.answer_with(Answer(503), Answer(200))
    ids = await outbox.post(receiver.url, CALLBACKS)
    await killed_at(outbox, point)
    async with working(outbox, CONFIG):
        await outbox.until("DELIVERED", CALLBACKS)
    check(outbox, receiver, ids)


async def test_after_a_kill_between_send_and_record_a_callback_is_sent_again_with_its_id(
    outbox: Outbox, receiver: CallbackReceiver
) -> None:
    receiver.answer_with(Answer(200, delay=0.4), Answer(200))
    [event_id] = await outbox.post(receiver.url)
    worker = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.integration.callback_worker_process", str(outbox.path)), cwd=ROOT
    )
    await receiver.wait_for(1, timeout=30)
    worker.kill()
    await worker.wait()
    async with working(outbox, CONFIG):
        await outbox.until("DELIVERED")
    assert [request.event_id for request in receiver.requests] == [event_id] * 2
    assert [row["attempt"] for row in outbox.select("SELECT attempt FROM callback_attempts")] == [2]
