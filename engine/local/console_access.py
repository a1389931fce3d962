"""Access to the operator's console: links that sign in once, and sessions for programs."""

from dataclasses import dataclass

from engine.accounts.sign_in import NewLink, NewSession, check_access, make_link, new_session
from engine.config.settings import Settings
from engine.domain.times import EpochMs
from engine.domain.web_access import DEFAULT_LIFE_MS, Role
from engine.runtime.clock import SystemClock
from engine.runtime.security_log import NotedEvent, SecurityLog
from engine.storage.database import open_storage
from engine.storage.transaction import Transaction

SERVICE = "Console"
# Who may run the command line is on this machine.
HERE = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Access:
    """What gives access for a while.

    Attributes:
        role: What it permits.
        life_ms: For how long, from now on.
        pepper: The secret with which digests are made.
        now: The present time.
    """

    role: Role
    life_ms: int
    pepper: str
    now: EpochMs


def make_console_link(tx: Transaction, access: Access) -> NewLink:
    """Makes a link. Raises InvalidInput."""
    return make_link(tx, access.role, None, access.life_ms, access.pepper, access.now)


def make_console_session(tx: Transaction, access: Access) -> NewSession:
    """Opens a session for a program. Raises InvalidInput."""
    check_access(access.role, None, access.life_ms)
    return new_session(tx, access.role, None, EpochMs(access.now + access.life_ms), access.pepper, access.now)


def sign_in_url(settings: Settings, link: NewLink) -> str:
    """Returns the link. Its code is behind the `#`, which browsers send to no server."""
    return f"{settings.http_url}/console/sign-in#{link.code}"


def note_access(settings: Settings, event: str, role: Role, session_id: str = "", *, service: str = SERVICE) -> None:
    """Writes into the security log that somebody gave access, or ended it."""
    log = SecurityLog(settings.security_log, settings.security_listeners)
    log.noted(NotedEvent(service, event, role.value, HERE, session_id))


async def console_link(settings: Settings, pepper: str) -> str:
    """Makes the link that a start of the whole system shows: for an admin, with the usual life."""
    storage = open_storage(settings.books)
    try:
        access = Access(Role.ADMIN, DEFAULT_LIFE_MS, pepper, SystemClock().now())
        link = await storage.run(make_console_link, access)
    finally:
        await storage.close()
    note_access(settings, "LinkMade", Role.ADMIN)
    return sign_in_url(settings, link)
