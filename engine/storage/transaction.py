"""What a command may read and write."""

from typing import Any

from engine.domain.call_ends import EndedCall
from engine.domain.ids import AccountId
from engine.storage.accounts import Accounts
from engine.storage.blocked_callers import BlockedCallers
from engine.storage.bookings import Bookings
from engine.storage.call_path import CallPath
from engine.storage.calls import Calls
from engine.storage.cdrs import Cdrs
from engine.storage.endpoints import Endpoints
from engine.storage.erasure import ErasureTables
from engine.storage.errands import Errands
from engine.storage.keepers import Keepers
from engine.storage.kept_answers import KeptAnswers
from engine.storage.notifications import Notifications
from engine.storage.numbers import Numbers
from engine.storage.outbox import Outbox
from engine.storage.overview import Overview
from engine.storage.pairs import Pairs
from engine.storage.pins import Pins
from engine.storage.reached_callers import ReachedCallers
from engine.storage.receivers import Receivers
from engine.storage.refused_calls import RefusedCallTables
from engine.storage.restores import Restores
from engine.storage.retention import RetentionTables
from engine.storage.revocations import Kind, Withdrawal
from engine.storage.sandboxes import Sandboxes
from engine.storage.twilio_proxy import TwilioProxy
from engine.storage.web_access import WebAccess
from engine.storage.webhook_secrets import WebhookSecrets


class Transaction:
    """The tables, for one command. They are valid while the command runs, and only in the thread that runs it.

    Attributes:
        posted_for: The accounts for which commands have put a callback into the outbox, or made one due. The worker is
            woken for them after the commit.
        withdrawn: What commands withdraw for good; the storage writes it into the revocation log before the commit.
        ended: The real calls whose records commands have written; the storage has them counted after the commit.
    """

    def __init__(self, queries: Any, connection: Any) -> None:  # noqa: ANN401  aiosql and DB-API: both untyped
        self.bookings = Bookings(queries, connection)
        self.blocked = BlockedCallers(queries, connection)
        self.numbers = Numbers(queries, connection)
        self.pairs = Pairs(queries, connection)
        self.pins = Pins(queries, connection)
        self.calls = Calls(queries, connection)
        self.call_path = CallPath(queries, connection)
        self.cdrs = Cdrs(queries, connection)
        self.outbox = Outbox(queries, connection)
        self.endpoints = Endpoints(queries, connection)
        self.webhook_secrets = WebhookSecrets(queries, connection)
        self.accounts = Accounts(queries, connection)
        self.overview = Overview(queries, connection)
        self.kept_answers = KeptAnswers(queries, connection)
        self.retention = RetentionTables(queries, connection)
        self.notifications = Notifications(queries, connection)
        self.erasure = ErasureTables(queries, connection)
        self.sandboxes = Sandboxes(queries, connection)
        self.receivers = Receivers(queries, connection)
        self.reached_callers = ReachedCallers(queries, connection)
        self.posted_for: frozenset[AccountId] = frozenset()
        self.refused_calls = RefusedCallTables(queries, connection)
        self.restores = Restores(queries, connection)
        self.web_access = WebAccess(queries, connection)
        self.keepers = Keepers(queries, connection)
        self.errands = Errands(queries, connection)
        self.twilio_proxy = TwilioProxy(queries, connection)
        self.withdrawn: list[Withdrawal] = []
        self.ended: list[EndedCall] = []

    def begin_anew(self) -> None:
        """Forgets what former commands have asked for."""
        self.posted_for = frozenset()
        self.withdrawn.clear()
        self.ended.clear()

    def withdraw(self, kind: Kind, subject: str) -> None:
        """Notes that something is withdrawn for good, so that a restore withdraws it again."""
        self.withdrawn.append(Withdrawal(kind, subject))
