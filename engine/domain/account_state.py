"""The states of an account: ACTIVE, SUSPENDED, CLOSED.

Theory of operation: the operator suspends an account, resumes it, and closes it for good. While it is not ACTIVE, new
calls to its bookings are refused, and its API keys open nothing but a look at the account. Calls that were put through
before go on to their end, and callbacks go out in every state. A sandbox has the state of its customer's account.
"""

from enum import StrEnum

from engine.domain.errors import InvalidInput


class AccountState(StrEnum):
    """State of an account."""

    ACTIVE = "ACTIVE"
    SUSPENDED = "SUSPENDED"
    CLOSED = "CLOSED"


class AccountEvent(StrEnum):
    """What the operator does to an account."""

    SUSPEND = "SUSPEND"
    RESUME = "RESUME"
    CLOSE = "CLOSE"


# Whatever is repeated changes nothing.
TRANSITIONS: dict[tuple[AccountState, AccountEvent], AccountState] = {
    (AccountState.ACTIVE, AccountEvent.SUSPEND): AccountState.SUSPENDED,
    (AccountState.ACTIVE, AccountEvent.RESUME): AccountState.ACTIVE,
    (AccountState.ACTIVE, AccountEvent.CLOSE): AccountState.CLOSED,
    (AccountState.SUSPENDED, AccountEvent.SUSPEND): AccountState.SUSPENDED,
    (AccountState.SUSPENDED, AccountEvent.RESUME): AccountState.ACTIVE,
    (AccountState.SUSPENDED, AccountEvent.CLOSE): AccountState.CLOSED,
    (AccountState.CLOSED, AccountEvent.CLOSE): AccountState.CLOSED,
}


def next_state(state: AccountState, event: AccountEvent) -> AccountState:
    """Returns the state after an event.

    Raises:
        InvalidInput: The account is closed for good.
    """
    if (state, event) not in TRANSITIONS:
        raise InvalidInput(["the account is closed for good"])
    return TRANSITIONS[state, event]


def state_of(suspended_at: int | None, closed_at: int | None) -> AccountState:
    """Returns the state that an account's instants stand for; None: this has not happened."""
    if closed_at is not None:
        return AccountState.CLOSED
    return AccountState.ACTIVE if suspended_at is None else AccountState.SUSPENDED
