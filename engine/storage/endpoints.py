"""The table of callback endpoints."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine.domain.ids import AccountId
from engine.domain.retry import WhyDisabled
from engine.domain.times import EpochMs
from engine.storage.filters import LAST_ID
from engine.storage.outbox import Delivery
from engine.storage.table import Table


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A URL of an account that was tried before. `reason`: why it is disabled, None if it is not."""

    id: str
    account_id: AccountId
    url: str
    failing_since: EpochMs | None
    disabled_at: EpochMs | None
    reason: WhyDisabled | None


class Endpoints(Table):
    def note_success(self, endpoint_id: str, delivery: Delivery, now: EpochMs) -> None:
        """`endpoint_id`: for one that is new."""
        self._sql.note_endpoint_success(
            self._db, id=endpoint_id, account_id=delivery.account_id, url=delivery.url, now=now
        )

    def note_failure(self, endpoint_id: str, delivery: Delivery, now: EpochMs) -> Endpoint:
        """As it is then. `endpoint_id`: for one that is new."""
        [row] = list(
            self._sql.note_endpoint_failure(
                self._db, id=endpoint_id, account_id=delivery.account_id, url=delivery.url, now=now
            )
        )
        return endpoint_from_row(row)

    def disable(self, endpoint_id: str, reason: str, now: EpochMs) -> None:
        self._sql.disable_endpoint(self._db, id=endpoint_id, reason=reason, now=now)

    def enable(self, endpoint_id: str) -> None:
        """What is held for it is to be released, see `release`."""
        self._sql.enable_endpoint(self._db, id=endpoint_id)

    def of_account(self, account_id: AccountId, endpoint_id: str) -> Endpoint | None:
        row = self._sql.endpoint_of_account(self._db, account_id=account_id, id=endpoint_id)
        return endpoint_from_row(row) if row else None

    def owner_of(self, endpoint_id: str) -> AccountId | None:
        """Its account's id."""
        owner: AccountId | None = self._sql.owner_of_endpoint(self._db, id=endpoint_id)
        return owner

    def of_url(self, account_id: AccountId, url: str) -> Endpoint | None:
        row = self._sql.endpoint_of_url(self._db, account_id=account_id, url=url)
        return endpoint_from_row(row) if row else None

    def newest(self, account_id: AccountId, at_most: int) -> list[Endpoint]:
        rows = self._sql.endpoints_page(self._db, account_id=account_id, before_id=LAST_ID, at_most=at_most)
        return [endpoint_from_row(row) for row in rows]

    def release(self, now: EpochMs, at_most: int) -> None:
        """Have up to so many callbacks tried now that were held for an endpoint which has been enabled since."""
        found = self._sql.endpoint_to_release(self._db)
        if found is None:
            return
        released = self._sql.release_held_callbacks(
            self._db, account_id=found["account_id"], url=found["url"], now=now, at_most=at_most
        )
        if released < at_most:
            self._sql.endpoint_is_released(self._db, id=found["id"])


def endpoint_from_row(row: Mapping[str, Any]) -> Endpoint:
    reason = row["reason"]
    return Endpoint(**{**row, "reason": None if reason is None else WhyDisabled(reason)})
