"""Sign-in to the web pages: a link that works once opens a session, which ends by itself.

There are no passwords, so none can be guessed, reused or lost. Links and sessions have 256 random bits each; the
database keeps digests that were made with the installation's pepper.
"""

import hashlib
import hmac
import secrets
from dataclasses import dataclass

from engine.domain.errors import InvalidInput, NotFound
from engine.domain.ids import AccountId
from engine.domain.times import DAY_MS, EpochMs
from engine.domain.web_access import (
    CUSTOMER_LINK_MS,
    CUSTOMER_ROLES,
    LINK_MS,
    LONGEST_LIFE_MS,
    MAX_LINKS_OF_ACCOUNT,
    MAX_SESSIONS_OF_ACCOUNT,
    SHORTEST_LIFE_MS,
    Role,
    WebSession,
)
from engine.runtime.ids import new_id
from engine.storage.transaction import Transaction

# Ended links and sessions stay this long, so that ids in the security log can be looked up.
KEPT_MS = 30 * DAY_MS


@dataclass(frozen=True, slots=True)
class NewLink:
    """A link that was just made.

    Attributes:
        code: Its secret. It is shown once; the database has only its digest.
        use_before: It must be used before this instant.
        ends_at: The end of the session that it opens.
    """

    code: str
    role: Role
    account_id: AccountId | None
    use_before: EpochMs
    ends_at: EpochMs


@dataclass(frozen=True, slots=True)
class NewSession:
    """A session that was just opened, and its secret, which is the cookie's value."""

    secret: str
    session: WebSession


def make_link(
    tx: Transaction, role: Role, account_id: AccountId | None, life_ms: int, pepper: str, now: EpochMs
) -> NewLink:
    """Makes a link for one sign-in.

    Args:
        tx: The transaction.
        role: The session's role.
        account_id: The account of a customer's session; None for an operator's.
        life_ms: From now on until the end of the session. The link must be used within its first hour; a customer's
            link within ten minutes.
        pepper: The secret with which digests are made.
        now: The present time.

    Raises:
        InvalidInput: The life is too short or too long, or a customer has no account or an operator has one.
    """
    check_access(role, account_id, life_ms)
    code = secrets.token_urlsafe(32)
    ends_at = EpochMs(now + life_ms)
    use_before = min(ends_at, EpochMs(now + (LINK_MS if account_id is None else CUSTOMER_LINK_MS)))
    tx.web_access.insert_link(link_digest(code, pepper), role, account_id, now, use_before, ends_at)
    if account_id is not None:
        tx.web_access.keep_links(account_id, MAX_LINKS_OF_ACCOUNT)
    return NewLink(code, role, account_id, use_before, ends_at)


def check_access(role: Role, account_id: AccountId | None, life_ms: int) -> None:
    """Raises InvalidInput if no link and no session may be made with these."""
    if not SHORTEST_LIFE_MS <= life_ms <= LONGEST_LIFE_MS:
        raise InvalidInput(["--life must be between one minute and 30 days"])
    if (role in CUSTOMER_ROLES) != (account_id is not None):
        raise InvalidInput(["a customer's link needs an account, and an operator's must not have one"])


def open_session(tx: Transaction, code: str, roles: frozenset[Role], pepper: str, now: EpochMs) -> NewSession | None:
    """Opens a session with a link's code. A code works once.

    A link for other pages is used up too, so that its code cannot be tried again.

    Args:
        tx: The transaction.
        code: The code.
        roles: The roles that the pages have.
        pepper: The secret with which digests are made.
        now: The present time.

    Returns:
        The session; None if the link is unknown, old, used already, or for other pages.
    """
    tx.web_access.delete_ended(EpochMs(now - KEPT_MS))
    used = tx.web_access.use_link(link_digest(code, pepper), now)
    if used is None or used[0] not in roles:
        return None
    role, account_id, ends_at = used
    return new_session(tx, role, account_id, ends_at, pepper, now)


def new_session(
    tx: Transaction, role: Role, account_id: AccountId | None, ends_at: EpochMs, pepper: str, now: EpochMs
) -> NewSession:
    """Opens a session without a link."""
    secret = secrets.token_urlsafe(32)
    session = WebSession(new_id("ses"), role, account_id, now, now, ends_at)
    tx.web_access.insert_session(session_digest(secret, pepper), session)
    if account_id is not None:
        tx.web_access.keep_sessions(account_id, MAX_SESSIONS_OF_ACCOUNT)
    return NewSession(secret, session)


def portal_url(base: str, account_id: AccountId, code: str) -> str:
    """Returns a link to a customer's portal. The code is behind the `#`, which browsers send to no server."""
    return f"{base}/portal/sign-in?account={account_id}#{code}"


def note_session_use(tx: Transaction, session_id: str, now: EpochMs) -> None:
    """Stores that a session was used, so that it does not end as idle."""
    tx.web_access.note_use(session_id, now)


def end_session(tx: Transaction, session_id: str, now: EpochMs) -> None:
    """Ends a session. Raises NotFound if there is none that can be ended."""
    if not tx.web_access.end(session_id, now):
        raise NotFound("there is no such open session: `console sessions` shows their ids")


def end_all_sessions(tx: Transaction, now: EpochMs) -> int:
    """Ends every session and withdraws every unused link. Returns how many sessions there were."""
    return tx.web_access.end_all(now)


def link_digest(code: str, pepper: str) -> str:
    """Returns the digest under which the database keeps a link."""
    return _digest("link", code, pepper)


def session_digest(secret: str, pepper: str) -> str:
    """Returns the digest under which the database keeps a session."""
    return _digest("session", secret, pepper)


def csrf_token_of(secret: str, pepper: str) -> str:
    """Returns the token that a session's forms carry. Each session has its own."""
    return _digest("csrf", secret, pepper)


def _digest(kind: str, secret: str, pepper: str) -> str:
    """HMAC-SHA256 in hex. `kind` keeps the digests of different secrets apart, also from those of API keys."""
    return hmac.new(pepper.encode(), f"web {kind}:{secret}".encode(), hashlib.sha256).hexdigest()
