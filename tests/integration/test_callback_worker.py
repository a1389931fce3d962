"""The outbox worker against real receivers, over a real database."""

import asyncio
import time
from dataclasses import replace

import pytest
import structlog
from standardwebhooks import Webhook

from engine.accounts.accounts import create_account
from engine.callbacks import worker as worker_module
from engine.callbacks.worker import CallbackWorker
from engine.domain.policy import CallbackRules
from engine.runtime.clock import SystemClock
from tests.integration.callback_fixtures import BODY, FAST, FailingStorage, Outbox, outbox, receiver, working
from tests.integration.callback_receiver import Answer, CallbackReceiver

__all__ = ["outbox", "receiver"]


async def test_a_callback_is_delivered_once_and_signed(outbox: Outbox, receiver: CallbackReceiver) -> None:
    async with working(outbox) as worker:
        [event_id] = await outbox.post(receiver.url)
        worker.wake()
        [row] = await outbox.until("DELIVERED")
        await asyncio.sleep(0.7)  # longer than every hold and wait
    [request] = receiver.requests
    assert request.event_id == event_id
    assert request.body == BODY.encode()
    Webhook(outbox.account.webhook_secret).verify(request.body, dict(request.headers))
    assert (row["attempts"], row["last_outcome"]) == (1, "HTTP 204")


async def test_waking_the_worker_delivers_at_once(outbox: Outbox, receiver: CallbackReceiver) -> None:
    async with working(outbox) as worker:
        await asyncio.sleep(0.1)  # it sleeps, for five seconds unless it is woken
        await outbox.post(receiver.url)
        worker.wake()
        await receiver.wait_for(1, timeout=4)


async def test_callbacks_that_another_process_posts_are_found_for_every_account(
    outbox: Outbox, receiver: CallbackReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "SCAN_SECONDS", 0.2)
    monkeypatch.setattr(worker_module, "SCAN", 1)
    other = await outbox.storage.run(create_account, "other", SystemClock().now())
    async with working(outbox):
        await receiver.wait_for(0)
        for account in (outbox.account, other):
            await replace(outbox, account=account).post(receiver.url, 2)
        await outbox.until("DELIVERED", 4)


async def test_callbacks_from_before_the_start_are_delivered(outbox: Outbox, receiver: CallbackReceiver) -> None:
    ids = await outbox.post(receiver.url, 300)
    async with working(outbox):
        await outbox.until("DELIVERED", 300)
    assert sorted(request.event_id for request in receiver.requests) == ids


async def test_a_retry_has_the_same_id_and_a_new_timestamp(outbox: Outbox, receiver: CallbackReceiver) -> None:
    receiver.answer_with(Answer(500), Answer(302, headers={"Location": "/elsewhere"}), Answer(200))
    [event_id] = await outbox.post(receiver.url)
    async with working(outbox, replace(FAST, waits_ms=(30, 1_100))):
        [row] = await outbox.until("DELIVERED")
    assert [request.event_id for request in receiver.requests] == [event_id] * 3
    assert {request.path for request in receiver.requests} == {"/callback"}
    assert receiver.requests[2].headers["webhook-timestamp"] > receiver.requests[0].headers["webhook-timestamp"]
    assert row["attempts"] == 3


@pytest.mark.parametrize(("status", "attempts"), [(503, 4), (410, 1)])
async def test_a_callback_fails_after_the_last_attempt_or_a_410(
    outbox: Outbox, receiver: CallbackReceiver, status: int, attempts: int
) -> None:
    receiver.answer_with(Answer(status))
    await outbox.post(receiver.url)
    async with working(outbox):
        [row] = await outbox.until("FAILED")
        await asyncio.sleep(0.2)
    assert len(receiver.requests) == row["attempts"] == attempts
    assert row["last_outcome"] == f"HTTP {status}"


async def test_retry_after_is_waited_for(outbox: Outbox, receiver: CallbackReceiver) -> None:
    receiver.answer_with(Answer(429, headers={"Retry-After": "1"}), Answer(200))
    await outbox.post(receiver.url)
    async with working(outbox, replace(FAST, waits_ms=(10, 60_000))):
        await outbox.until("DELIVERED")
    assert receiver.requests[1].at - receiver.requests[0].at >= 1.0


async def test_a_timeout_counts_as_an_attempt(outbox: Outbox, receiver: CallbackReceiver) -> None:
    receiver.answer_with(Answer(delay=30), Answer(200))
    await outbox.post(receiver.url)
    async with working(outbox, replace(FAST, timeout_ms=200)):
        [row] = await outbox.until("DELIVERED")
    assert row["attempts"] == 2


async def test_retries_go_on_after_a_restart_with_the_same_id(outbox: Outbox, receiver: CallbackReceiver) -> None:
    receiver.answer_with(Answer(500), Answer(200))
    [event_id] = await outbox.post(receiver.url)
    config = replace(FAST, waits_ms=(400,))
    async with working(outbox, config):
        await receiver.wait_for(1)
    assert outbox.rows()[0]["state"] == "PENDING"
    async with working(outbox, config):
        await outbox.until("DELIVERED")
    assert [request.event_id for request in receiver.requests] == [event_id] * 2


async def test_a_crash_before_recording_delivers_again_with_the_same_id(
    outbox: Outbox, receiver: CallbackReceiver
) -> None:
    [event_id] = await outbox.post(receiver.url)
    dying = FailingStorage(outbox.storage, lambda command: command == "record")
    config = replace(FAST, timeout_ms=200, margin_ms=100)
    worker = asyncio.create_task(CallbackWorker(dying, SystemClock(), config).run(asyncio.Event()))
    await receiver.wait_for(1)
    worker.cancel()
    with pytest.raises(asyncio.CancelledError):
        await worker
    assert outbox.rows()[0]["state"] == "PENDING"
    async with working(outbox, config):
        [row] = await outbox.until("DELIVERED")
    assert [request.event_id for request in receiver.requests] == [event_id] * 2
    assert row["attempts"] == 2


