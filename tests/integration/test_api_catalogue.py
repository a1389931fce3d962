"""GET /usage-plans and GET /numbers."""

from datetime import timedelta

import pytest

from api.resources.catalogue import PlanBody
from engine.bookings.number_pool import import_numbers
from engine.config.policy import policy_of
from engine.config.settings import Settings
from engine.config.types import PlanSettings, PlansSettings
from engine.domain.policy import Allowance, UsagePlan
from engine.domain.times import EpochMs
from tests.integration.api_helpers import DAY, NUMBERS, POLICY, START, TESTED, Api

pytest_plugins = ["tests.integration.api_fixtures"]

PRICE, NO_PRICE = {"price": 990, "currency": "EUR"}, {"price": None, "currency": None}
FRENCH = [f"+331990000{n:02}" for n in range(3)]


async def test_plans_show_the_operators_settings(api: Api) -> None:
    assert (await api.call("GET", "/usage-plans")).body == {
        "data": [
            {"id": "SMALL", "seconds": 90, "minutes": 1, "calls": 2, "days": 1} | PRICE,
            {"id": "MEDIUM", "seconds": 300, "minutes": 5, "calls": 10, "days": 7} | NO_PRICE,
            {"id": "LARGE", "seconds": 3600, "minutes": 60, "calls": 100, "days": 30} | NO_PRICE,
        ]
    }


async def test_the_price_page_needs_no_key(api: Api) -> None:
    async with api.client.get("/usage-plans") as answer:
        assert answer.status == 200
        assert await answer.json() == (await api.call("GET", "/usage-plans")).body


@pytest.mark.parametrize(
    ("price", "currency", "text"),
    [(990, "EUR", "9.90 EUR"), (0, "USD", "0.00 USD"), (1200, "JPY", "1200 JPY"), (5, "KWD", "0.005 KWD")],
)
def test_a_price_is_a_whole_number_of_the_smallest_unit(price: int, currency: str, text: str) -> None:
    plans = PlansSettings(small=PlanSettings(seconds=60, calls=1, valid_for=timedelta(days=1), price=price))
    gives = policy_of(Settings(plans=plans, currency=currency)).plans[UsagePlan.SMALL]
    shown = PlanBody.of(UsagePlan.SMALL, gives).model_dump()
    assert (shown["price"], shown["currency"], str(gives.price)) == (price, currency, text)


def test_a_plan_shorter_than_a_day_shows_a_fraction() -> None:
    assert PlanBody.of(UsagePlan.SMALL, Allowance(60, 1, DAY // 4)).model_dump()["days"] == 0.25


async def test_free_numbers_are_counted_by_country_alike_for_all_accounts(api: Api) -> None:
    await api.storage.run(import_numbers, list(enumerate([*FRENCH, "+883510000091"])), START)
    await api.book(country="FR")
    await api.book(account="theirs")
    gone = await api.book()
    await api.call("DELETE", f"/bookings/{gone['id']}")
    counted = {
        "free": 11,
        "inQuarantine": 1,
        "daysLeft": 11 * 7 // 3,
        "countries": [
            {"country": "BE", "free": len(NUMBERS) - 2},
            {"country": "FR", "free": len(FRENCH) - 1},
            {"country": None, "free": 1},
        ],
    }
    for account in ("ours", "theirs"):
        assert (await api.call("GET", "/numbers", account=account)).body == counted


async def test_a_sandbox_sees_simulated_numbers_and_nothing_of_the_pool(api: Api) -> None:
    before = (await api.call("GET", "/numbers", account=TESTED)).body
    assert before == {
        "free": 10**12,
        "inQuarantine": 0,
        "daysLeft": None,
        "countries": [{"country": None, "free": 10**12}],
    }
    for _ in NUMBERS:
        await api.book()
    assert (await api.call("GET", "/numbers", account=TESTED)).body == before


async def test_the_pace_covers_the_last_week_and_counts_returned_numbers(api: Api) -> None:
    async def days_left() -> int | None:
        left: int | None = (await api.call("GET", "/numbers")).body["daysLeft"]
        return left

    assert await days_left() is None
    booked = [await api.book(usagePlan="LARGE") for _ in range(4)]
    assert await days_left() == 6 * 7 // 4
    api.clock.advance(7 * DAY)
    assert await days_left() is None
    for booking in booked:
        await api.call("DELETE", f"/bookings/{booking['id']}")
    api.clock.advance(POLICY.quarantine_ms)
    await api.storage.run(lambda tx: tx.numbers.free_quarantined(EpochMs(api.clock.now())))
    await api.book()
    # Four numbers were returned and one was taken.
    assert await days_left() is None
    api.clock.advance(DAY)
    for _ in range(4):
        await api.book()
    # Five were taken within a week. Nothing is in quarantine, so for a month nothing can come back.
    assert await days_left() == 5 * 7 // 5


async def test_the_forecast_counts_on_numbers_when_they_come_back_from_quarantine(api: Api) -> None:
    async def forecast() -> tuple[int, int, int | None]:
        body = (await api.call("GET", "/numbers")).body
        return body["free"], body["inQuarantine"], body["daysLeft"]

    booked = [await api.book(usagePlan="LARGE") for _ in range(7)]
    assert await forecast() == (3, 0, 3)
    for booking in booked:
        await api.call("DELETE", f"/bookings/{booking['id']}")
    assert await forecast() == (3, 7, 3)  # they come back in a month
    api.clock.advance(POLICY.quarantine_ms - 2 * DAY)
    for _ in range(2):
        await api.book(usagePlan="LARGE")
    assert await forecast() == (1, 7, 28)  # seven of them come back in two days: 1 + 7 at two a week


async def test_an_empty_pool_lists_no_country(api: Api) -> None:
    for _ in NUMBERS:
        await api.book()
    assert (await api.call("GET", "/numbers")).body == {"free": 0, "inQuarantine": 0, "daysLeft": 0, "countries": []}
