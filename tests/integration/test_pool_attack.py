"""A8 and A6: one account tries everything to take the numbers from the others, for two months; the others still book.

`-s` prints the figures.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from engine.accounts.accounts import set_limits
from engine.accounts.keys import create_key
from engine.bookings import endings, number_pool
from engine.bookings.number_pool import import_numbers
from engine.domain.account_limits import AccountLimits
from engine.domain.policy import Policy
from engine.domain.times import EpochMs
from tests.integration.api_helpers import (
    DAY,
    HIDDEN,
    NUMBERS,
    OTHER_HIDDEN,
    PEPPER,
    POLICY,
    START,
    TESTED,
    Answer,
    Api,
    a_request,
)

pytest_plugins = ["tests.integration.api_fixtures"]

HOUR = DAY // 24
POOL = (*NUMBERS, *(f"+331990000{n:02}" for n in range(50)), *(f"+4420794600{n:02}" for n in range(40)))
MOST, A_DAY = 30, 7
DAYS = 60
KEYS = ("ours", "second", "third")
# Every way to ask for a number.
WISHES: list[dict[str, Any]] = [
    {},
    {"country": "BE"},
    {"country": "FR"},
    {"country": "any"},
    {"area": "25550"},
    {"country": "GB", "area": "20"},
    {"prefix": "+33199"},
    {"destination": OTHER_HIDDEN},
]


@pytest.fixture
def api_policy() -> Policy:
    return replace(POLICY, account_limits=AccountLimits(MOST, A_DAY))


@dataclass
class Attacker:
    """An account that never stops. It has several keys, and its requests come at once."""

    api: Api
    policy: Policy
    chance: random.Random = field(default_factory=lambda: random.Random(8))
    answers: Counter[str] = field(default_factory=Counter)
    _count: int = 0

    async def tries_everything(self) -> None:
        """Sends a salvo of bookings of all kinds, gives some of them back, renews others, and sends it again."""
        for _ in range(2):
            salvo = [self._books(wish) for wish in (*WISHES, *self._services())]
            made = [answer.body for answer in await asyncio.gather(*salvo) if answer.status == 201]
            await asyncio.gather(*(self._follows(booking) for booking in made))

    def _services(self) -> Iterator[dict[str, Any]]:
        for service in self.chance.sample(POOL, 4):
            yield {"service": service}

    async def _books(self, wish: dict[str, Any]) -> Answer:
        body = a_request(usagePlan=self.chance.choice(("SMALL", "MEDIUM", "LARGE")), **wish)
        headers = {}
        if self.chance.random() < 0.5:
            self._count += 1
            headers = {"Idempotency-Key": f"key-{self._count}"}
        key = self.chance.choice(KEYS)
        answer = await self.api.call("POST", "/bookings", body, account=key, headers=headers)
        if headers and answer.status == 201:
            again = await self.api.call("POST", "/bookings", body, account=self.chance.choice(KEYS), headers=headers)
            assert again.body == answer.body
        await self.api.call("POST", "/bookings", body | {"destination": HIDDEN}, account=TESTED)
        self.answers["201" if answer.status == 201 else answer.code] += 1
        return answer

    async def _follows(self, booking: dict[str, Any]) -> None:
        path = f"/bookings/{booking['id']}"
        match self.chance.randrange(4):
            case 0:
                await self.api.call("PUT", path, {"usagePlan": "SMALL"}, account=self.chance.choice(KEYS))
            case 1 | 2:
                await self.api.call("DELETE", path, account=self.chance.choice(KEYS))
            case _:
                pass  # it expires, and its grace ends

    async def taken(self) -> int:
        """How many numbers others cannot have because of this account."""
        rows = await self.api.storage.run(
            lambda tx: list(
                tx.numbers._db.execute(
                    """SELECT COUNT(*) AS numbers FROM numbers AS n WHERE n.state IN ('BOOKED', 'QUARANTINED') AND (
                        SELECT a.name FROM bookings AS b JOIN accounts AS a ON a.id = b.account_id
                        WHERE b.service = n.e164 ORDER BY b.id DESC LIMIT 1
                    ) = 'ours'"""
                )
            )
        )
        return int(rows[0]["numbers"])


async def attacked(api: Api, policy: Policy) -> Attacker:
    await api.storage.run(import_numbers, list(enumerate(set(POOL) - set(NUMBERS))), START)
    for name in KEYS[1:]:
        api.keys[name] = (await api.storage.run(create_key, "ours", PEPPER, START)).secret
    return Attacker(api, policy)


async def sweep(api: Api, policy: Policy) -> None:
    await api.storage.run(endings.sweep, api.clock.timestamp(), policy)


@pytest.mark.timeout(300)
async def test_an_account_that_tries_everything_leaves_the_others_their_numbers(api: Api, api_policy: Policy) -> None:
    attacker = await attacked(api, api_policy)
    # The other account is honest, and needs many numbers: one more every day.
    await api.storage.run(set_limits, "theirs", {"max_bookings": len(POOL) - MOST})
    most, fewest_free, days_in_vain = 0, len(POOL), 0
    for day in range(DAYS):
        before = attacker.answers["201"]
        for _ in range(2):
            await attacker.tries_everything()
            api.clock.advance(12 * HOUR - 1)
            await sweep(api, api_policy)
        made = attacker.answers["201"] - before
        assert made <= A_DAY, day
        days_in_vain += made == 0
        taken = await attacker.taken()
        most = max(most, taken)
        fewest_free = min(fewest_free, len(await api.storage.run(lambda tx: tx.numbers.page("", "FREE", len(POOL)))))
        theirs = await api.book(account="theirs")
        if day % 2:
            await api.call("DELETE", f"/bookings/{theirs['id']}", account="theirs")
    print(f"\n{attacker.answers}; taken at most {most} of {len(POOL)}, free at least {fewest_free}")  # noqa: T201
    assert most == MOST  # it was an attack
    assert days_in_vain > 0
    assert {"quota_reached", "too_many_new_bookings"} <= attacker.answers.keys()


async def test_the_attack_that_emptied_the_pool_ends_at_the_limit(api: Api, api_policy: Policy) -> None:
    """Book and delete, as fast as it goes: nothing is ever held. No day's limit stands in the way here."""
    await attacked(api, api_policy)
    await api.storage.run(set_limits, "ours", {"new_bookings_a_day": 1_000})
    for made in range(MOST):
        booking = await api.book()
        await api.call("DELETE", f"/bookings/{booking['id']}")
        assert (await api.call("GET", "/account")).body["numbersInQuarantine"] == made + 1
    refused = await api.call("POST", "/bookings", a_request())
    assert (refused.status, refused.code) == (403, "quota_reached")
    assert (
        "30 numbers that it gave back are in quarantine; the next booking is possible at 2026-03-31T12:00:00.000Z"
        in (refused.body["detail"])
    )
    forecast = (await api.call("GET", "/numbers", account="theirs")).body
    assert (forecast["free"], forecast["inQuarantine"]) == (len(POOL) - MOST, MOST)


