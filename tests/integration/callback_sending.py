"""Send single callbacks as the worker does."""

import ssl
import time

from engine.callbacks.attempt import attempt, open_session
from engine.callbacks.connector import tls_of_this_machine
from engine.callbacks.outbox import DeliveryReport, record
from engine.domain.ids import AccountId
from engine.domain.policy import CallbackRules
from engine.domain.retry import AttemptOutcome, HttpAnswer, decide
from engine.domain.times import EpochMs
from engine.storage.outbox import Delivery
from engine.storage.transaction import Transaction
from engine.storage.webhook_secrets import SigningSecrets

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BODY = '{"id": "cdr_1",  "name": "caf\u00e9 \\u00e9 \u260e"}'
# Made once, since reading the machine's certificate authorities takes longer than an attempt.
TLS = tls_of_this_machine()
# Receivers of tests listen on this machine.
DEMO = CallbackRules(ports=frozenset(), this_machine=True)


def attempt_due(
    tx: Transaction, now: EpochMs, outcome: AttemptOutcome, response: str = "", disable_after_ms: int = 10**9
) -> list[str]:
    """Record `outcome` for all due callbacks, as the worker does, and return their ids."""
    waiting = tx.outbox.accounts_waiting("", 100)
    due = sorted(
        each
        for account_id, _ in waiting
        for each in tx.outbox.line_up_due(account_id, now, EpochMs(now + 1), 1_000).due
    )
    for event_id, _, attempts, *_ in due:
        delivery = tx.outbox.begin(event_id, attempts, now + 1)
        if delivery is None:
            continue  # its endpoint was disabled by the one before
        decision = decide(outcome, delivery.tries, (10, 10), 0)
        record(tx, delivery, DeliveryReport(outcome, response, now, 5), decision, now, disable_after_ms)
    return [event_id for event_id, *_ in due]


def failed_callback(tx: Transaction, now: EpochMs) -> tuple[str, str]:
    """Record a 410 for the newest due callback. Returns its id and the id of its endpoint."""
    *_, callback_id = attempt_due(tx, now, HttpAnswer(410))
    owner = tx.outbox.owner_of(callback_id)
    assert owner is not None
    return callback_id, tx.endpoints.newest(owner, 1)[0].id


async def send(
    url: str,
    rules: CallbackRules = DEMO,
    *,
    timeout_ms: int = 5_000,
    secret: str = SECRET,
    tls: ssl.SSLContext = TLS,
) -> AttemptOutcome:
    """Send one callback over a new session."""
    delivery = Delivery("evt_1", AccountId("acc_1"), url, BODY, 1, 1, EpochMs(0), SigningSecrets(secret))
    async with open_session(rules=rules, lookups_at_once=2, tls=tls) as session:
        now = time.time_ns() // 1_000_000
        return (await attempt(session, delivery, now=EpochMs(now), timeout_ms=timeout_ms, rules=rules)).outcome
