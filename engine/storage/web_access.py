"""The tables of sign-in links and of sessions of the web pages."""

from engine.domain.ids import AccountId
from engine.domain.times import EpochMs
from engine.domain.web_access import IDLE_MS, Role, WebSession
from engine.storage.table import Row, Table

MAX_LISTED = 200
# Rows of the past that one sign-in deletes.
DELETED_AT_ONCE = 100


class WebAccess(Table):
    """Links and sessions, by the digests of their secrets."""

    def insert_link(
        self, digest: str, role: Role, account_id: AccountId | None, now: EpochMs, use_before: EpochMs, ends_at: EpochMs
    ) -> None:
        """Adds a link that may be used once before `use_before`, for a session until `ends_at`."""
        self._sql.insert_web_link(
            self._db,
            digest=digest,
            role=str(role),
            account_id=account_id,
            created_at=now,
            use_before=use_before,
            ends_at=ends_at,
        )

    def use_link(self, digest: str, now: EpochMs) -> tuple[Role, AccountId | None, EpochMs] | None:
        """Uses a link up. Returns role, account and end of its session; None for an unknown, used or old link."""
        if not self._sql.use_web_link(self._db, digest=digest, now=now):
            return None
        row = self._sql.web_link_of_digest(self._db, digest=digest)
        return Role(row["role"]), row["account_id"], row["ends_at"]

    def keep_links(self, account_id: AccountId, count: int) -> None:
        """Deletes an account's oldest links until it has so many."""
        self._sql.delete_surplus_web_links(self._db, account_id=account_id, kept=count, at_most=DELETED_AT_ONCE)

    def keep_sessions(self, account_id: AccountId, count: int) -> None:
        """Deletes an account's oldest sessions until it has so many. Who still uses one is signed out."""
        self._sql.delete_surplus_web_sessions(self._db, account_id=account_id, kept=count, at_most=DELETED_AT_ONCE)

    def insert_session(self, digest: str, session: WebSession) -> None:
        """Adds a session."""
        self._sql.insert_web_session(
            self._db,
            id=session.id,
            digest=digest,
            role=str(session.role),
            account_id=session.account_id,
            created_at=session.created_at,
            ends_at=session.ends_at,
        )

    def open_sessions(self, now: EpochMs) -> list[WebSession]:
        """Returns the sessions that may be used, newest first, MAX_LISTED at most."""
        rows = self._sql.web_sessions_open(self._db, now=now, seen_after=now - IDLE_MS, at_most=MAX_LISTED)
        return [web_session_from_row(row) for row in rows]

    def note_use(self, session_id: str, now: EpochMs) -> None:
        """Stores that a session was used."""
        self._sql.note_web_session_use(self._db, id=session_id, now=now)

    def end(self, session_id: str, now: EpochMs) -> bool:
        """Ends a session. Returns False if there is none, or it was ended before."""
        return bool(self._sql.end_web_session(self._db, id=session_id, now=now))

    def end_all(self, now: EpochMs) -> int:
        """Ends every session and deletes every unused link. Returns how many sessions there were."""
        self._sql.delete_unused_web_links(self._db)
        return int(self._sql.end_web_sessions(self._db, now=now))

    def delete_ended(self, before: EpochMs) -> None:
        """Deletes some of the links and sessions that ended before an instant."""
        self._sql.delete_ended_web_links(self._db, before=before, at_most=DELETED_AT_ONCE)
        self._sql.delete_ended_web_sessions(self._db, before=before, at_most=DELETED_AT_ONCE)


def web_session_from_row(row: Row) -> WebSession:
    """Builds a session from a row of `web_session_of_digest` or `web_sessions_open`."""
    return WebSession(
        row["id"],
        Role(row["role"]),
        row["account_id"],
        row["created_at"],
        row["seen_at"],
        row["ends_at"],
        row["ended_at"],
    )
