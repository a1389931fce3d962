"""The pool of numbers: how many are in which state, how long the free ones last, and the actions on them."""

from collections.abc import Mapping
from typing import Any

from api.http.parsing import unacceptable
from api.schemas.fields import COUNTRY
from api.schemas.operator_rows import forecast_rows, number_row
from api.web.console.confirming import check_sure
from api.web.console.lists import (
    BEFORE,
    PAGE,
    number_of,
    page_of,
    place_of,
    text_of,
    typed,
    without_separators,
    wrong_number,
)
from api.web.frame.site import Action, Outcome, Page, Visit
from engine.bookings import number_pool
from engine.bookings.pool_forecast import pool_forecast
from engine.domain.errors import InvalidInput
from engine.domain.numbers import E164_PATTERN, NumberState
from engine.domain.times import DAY_MS, EpochMs
from engine.domain.web_access import Role
from engine.domain.wording import counted
from engine.storage.numbers import Number

PATH = "/numbers"
MOST_DAYS = 3650
HEADERS = {"number", "e164", "numbers"}


def numbers_page() -> Page:
    """Returns the page."""
    return Page(
        PATH,
        "Numbers",
        Role.VIEWER,
        "console/numbers.html",
        load,
        command="numbers summary",
        api="/numbers",
        parameters=frozenset({"number", "state", "country", BEFORE}),
    )


def number_actions() -> tuple[Action, ...]:
    """Returns what can be done to the pool."""
    page, operator, resting = numbers_page(), Role.OPERATOR, {"number", "days"}
    return (
        page.action(
            "import", "Import", "NumbersImported", operator, import_lines, {"lines"}, command="numbers import FILE"
        ),
        page.action(
            "quarantine",
            "Quarantine",
            "NumberQuarantined",
            operator,
            quarantine,
            resting,
            command="numbers quarantine NUMBER",
        ),
        page.action(
            "retire", "Retire", "NumberRetired", operator, retire, {"number", "sure"}, command="numbers retire NUMBER"
        ),
        page.action(
            "restore", "Restore", "NumberRestored", operator, restore, {"number"}, command="numbers restore NUMBER"
        ),
    )


async def load(visit: Visit) -> Mapping[str, Any]:
    """Returns the counts of each country, the forecast, and a page of numbers in their order."""
    state, country, asked = (text_of(visit, name) for name in ("state", "country", "number"))
    if state not in {"", *NumberState}:
        raise unacceptable("state", f"is one of {', '.join(NumberState)}")
    if country and not COUNTRY.fullmatch(country):
        raise unacceptable("country", "is two capital letters, such as BE")
    reads, quarantine_ms = visit.services.reads, visit.deps.policy.quarantine_ms
    number = number_of(visit, typed(visit, "number"))
    errors = {"number": wrong_number(visit, typed(visit, "number"))} if asked and number is None else {}
    found = (
        []
        if errors
        else await reads.numbers_after(
            number, place_of(visit, E164_PATTERN), state=state or None, country=country or None, limit=PAGE + 1
        )
    )
    numbers, more_after = page_of(found, None, lambda each: each.e164)
    expected = await pool_forecast(reads, visit.now, quarantine_ms)
    return {
        "number": asked,
        "state": state,
        "country": country,
        "errors": errors,
        "states": [each.value for each in NumberState],
        "countries": [
            {"country": name or "none", **{each.value.lower(): counts.get(each, 0) for each in NumberState}}
            for name, counts in sorted((await reads.numbers_by_country()).items(), key=lambda each: each[0] or "")
        ],
        "daysLeft": expected.days_left,
        "forecast": forecast_rows(expected),
        "numbers": [number_row(each) for each in numbers],
        "next": more_after,
    }


async def import_lines(visit: Visit, form: Mapping[str, str]) -> Outcome:
    """Adds the numbers of a text, one in each line, all or none. Bad lines are named."""
    lines = [
        (count, text.partition(",")[0].strip().strip('"')) for count, text in enumerate(form["lines"].splitlines(), 1)
    ]
    lines = [(count, text) for count, text in lines if text and not (count == 1 and text.lower() in HEADERS)]
    if not lines:
        raise InvalidInput(["--lines has no number: write one on each line"])
    read = number_pool.read_numbers(lines)
    added = await visit.deps.run(number_pool.add_numbers, read, visit.now)
    return Outcome(f"Imported: {counted(added, 'number')}.", {"added": added})


async def quarantine(visit: Visit, form: Mapping[str, str]) -> Outcome:
    """Keeps a free number out of use for a time."""
    days = form["days"].strip()
    if days and not (days.isdecimal() and len(days) < 5 and 1 <= int(days) <= MOST_DAYS):
        raise InvalidInput([f"--days must be a whole number from 1 to {MOST_DAYS}, or empty"])
    rest_ms = int(days) * DAY_MS if days else visit.deps.policy.quarantine_ms
    until = EpochMs(visit.now + rest_ms)
    return _done(await visit.deps.run(number_pool.quarantine, _number(visit, form), until))


async def retire(visit: Visit, form: Mapping[str, str]) -> Outcome:
    """Takes a number out of the pool."""
    check_sure(form)
    return _done(await visit.deps.run(number_pool.retire, _number(visit, form)))


async def restore(visit: Visit, form: Mapping[str, str]) -> Outcome:
    """Brings a retired number back."""
    return _done(await visit.deps.run(number_pool.restore, _number(visit, form)))


def _done(number: Number) -> Outcome:
    return Outcome(f"{number.e164} is {number.state.lower()}.", number_row(number))


def _number(visit: Visit, form: Mapping[str, str]) -> str:
    """Returns the number that was typed, as the pool has it. Raises InvalidInput."""
    text = without_separators(form["number"])
    number = number_of(visit, text)
    if number is None:
        raise InvalidInput([f"--number: {wrong_number(visit, text)}"])
    return number
