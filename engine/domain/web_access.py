"""Who may use the web pages, for how long, and what each role permits."""

from dataclasses import dataclass
from enum import StrEnum

from engine.domain.ids import AccountId
from engine.domain.times import DAY_MS, HOUR_MS, MINUTE_MS, EpochMs

# A link must be used within this time. Its life also includes its session, which ends no later than that life.
LINK_MS = HOUR_MS
DEFAULT_LIFE_MS = 12 * HOUR_MS
# The same for a customer's link. It is shorter, because a program makes the link when somebody is about to use it.
CUSTOMER_LINK_MS = 10 * MINUTE_MS
# The most links and sessions of an account; a new one ends the oldest.
MAX_LINKS_OF_ACCOUNT = 20
MAX_SESSIONS_OF_ACCOUNT = 200
SHORTEST_LIFE_MS, LONGEST_LIFE_MS = MINUTE_MS, 30 * DAY_MS
# A session ends after this long without use. Requests that an open page makes by itself do not count.
IDLE_MS = 30 * MINUTE_MS


class Role(StrEnum):
    """What a session permits.

    Attributes:
        VIEWER: To see the operator's pages.
        OPERATOR: Also to act on calls, bookings, callbacks and numbers, and to have hidden numbers shown.
        ADMIN: Also to change accounts, keys and secrets.
        CUSTOMER_VIEWER: To see the customer's pages of one account.
        CUSTOMER: Also to act for that account.
    """

    VIEWER = "VIEWER"
    OPERATOR = "OPERATOR"
    ADMIN = "ADMIN"
    CUSTOMER_VIEWER = "CUSTOMER_VIEWER"
    CUSTOMER = "CUSTOMER"

    def permits(self, needed: "Role") -> bool:
        """Returns whether this role may do what `needed` may."""
        return needed in _PERMITTED[self]


_PERMITTED = {
    Role.VIEWER: frozenset({Role.VIEWER}),
    Role.OPERATOR: frozenset({Role.VIEWER, Role.OPERATOR}),
    Role.ADMIN: frozenset({Role.VIEWER, Role.OPERATOR, Role.ADMIN}),
    Role.CUSTOMER_VIEWER: frozenset({Role.CUSTOMER_VIEWER}),
    Role.CUSTOMER: frozenset({Role.CUSTOMER_VIEWER, Role.CUSTOMER}),
}
OPERATOR_ROLES = frozenset({Role.VIEWER, Role.OPERATOR, Role.ADMIN})
CUSTOMER_ROLES = frozenset({Role.CUSTOMER_VIEWER, Role.CUSTOMER})


class Scope(StrEnum):
    """What a link to the portal permits: to see, or also to act for the account.

    Attributes:
        READ: See everything except the secret that signs callbacks.
        FULL: Also renew, change and cancel bookings, send callbacks, make and revoke keys, see and replace the secret.
    """

    READ = "read"
    FULL = "full"

    @property
    def role(self) -> Role:
        """The role of the link's session."""
        return Role.CUSTOMER if self is Scope.FULL else Role.CUSTOMER_VIEWER


@dataclass(frozen=True, slots=True)
class WebSession:
    """A session of the web pages.

    Attributes:
        id: Its public id, for lists and the security log.
        account_id: The customer's account; None in an operator's session.
        seen_at: When it was last used, to the minute.
        ends_at: Its end, whether it is used or not.
        ended_at: When it was ended by hand; None if it was not.
    """

    id: str
    role: Role
    account_id: AccountId | None
    created_at: EpochMs
    seen_at: EpochMs
    ends_at: EpochMs
    ended_at: EpochMs | None = None

    def is_open(self, now: EpochMs) -> bool:
        """Returns whether it may be used."""
        return self.ended_at is None and now < self.ends_at and now - self.seen_at < IDLE_MS
