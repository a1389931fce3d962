"""/usage-plans and /numbers: what can be booked."""

from typing import Annotated

from aiohttp import web

from api.http.dependencies import DEPENDENCIES, SANDBOX, now_of
from api.http.responses import json_answer
from api.http.routes import Operation, Route
from api.schemas.common import Outgoing
from api.schemas.fields import Count, PlaceOfNumbers, described
from engine.bookings.pool_forecast import PACE_DAYS, pool_forecast
from engine.domain.money import CURRENCY
from engine.domain.numbers import SIMULATED_NUMBERS
from engine.domain.policy import Allowance, UsagePlan
from engine.domain.times import DAY_MS


class PlanBody(Outgoing):
    """A usage plan."""

    id: UsagePlan
    seconds: Count
    """The seconds of answered calls that a booking gets."""
    minutes: Count
    """Whole minutes of `seconds`."""
    calls: Count
    """The answered calls that a booking gets."""
    days: int | float
    """How many days the booking lasts. A renewal adds as many."""
    price: Count | None
    """What it costs, in the currency's smallest unit: 990 is 9.90 EUR. `null`: the operator says nothing about it."""
    currency: Annotated[str, described(CURRENCY)] | None
    """The currency of `price` (ISO 4217); `null` without a price."""

    @classmethod
    def of(cls, plan: UsagePlan, gives: Allowance) -> "PlanBody":
        """The plan with what it gives."""
        days = gives.valid_for_ms / DAY_MS
        return cls(
            id=plan,
            seconds=gives.seconds,
            minutes=gives.seconds // 60,
            calls=gives.calls,
            days=int(days) if days.is_integer() else days,
            price=None if gives.price is None else gives.price.amount,
            currency=None if gives.price is None else gives.price.currency,
        )


class PlansBody(Outgoing):
    """All usage plans."""

    data: list[PlanBody]


class CountryBody(Outgoing):
    """The free numbers of a country."""

    country: PlaceOfNumbers | None
    """The country as in `POST /bookings`; `null`: numbers that belong to no single country."""
    free: Count


class NumbersBody(Outgoing):
    """The free numbers. All accounts share one pool."""

    free: Count
    """How many numbers can be booked now."""
    in_quarantine: Count
    """How many numbers are in quarantine, and can be booked when it is over."""
    days_left: Count | None
    """Days until no number is free, at the pace of the last week; `null`: the number of free numbers does not fall."""
    countries: list[CountryBody]
    """The countries that have a free number."""


# A sandbox does not see the real pool, which says nothing about what it can book. Booked numbers are not subtracted:
# among so many they make no difference, and counting them costs more than it is worth.
_OF_SANDBOXES = NumbersBody(
    free=SIMULATED_NUMBERS,
    in_quarantine=0,
    days_left=None,
    countries=[CountryBody(country=None, free=SIMULATED_NUMBERS)],
)


async def usage_plans(request: web.Request) -> web.Response:
    """Answers with all usage plans."""
    plans = request.app[DEPENDENCIES].policy.plans
    return json_answer(PlansBody(data=[PlanBody.of(plan, plans[plan]) for plan in UsagePlan]))


async def numbers(request: web.Request) -> web.Response:
    """Answers with the count of free numbers."""
    if SANDBOX in request:
        return json_answer(_OF_SANDBOXES)
    deps = request.app[DEPENDENCIES]
    forecast = await pool_forecast(deps.reads, now_of(request), deps.policy.quarantine_ms)
    found = sorted(forecast.free_by_country.items(), key=lambda one: (one[0] is None, one[0]))
    return json_answer(
        NumbersBody(
            free=forecast.free,
            in_quarantine=forecast.in_quarantine,
            days_left=forecast.days_left,
            countries=[CountryBody(country=country, free=count) for country, count in found],
        )
    )


TAG = "Plans and numbers"

ROUTES = (
    Route(
        "GET",
        "/usage-plans",
        usage_plans,
        Operation(
            "listUsagePlans",
            TAG,
            "List usage plans",
            answers={200: PlansBody},
            detail="For a price page, so it needs no API key. The engine shows prices and charges nobody.",
        ),
        public=True,
    ),
    Route(
        "GET",
        "/numbers",
        numbers,
        Operation(
            "countNumbers",
            TAG,
            "Count free numbers",
            answers={200: NumbersBody},
            detail=f"`daysLeft` assumes that as many numbers are booked a day as within the last {PACE_DAYS} days. It "
            "counts on the numbers that come back from quarantine. For a sandbox the numbers are simulated and never "
            "run out.",
        ),
        counts=True,
    ),
)