async def test_a_days_bookings_are_counted_over_any_24_hours_and_whatever_became_of_them(
    api: Api, api_policy: Policy
) -> None:
    await attacked(api, api_policy)
    for hour in range(A_DAY):
        booking = await api.book()
        if hour % 2:
            await api.call("DELETE", f"/bookings/{booking['id']}")
        api.clock.advance(HOUR)
    refused = await api.call("POST", "/bookings", a_request())
    assert (refused.status, refused.code, refused.body["retryable"]) == (429, "too_many_new_bookings", True)
    assert refused.headers["Retry-After"] == str((24 - A_DAY) * 3_600)
    assert refused.body["detail"] == (
        f"The account has reached its limit of {A_DAY} new bookings within 24 hours; the next booking is possible at "
        "2026-03-02T12:00:00.000Z."
    )
    # A renewal, a change and another account are no new bookings of this one.
    assert (await api.call("PUT", f"/bookings/{booking['id']}", {"usagePlan": "SMALL"})).status == 200
    await api.book(account="theirs")
    await api.book(account=TESTED)
    api.clock.advance((24 - A_DAY) * HOUR - 1)
    assert (await api.call("POST", "/bookings", a_request())).headers["Retry-After"] == "1"
    api.clock.advance(1)
    await api.book()
    assert (await api.call("POST", "/bookings", a_request())).code == "too_many_new_bookings"


async def test_numbers_count_however_their_bookings_end(api: Api, api_policy: Policy) -> None:
    """By DELETE, and by the end of the grace; before the sweep, and after it. In no moment is there a gap."""
    await attacked(api, api_policy)
    await api.storage.run(set_limits, "ours", {"max_bookings": 2})
    deleted, expiring = await api.book(), await api.book()
    await api.call("DELETE", f"/bookings/{deleted['id']}")
    ends = DAY + api_policy.grace_ms  # of the plan SMALL
    for wait in (0, DAY, api_policy.grace_ms - 1, 1, HOUR):
        api.clock.advance(wait)
        assert (await api.call("POST", "/bookings", a_request())).code == "quota_reached", wait
    assert (await api.call("GET", f"/bookings/{expiring['id']}")).code == "gone"
    await sweep(api, api_policy)
    assert (await api.call("POST", "/bookings", a_request())).code == "quota_reached"
    # The first is free again 30 days after the DELETE, the second 30 days after that sweep.
    api.clock.advance(api_policy.quarantine_ms - ends - HOUR)
    await api.book()
    assert (await api.call("POST", "/bookings", a_request())).code == "quota_reached"


async def test_a_limit_of_its_own_applies_to_one_account_at_once_and_until_it_is_reset(
    api: Api, api_policy: Policy
) -> None:
    await attacked(api, api_policy)
    await api.storage.run(set_limits, "ours", {"max_bookings": 1})
    first = await api.book()
    assert (await api.call("POST", "/bookings", a_request())).code == "quota_reached"
    for _ in range(2):
        await api.book(account="theirs")
    await api.storage.run(set_limits, "ours", {"new_bookings_a_day": 2, "max_bookings": 3})
    await api.book()
    assert (await api.call("POST", "/bookings", a_request())).code == "too_many_new_bookings"
    await api.storage.run(set_limits, "ours", {"new_bookings_a_day": 100, "max_bookings": 2})
    assert (await api.call("POST", "/bookings", a_request())).code == "quota_reached"
    # Below what the account holds: nothing is taken from it, and the next booking waits for more than one number.
    await api.call("DELETE", f"/bookings/{first['id']}")
    await api.storage.run(set_limits, "ours", {"max_bookings": 1})
    refused = await api.call("POST", "/bookings", a_request())
    assert refused.code == "quota_reached"
    assert "the next booking is possible" not in refused.body["detail"]
    await api.storage.run(set_limits, "ours", {}, reset=True)
    await api.book()


async def test_what_the_operator_does_with_a_number_counts_against_no_account(api: Api, api_policy: Policy) -> None:
    await attacked(api, api_policy)
    for command in (
        lambda tx, service: number_pool.quarantine(tx, service, EpochMs(START + 90 * DAY)),
        number_pool.retire,
    ):
        booking = await api.book()
        await api.call("DELETE", f"/bookings/{booking['id']}")
        assert (await api.call("GET", "/account")).body["numbersInQuarantine"] == 1
        await api.storage.run(command, booking["service"])
        assert (await api.call("GET", "/account")).body["numbersInQuarantine"] == 0
