"""Sessions: created, changed, closed, opened again and deleted."""

from dataclasses import dataclass, replace

from engine.bookings.lifecycle import cancel
from engine.callbacks import notifications
from engine.domain.booking import Booking, BookingStatus, status_at
from engine.domain.errors import NotFound
from engine.domain.ids import AccountId, CallId
from engine.domain.policy import Policy
from engine.domain.times import EpochMs
from engine.domain.twilio_proxy import (
    CANNOT_REOPEN,
    NAME_NOT_UNIQUE,
    ProxyRefusal,
    ProxyService,
    ProxySession,
    SessionState,
    SessionStatus,
    invalid,
    state_of,
)
from engine.runtime.ids import new_id
from engine.storage.transaction import Transaction
from engine.twilio_proxy.services import locked_service

# Sessions of one account that wait for a participant. Those that are pairs count as the account's bookings.
MAX_WAITING = 100


@dataclass(frozen=True, slots=True)
class SessionRequest:
    """A new session. `ttl` None: the service's."""

    unique_name: str | None = None
    ttl: int | None = None
    expires_at: EpochMs | None = None


@dataclass(frozen=True, slots=True)
class SessionChange:
    """Changes to a session. A field that is None stays unchanged.

    Attributes:
        is_open: Whether it should be open.
    """

    ttl: int | None = None
    expires_at: EpochMs | None = None
    is_open: bool | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """A session with its service, its booking and its state. Its booking is None as long as it waits."""

    service: ProxyService
    session: ProxySession
    booking: Booking | None
    state: SessionState


def create_session(
    tx: Transaction, account_id: AccountId, service_id: str, wanted: SessionRequest, now: EpochMs, policy: Policy
) -> ProxySession:
    """Creates a session without participants.

    Raises:
        NotFound: The account has no such service.
        ProxyRefusal: Another session of the service has its name, it expires at no time that it can, or too many wait.
    """
    service = locked_service(tx, account_id, service_id)
    _check_expiry(wanted.expires_at, now, policy)
    if wanted.unique_name is not None and tx.twilio_proxy.session_named(service.id, wanted.unique_name) is not None:
        raise ProxyRefusal(409, NAME_NOT_UNIQUE, "Session UniqueName must be unique.")
    tx.accounts.lock(account_id)  # its other services have sessions too
    if tx.twilio_proxy.count_waiting(account_id) >= MAX_WAITING:
        raise ProxyRefusal(403, 403, f"{MAX_WAITING} Sessions of the account wait for a Participant, the most allowed.")
    session = ProxySession(
        id=new_id("pse"),
        service_id=service.id,
        unique_name=wanted.unique_name,
        ttl=service.default_ttl if wanted.ttl is None else wanted.ttl,
        expires_at=wanted.expires_at,
        booking_id=None,
        paid_until=None,
        idle_until=None,
        created_at=now,
        updated_at=now,
        closed_at=None,
    )
    tx.twilio_proxy.insert_session(session)
    return session


def change_session(
    tx: Transaction,
    account_id: AccountId,
    service_id: str,
    session_id: str,
    changes: SessionChange,
    now: EpochMs,
    policy: Policy,
) -> ProxySession:
    """Changes when a session closes, closes it, or opens it again.

    Raises:
        NotFound: There is no such session in a service of the account.
        ProxyRefusal: It cannot be opened again, or expires at no time that it can.
    """
    found = locked_session(tx, account_id, service_id, session_id, now, policy)
    session = replace(found.session, updated_at=now)
    if changes.ttl is not None:
        session = replace(session, ttl=changes.ttl)
    if changes.expires_at is not None:
        _check_expiry(changes.expires_at, now, policy)
        session = replace(session, expires_at=changes.expires_at)
    was_open = found.state.status is not SessionStatus.CLOSED
    if not (was_open if changes.is_open is None else changes.is_open):
        return _closed(tx, session, found.booking, now, was_open=was_open)
    return _opened(tx, session, found.booking, now, policy, was_open=was_open)


def delete_session(
    tx: Transaction, account_id: AccountId, service_id: str, session_id: str, now: EpochMs, policy: Policy
) -> list[CallId]:
    """Deletes a session for good. Its calls' records stay.

    Returns:
        The callers' channels that must be hung up now.

    Raises:
        NotFound: There is no such session in a service of the account.
    """
    found = locked_session(tx, account_id, service_id, session_id, now, policy)
    tx.twilio_proxy.delete_session(found.session.id)
    booking = found.booking
    if booking is None or status_at(booking, now, policy) is BookingStatus.GONE:
        return []
    return cancel(tx, account_id, booking.id, now, policy)


