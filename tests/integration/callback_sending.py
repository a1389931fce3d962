"""One callback sent as the worker sends it, for tests of what becomes of it."""

import ssl
import time

from engine.callbacks.attempt import attempt, open_session
from engine.callbacks.connector import tls_of_this_machine
from engine.callbacks.guard import CallbackRules
from engine.domain.retry import AttemptOutcome
from engine.storage.rows import Delivery

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BODY = '{"id": "cdr_1",  "name": "caf\u00e9 \\u00e9 \u260e"}'
# Made once: reading the machine's authorities takes longer than an attempt.
TLS = tls_of_this_machine()
# Receivers of tests listen on this machine.
DEMO = CallbackRules(ports=frozenset(), this_machine=True)


async def send(
    url: str,
    rules: CallbackRules = DEMO,
    *,
    timeout_ms: int = 5_000,
    secret: str = SECRET,
    tls: ssl.SSLContext = TLS,
) -> AttemptOutcome:
    """Over a session of its own."""
    delivery = Delivery("evt_1", "acc_1", url, BODY, 1, 0, secret)
    async with open_session(rules=rules, lookups_at_once=2, tls=tls) as session:
        now = time.time_ns() // 1_000_000
        return await attempt(session, delivery, now=now, timeout_ms=timeout_ms, rules=rules)
