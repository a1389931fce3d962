"""What a command may read and write, in methods named for their use. One object a database connection."""

from typing import Any

from engine.storage.accounts import Accounts
from engine.storage.blocked_callers import BlockedCallers
from engine.storage.bookings import Bookings
from engine.storage.calls import Calls
from engine.storage.cdrs import Cdrs
from engine.storage.endpoints import Endpoints
from engine.storage.kept_answers import KeptAnswers
from engine.storage.notifications import Notifications
from engine.storage.numbers import Numbers
from engine.storage.outbox import Outbox
from engine.storage.overview import Overview
from engine.storage.retention import ErasureTables, RetentionTables
from engine.storage.sandboxes import Sandboxes
from engine.storage.webhook_secrets import WebhookSecrets


class Transaction:
    """Handed to every command. Its tables are valid while the command runs, on the thread that runs it."""

    def __init__(self, queries: Any, connection: Any) -> None:  # noqa: ANN401  as above
        self.bookings = Bookings(queries, connection)
        self.blocked = BlockedCallers(queries, connection)
        self.numbers = Numbers(queries, connection)
        self.calls = Calls(queries, connection)
        self.cdrs = Cdrs(queries, connection)
        self.outbox = Outbox(queries, connection)
        self.endpoints = Endpoints(queries, connection)
        self.webhook_secrets = WebhookSecrets(queries, connection)
        self.accounts = Accounts(queries, connection)
        self.overview = Overview(queries, connection)
        self.answers = KeptAnswers(queries, connection)
        self.retention = RetentionTables(queries, connection)
        self.notices = Notifications(queries, connection)
        self.erasure = ErasureTables(queries, connection)
        self.worlds = Sandboxes(queries, connection)
        self.posted = False  # True: a callback waits for whoever delivers
