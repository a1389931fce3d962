"""The tables of Twilio Proxy's services, sessions and participants."""

from dataclasses import dataclass
from typing import Any

from engine.domain.ids import AccountId, BookingId
from engine.domain.numbers import E164
from engine.domain.times import EpochMs
from engine.domain.twilio_proxy import ProxyParticipant, ProxyService, ProxySession
from engine.runtime.ids import first_id
from engine.storage.columns import PARTS
from engine.storage.filters import LAST_ID
from engine.storage.read_connection import ReadConnection
from engine.storage.table import Table, fields_of

_WIDTH = len(PARTS["sessions"])


@dataclass(frozen=True, slots=True)
class LastCall:
    """The last call on a booking.

    Attributes:
        started_at: When it came in; None if there was no call.
        is_up: Whether a call is up.
    """

    started_at: EpochMs | None
    is_up: bool


@dataclass(frozen=True, slots=True)
class SessionPlace:
    """Where a session is found."""

    id: str
    service_id: str
    booking_id: BookingId | None


@dataclass(frozen=True, slots=True)
class CalledSession:
    """A session whose number was called, and where its service reports calls to."""

    session: ProxySession
    account_id: AccountId
    callback_url: str
    out_of_session_callback_url: str


@dataclass(frozen=True, slots=True)
class ProxyNumber:
    """A rented number of a service's sessions, and how many of them have it."""

    service: E164
    sessions: int
    created_at: EpochMs
    updated_at: EpochMs


class TwilioProxy(Table):
    """Services, sessions and participants, as commands use them. Lists are in `ProxyReads`."""

    def insert_service(self, service: ProxyService) -> None:
        """Adds a service."""
        self._sql.insert_proxy_service(self._db, **fields_of(service))

    def update_service(self, service: ProxyService) -> None:
        """Writes what may change of a service."""
        changed = {
            name: value for name, value in fields_of(service).items() if name not in {"account_id", "created_at"}
        }
        self._sql.update_proxy_service(self._db, **changed)

    def delete_service(self, service_id: str) -> None:
        """Deletes a service without sessions."""
        self._sql.delete_proxy_service(self._db, id=service_id)

    def service(self, account_id: AccountId, service_id: str) -> ProxyService | None:
        """Returns a service of the account. No other transaction changes it or its sessions now."""
        self._sql.lock_proxy_service(self._db, id=service_id, account_id=account_id)
        row = self._sql.proxy_service(self._db, id=service_id, account_id=account_id)
        return ProxyService(*row) if row else None

    def service_named(self, account_id: AccountId, unique_name: str) -> str | None:
        """Returns the id of the account's service with that name."""
        found: str | None = self._sql.proxy_service_named(self._db, account_id=account_id, unique_name=unique_name)
        return found

    def count_services(self, account_id: AccountId) -> int:
        """Returns how many services the account has."""
        return int(self._sql.count_proxy_services(self._db, account_id=account_id))

    def insert_session(self, session: ProxySession) -> None:
        """Adds a session that has no booking."""
        names = ("id", "service_id", "unique_name", "ttl", "expires_at", "created_at", "updated_at")
        self._sql.insert_proxy_session(self._db, **{name: getattr(session, name) for name in names})

    def update_session(self, session: ProxySession) -> None:
        """Writes what may change of a session."""
        kept = {"service_id", "unique_name", "created_at"}
        changed = {name: value for name, value in fields_of(session).items() if name not in kept}
        self._sql.update_proxy_session(self._db, **changed)

    def set_idle_until(self, session_id: str, idle_until: EpochMs | None) -> None:
        """Writes when a session closes unless a call comes; None: no call changes that."""
        self._sql.move_proxy_session_idle(self._db, id=session_id, idle_until=idle_until)

    def delete_session(self, session_id: str) -> None:
        """Deletes a session and its participants."""
        self._sql.delete_proxy_participants(self._db, session_id=session_id)
        self._sql.delete_proxy_session(self._db, id=session_id)

    def session(self, service_id: str, session_id: str) -> ProxySession | None:
        """Returns a session of the service."""
        row = self._sql.proxy_session(self._db, id=session_id, service_id=service_id)
        return ProxySession(*row) if row else None

    def session_named(self, service_id: str, unique_name: str) -> str | None:
        """Returns the id of the service's session with that name."""
        found: str | None = self._sql.proxy_session_named(self._db, service_id=service_id, unique_name=unique_name)
        return found

    def has_sessions(self, service_id: str) -> bool:
        """Whether the service has a session, open or closed."""
        return self._sql.any_proxy_session(self._db, service_id=service_id) is not None

    def count_waiting(self, account_id: AccountId) -> int:
        """Returns how many sessions of the account wait for a participant."""
        return int(self._sql.count_proxy_sessions_waiting(self._db, account_id=account_id))

    def idle(self, now: EpochMs, by: EpochMs, account_id: AccountId | None, limit: int) -> list[SessionPlace]:
        """Returns sessions whose time to live is over, or ends by then and had calls: of customers, or of a sandbox.

        Each account has the same share of them.
        """
        rows = self._sql.proxy_sessions_idle(self._db, now=now, by=by, account_id=account_id, at_most=limit)
        return [SessionPlace(*row) for row in rows]

    def waiting_since(self, before: EpochMs, limit: int) -> list[SessionPlace]:
        """Returns sessions that were made before an instant and wait for a participant.

        Sessions of services that other transactions hold are left out. The others do not change now.
        """
        before_id = first_id("pse", before)
        rows = self._sql.old_proxy_sessions_waiting(self._db, before_id=before_id, at_most=limit)
        return [SessionPlace(*row) for row in rows]

    def delete_session_of(self, booking_id: BookingId) -> None:
        """Deletes the session whose pair the booking is, if there is one."""
        found: str | None = self._sql.proxy_session_of_booking(self._db, booking_id=booking_id)
        if found is not None:
            self.delete_session(found)

    def called(self, booking_id: BookingId) -> CalledSession | None:
        """Returns the session whose pair the booking is, with where its service reports calls to."""
        row = self._sql.proxy_session_called(self._db, booking_id=booking_id)
        return CalledSession(ProxySession(*row[:_WIDTH]), *row[_WIDTH:]) if row else None

    def last_call(self, booking_id: BookingId) -> LastCall:
        """Returns the last call on a booking."""
        row = self._sql.last_call_on_booking(self._db, booking_id=booking_id)
        return LastCall(row["started_at"], bool(row["up"]))

    def insert_participant(self, participant: ProxyParticipant) -> None:
        """Adds a participant."""
        self._sql.insert_proxy_participant(self._db, **fields_of(participant))

    def participants(self, session_id: str) -> list[ProxyParticipant]:
        """Returns the participants of a session, in the order in which they joined."""
        rows = self._sql.proxy_participants_of(self._db, session_id=session_id)
        return [ProxyParticipant(*row) for row in rows]

    def forget_participants(self, session_id: str) -> None:
        """Deletes the numbers and names of participants, which the booking has by now."""
        self._sql.forget_proxy_participants(self._db, session_id=session_id)

    def delete_participant(self, participant_id: str) -> None:
        """Deletes a participant."""
        self._sql.delete_proxy_participant(self._db, id=participant_id)


