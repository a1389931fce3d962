"""The bodies of Twilio Proxy's webhooks: flat objects, which are sent as forms.

They are stored as JSON like the bodies of all callbacks, and have some of their fields: the record's `id`, `type`,
`message`, `sequence`. What becomes a form begins with `ApiVersion`, as no event of our own does.
"""

import json
from collections.abc import Sequence

from engine.domain.booking import Booking
from engine.domain.dispositions import Disposition
from engine.domain.event_kinds import EXPIRED_MESSAGE
from engine.domain.ids import AccountId
from engine.domain.times import EpochMs, rfc3339
from engine.domain.twilio_proxy import (
    ProxyParticipant,
    ProxySession,
    SessionStatus,
    number_sid,
    outbound_status,
    sid,
    why_closed,
)

API_VERSION = {"ApiVersion": "2010-04-01"}
# How the JSON of a body begins that is sent as a form.
FORM_BEGINS = json.dumps(API_VERSION).removesuffix("}")

Body = dict[str, str | int]


def iso(instant: EpochMs) -> str:
    """An instant in whole seconds, which is all that Twilio's clients read."""
    return rfc3339(instant)[:19] + "Z"


def interaction_body(
    *,
    account_id: AccountId,
    session: ProxySession,
    cdr_id: str,
    started_at: EpochMs,
    ended_at: EpochMs,
    duration: int,
    disposition: Disposition,
    sides: tuple[str, str],
) -> Body:
    """The body about a call that has ended. `sides`: the ids of the participant who called and of the other one."""
    answered = {} if disposition is Disposition.ANSWERED else {"type": "call.missed"}
    return {
        **API_VERSION,
        **answered,
        "id": cdr_id,
        "interactionSid": sid("KI", cdr_id),
        "interactionAccountSid": sid("AC", account_id),
        "interactionServiceSid": sid("KS", session.service_id),
        "interactionSessionSid": sid("KC", session.id),
        "interactionType": "Voice",
        "interactionData": json.dumps({"duration": str(duration)}),
        "interactionDateCreated": iso(started_at),
        "interactionDateUpdated": iso(ended_at),
        "inboundParticipantSid": sid("KP", sides[0]),
        "inboundResourceSid": sid("CA", cdr_id),
        "inboundResourceType": "call",
        "inboundResourceStatus": "completed",
        "outboundParticipantSid": sid("KP", sides[1]),
        "outboundResourceType": "call",
        "outboundResourceStatus": outbound_status(disposition),
    }


def out_of_session_body(
    *,
    account_id: AccountId,
    session: ProxySession,
    booking: Booking,
    people: Sequence[ProxyParticipant],
    cdr_id: str,
    source: str,
    not_reported: int,
) -> Body:
    """The body about a call to a closed session.

    Args:
        account_id: The account.
        session: The session.
        booking: Its pair, which has expired.
        people: Its participants, in the order of the pair.
        cdr_id: The id of the call's record.
        source: Who called.
        not_reported: How many such calls had no webhook of their own before.
    """
    pair = list(zip(people, booking.participants or (), strict=False))
    pair.sort(key=lambda each: each[1].number != source)  # who called comes first
    body: Body = {
        **API_VERSION,
        "message": EXPIRED_MESSAGE,
        "AccountSid": sid("AC", account_id),
        "CallSid": sid("CA", cdr_id),
        "CallStatus": "failed",
        "Direction": "inbound",
        "From": source,
        "Caller": source,
        "To": booking.service,
        "Called": booking.service,
        "sessionSid": sid("KC", session.id),
        "sessionAccountSid": sid("AC", account_id),
        "sessionServiceSid": sid("KS", session.service_id),
        "sessionUniqueName": session.unique_name or "",
        "sessionStatus": str(SessionStatus.CLOSED),
        "sessionMode": "voice-only",
        "sessionClosedReason": str(why_closed(session, booking)),
        "sessionDateCreated": iso(session.created_at),
        "sessionDateUpdated": iso(session.updated_at),
        "sessionDateEnded": iso(booking.expires_at),
    }
    if not_reported:
        body["callsNotReported"] = not_reported
    for side, (participant, who) in zip(("inbound", "outbound"), pair, strict=False):
        body |= {
            f"{side}ParticipantSid": sid("KP", participant.id),
            f"{side}ParticipantIdentifier": who.number,
            f"{side}ParticipantFriendlyName": who.label,
            f"{side}ParticipantProxyIdentifier": booking.service,
            f"{side}ParticipantProxyIdentifierSid": number_sid(booking.service),
            f"{side}ParticipantAccountSid": sid("AC", account_id),
            f"{side}ParticipantServiceSid": sid("KS", session.service_id),
            f"{side}ParticipantSessionSid": sid("KC", session.id),
            f"{side}ParticipantDateCreated": iso(participant.created_at),
            f"{side}ParticipantDateUpdated": iso(participant.created_at),
        }
    return body