def locked_session(
    tx: Transaction, account_id: AccountId, service_id: str, session_id: str, now: EpochMs, policy: Policy
) -> Found:
    """Returns a session of a service of the account, which no other transaction changes until this one ends.

    Raises:
        NotFound: There is no such session in a service of the account.
    """
    service = locked_service(tx, account_id, service_id)
    session = tx.twilio_proxy.session(service.id, session_id)
    if session is None:
        raise NotFound("there is no such session")
    booking = None if session.booking_id is None else tx.bookings.by_id(session.booking_id)
    last_call = None if booking is None else tx.twilio_proxy.last_call(booking.id).started_at
    return Found(service, session, booking, state_of(session, booking, last_call, now, policy))


def end_of(tx: Transaction, session: ProxySession, since: EpochMs, paid_until: EpochMs, now: EpochMs) -> EpochMs:
    """Returns when a session that is a pair closes by itself: by what was asked for, and at its plan's end at last.

    Args:
        tx: The transaction.
        session: The session, with its booking.
        since: From when on its time to live counts, without a call.
        paid_until: How long its booking's plan lasts.
        now: The present time by the account's clock.
    """
    if session.booking_id is not None:
        call = tx.twilio_proxy.last_call(session.booking_id)
        since = now if call.is_up else max(since, call.started_at or since)
    return min(paid_until, session.closes_at(since) or paid_until)


def with_end(session: ProxySession, ends_at: EpochMs, paid_until: EpochMs) -> ProxySession:
    """Returns an open session that is a pair with when it closes by itself."""
    moves = session.ttl and session.expires_at is None and ends_at < paid_until
    return replace(session, paid_until=paid_until, idle_until=ends_at if moves else None)


def _check_expiry(expires_at: EpochMs | None, now: EpochMs, policy: Policy) -> None:
    if expires_at is None:
        return
    if expires_at <= now:
        raise invalid("DateExpiry", "it has passed.")
    longest = policy.plans[policy.session_plan].valid_for_ms
    if expires_at > now + longest:
        days = longest / 86_400_000
        raise invalid("DateExpiry", f"the usage plan of a Session lasts {days:g} days.")


def _closed(
    tx: Transaction, session: ProxySession, booking: Booking | None, now: EpochMs, *, was_open: bool
) -> ProxySession:
    session = replace(session, idle_until=None)
    if was_open:
        session = replace(session, closed_at=now)
        if booking is not None:
            session = replace(session, paid_until=max(session.paid_until or booking.end_at, booking.end_at))
            tx.bookings.update(replace(booking, end_at=now))
    tx.twilio_proxy.update_session(session)
    return session


def _opened(
    tx: Transaction, session: ProxySession, booking: Booking | None, now: EpochMs, policy: Policy, *, was_open: bool
) -> ProxySession:
    session = replace(session, closed_at=None)
    if booking is None:
        _check_open(session.closes_at(session.created_at), now)
    else:
        session = _paired(tx, session, booking, now, policy, was_open=was_open)
    tx.twilio_proxy.update_session(session)
    return session


def _paired(
    tx: Transaction, session: ProxySession, booking: Booking, now: EpochMs, policy: Policy, *, was_open: bool
) -> ProxySession:
    """Moves the end of a pair's booking. A session that is opened again counts its time to live anew."""
    if status_at(booking, now, policy) is BookingStatus.GONE:
        raise ProxyRefusal(400, CANNOT_REOPEN, "The Session's number was given back. Create a new Session.")
    if booking.exhausted_at is not None:
        raise ProxyRefusal(400, CANNOT_REOPEN, f"The usage plan is used up. Renew it with PUT /bookings/{booking.id}.")
    paid_until = max(session.paid_until or booking.end_at, booking.end_at)
    ends_at = end_of(tx, session, session.created_at if was_open else now, paid_until, now)
    _check_open(ends_at, now)
    if ends_at != booking.end_at:
        moved = replace(booking, end_at=ends_at)
        tx.bookings.update(moved)
        notifications.allow_all_again(tx, moved)
    return with_end(session, ends_at, paid_until)


def _check_open(ends_at: EpochMs | None, now: EpochMs) -> None:
    if ends_at is not None and ends_at <= now:
        raise ProxyRefusal(400, CANNOT_REOPEN, "The Session would be closed at once. Send a later DateExpiry or Ttl.")
