"""The choice of a number for a booking, and an empty pool."""

import asyncio

from engine.bookings.endings import sweep
from tests.integration.api_helpers import (
    DAY,
    MAX_BOOKINGS,
    NUMBERS,
    POLICY,
    SECOND,
    START,
    Api,
    a_request,
    hold_all_but_one,
)

pytest_plugins = ["tests.integration.api_fixtures"]


async def cancel(api: Api, booking_id: str) -> None:
    assert (await api.call("DELETE", f"/bookings/{booking_id}")).status == 204


async def test_equally_idle_numbers_are_given_out_in_order(api: Api) -> None:
    given = [(await api.book())["service"] for _ in NUMBERS]
    assert given == list(NUMBERS)


async def test_the_least_recently_used_number_is_given_out_first(api: Api) -> None:
    held = [await api.book() for _ in NUMBERS]
    for index in (4, 1, 7):
        api.clock.advance(1)
        await cancel(api, held[index]["id"])
    for booking in held:
        if booking["service"] not in {NUMBERS[4], NUMBERS[1], NUMBERS[7]}:
            await api.call("PUT", f"/bookings/{booking['id']}", {"usagePlan": "LARGE"})
            await api.call("PUT", f"/bookings/{booking['id']}", {"usagePlan": "LARGE"})
    api.clock.advance(POLICY.quarantine_ms)
    given = [(await api.book())["service"] for _ in range(3)]
    assert given == [NUMBERS[4], NUMBERS[1], NUMBERS[7]]


async def test_an_account_at_its_booking_limit_is_refused_and_others_can_book(api: Api) -> None:
    first = await api.book()
    await hold_all_but_one(api, first["id"])
    last = await api.book()
    answer = await api.call("POST", "/bookings", a_request())
    assert (answer.status, answer.code) == (403, "quota_reached")
    assert answer.body["detail"] == f"The account has reached its limit of {MAX_BOOKINGS} bookings."
    assert (await api.call("PUT", f"/bookings/{first['id']}", {"usagePlan": "SMALL"})).status == 200
    await api.book(account="theirs")
    api.clock.advance(SECOND)
    await cancel(api, last["id"])
    # The number of the booking that is gone counts until others can book it, which is when its quarantine ends.
    answer = await api.call("POST", "/bookings", a_request())
    assert (answer.status, answer.code, answer.body["retryable"]) == (403, "quota_reached", False)
    assert answer.body["detail"] == (
        f"The account has reached its limit of {MAX_BOOKINGS} bookings: it holds {MAX_BOOKINGS - 1}, and a number that "
        "it gave back is in quarantine; the next booking is possible at 2026-03-31T12:00:01.000Z."
    )
    await cancel(api, first["id"])
    api.clock.advance(POLICY.quarantine_ms - 1)
    assert (await api.call("POST", "/bookings", a_request())).code == "quota_reached"
    api.clock.advance(1)
    await api.book()


async def test_an_empty_pool_answers_503_with_retry_after(api: Api) -> None:
    for _ in NUMBERS:
        await api.book()
    answer = await api.call("POST", "/bookings", a_request())
    assert (answer.status, answer.code) == (503, "no_number_free")
    assert answer.headers["Retry-After"].isdecimal()
    assert answer.body["retryable"] is True


async def test_a_quarantined_number_is_not_given_out(api: Api) -> None:
    held = [await api.book(usagePlan="LARGE") for _ in NUMBERS]
    await cancel(api, held[0]["id"])
    api.clock.advance(POLICY.quarantine_ms - 1)
    assert (await api.call("POST", "/bookings", a_request())).code == "no_number_free"
    api.clock.advance(1)
    assert (await api.book())["service"] == held[0]["service"]


async def test_a_number_is_quarantined_after_the_grace_of_its_booking(api: Api) -> None:
    for _ in NUMBERS:
        await api.book()
    api.clock.advance(DAY + POLICY.grace_ms)
    assert (await api.call("POST", "/bookings", a_request())).code == "no_number_free"
    await api.storage.run(sweep, api.clock.timestamp(), POLICY)
    assert (await api.call("POST", "/bookings", a_request())).code == "no_number_free"
    api.clock.advance(POLICY.quarantine_ms)
    assert (await api.book())["service"] == NUMBERS[0]


async def test_a_refused_booking_takes_no_number(api: Api) -> None:
    for wrong in ({"destination": "+32"}, {"destination": NUMBERS[5]}, {"callback": "ftp://x"}):
        assert (await api.call("POST", "/bookings", a_request(**wrong))).status == 422
    free = await api.storage.run(lambda tx: tx.numbers.page("", "FREE", 100))
    assert [(one.e164, one.idle_since) for one in free] == [(number, START) for number in NUMBERS]


async def test_twenty_concurrent_bookings_on_ten_numbers_are_ten_bookings_and_ten_refusals(api: Api) -> None:
    answers = await asyncio.gather(*(api.call("POST", "/bookings", a_request()) for _ in range(20)))
    assert sorted(answer.status for answer in answers) == [201] * 10 + [503] * 10
    given = {answer.body["service"] for answer in answers if answer.status == 201}
    assert given == set(NUMBERS)
    assert {answer.code for answer in answers if answer.status == 503} == {"no_number_free"}


async def test_concurrent_renewals_all_count(api: Api) -> None:
    booking = await api.book()
    path = f"/bookings/{booking['id']}"
    answers = await asyncio.gather(*(api.call("PUT", path, {"usagePlan": "SMALL"}) for _ in range(20)))
    assert {answer.status for answer in answers} == {200}
    assert (await api.see(booking["id"]))["secondsRemaining"] == 21 * 90


async def test_of_two_concurrent_deletes_one_answers_204_and_the_other_gone(api: Api) -> None:
    booking = await api.book()
    path = f"/bookings/{booking['id']}"
    answers = await asyncio.gather(*(api.call("DELETE", path) for _ in range(2)))
    assert sorted(answer.status for answer in answers) == [204, 404]