class ProxyReads:
    """Look-ups and lists for the API.

    Args:
        queries: The statements.
        keys: The connection for look-ups by key.
        lists: The connection for lists.
    """

    def __init__(self, queries: Any, keys: ReadConnection, lists: ReadConnection) -> None:  # noqa: ANN401  untyped
        self._sql = queries
        self._keys = keys
        self._lists = lists

    async def service(self, account_id: AccountId, service_id: str) -> ProxyService | None:
        """Returns a service of the account."""
        row = await self._keys.run(self._sql.proxy_service, id=service_id, account_id=account_id)
        return ProxyService(*row) if row else None

    async def services(self, account_id: AccountId, before_id: str | None, limit: int) -> list[ProxyService]:
        """Returns services of the account, newest first. `before_id` None: from the newest on."""
        rows = await self._lists.run(
            self._sql.proxy_services_page, account_id=account_id, before_id=before_id or LAST_ID, at_most=limit
        )
        return [ProxyService(*row) for row in rows]

    async def session(self, service_id: str, session_id: str) -> ProxySession | None:
        """Returns a session of the service."""
        row = await self._keys.run(self._sql.proxy_session, id=session_id, service_id=service_id)
        return ProxySession(*row) if row else None

    async def sessions(self, service_id: str, before_id: str | None, limit: int) -> list[ProxySession]:
        """Returns sessions of the service, newest first. `before_id` None: from the newest on."""
        rows = await self._lists.run(
            self._sql.proxy_sessions_page, service_id=service_id, before_id=before_id or LAST_ID, at_most=limit
        )
        return [ProxySession(*row) for row in rows]

    async def participants(self, session_id: str) -> list[ProxyParticipant]:
        """Returns the participants of a session, in the order in which they joined."""
        rows = await self._keys.run(self._sql.proxy_participants_of, session_id=session_id)
        return [ProxyParticipant(*row) for row in rows]

    async def last_call(self, booking_id: BookingId) -> EpochMs | None:
        """Returns when the last call on a booking came in; None if there was none."""
        row = await self._keys.run(self._sql.last_call_on_booking, booking_id=booking_id)
        started_at: EpochMs | None = row["started_at"]
        return started_at

    async def number(self, service_id: str, number: E164) -> ProxyNumber | None:
        """Returns a rented number of the service's sessions."""
        row = await self._keys.run(self._sql.proxy_number, service_id=service_id, service=number)
        return ProxyNumber(*row) if row else None

    async def numbers(self, service_id: str, after: str, limit: int) -> list[ProxyNumber]:
        """Returns the rented numbers of the service's sessions, in their order. `after` empty: from the first on."""
        rows = await self._lists.run(self._sql.proxy_numbers_page, service_id=service_id, after=after, at_most=limit)
        return [ProxyNumber(*row) for row in rows]
