"""The table of callback endpoints."""

from dataclasses import dataclass

from engine.domain.ids import AccountId
from engine.domain.retry import WhyDisabled
from engine.domain.times import EpochMs
from engine.storage.filters import LAST_ID
from engine.storage.outbox import Delivery
from engine.storage.table import Row, Table


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A URL to which callbacks of an account were sent.

    Attributes:
        failing_since: When the present series of failures began. None: the last attempt succeeded.
        disabled_at: When it was disabled. None: it is enabled.
        reason: Why it was disabled. None: it is enabled.
    """

    id: str
    account_id: AccountId
    url: str
    failing_since: EpochMs | None
    disabled_at: EpochMs | None
    reason: WhyDisabled | None


class Endpoints(Table):
    """Callback endpoints, one for each account and URL."""

    def note_success(self, endpoint_id: str, delivery: Delivery, now: EpochMs, *, is_quick: bool) -> None:
        """Stores a successful attempt. A disabled endpoint stays disabled.

        Args:
            endpoint_id: Id for a new endpoint, used when the account has none with this URL yet.
            delivery: The callback that was sent.
            now: When the attempt ended.
            is_quick: Whether the answer came promptly.
        """
        self._sql.note_endpoint_success(
            self._db, id=endpoint_id, account_id=delivery.account_id, url=delivery.url, now=now, is_quick=is_quick
        )

    def note_failure(self, endpoint_id: str, delivery: Delivery, now: EpochMs) -> Endpoint:
        """Stores a failed attempt. Returns the endpoint; its `failing_since` is the first failure of the series.

        Args:
            endpoint_id: Id for a new endpoint, used when the account has none with this URL yet.
            delivery: The callback that was sent.
            now: When the attempt ended.
        """
        [row] = self._sql.note_endpoint_failure(
            self._db, id=endpoint_id, account_id=delivery.account_id, url=delivery.url, now=now
        )
        return endpoint_from_row(row)

    def disable(self, endpoint_id: str, reason: str, now: EpochMs) -> None:
        """Disables an endpoint: its callbacks are held from now on."""
        self._sql.disable_endpoint(self._db, id=endpoint_id, reason=reason, now=now)

    def enable(self, endpoint_id: str) -> None:
        """Enables an endpoint. `release` then makes its held callbacks due."""
        self._sql.enable_endpoint(self._db, id=endpoint_id)

    def release(self, now: EpochMs, limit: int) -> AccountId | None:
        """Makes up to `limit` held callbacks of one endpoint due, if one was enabled since they were held.

        Returns:
            The endpoint's account; None if there was no such endpoint.
        """
        found = self._sql.endpoint_to_release(self._db)
        if found is None:
            return None
        released = self._sql.release_held_callbacks(
            self._db, account_id=found["account_id"], url=found["url"], now=now, at_most=limit
        )
        if released < limit:
            self._sql.endpoint_is_released(self._db, id=found["id"])
        return AccountId(found["account_id"])

    def of_account(self, account_id: AccountId, endpoint_id: str) -> Endpoint | None:
        """Returns the account's endpoint with that id."""
        row = self._sql.endpoint_of_account(self._db, account_id=account_id, id=endpoint_id)
        return endpoint_from_row(row) if row else None

    def owner_of(self, endpoint_id: str) -> AccountId | None:
        """Returns the account that the endpoint belongs to."""
        owner: AccountId | None = self._sql.owner_of_endpoint(self._db, id=endpoint_id)
        return owner

    def newest(self, account_id: AccountId, limit: int) -> list[Endpoint]:
        """Returns the account's endpoints, newest first."""
        rows = self._sql.endpoints_page(self._db, account_id=account_id, before_id=LAST_ID, at_most=limit)
        return [endpoint_from_row(row) for row in rows]


def endpoint_from_row(row: Row) -> Endpoint:
    """Builds an endpoint from its columns."""
    reason = row["reason"]
    return Endpoint(**{**row, "reason": None if reason is None else WhyDisabled(reason)})
