"""Attempts to deliver callbacks are counted by their outcomes, and those of sandboxes are not."""

import pytest

from engine.accounts.accounts import sandbox_of
from engine.callbacks.outbox import DeliveryReport
from engine.callbacks.tallies import DeliveryTallies
from engine.domain.ids import AccountId
from engine.domain.retry import AttemptOutcome, HttpAnswer, NoAnswer, Trouble
from engine.domain.times import EpochMs
from engine.runtime.clock import SystemClock
from engine.storage.outbox import Delivery
from engine.storage.webhook_secrets import SigningSecrets
from tests.integration.callback_fixtures import Outbox, _insert, outbox, receiver, working
from tests.integration.callback_receiver import CallbackReceiver

__all__ = ["outbox", "receiver"]

OUTCOMES: list[tuple[AttemptOutcome, str]] = [
    (HttpAnswer(204), "2xx"),
    (HttpAnswer(302), "3xx"),
    (HttpAnswer(410), "4xx"),
    (HttpAnswer(599), "5xx"),
    (HttpAnswer(999), "other"),
    (NoAnswer(Trouble.TLS), "tls_failed"),
    (NoAnswer(Trouble.FORBIDDEN), "address_not_allowed"),
]


@pytest.mark.parametrize(("outcome", "counted"), OUTCOMES)
def test_an_attempt_counts_by_its_outcome_and_a_first_one_by_its_delay(outcome: AttemptOutcome, counted: str) -> None:
    tallies, names = DeliveryTallies(), set(DeliveryTallies().attempts)
    for attempts, began_at in ((1, 1_500), (2, 9_000)):
        delivery = Delivery("e", AccountId("a"), "", "", attempts, attempts, EpochMs(1_000), SigningSecrets("s"))
        tallies.note(delivery, DeliveryReport(outcome, "", EpochMs(began_at), 5))
    assert {name: count for name, count in tallies.attempts.items() if count} == {counted: 2}
    assert set(tallies.attempts) == names
    assert tallies.delay_seconds.total == 0.5


async def test_the_worker_counts_attempts_of_no_sandbox(outbox: Outbox, receiver: CallbackReceiver) -> None:
    sandbox = await outbox.storage.run(sandbox_of, outbox.account.id, SystemClock().now())
    await outbox.storage.run(_insert, sandbox.id, receiver.url, ["evt_sandbox"])
    async with working(outbox) as worker:
        await outbox.post(receiver.url)
        await outbox.until("DELIVERED", 2)
    assert worker.tallies.attempts["2xx"] == 1
