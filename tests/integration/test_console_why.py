"""Why a call failed: the box that explains, the list of calls, and the story of one call."""

import json
import re

import pytest

from engine.accounts.accounts import sandbox_of
from engine.bookings import number_pool
from engine.bookings.lifecycle import BookingPatch, BookingRequest, book, change
from engine.domain.ids import CallId
from engine.domain.numbers import E164
from engine.domain.policy import RetentionPeriods, UsagePlan
from engine.domain.simulation import Outcome, SimulatedCall
from engine.domain.times import DAY_MS, EpochMs
from engine.domain.web_access import Role
from engine.privacy.retention import SANDBOX_RECORDS_MS, delete_batch
from engine.sandbox.clock import advance_clock
from engine.sandbox.simulation import simulate_call
from engine.storage.blocked_callers import BlockedCaller
from tests.integration.api_helpers import CALLBACK, CALLER, HIDDEN, POLICY, START
from tests.integration.web_helpers import CALL, ENDED_CALL, NUMBERS, Console, ask, call_up, data, end_call

pytest_plugins = ["tests.integration.web_fixtures"]
pytestmark = pytest.mark.asyncio(loop_scope="module")

BUSY = "Not answered: the hidden number was busy, or declined the call, SIP 486, cause 17 (user busy)."
ANSWERED = "The call ended: the caller hung up, SIP 200, cause 16 (normal call clearing)."


async def test_the_box_explains_any_number_and_caller(console: Console) -> None:
    service, account_id = console.booking.service, console.account_id
    blocked = "+14155550188"
    await console.storage.run(lambda tx: tx.blocked.insert(console.booking.id, BlockedCaller(blocked, START)))
    until = EpochMs(console.clock.now() + 1_000)
    await console.storage.run(number_pool.quarantine, NUMBERS[-1], until)
    await console.storage.run(number_pool.retire, NUMBERS[-2])
    table = [
        (f"number={service[1:]}", "The call would be put through; answered at once"),
        (f"number={console.booking.id}&caller=%2B1 415 555-0188", "This caller is blocked on the booking."),
        (f"number=00{service[1:]}&caller={blocked[1:]}", "This caller is blocked on the booking."),
        (f"number={NUMBERS[-3][1:]}", "it is free. Callers get SIP 404"),
        (f"number={NUMBERS[-1][1:]}", "it is in quarantine"),
        (f"number={NUMBERS[-2][1:]}", "This number is retired"),
        ("number=%2B442079460958", "This is not one of the rented numbers"),
        ("number=%2B999123456789012", "no booking of a sandbox"),
    ]
    for query, sentence in table:
        shown = await data(console, f"/console/why?{query.replace(' ', '%20')}")
        assert (sentence in str(shown["answer"]), query) == (True, query), shown["answer"]
    wrong = [
        ("why?number=bkg_1", "number", ", or the id of a booking."),
        (f"why?number={service[1:]}&caller=someone", "caller", ", or anonymous."),
        # As people of its country write it: these trunks name no country.
        *(
            (f"{page}?number=02 555-12 34", "number", "Type the country's code")
            for page in ("why", "bookings", "numbers")
        ),
        ("calls?number=me", "number", ", or anonymous."),
    ]
    for query, field, sentence in wrong:
        [(named, said)] = (await data(console, f"/console/{query.replace(' ', '%20')}"))["errors"].items()
        assert (named, sentence in said) == (field, True), said
    patch = BookingPatch(paused=True)
    await console.storage.run(change, account_id, console.booking.id, patch, console.clock.now(), POLICY)
    paused = await data(console, f"/console/why?number={service[1:]}")
    assert paused["answer"] == "The booking is paused; its owner can let calls through again."
    # Asterisk is down in this world, and the page says so whatever the booking permits.
    assert paused["down"] == ["ami", "asterisk"]
    resumed = BookingPatch(paused=False)
    await console.storage.run(change, account_id, console.booking.id, resumed, console.clock.now(), POLICY)


async def test_from_the_start_page_two_links_lead_to_why_a_call_failed(console: Console) -> None:
    secret = (await console.session(Role.VIEWER)).secret
    start = (await ask(console, "GET", "/console", secret)).text
    assert '<a href="/console/why">Why</a>' in start
    why = (await ask(console, "GET", "/console/why", secret)).text
    assert BUSY in why
    assert ANSWERED not in why
    story, *_ = re.findall(r'href="(/console/calls/cdr_[0-9a-f]{32})"', why)
    told = (await ask(console, "GET", story, secret)).text
    for part in (
        BUSY,
        "The call came in.",
        "Trunk main: the hidden number was busy, or declined the call, BUSY, SIP 486, cause 17 (user busy).",
    ):
        assert part in told, part
    assert f"rented-numbers calls trace {story.rpartition('/')[2]}" in told


async def test_the_page_writes_times_and_counts_as_all_pages_do(console: Console) -> None:
    secret = (await console.session(Role.VIEWER)).secret
    until = EpochMs(console.clock.now() + DAY_MS)
    await console.storage.run(number_pool.quarantine, NUMBERS[-5], until)
    quarantined = (await ask(console, "GET", f"/console/why?number={NUMBERS[-5][1:]}", secret)).text
    assert ">2026-03-02 12:00:00</time>.</p>" in quarantined
    text = (await ask(console, "GET", f"/console/why?number={console.booking.id}&caller={CALLER[1:]}", secret)).text
    assert re.search(r"anonymous|[0-9]+ calls? within the last hour", text)
    assert "1 calls" not in text