@pytest.mark.parametrize("command", ["line_up", "begin_all", "record"])
async def test_the_worker_survives_failing_storage(outbox: Outbox, receiver: CallbackReceiver, command: str) -> None:
    storage = FailingStorage(outbox.storage, lambda name: name == command and storage.failures < 2)
    await outbox.post(receiver.url)
    async with working(outbox, storage=storage):
        await outbox.until("DELIVERED")
    assert storage.failures == 2
    assert len(receiver.requests) == 1


async def test_only_the_worker_of_the_last_attempt_records_it(outbox: Outbox, receiver: CallbackReceiver) -> None:
    [event_id] = await outbox.post(receiver.url)
    receiver.answer_with(Answer(200, delay=0.3))
    async with working(outbox):
        await receiver.wait_for(1)
        later = SystemClock().now() + 60_000
        assert await outbox.storage.run(lambda tx: tx.outbox.begin(event_id, 0, later)) is None
        assert await outbox.storage.run(lambda tx: tx.outbox.begin(event_id, 1, later)) is not None
        await asyncio.sleep(0.5)
    assert [(row["state"], row["attempts"]) for row in outbox.rows()] == [("PENDING", 2)]


async def test_two_workers_deliver_each_callback_once(outbox: Outbox, receiver: CallbackReceiver) -> None:
    ids = await outbox.post(receiver.url, 100)
    async with working(outbox), working(outbox):
        await outbox.until("DELIVERED", 100)
    assert sorted(request.event_id for request in receiver.requests) == ids


async def test_a_dead_receiver_with_many_queued_does_not_delay_another(outbox: Outbox) -> None:
    async with CallbackReceiver() as dead, CallbackReceiver() as good:
        dead.answer_with(Answer(delay=60))
        await outbox.post(dead.url, 200)
        async with working(outbox, replace(FAST, timeout_ms=60_000, hold_ms=500, drain_ms=100)) as worker:
            await dead.wait_for(1)
            for number in range(1, 21):
                began = time.monotonic()
                await outbox.post(good.url)
                worker.wake()
                await good.wait_for(number)
                assert time.monotonic() - began < 20  # the first attempt to the dead receiver takes a minute
            await asyncio.sleep(1.5)  # the held rows come due and are held again, without an attempt
            assert len(dead.requests) == 1
            queued = [row for row in outbox.rows() if row["url"] == dead.url]
            assert sorted(row["attempts"] for row in queued) == [0] * 199 + [1]
            assert {row["state"] for row in queued} == {"PENDING"}


async def test_a_recovered_receiver_gets_all_queued_callbacks(outbox: Outbox, receiver: CallbackReceiver) -> None:
    receiver.answer_with(Answer(delay=60), Answer(200))
    await outbox.post(receiver.url, 200)
    async with working(outbox, replace(FAST, timeout_ms=3_000)):
        await outbox.until("DELIVERED", 200)
    assert len(receiver.requests) == 201


async def test_a_stop_lets_running_attempts_finish(outbox: Outbox, receiver: CallbackReceiver) -> None:
    receiver.answer_with(Answer(200, delay=0.3))
    await outbox.post(receiver.url)
    async with working(outbox):
        await receiver.wait_for(1)
    assert outbox.rows()[0]["state"] == "DELIVERED"


async def test_a_stop_does_not_wait_without_limit(outbox: Outbox, receiver: CallbackReceiver) -> None:
    receiver.answer_with(Answer(200, delay=60))
    await outbox.post(receiver.url)
    async with working(outbox, replace(FAST, timeout_ms=60_000, drain_ms=200)):
        await receiver.wait_for(1)
        began = time.monotonic()
    assert time.monotonic() - began < 10
    assert outbox.rows()[0]["state"] == "PENDING"


async def test_loopback_is_not_called_unless_allowed(outbox: Outbox, receiver: CallbackReceiver) -> None:
    await outbox.post(receiver.url.replace("http:", "https:"))
    async with working(outbox, replace(FAST, rules=CallbackRules(ports=frozenset({443})))):
        [row] = await outbox.until("FAILED")
    assert receiver.connections == 0
    assert row["last_outcome"] == "address not allowed"


async def test_logs_contain_neither_the_body_nor_the_urls_path(outbox: Outbox, receiver: CallbackReceiver) -> None:
    receiver.answer_with(Answer(500), Answer(410))
    [event_id] = await outbox.post(receiver.url + "/s3cret?token=s3cret")
    with structlog.testing.capture_logs() as logs:
        async with working(outbox):
            await outbox.until("FAILED")
    told = [
        [entry[key] for key in ("event", "event_id", "status", "attempt", "host")]
        for entry in logs
        if "status" in entry
    ]
    assert ["callback_postponed", event_id, 500, 1, "127.0.0.1"] in told
    assert [entry["log_level"] for entry in logs if entry["event"] == "callback_postponed"] == ["debug"]
    failing = [entry for entry in logs if entry["event"] == "callback_host_failing"]
    assert [(entry["host"], entry["outcome"], entry["failures"]) for entry in failing] == [("127.0.0.1", "HTTP 500", 1)]
    assert ["callback_given_up", event_id, 410, 2, "127.0.0.1"] in told
    for secret in ("s3cret", "/callback", "+3225550", outbox.account.webhook_secret):
        assert secret not in repr(logs)
