"""/usage-plans and /numbers: what there is to book."""

from aiohttp import web

from api.http.dependencies import DEPENDENCIES, SANDBOX, now_of
from api.http.responses import json_answer
from api.http.routes import Operation, Route
from api.schemas.common import Outgoing
from api.schemas.fields import Count, PlaceOfNumbers
from engine.bookings.number_pool import PACE_DAYS, PACE_MS, days_left
from engine.domain.numbers import SIMULATED_NUMBERS
from engine.domain.policy import Allowance, UsagePlan
from engine.domain.times import DAY_MS


class PlanBody(Outgoing):
    id: UsagePlan
    seconds: Count
    """Answered seconds that a booking gets to spend."""
    minutes: Count
    """Whole minutes of `seconds`."""
    calls: Count
    """Answered calls that a booking gets to take."""
    days: int | float
    """How long the booking lasts, or by how much a renewal lengthens it."""

    @classmethod
    def of(cls, plan: UsagePlan, gives: Allowance) -> "PlanBody":
        days = gives.valid_for_ms / DAY_MS
        return cls(
            id=plan,
            seconds=gives.seconds,
            minutes=gives.seconds // 60,
            calls=gives.calls,
            days=int(days) if days.is_integer() else days,
        )


class PlansBody(Outgoing):
    data: list[PlanBody]


class CountryBody(Outgoing):
    country: PlaceOfNumbers | None
    """As `POST /bookings` takes it; `null`: numbers that are of no single country."""
    free: Count


class NumbersBody(Outgoing):
    """The numbers of all accounts are of one pool. Whose the others are is not told."""

    free: Count
    """How many numbers can be booked now."""
    days_left: Count | None
    """Days until none is free, at the pace of the last week; `null`: there do not become fewer."""
    countries: list[CountryBody]
    """Those that have a free number."""


# The pool's would say nothing of what a test world can book, and much of the operator. What is held is not taken off:
# of so many it makes no difference, and to count it would cost more than it says.
_OF_TEST_WORLDS = NumbersBody(
    free=SIMULATED_NUMBERS, days_left=None, countries=[CountryBody(country=None, free=SIMULATED_NUMBERS)]
)


async def usage_plans(request: web.Request) -> web.Response:
    plans = request.app[DEPENDENCIES].policy.plans
    return json_answer(PlansBody(data=[PlanBody.of(plan, plans[plan]) for plan in UsagePlan]))


async def numbers(request: web.Request) -> web.Response:
    if SANDBOX in request:
        return json_answer(_OF_TEST_WORLDS)
    deps = request.app[DEPENDENCIES]
    by_country = await deps.reads.free_numbers()
    net_taken = await deps.reads.net_taken(now_of(request), PACE_MS, deps.policy.quarantine_ms)
    free = sum(by_country.values())
    found = sorted(by_country.items(), key=lambda one: (one[0] is None, one[0]))
    return json_answer(
        NumbersBody(
            free=free,
            days_left=days_left(free, net_taken),
            countries=[CountryBody(country=country, free=count) for country, count in found],
        )
    )


TAG = "Plans and numbers"

ROUTES = (
    Route(
        "GET",
        "/usage-plans",
        usage_plans,
        Operation("listUsagePlans", TAG, "What each usage plan gives", answers={200: PlansBody}),
    ),
    Route(
        "GET",
        "/numbers",
        numbers,
        Operation(
            "countNumbers",
            TAG,
            "How many numbers are free",
            answers={200: NumbersBody},
            detail=f"The pace is how many more numbers were booked than came back within {PACE_DAYS} days. One comes "
            "back when its quarantine is over. A test key is told of simulated numbers, which do not become fewer.",
        ),
    ),
)