async def test_the_story_of_a_refused_call_says_what_its_caller_got(console: Console) -> None:
    patch = BookingPatch(paused=True)
    await console.storage.run(change, console.account_id, console.booking.id, patch, console.clock.now(), POLICY)
    refused = CallId("rn00000001-1772366400.77")
    await call_up(console, refused, answered=False)
    resumed = BookingPatch(paused=False)
    await console.storage.run(change, console.account_id, console.booking.id, resumed, console.clock.now(), POLICY)
    told = (await ask(console, "GET", f"/console/calls/{refused}", (await console.session(Role.VIEWER)).secret)).text
    assert "<dt>The caller got</dt><dd>SIP 480; nobody was called</dd>" in told
    assert "SIP status" not in told


async def test_a_story_is_found_by_the_id_of_the_call_or_of_its_record(console: Console) -> None:
    record = console.examples["record"]
    by_record, by_call = [await data(console, f"/console/calls/{each}") for each in (record, ENDED_CALL)]
    assert by_record == by_call
    assert by_record["outcome"] == ANSWERED
    events = [step["event"] for step in by_record["call"]["timeline"]]
    assert events[:5] == ["came_in", "put_through", "ringing", "answered", "ended"]
    assert "callback" in events
    assert HIDDEN[1:] not in json.dumps(by_record)
    secret = (await console.session(Role.VIEWER)).secret
    live = await data(console, f"/console/calls/{CALL}")
    assert live["outcome"] == "Put through; it could last 60 s."
    assert (
        "The hidden number&#39;s side answered." in (await ask(console, "GET", f"/console/calls/{CALL}", secret)).text
    )
    for unknown in ("rn00000001-1.1", "cdr_" + "0" * 32, "%3Cscript%3E"):
        assert (await ask(console, "GET", f"/console/calls/{unknown}", secret)).status == 404


async def test_the_list_of_calls_is_paged_and_filtered(console: Console) -> None:
    other = "+14155550166"
    for last in range(60):
        await end_call(console, type(ENDED_CALL)(f"rn00000001-1772366400.{100 + last}"), "BUSY", source=other)

    async def ids(query: str) -> list[str]:
        found, following = [], ""
        while following is not None:
            page = await data(console, f"/console/calls?{query}{following and f'&before={following}'}")
            assert len(page["calls"]) <= 50
            found += [each["id"] for each in page["calls"]]
            following = page["next"]
        return found

    every, of_other = await ids(""), await ids(f"number={other[1:]}")
    assert of_other == every[:60]
    assert len(every) == len(set(every))
    assert set(every) - set(of_other) == set(await ids(f"number={CALLER[1:]}"))
    failed = await ids("failed=yes")
    assert set(of_other) < set(failed) < set(every)
    assert console.examples["record"] not in failed
    secret = (await console.session(Role.VIEWER)).secret
    for refused in ("before=x", "failed=no", "limit=1"):
        assert (await ask(console, "GET", f"/console/calls?{refused}", secret)).status == 400


async def test_pages_say_which_times_are_by_a_sandboxs_clock_and_that_it_deletes_records(console: Console) -> None:
    run, at = console.storage.run, console.clock.timestamp()
    sandbox = (await run(sandbox_of, console.account_id, at.wall_ms)).id
    await run(advance_clock, sandbox, 3 * DAY_MS, at.wall_ms)
    wanted = BookingRequest(sandbox, E164(HIDDEN), UsagePlan.LARGE, CALLBACK)
    booking = await run(book, wanted, EpochMs(at.wall_ms + 3 * DAY_MS), POLICY)
    call = SimulatedCall(booking.service, CALLER, Outcome.ANSWERED, 7)
    record = (await run(simulate_call, sandbox, call, at, POLICY)).record
    assert record is not None
    secret = (await console.session(Role.VIEWER)).secret

    async def page(path: str) -> str:
        return (await ask(console, "GET", f"/console/{path}", secret)).text

    story = f"calls/{record.id}"
    [callback] = (await data(console, f"/console/{story}"))["call"]["callbacks"]
    one = f"bookings/{booking.id}"
    for path in (
        story,
        "calls",
        "bookings",
        "callbacks",
        one,
        f"why?number={booking.service[1:]}",
        f"callbacks/{callback['id']}",
    ):
        assert ("</time> <small>sandbox clock</small>" in await page(path), path) == (True, path)
    due = (await page(story)).partition("was created")[2].partition("The next attempt is due")[0]
    assert "<time" in due
    assert "sandbox clock" not in due
    for path in (story, one, f"callbacks/{callback['id']}"):
        assert ("2026-03-04 12:00:07</time> now;" in await page(path), path) == (True, path)
    await run(advance_clock, sandbox, SANDBOX_RECORDS_MS, at.wall_ms)
    await run(delete_batch, at.wall_ms, RetentionPeriods(400 * DAY_MS, 400 * DAY_MS, 400 * DAY_MS))
    gone = await page(story)
    assert "its record is deleted by now" in gone
    assert "30 days at most, by its own clock" in gone
    assert "The records of 1 answered call are deleted" in await page(one)
    for number, is_said in ((booking.service, True), (console.booking.service, False)):
        assert ("keeps call records for 30 days at most" in await page(f"calls?number={number[1:]}")) is is_said
