"""Rows of the callbacks' tables as types: what is sent, to where, and what became of it. Instants are epoch ms."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine.domain.delivery import CallbackState, WhyDisabled


@dataclass(frozen=True, slots=True)
class WebhookSecrets:
    """`old` signs beside `present` until `old_until`; both None when there is no old one."""

    present: str
    old: str | None = None
    old_until: int | None = None

    def valid_at(self, now: int) -> tuple[str, ...]:
        """The present one first."""
        if self.old is None or self.old_until is None or self.old_until <= now:
            return (self.present,)
        return self.present, self.old


@dataclass(frozen=True, slots=True)
class Delivery:
    """A callback that a worker has claimed. `attempts` counts this one and fences off every other claim; `tries` counts
    from the beginning of the present schedule."""

    id: str
    account_id: str
    url: str
    body: str
    attempts: int
    tries: int
    created_at: int
    secrets: WebhookSecrets


@dataclass(frozen=True, slots=True)
class AttemptRecord:
    """`attempt` counts from 1. Either `status` or `trouble` is None. `response`: the beginning of the answer's body."""

    attempt: int
    began_at: int
    took_ms: int
    status: int | None
    trouble: str | None
    response: str


@dataclass(frozen=True, slots=True)
class CallbackRecord:
    """A callback as its owner sees it. `body`: empty in lists. `claimed`: it is being tried, or about to be."""

    id: str
    booking_id: str
    url: str
    body: str
    state: CallbackState
    attempts: int
    claimed: bool
    created_at: int
    due_at: int
    finished_at: int | None
    last_outcome: str | None


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A URL of an account that was tried before. `reason`: why it is disabled, None if it is not."""

    id: str
    account_id: str
    url: str
    failing_since: int | None
    disabled_at: int | None
    reason: WhyDisabled | None


def callback_from_row(row: Mapping[str, Any]) -> CallbackRecord:
    return CallbackRecord(**{**row, "state": CallbackState(row["state"]), "claimed": bool(row["claimed"])})


def endpoint_from_row(row: Mapping[str, Any]) -> Endpoint:
    reason = row["reason"]
    return Endpoint(**{**row, "reason": None if reason is None else WhyDisabled(reason)})


def secrets_from_row(row: Mapping[str, Any]) -> WebhookSecrets:
    return WebhookSecrets(row["webhook_secret"], row["old_webhook_secret"], row["old_secret_until"])
