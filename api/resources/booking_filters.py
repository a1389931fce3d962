"""Reads the filters of a list of bookings from the query."""

from enum import StrEnum

from aiohttp import web

from api.http.parsing import flag_of, pairs_of, unacceptable, with_plus
from engine.domain import notes
from engine.domain.booking import BookingStatus
from engine.domain.ids import AccountId
from engine.domain.numbers import E164, is_e164
from engine.domain.policy import Policy, UsagePlan
from engine.domain.times import EpochMs
from engine.storage.filters import MAX_PAIRS, BookingFilter

PARAMETERS = frozenset({"includeExpired", "status", "destination", "usagePlan", "service", "label", "metadata"})
STATUSES = (BookingStatus.ACTIVE, BookingStatus.EXPIRED)


def filter_of(request: web.Request, account_id: AccountId, now: EpochMs, policy: Policy) -> BookingFilter:
    """Returns the filter, which selects active bookings by default. Raises ProblemError for an invalid parameter."""
    status = _word(request, "status", STATUSES)
    with_expired = flag_of(request, "includeExpired") if status is None else status == BookingStatus.EXPIRED
    chosen = BookingFilter(
        expires_after=EpochMs(now - policy.grace_ms if with_expired else now),
        destination=_number(request, "destination"),
        usage_plan=_word(request, "usagePlan", tuple(UsagePlan)),
        service=_number(request, "service"),
        notes=(*_label(request, account_id), *_pairs(request, account_id)),
    )
    return chosen.until(now) if status == BookingStatus.EXPIRED else chosen


def _word(request: web.Request, name: str, words: tuple[StrEnum, ...]) -> str | None:
    text = request.query.get(name)
    if text is not None and text not in words:
        raise unacceptable(name, f"must be {' or '.join(words)}")
    return text


def _number(request: web.Request, name: str) -> E164 | None:
    text = request.query.get(name)
    if text is None:
        return None
    number = with_plus(text)
    if not is_e164(number):
        raise unacceptable(name, "must be an E.164 number, such as +3225551234, with its + written as %2B")
    return number


def _label(request: web.Request, account_id: AccountId) -> list[str]:
    text = request.query.get("label")
    if text is None:
        return []
    if not notes.LABEL.fullmatch(text):
        raise unacceptable("label", "must be a label that a booking can have")
    return [notes.label_digest(account_id, text)]


def _pairs(request: web.Request, account_id: AccountId) -> list[str]:
    pairs = pairs_of(request, "metadata")
    if len(pairs) > MAX_PAIRS:
        raise unacceptable("metadata", f"may have up to {MAX_PAIRS} keys")
    for key, value in pairs.items():
        if not (notes.KEY.fullmatch(key) and notes.is_value(value)):
            raise unacceptable("metadata", "must have keys and values that a booking can have")
    return [notes.pair_digest(account_id, key, value) for key, value in pairs.items()]
