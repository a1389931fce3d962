"""Bookings in the console: found by any number, and what each action changes, refuses and logs."""

import json
import re
from dataclasses import replace
from typing import Any

import pytest

from engine.bookings.lifecycle import BookingRequest, book
from engine.bookings.shared_numbers import share
from engine.domain.booking import Booking, CallerId
from engine.domain.hours import hours_from_text
from engine.domain.ids import BookingId
from engine.domain.numbers import E164
from engine.domain.pairs import Participant
from engine.domain.policy import UsagePlan
from engine.domain.times import DAY_MS, EpochMs
from engine.domain.web_access import Role
from tests.integration.api_helpers import CALLBACK, HIDDEN, OTHER_HIDDEN, POLICY, START
from tests.integration.web_helpers import NUMBERS, Console, act_by_path, ask, data
from tests.integration.web_server import Answer

pytest_plugins = ["tests.integration.web_fixtures"]
pytestmark = pytest.mark.asyncio(loop_scope="module")


OFFICE = hours_from_text("Europe/Brussels", ["mon-fri 09:00-17:30", "sat 10:00-24:00"])
OF_CALLS = {
    "hours": "mon-fri 09:00-17:30\r\nsat 10:00-24:00",
    "timeZone": "Europe/Brussels",
    "language": "fr",
    "screening": "press1",
    "whisper": "yes",
    "greeting": "yes",
    "beep": "yes",
    "reverse": "yes",
    "acceptFormerCallers": "yes",
}


async def new_booking(console: Console, destination: str = OTHER_HIDDEN, **changes: Any) -> Booking:
    wanted = BookingRequest(console.account_id, E164(destination), UsagePlan.SMALL, CALLBACK, **changes)
    return await console.storage.run(book, wanted, console.clock.now(), POLICY)


def booking_like(booking: Booking, number: int, **changes: Any) -> Booking:
    return replace(booking, id=BookingId(f"bkg_{number:032x}"), service=E164(f"+32266{number:05}"), **changes)


async def stored(console: Console, booking: Booking) -> Booking:
    found = await console.storage.run(lambda tx: tx.bookings.by_id(booking.id))
    assert found is not None
    return found


async def send(console: Console, booking: Booking, word: str, **form: str) -> Answer:
    secret = (await console.session()).secret
    return await act_by_path(console, f"/console/bookings/{booking.id}/{word}", secret, form)


async def listed(console: Console, query: str) -> Any:
    return await data(console, f"/console/bookings?{query}")


async def test_each_action_changes_what_it_says_and_is_logged(console: Console) -> None:
    booking = await new_booking(console)
    table: list[tuple[str, dict[str, str], dict[str, Any], str]] = [
        ("pause", {"paused": "yes"}, {"paused": True}, "BookingPaused"),
        ("pause", {"paused": "no"}, {"paused": False}, "BookingResumed"),
        (
            "change",
            {"label": "Shop", "callerId": "service"},
            {"label": "Shop", "caller_id": "service"},
            "BookingChanged",
        ),
        ("change", {"label": ""}, {"label": ""}, "BookingChanged"),
        ("change", {"metadata": "order=7\r\nby = me"}, {"metadata": {"order": "7", "by": "me"}}, "BookingChanged"),
        ("change", {"destination": HIDDEN, "refuseAnonymous": "yes"}, {"destination": HIDDEN}, "BookingChanged"),
        (
            "change",
            OF_CALLS,
            {
                "hours": OFFICE,
                "language": "fr",
                "screening": "press1",
                "reverse": True,
                "accept_former_callers": True,
                "beep": True,
            },
            "BookingChanged",
        ),
        ("change", {"hours": "", "greeting": "no"}, {"hours": None, "greeting": False}, "BookingChanged"),
        ("change", {"acceptFormerCallers": "no"}, {"accept_former_callers": False}, "BookingChanged"),
        ("change", {"beep": "no"}, {"beep": False}, "BookingChanged"),
        ("renew", {"usagePlan": "LARGE"}, {"usage_plan": "LARGE"}, "BookingRenewed"),
    ]
    for word, form, changed, event in table:
        before = await stored(console, booking)
        answer = await send(console, booking, word, **form)
        assert (answer.status, word) == (200, word), answer.text
        after = await stored(console, booking)
        assert {name: getattr(after, name) for name in changed} == changed
        assert after != before
        newest = console.log.newest(1)[0]
        assert (newest["SecurityEvent"], newest["Subject"], newest["AccountID"]) == (event, booking.id, "OPERATOR")
    assert "has begun" in (await send(console, booking, "change", startTime="2030-01-01T00:00")).text
    limits = await send(console, booking, "change", maxCallSeconds="30", maxConcurrentCalls="2")
    assert limits.status == 200
    await send(console, booking, "change", maxCallSeconds="")
    assert (await stored(console, booking)).limits.max_call_seconds is None
    assert (await stored(console, booking)).limits.max_concurrent_calls == 2
    seconds = (await stored(console, booking)).seconds.remaining
    taken = await send(console, booking, "adjust", seconds="-100000", calls="+1", reason="a complaint")
    assert f"Adjusted by -{seconds} seconds and +1 calls. The others are spent, or held by calls." in taken.text
    assert (await stored(console, booking)).seconds.remaining == 0
    assert "a complaint" in taken.text
    swapped = await send(console, booking, "swap-number", sure="yes")
    assert f"The number is now {(await stored(console, booking)).service}; {booking.service} is in" in swapped.text
    assert booking.service != (await stored(console, booking)).service
    gone = await send(console, booking, "delete", sure="yes")
    assert "Deleted for good." in gone.text
    assert 'name="sure"' not in gone.text
    assert (await stored(console, booking)).gone_at is not None
    assert {"BookingAdjusted", "BookingNumberSwapped", "BookingDeleted"} <= set(console.events())


