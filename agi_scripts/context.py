"""What the scripts need of the rest, handed over by the composition root."""

from dataclasses import dataclass

from engine.asterisk.limit_keeper import LimitKeeper
from engine.domain.policy import Policy
from engine.runtime.clock import Clock
from engine.storage.sqlite import SqliteStorage


@dataclass(frozen=True, slots=True)
class CallContext:
    """`limits` shares what is left among calls that are up."""

    storage: SqliteStorage
    clock: Clock
    policy: Policy
    limits: LimitKeeper
    expired_announcement: str
