"""Participants: the first one waits, and with the second one the session becomes a pair."""

from dataclasses import dataclass, replace

from engine.bookings.lifecycle import BookingRequest, book
from engine.domain.booking import CallerId
from engine.domain.destinations import allowed_destination
from engine.domain.errors import NotFound
from engine.domain.ids import AccountId
from engine.domain.number_choice import NumberRequest
from engine.domain.numbers import E164
from engine.domain.pairs import Participant
from engine.domain.policy import Policy
from engine.domain.times import EpochMs
from engine.domain.twilio_proxy import (
    ALREADY_IN_SESSION,
    CANNOT_REOPEN,
    MAX_PARTICIPANTS,
    NUMBER_IN_USE,
    TOO_MANY_PARTICIPANTS,
    ProxyParticipant,
    ProxyRefusal,
    ProxyService,
    ProxySession,
    SessionStatus,
    sid,
)
from engine.runtime.ids import new_id
from engine.storage.transaction import Transaction
from engine.twilio_proxy.sessions import Found, end_of, locked_session, with_end


@dataclass(frozen=True, slots=True)
class Joining:
    """Who joins a session.

    Attributes:
        number: The hidden number.
        name: The customer's name for this person.
        wanted: The rented number that is asked for.
    """

    number: E164
    name: str | None = None
    wanted: E164 | None = None


def join(
    tx: Transaction, account_id: AccountId, service_id: str, session_id: str, who: Joining, now: EpochMs, policy: Policy
) -> ProxyParticipant:
    """Adds a participant. With the second one, the session becomes a pair with a rented number.

    Raises:
        NotFound: There is no such session in a service of the account.
        ProxyRefusal: The session is closed or full, or has this participant, or another rented number.
        Refusal: As `book` raises it.
    """
    found = locked_session(tx, account_id, service_id, session_id, now, policy)
    if found.state.status is SessionStatus.CLOSED:
        raise ProxyRefusal(400, CANNOT_REOPEN, "The Session is closed.")
    present = tx.twilio_proxy.participants(session_id)
    _check_room(found, present, who)
    participant = ProxyParticipant(new_id("ppa"), session_id, who.number, who.name, who.wanted, now)
    if not present:
        allowed_destination(who.number, policy.destinations)
        tx.twilio_proxy.insert_participant(participant)
        return participant
    session = _pair(tx, found.service, found.session, (present[0], participant), now, policy)
    tx.twilio_proxy.insert_participant(replace(participant, number=None, name=None, wanted=None))
    tx.twilio_proxy.update_session(session)
    return participant


def remove(
    tx: Transaction,
    account_id: AccountId,
    service_id: str,
    session_id: str,
    participant_id: str,
    now: EpochMs,
    policy: Policy,
) -> None:
    """Removes a participant of a session that waits for another one.

    Raises:
        NotFound: There is no such participant.
        ProxyRefusal: The session is a pair, whose people do not change.
    """
    found = locked_session(tx, account_id, service_id, session_id, now, policy)
    if participant_id not in {each.id for each in tx.twilio_proxy.participants(session_id)}:
        raise NotFound("there is no such participant")
    if found.booking is not None:
        raise ProxyRefusal(409, 409, "The two Participants of a Session stay. Delete the Session and create another.")
    tx.twilio_proxy.delete_participant(participant_id)


def _check_room(found: Found, present: list[ProxyParticipant], who: Joining) -> None:
    pair = found.booking.participants if found.booking is not None else None
    numbers = {each.number for each in (*present, *(pair or ()))}
    if who.number in numbers:
        raise ProxyRefusal(409, ALREADY_IN_SESSION, "The identifier is already a participant in the Session.")
    if len(present) >= MAX_PARTICIPANTS:
        raise ProxyRefusal(400, TOO_MANY_PARTICIPANTS, "A Session may have at most 2 participants.")


def _pair(
    tx: Transaction,
    service: ProxyService,
    session: ProxySession,
    both: tuple[ProxyParticipant, ProxyParticipant],
    now: EpochMs,
    policy: Policy,
) -> ProxySession:
    """Books the pair of a session. Returns the session with it."""
    wanted = {each.wanted for each in both if each.wanted is not None}
    if len(wanted) > 1:
        raise ProxyRefusal(409, NUMBER_IN_USE, "Both Participants of a Session have the same proxy number here.")
    first, second = (Participant(E164(each.number or ""), each.name or "") for each in both)
    request = BookingRequest(
        service.account_id,
        None,
        policy.session_plan,
        service.callback_url,
        caller_id=CallerId.SERVICE,
        # By which the customer finds the booking, and the callbacks the session.
        metadata={"serviceSid": sid("KS", service.id), "sessionSid": sid("KC", session.id)},
        wanted=NumberRequest(service=next(iter(wanted), None)),
        participants=(first, second),
    )
    booking = book(tx, request, now, policy)
    session = replace(session, booking_id=booking.id, updated_at=now)
    ends_at = end_of(tx, session, session.created_at, booking.end_at, now)
    if ends_at != booking.end_at:
        tx.bookings.update(replace(booking, end_at=ends_at))
    tx.twilio_proxy.forget_participants(session.id)
    return with_end(session, ends_at, booking.end_at)
