"""/usage: what the account's calls of a span have used and its plans have cost, by day and booking."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Annotated

from aiohttp import web
from pydantic import Field

from api.http.dependencies import ACCOUNT_ID, DEPENDENCIES, now_of
from api.http.parsing import span_of, unacceptable
from api.http.responses import json_answer
from api.http.routes import Operation, Route
from api.schemas.common import Outgoing
from api.schemas.fields import BookingIdField, Count, Instant, Phone, described
from engine.domain.ids import AccountId, BookingId
from engine.domain.money import CURRENCY, Money, summed
from engine.domain.times import DAY_MS, EpochMs, Span, rfc3339
from engine.storage.cdrs import Usage
from engine.storage.reads import Reads

DEFAULT_DAYS = 30
MAX_DAYS = 92
LAST = EpochMs(253_402_300_799_000)  # 9999-12-31T23:59:59Z
# A larger answer would hold up the event loop, which also serves calls.
MAX_LINES = 2_000


class CostBody(Outgoing):
    """An amount of money."""

    amount: Count
    """In the currency's smallest unit: 990 is 9.90 EUR."""
    currency: Annotated[str, described(CURRENCY)]
    """The currency (ISO 4217)."""


Cost = Annotated[
    list[CostBody],
    Field(
        description="The prices of the plans that were booked or renewed, as they were then: one amount for each "
        "currency. Empty: none was, or the operator had set no price."
    ),
]


class UsageLineBody(Outgoing):
    """What the calls to one booking have used on one day, and what its plans cost."""

    day: Annotated[str, described(format="date")]
    """The day, in UTC, on which the calls came in and the plans were booked."""
    booking_id: BookingIdField
    """The booking, which may be gone since."""
    service: Phone
    """The rented number that was called, or that the booking had."""
    answered: Count
    """Calls that were answered."""
    missed: Count
    """Calls that were put through and not answered."""
    refused: Count
    """Calls that were not put through."""
    seconds: Count
    """Charged seconds: the sum of the durations of the call records."""
    cost: Cost

    @classmethod
    def of(cls, day: Span, used: Usage, cost: Iterable[Money]) -> "UsageLineBody":
        """The line of a booking's calls and plans of a day."""
        return cls(
            day=rfc3339(day.since)[:10],
            booking_id=used.booking_id,
            service=used.service,
            answered=used.answered,
            missed=used.missed,
            refused=used.refused,
            seconds=used.seconds,
            cost=cost_bodies(cost),
        )


class UsageBody(Outgoing):
    """What the account's calls of a time span have used and its plans cost. Calls that are still up are not in it."""

    since: Instant = Field(alias="from")
    until: Instant = Field(alias="to")
    answered: Count
    missed: Count
    refused: Count
    seconds: Count
    cost: Cost
    data: list[UsageLineBody]
    """By day and booking; there is no line where there were neither calls nor costs."""


async def index(request: web.Request) -> web.Response:
    """Answers with the usage of a time span."""
    span = span_asked(request)
    return json_answer(await usage_of(request.app[DEPENDENCIES].reads, request[ACCOUNT_ID], span))


def span_asked(request: web.Request) -> Span:
    """Returns the span that the query asks for. Raises ProblemError if it is too long or too long ago."""
    _, until = span_of(request, 0, now_of(request))
    since, _ = span_of(request, until - DEFAULT_DAYS * DAY_MS, until)
    if since > until:
        raise unacceptable("from", "must not be later than to")
    if since < 0:  # an offset leads to times before the first and after the last year, which no text stands for
        raise unacceptable("from", "must not be before 1970")
    if until > LAST:
        raise unacceptable("to", f"must not be after {rfc3339(LAST)}")
    if until - since > MAX_DAYS * DAY_MS:
        raise unacceptable("from", f"must not be more than {MAX_DAYS} days before to")
    return Span(EpochMs(since), EpochMs(until))


async def usage_of(reads: Reads, account_id: AccountId, span: Span) -> UsageBody:
    """Returns the usage of a span. It reads a day at a time, so that no statement runs long.

    Raises:
        ProblemError: It has too many lines.
    """
    lines: list[UsageLineBody] = []
    for day in span.by_calendar_day():
        lines += await _lines_of(reads, account_id, day)
        if len(lines) > MAX_LINES:
            raise unacceptable("to", f"must be earlier: the answer would have more than {MAX_LINES} lines")
    return UsageBody(
        since=rfc3339(span.since),
        until=rfc3339(span.until),
        answered=sum(line.answered for line in lines),
        missed=sum(line.missed for line in lines),
        refused=sum(line.refused for line in lines),
        seconds=sum(line.seconds for line in lines),
        cost=cost_bodies(Money(each.amount, each.currency) for line in lines for each in line.cost),
        data=lines,
    )


async def _lines_of(reads: Reads, account_id: AccountId, day: Span) -> list[UsageLineBody]:
    """Returns the lines of a day, in the order of the bookings' ids."""
    usage = {used.booking_id: used for used in await reads.usage(account_id, day)}
    costs = defaultdict[BookingId, list[Money]](list)
    for charge in await reads.charges(account_id, day):
        usage.setdefault(charge.booking_id, Usage(charge.booking_id, charge.service))
        costs[charge.booking_id].append(charge.cost)
    return [UsageLineBody.of(day, usage[booking_id], costs[booking_id]) for booking_id in sorted(usage)]


def cost_bodies(amounts: Iterable[Money]) -> list[CostBody]:
    """Returns the sum of amounts in each currency."""
    return [CostBody(amount=each.amount, currency=each.currency) for each in summed(amounts)]


ROUTES = (
    Route(
        "GET",
        "/usage",
        index,
        Operation(
            "getUsage",
            "Usage",
            "See what calls have used and plans have cost, by day and booking",
            answers={200: UsageBody},
            detail="A call belongs to the day, in UTC, on which it came in. The seconds are those that the bookings "
            "were charged. The cost is that of the plans that were booked or renewed on that day, used up or not, at "
            f"the price that they had then. A request spans up to {MAX_DAYS} days, and {DEFAULT_DAYS} by default; the "
            f"first and the last day may be parts of a day. An answer has up to {MAX_LINES} lines.",
        ),
        parameters=frozenset({"from", "to"}),
        counts=True,
    ),
)
