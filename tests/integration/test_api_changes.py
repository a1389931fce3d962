"""PATCH /bookings/{id}: labels, metadata, pauses, and every field of a PUT except the plan."""

import json
from typing import Any

import pytest

from engine.bookings.number_pool import import_numbers
from engine.domain.ids import CallId
from tests.integration.api_helpers import CALLER, DAY, HIDDEN, NUMBERS, OTHER_HIDDEN, START, Answer, Api, a_request

pytest_plugins = ["tests.integration.api_fixtures"]

NOTES = {"order": "1871", "a.b_c-D": "", "unicode": 'Zo\u00eb \U0001f600 \\ " \n'}


async def patch(api: Api, booking: Any, **changes: Any) -> Answer:
    return await api.call("PATCH", f"/bookings/{booking['id']}", changes)


async def test_a_patch_changes_the_given_fields_and_adds_no_credit(api: Api) -> None:
    booking = await api.book(maxCallSeconds=30, label="old", metadata={"a": "b"})
    api.clock.advance(DAY // 2)
    changes = {
        "destination": OTHER_HIDDEN,
        "callback": "https://customer.example/2",
        "maxCallSeconds": None,
        "callerId": "service",
        "refuseAnonymous": True,
        "paused": True,
        "label": "new",
        "metadata": NOTES,
        "language": "nl",
        "whisper": True,
        "screening": "press1",
        "hours": {"timeZone": "UTC", "open": [{"days": ["sun"], "from": "00:00", "to": "24:00"}]},
        "reverse": True,
        "greeting": True,
        "acceptFormerCallers": True,
        "beep": True,
    }
    answer = await patch(api, booking, **changes)
    assert (answer.status, answer.body) == (200, booking | changes)
    assert await api.see(booking["id"]) == answer.body
    # The limits of live calls may change.
    assert api.asterisk.renewed == [booking["id"]]
    assert (await patch(api, booking)).body == answer.body
    removed = await patch(api, booking, label=None, metadata={})
    assert removed.body == answer.body | {"label": None, "metadata": {}}


async def test_hours_are_set_changed_and_removed(api: Api) -> None:
    office: dict[str, Any] = {
        "timeZone": "Europe/Brussels",
        "open": [{"days": ["mon", "fri"], "from": "09:00", "to": "17:30"}],
    }
    booking = await api.book(hours=office)
    assert booking["hours"] == office
    why = (await api.call("GET", f"/bookings/{booking['id']}/explain")).body  # a Sunday
    assert (why["reason"], why["putThrough"]) == ("outside_hours", False)
    assert why["message"] == "The booking takes calls only at these times: mon,fri 09:00-17:30 (Europe/Brussels)."
    sunday = office | {"open": [{"days": ["sun"], "from": "00:00", "to": "24:00"}]}
    assert (await patch(api, booking, hours=sunday)).body == booking | {"hours": sunday}
    assert (await api.call("GET", f"/bookings/{booking['id']}/explain")).body["reason"] == "put_through"
    for wrong in (
        {},
        office | {"timeZone": "Europe/Bruxelles"},
        office | {"open": []},
        office | {"open": office["open"] * 29},
        office | {"open": [{"days": ["mon"], "from": "17:30", "to": "09:00"}]},
        office | {"open": [{"days": ["mon"], "from": "09:00", "to": "25:00"}]},
        office | {"open": [{"days": ["monday"], "from": "09:00", "to": "17:00"}]},
        office | {"open": [{"days": [], "from": "09:00", "to": "17:00"}]},
        "always",
    ):
        answer = await patch(api, booking, hours=wrong)
        assert (answer.status, answer.code, wrong) == (422, "invalid_request", wrong)
    assert (await patch(api, booking, hours=None)).body == booking | {"hours": None}


async def test_the_start_moves_with_the_end_until_the_booking_has_begun(api: Api) -> None:
    booking = await api.book(startTime="2026-03-03T12:00:00Z")
    assert (booking["startTime"], booking["endTime"]) == ("2026-03-03T12:00:00.000Z", "2026-03-04T12:00:00.000Z")
    moved = booking | {"startTime": "2026-03-02T11:00:00.000Z", "endTime": "2026-03-03T11:00:00.000Z"}
    assert (await patch(api, booking, startTime="2026-03-02T12:00:00+01:00")).body == moved
    for wrong, code in (
        ("soon", "invalid_request"),
        (None, "invalid_request"),
        ("2028-01-01T00:00:00Z", "booking_too_long"),
    ):
        assert (await patch(api, booking, startTime=wrong)).code == code
    api.clock.advance(DAY)
    late = await patch(api, booking, startTime="2026-03-05T12:00:00Z", label="x")
    assert (late.status, late.code, late.body["errors"][0]["field"]) == (409, "booking_begun", "startTime")
    assert (await patch(api, booking, startTime=moved["startTime"])).body == moved


async def test_changing_an_expired_booking_does_not_revive_it(api: Api) -> None:
    booking = await api.book()
    api.clock.advance(DAY)
    answer = await patch(api, booking, label="late")
    assert (answer.status, answer.body["label"], answer.body["status"]) == (200, "late", "EXPIRED")
    assert answer.body["endTime"] == booking["endTime"]
    api.clock.advance(30 * DAY)
    assert (await patch(api, booking, label="too late")).code == "gone"


async def test_a_put_changes_the_given_fields_and_keeps_the_others(api: Api) -> None:
    booking = await api.book(label="old", metadata={"a": "b"}, paused=True)
    path = f"/bookings/{booking['id']}"
    kept = (await api.call("PUT", path, {"usagePlan": "SMALL"})).body
    assert (kept["label"], kept["metadata"], kept["paused"]) == ("old", {"a": "b"}, True)
    body = {"usagePlan": "SMALL", "label": None, "metadata": {"c": "d"}, "paused": False}
    changed = (await api.call("PUT", path, body)).body
    assert (changed["label"], changed["metadata"], changed["paused"]) == (None, {"c": "d"}, False)


async def test_a_paused_booking_refuses_calls_until_it_is_resumed(api: Api) -> None:
    booking = await api.book()
    await patch(api, booking, paused=True)
    explained = (await api.call("GET", f"/bookings/{booking['id']}/explain?source={CALLER}")).body
    assert (explained["putThrough"], explained["reason"], explained["status"]) == (False, "paused", "ACTIVE")
    await api.talk(booking["service"], CallId("refused"), 5)
    await patch(api, booking, paused=False)
    await api.talk(booking["service"], CallId("taken"), 5)
    records = (await api.call("GET", "/cdr")).body["data"]
    assert [(record["disposition"], record["duration"]) for record in records] == [("ANSWERED", 5), ("PAUSED", 0)]


async def test_metadata_may_have_the_documented_size(api: Api) -> None:
    largest = {f"{index:040}": "\u00e9" * 500 for index in range(20)}
    booking = await api.book(metadata=largest, label="x" * 100)
    assert (await api.see(booking["id"]))["metadata"] == largest
    assert (await api.book(label="n\u00b0\u00a05, Zo\u00eb \U0001f600"))[
        "label"
    ] == "n\u00b0\u00a05, Zo\u00eb \U0001f600"


BAD: list[tuple[str, Any]] = [
    ("label", ""),
    ("label", "x" * 101),
    ("label", "a\nb"),
    ("label", "a\u202eb"),
    ("label", 5),
    ("metadata", None),
    ("metadata", []),
    ("metadata", {"a": 1}),
    ("metadata", {"a": None}),
    ("metadata", {"a": {"b": "c"}}),
    ("metadata", {"": "x"}),
    ("metadata", {"x" * 41: "x"}),
    ("metadata", {"a b": "x"}),
    ("metadata", {'a"b': "x"}),
    ("metadata", {"a\n": "x"}),
    ("metadata", {"\u0661": "x"}),
    ("metadata", {"a": "x" * 501}),
    ("metadata", {"a": "x\u0000"}),
    ("metadata", {str(index): "x" for index in range(21)}),
    ("paused", None),
    ("paused", "true"),
    ("paused", 1),
]


@pytest.mark.parametrize(("field", "value"), BAD)
async def test_a_bad_value_is_refused_and_its_field_named(api: Api, field: str, value: Any) -> None:
    booking = await api.book(label="old", metadata={"a": "b"})
    for answer in (
        await patch(api, booking, **{field: value}),
        await api.call("POST", "/bookings", a_request(**{field: value})),
        await api.call("PUT", f"/bookings/{booking['id']}", {"usagePlan": "SMALL", field: value}),
    ):
        assert (answer.status, answer.code) == (422, "invalid_request"), answer.text
        assert {error["field"] for error in answer.body["errors"]} == {field}
    assert await api.see(booking["id"]) == booking


async def test_text_with_lone_surrogates_is_refused(api: Api) -> None:
    for raw in (b'{"metadata": {"a": "\\ud800"}}', b'{"metadata": {"\\ud800": "a"}}', b'{"label": "\\udfff"}'):
        booking = await api.book()
        assert (await api.send(raw, "PATCH", f"/bookings/{booking['id']}")).status == 422


async def test_a_patch_takes_no_plan(api: Api) -> None:
    booking = await api.book()
    answer = await patch(api, booking, usagePlan="LARGE")
    assert (answer.status, answer.code) == (422, "invalid_request")


async def test_a_free_number_can_be_chosen(api: Api) -> None:
    assert (await api.book(service=NUMBERS[4]))["service"] == NUMBERS[4]
    assert (await api.book(prefix=NUMBERS[5]))["service"] == NUMBERS[5]
    assert (await api.book(country="BE"))["service"] == NUMBERS[0]
    assert (await api.book(country="BE", area="25550"))["service"] == NUMBERS[1]
    assert (await api.book(area="25550"))["service"] == NUMBERS[2]
    assert (await api.book(country="any"))["service"] == NUMBERS[3]


async def test_without_a_choice_the_number_is_of_the_destinations_country_where_one_is_free(api: Api) -> None:
    await api.storage.run(import_numbers, [(1, "+442079460000")], START)
    given = [(await api.book(destination=OTHER_HIDDEN))["service"] for _ in range(2)]
    assert given == ["+442079460000", NUMBERS[0]]


async def test_an_unavailable_number_is_refused_alike_whatever_its_state(api: Api) -> None:
    theirs = await api.book(account="theirs", service=NUMBERS[1])
    rests = await api.book(account="theirs", service=NUMBERS[2])
    await api.call("DELETE", f"/bookings/{rests['id']}", account="theirs")
    answers = [
        await api.call("POST", "/bookings", a_request(service=service))
        for service in (theirs["service"], rests["service"], "+3225559999", HIDDEN)
    ]
    assert [(answer.status, answer.code) for answer in answers] == [(409, "number_not_free")] * 4
    assert len({json.dumps(answer.body) for answer in answers}) == 1


@pytest.mark.parametrize("wish", [{"prefix": "+331"}, {"country": "FR"}, {"area": "3"}])
async def test_a_wish_that_no_free_number_fits_answers_like_an_empty_pool(api: Api, wish: dict[str, str]) -> None:
    answer = await api.call("POST", "/bookings", a_request(**wish))
    assert (answer.status, answer.code) == (503, "no_number_free")
    assert (await api.call("GET", "/bookings")).body["data"] == []


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        ({"service": "3225550000"}, "service"),
        ({"service": "+32 2 555"}, "service"),
        ({"service": "+3225550000\n"}, "service"),
        ({"service": None}, "service"),
        ({"prefix": "+"}, "prefix"),
        ({"prefix": "+0"}, "prefix"),
        ({"prefix": "+3%"}, "prefix"),
        ({"prefix": "+" + "3" * 15}, "prefix"),
        ({"prefix": "+\u0663"}, "prefix"),
        ({"country": "be"}, "country"),
        ({"country": "XX"}, "country"),
        ({"country": "001"}, "country"),
        ({"country": "BEL"}, "country"),
        ({"service": NUMBERS[0], "country": "BE"}, ""),
        ({"prefix": "+32", "country": "BE"}, ""),
        ({"country": "ANY"}, "country"),
        ({"country": "any\n"}, "country"),
        ({"area": "+322"}, "area"),
        ({"area": ""}, "area"),
        ({"area": "2 "}, "area"),
        ({"area": "2\n"}, "area"),
        ({"area": "12345678901"}, "area"),
        ({"area": "\u0662"}, "area"),
        ({"area": 2}, "area"),
        ({"area": None}, "area"),
        ({"area": "2", "country": "any"}, ""),
        ({"area": "2", "prefix": "+32"}, ""),
        ({"area": "2", "service": NUMBERS[0]}, ""),
    ],
)
async def test_a_bad_wish_for_a_number_is_refused(api: Api, wish: dict[str, Any], field: str) -> None:
    answer = await api.call("POST", "/bookings", a_request(**wish))
    assert (answer.status, answer.code) == (422, "invalid_request")
    assert [error["field"] for error in answer.body["errors"]] == [field]
