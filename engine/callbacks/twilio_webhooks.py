"""Twilio Proxy's webhooks: the callbacks of bookings that are sessions, in Twilio's form and with its signature.

They take the way of every callback: outbox, retries, the guard against forbidden addresses, pace and log.
"""

import base64
import hmac
import json
from urllib.parse import urlencode

from engine.domain.booking import Booking
from engine.domain.events import as_json
from engine.domain.numbers import E164
from engine.domain.times import EpochMs
from engine.domain.twilio_webhooks import FORM_BEGINS, Body, interaction_body, out_of_session_body
from engine.runtime.ids import new_id
from engine.storage.cdrs import Cdr
from engine.storage.transaction import Transaction
from engine.storage.twilio_proxy import CalledSession

JSON, FORM = "application/json", "application/x-www-form-urlencoded"
SIGNATURE = "X-Twilio-Signature"


def session_of(tx: Transaction, booking: Booking) -> CalledSession | None:
    """Returns the session that a booking is the pair of. A single booking costs no look-up."""
    return tx.twilio_proxy.called(booking.id) if booking.is_pair else None


def post_interaction(
    tx: Transaction, booking: Booking, found: CalledSession, cdr: Cdr, now: EpochMs, sequence: int | None = None
) -> None:
    """Posts the webhook about a call that has ended. `sequence`: as `outbox.post` takes it."""
    people = tx.twilio_proxy.participants(found.session.id)
    sides = {who.number: each.id for who, each in zip(booking.participants or (), people, strict=False)}
    body = interaction_body(
        account_id=found.account_id,
        session=found.session,
        cdr_id=cdr.id,
        started_at=cdr.started_at,
        ended_at=now,
        duration=cdr.duration,
        disposition=cdr.disposition,
        sides=(sides.get(E164(cdr.source), ""), sides.get(cdr.destination, "")),
    )
    _post(tx, booking, found.callback_url, body, cdr, now, sequence)


def post_out_of_session(
    tx: Transaction, booking: Booking, found: CalledSession, cdr: Cdr, now: EpochMs, *, not_reported: int
) -> None:
    """Posts the webhook about a call to a closed session. `not_reported`: earlier ones without a webhook."""
    body = out_of_session_body(
        account_id=found.account_id,
        session=found.session,
        booking=booking,
        people=tx.twilio_proxy.participants(found.session.id),
        cdr_id=cdr.id,
        source=cdr.source,
        not_reported=not_reported,
    )
    _post(tx, booking, found.out_of_session_callback_url, body, cdr, now)


def as_sent(body: str) -> tuple[str, str]:
    """Returns the media type of a stored body and the text that is sent."""
    return (FORM, urlencode(json.loads(body))) if body.startswith(FORM_BEGINS) else (JSON, body)


def twilio_signature(url: str, body: str, secret: str) -> dict[str, str]:
    """Returns the header with which Twilio signs a form: HMAC-SHA1 over the URL and the sorted fields.

    Args:
        url: The URL to which it is sent.
        body: The stored body. One that is no form has no such header.
        secret: The account's webhook secret, in the place of Twilio's auth token.
    """
    if not body.startswith(FORM_BEGINS):
        return {}
    fields: Body = json.loads(body)
    signed = url + "".join(f"{name}{fields[name]}" for name in sorted(fields))
    digest = hmac.digest(secret.encode(), signed.encode(), "sha1")
    return {SIGNATURE: base64.b64encode(digest).decode()}


def _post(
    tx: Transaction, booking: Booking, url: str, body: Body, cdr: Cdr, now: EpochMs, sequence: int | None = None
) -> None:
    """Adds a webhook to the outbox. Its worker is woken after the commit."""
    if not url:
        return
    number = tx.outbox.next_sequence(booking.id) if sequence is None else sequence
    tx.outbox.insert(
        event_id=new_id("evt"),
        account_id=booking.account_id,
        booking_id=booking.id,
        call_id=cdr.call_id,
        url=url,
        body=as_json({**body, "sequence": number}),
        now=now,
    )
    tx.posted_for |= {booking.account_id}
