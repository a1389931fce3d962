"""The delivery log, disabled endpoints and rotated secrets, with receivers on real sockets."""

import asyncio
import time
from dataclasses import replace
from typing import Any

import pytest
import structlog
from standardwebhooks import Webhook, WebhookVerificationError

from engine.callbacks import redelivery, secrets
from engine.callbacks.attempt import SHOWN_BYTES
from engine.domain.retry import HttpAnswer
from engine.runtime.clock import SystemClock
from tests.integration.callback_fixtures import FAST, Outbox, outbox, receiver, working
from tests.integration.callback_receiver import Answer, CallbackReceiver
from tests.integration.callback_sending import attempt_due

__all__ = ["outbox", "receiver"]

QUEUED = 10_000
CALLS = 150


def attempts(outbox: Outbox) -> list[dict[str, Any]]:
    return outbox.select("SELECT * FROM callback_attempts ORDER BY callback_id, attempt")


async def test_every_attempt_is_logged_with_its_answer(outbox: Outbox, receiver: CallbackReceiver) -> None:
    receiver.answer_with(
        Answer(503, body=b"upstream is down\r\n"), Answer(reset=True), Answer(200, body=b"\xe2\x98\x8e ok")
    )
    [event_id] = await outbox.post(receiver.url)
    before = SystemClock().now()
    async with working(outbox):
        await outbox.until("DELIVERED")
    logged = attempts(outbox)
    assert [(row["attempt"], row["status"], row["trouble"], row["response"]) for row in logged] == [
        (1, 503, None, "upstream is down\n"),
        (2, None, "connection failed", ""),
        (3, 200, None, "\N{BLACK TELEPHONE} ok"),
    ]
    assert {row["callback_id"] for row in logged} == {event_id}
    assert [before <= row["began_at"] <= SystemClock().now() for row in logged] == [True] * 3


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (b"x" * 5_000, "x" * SHOWN_BYTES),
        ("é".encode() * 1_000, "é" * (SHOWN_BYTES // 2)),
        (
            b"a" + "é".encode() * 1_000,
            "a" + "é" * (SHOWN_BYTES // 2 - 1),
        ),  # without the incomplete character at the end
        (b"\x00\x1b[2J\xff\tok\r\n", "\ufffd\ufffd[2J\ufffd\tok\n"),
        ("\u202egnol".encode(), "\ufffdgnol"),
        (b"y" * (SHOWN_BYTES - 6) + b"+14155550123", "y" * (SHOWN_BYTES - 6)),  # no part of a number
    ],
)
async def test_the_start_of_an_answer_is_stored_as_harmless_text(
    outbox: Outbox, receiver: CallbackReceiver, body: bytes, shown: str
) -> None:
    receiver.answer_with(Answer(200, body=body))
    await outbox.post(receiver.url)
    async with working(outbox):
        await outbox.until("DELIVERED")
    assert [row["response"] for row in attempts(outbox)] == [shown]


async def test_a_receivers_answer_is_never_written_to_the_log(outbox: Outbox, receiver: CallbackReceiver) -> None:
    receiver.answer_with(Answer(500, body=b"echo s3cret +32470123456"), Answer(410, body=b"echo s3cret"))
    await outbox.post(receiver.url + "/s3cret")
    with structlog.testing.capture_logs() as logs:
        async with working(outbox):
            await outbox.until("FAILED")
    assert "s3cret" not in repr(logs)
    assert "+3247" not in repr(logs)
    [said] = [entry for entry in logs if entry["event"] == "callback_endpoint_disabled"]
    assert (said["log_level"], said["account"], said["host"], said["reason"]) == (
        "warning",
        outbox.account.id,
        "127.0.0.1",
        "GONE",
    )


async def test_a_410_holds_later_callbacks_and_enabling_sends_them_in_order(
    outbox: Outbox, receiver: CallbackReceiver
) -> None:
    receiver.answer_with(Answer(410))
    [gone] = await outbox.post(receiver.url)
    async with working(outbox) as worker:
        await outbox.until("FAILED")
        held = await outbox.post(receiver.url, 300)
        worker.wake()
        await outbox.until("HELD", 300)
        assert len(receiver.requests) == 1
        receiver.answer_with(Answer(204))
        [endpoint] = outbox.select("SELECT id FROM callback_endpoints")
        await outbox.storage.run(redelivery.enable, outbox.account.id, endpoint["id"])
        worker.wake()
        await outbox.until("DELIVERED", 300)
    assert sorted(request.event_id for request in receiver.requests) == [gone, *held]
    assert outbox.rows()[0]["state"] == "FAILED"


async def test_an_endpoint_is_disabled_after_long_failure_and_a_success_resets_the_time(
    outbox: Outbox, receiver: CallbackReceiver
) -> None:
    async with CallbackReceiver() as lucky:
        receiver.answer_with(Answer(500))
        lucky.answer_with(Answer(500), Answer(200))
        await outbox.post(receiver.url)
        await outbox.post(lucky.url)
        async with working(outbox, replace(FAST, waits_ms=(30,) * 20, disable_after_ms=300)):
            await outbox.until("HELD")
            await outbox.until("DELIVERED")
    found = {row["url"]: row for row in outbox.select("SELECT * FROM callback_endpoints")}
    assert (found[receiver.url]["reason"], found[lucky.url]["reason"]) == ("FAILING", None)
    assert found[lucky.url]["failing_since"] is None
    assert found[receiver.url]["disabled_at"] - found[receiver.url]["failing_since"] >= 300


async def test_both_secrets_verify_during_the_overlap_and_only_the_new_one_after_it(
    outbox: Outbox, receiver: CallbackReceiver
) -> None:
    old = outbox.account.webhook_secret
    rotated = await outbox.storage.run(secrets.rotate, outbox.account.id, 1, SystemClock().now())
    async with working(outbox) as worker:
        await outbox.post(receiver.url)
        worker.wake()
        await receiver.wait_for(1)
        await asyncio.sleep(1.1)
        await outbox.post(receiver.url)
        worker.wake()
        await receiver.wait_for(2)
    both, after = receiver.requests
    assert [each[:3] for each in both.headers["webhook-signature"].split(" ")] == ["v1,", "v1,"]
    for secret in (rotated.present, old):
        Webhook(secret).verify(both.body, dict(both.headers))
    # The signature of the new secret comes first.
    first = dict(both.headers) | {"webhook-signature": both.headers["webhook-signature"].split(" ")[0]}
    Webhook(rotated.present).verify(both.body, {name.lower(): value for name, value in first.items()})
    Webhook(rotated.present).verify(after.body, dict(after.headers))
    with pytest.raises(WebhookVerificationError):
        Webhook(old).verify(after.body, dict(after.headers))


async def test_one_dead_receiver_with_ten_thousand_queued_delays_no_other(outbox: Outbox) -> None:
    """This prints how long others wait: `pytest -s tests/integration/test_callback_deliveries.py -k ten_thousand`."""
    waited: list[float] = []
    async with CallbackReceiver() as dead, CallbackReceiver() as good:
        dead.answer_with(Answer(delay=600))
        await outbox.post(dead.url, QUEUED)
        async with working(outbox, replace(FAST, timeout_ms=600_000, hold_ms=20_000, drain_ms=1)) as worker:
            await dead.wait_for(1)
            for number in range(1, CALLS + 1):
                began = time.monotonic()
                await outbox.post(good.url)
                worker.wake()
                await good.wait_for(number, timeout=30)
                waited.append(1_000 * (good.requests[-1].at - began))
            await outbox.until("DELIVERED", CALLS)
    queued = [row for row in outbox.rows() if row["url"] == dead.url]
    assert sorted(row["attempts"] for row in queued) == [0] * (QUEUED - 1) + [1]
    assert {row["state"] for row in queued} == {"PENDING"}
    first, *others = waited  # the first waits until all queued callbacks are claimed
    others.sort()
    p50, p99 = (others[len(others) * percent // 100] for percent in (50, 99))
    figures = f"{p50:.1f} ms (p50), {p99:.1f} ms (p99), the first {first:.0f} ms"
    print(f"\nbeside {QUEUED} queued for a dead receiver, others wait {figures}")  # noqa: T201  its report


async def test_queued_callbacks_to_a_disabled_endpoint_are_held_unsent(
    outbox: Outbox, receiver: CallbackReceiver
) -> None:
    await outbox.post(receiver.url)
    await outbox.storage.run(attempt_due, SystemClock().now(), HttpAnswer(410))
    await outbox.post(receiver.url, 1_000)
    async with working(outbox):
        await outbox.until("HELD", 1_000)
    assert receiver.requests == []