async def test_what_is_wrong_stands_beside_its_field_and_nothing_changes(console: Console) -> None:
    later = EpochMs(START + 10 * DAY_MS)
    notes = {"tel": "+3225551234"}
    booking = await new_booking(console, label="Call +3225551234", metadata=notes, start_at=later)
    before, logged = await stored(console, booking), len(console.events())
    table: list[tuple[str, dict[str, str], str]] = [
        ("change", {"destination": "12"}, "destination"),
        ("change", {"destination": booking.service}, "destination"),
        ("change", {"callback": "http://customer.example"}, "callback"),
        ("change", {"label": "Call +322•••••34 please"}, "label"),
        ("change", {"metadata": "tel=+322•••••34\nmore=1"}, "metadata"),
        ("change", {"maxCallSeconds": "soon"}, "maxCallSeconds"),
        ("change", {"maxCallSeconds": "0"}, "maxCallSeconds"),
        ("change", {"callerId": "nobody"}, "callerId"),
        ("change", {"refuseAnonymous": "perhaps"}, "refuseAnonymous"),
        ("change", {"hours": "mon 09:00-08:00", "timeZone": "UTC"}, "hours"),
        ("change", {"hours": "mon 09:00-10:00", "timeZone": "Mars"}, "timeZone"),
        ("change", {"screening": "press2"}, "screening"),
        ("change", {"startTime": "2026-13-01T00:00"}, "startTime"),
        ("change", {"label": "Call +322•••••34"}, ""),
        ("renew", {"usagePlan": "HUGE"}, "usagePlan"),
        ("adjust", {"seconds": "1e3", "calls": "0", "reason": "x"}, "seconds"),
        ("adjust", {"seconds": "-+5", "calls": "0", "reason": "x"}, "seconds"),
        ("adjust", {"seconds": "1", "calls": "0", "reason": " "}, "reason"),
        ("adjust", {"seconds": "0", "calls": "", "reason": "x"}, ""),
        ("pause", {"paused": "maybe"}, ""),
        ("delete", {"sure": "no"}, ""),
        ("delete", {}, ""),
        ("change", {"accountId": "acc_1"}, ""),
    ]
    for word, form, field in table:
        answer = await send(console, booking, word, **form)
        assert (answer.status, word, form) == (422, word, form), answer.text
        if field:
            marked = re.findall(r'name="(\w+)"[^>]*aria-invalid="true"', answer.text)
            assert (marked, form) == ([field], form)
            assert re.search(r"<small id=\"e-console-bookings-[^>]*>[A-Z].+\.</small>", answer.text), answer.text
    shown = {"metadata": "tel=+322•••••34", "startTime": "2026-03-11T12:00", "timeZone": "Europe/Brussels"}
    await send(console, booking, "change", **shown)  # as the page shows it, with the browser's time zone
    assert await stored(console, booking) == before
    assert len(console.events()) == logged
    assert await stored(console, booking) == before


async def test_both_numbers_of_a_pair_are_masked_until_somebody_has_one_shown(console: Console) -> None:
    await console.storage.run(share, NUMBERS[-2])
    pair = Participant(E164("+442079460201"), "Ann"), Participant(E164("+442079460202"), "+442079460202")
    wanted = BookingRequest(
        console.account_id, None, UsagePlan.SMALL, CALLBACK, caller_id=CallerId.SERVICE, participants=pair
    )
    booking = await console.storage.run(book, wanted, console.clock.now(), POLICY)
    secret = (await console.session()).secret
    for path in (f"/console/bookings/{booking.id}", f"/console/bookings?number=%2B{booking.service[1:]}"):
        text = (await ask(console, "GET", path, secret)).text
        assert [each.number for each in pair if each.number[1:] in text] == []
        of_booking = path.endswith(booking.id)
        assert text.count("+442•••••02") == 1 + of_booking, "the partner, beside the first one, and its name"
        assert ("Ann" in text) == of_booking
        assert not {'name="reverse"', 'name="callerId"', 'name="acceptFormerCallers"'} & set(
            re.findall(r'name="\w+"', text)
        )
    shown = await act_by_path(console, "/console/hidden-number", secret, {"kind": "partner", "id": booking.id})
    assert (shown.status, pair[1].number in shown.text) == (200, True)


async def test_bookings_are_found_by_any_number_and_paged(console: Console) -> None:
    hidden = "+442079460111"
    booking = await new_booking(console, hidden, label="Tel. +442079460111")

    def many(tx: Any) -> None:
        tx.bookings.insert(booking_like(booking, 1000))
        for last in range(10_000):
            tx.bookings.insert(booking_like(booking, last + 2000, destination=OTHER_HIDDEN, label=""))

    await console.storage.run(many)
    for number in (booking.service, hidden, hidden.replace("+", "00"), f"{hidden[:3]} 20 {hidden[5:]}"):
        found = await listed(console, f"number={number.replace('+', '%2B').replace(' ', '%20')}")
        assert booking.id in [each["id"] for each in found["bookings"]]
        assert len(found["bookings"]) == (1 if number == booking.service else 2)
        assert hidden[1:] not in json.dumps(found["bookings"])
    assert (await listed(console, "number=abc"))["errors"] != {}
    assert (await listed(console, "account=nobody"))["bookings"] == []
    first = await listed(console, "account=ours")
    second = await listed(console, f"account=ours&before={first['next']}")
    assert [len(each["bookings"]) for each in (first, second)] == [50, 50]
    assert first["bookings"][-1]["id"] > second["bookings"][0]["id"]
    secret = (await console.session(Role.VIEWER)).secret
    page = await ask(console, "GET", "/console/bookings", secret)
    assert len(page.text.encode()) < 100_000
