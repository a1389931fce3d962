"""Every field of every body, from the models themselves: wrong types, what was never asked for, hostile text."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from api.app import ROUTES
from api.http.routes import Route
from api.schemas.bookings import BookingBody
from api.schemas.cdrs import CdrBody
from api.schemas.common import Incoming
from api.schemas.explanations import ExplanationBody
from tests.integration.api_helpers import HIDDEN, Answer, Api
from tests.integration.api_routes import account_for, fields_of, path_of, valid_body

pytest_plugins = ["tests.integration.api_fixtures"]

WITH_BODY = [(route, route.body) for route in ROUTES if route.body is not None]
each_body = pytest.mark.parametrize(
    ("route", "model"), WITH_BODY, ids=[f"{route.method} {route.path}" for route, _ in WITH_BODY]
)

# As JSON, so that what Python's own encoder would not write can be there too.
HOSTILE = [
    *("null", "true", "false", "0", "-1", "1.5", "1e999", "-0", "9" * 4300, "9" * 5000, "1E400", "NaN", "-Infinity"),
    *('""', '" "', '"\\u0000"', '"a\\u0000b"', '"\\ud800"', '"\\udfff\\ud800"', '"\\u202e"', '"\\r\\nX: y"'),
    *("[]", "[[]]", "{}", '{"a": 1}', f'["{HIDDEN}"]', f'{{"$gt": "{HIDDEN}"}}', "[" * 500 + "]" * 500),
    *('"' + "x" * 40_000 + '"', '"${jndi:ldap://x}"', '"\' OR 1=1 --"', '"../../etc/passwd"', '"{{7*7}}"', '"%s%n"'),
]
NEVER_OURS_TO_SET = sorted(
    {str(field.alias) for shown in (BookingBody, CdrBody, ExplanationBody) for field in shown.model_fields.values()}
    | {"accountId", "account_id", "seconds", "calls", "grants", "revokedAt", "isAdmin", "role", "__proto__"}
    | {"usage_plan", "UsagePlan", "usageplan", "Destination", "constructor", "$set", "*", "service\u0000"}
)


async def all_there_is(api: Api) -> list[Any]:
    tables = ("accounts", "api_keys", "bookings", "numbers", "calls", "cdrs", "outbox", "grants", "blocked_callers")
    return await api.storage.run(
        lambda tx: [list(tx.accounts._db.execute(f"SELECT * FROM {table}")) for table in tables]  # noqa: S608  ours
    )


async def send(api: Api, route: Route, booking_id: str, raw: str) -> Answer:
    path = path_of(route, {"bookings": booking_id})
    headers = {"Content-Type": "application/json"}
    data = raw.encode("utf-8", "surrogatepass")
    return await api.call(route.method, path, account=account_for(route), data=data, headers=headers)


def is_taken(model: type[Incoming], raw: str) -> bool:
    try:
        model.model_validate(json.loads(raw))
    except (ValidationError, ValueError, RecursionError):
        return False
    return True


@each_body
async def test_what_a_field_does_not_take_is_refused_and_changes_nothing(
    api: Api, route: Route, model: type[Incoming]
) -> None:
    booking = await api.book()
    before = await all_there_is(api)
    tried = 0
    for field in fields_of(model):
        for value in HOSTILE:
            others = {name: one for name, one in valid_body(model).items() if name != field}
            raw = json.dumps(others)[:-1] + (", " if others else "") + f"{json.dumps(field)}: {value}}}"
            if is_taken(model, raw):
                continue  # such as null for a limit
            answer = await send(api, route, booking["id"], raw)
            assert answer.status in {400, 422}, (field, value[:60])
            assert answer.headers["Content-Type"] == "application/problem+json"
            assert HIDDEN not in answer.text
            assert len(answer.text) < 4096
            tried += 1
    assert tried > 20
    assert await all_there_is(api) == before


@each_body
async def test_nothing_can_be_set_that_is_not_asked_for(api: Api, route: Route, model: type[Incoming]) -> None:
    booking = await api.book()
    before = await all_there_is(api)
    own = set(fields_of(model))
    tried = [name for name in NEVER_OURS_TO_SET if name not in own]
    for name in tried:
        for value in ("x", None):
            answer = await send(api, route, booking["id"], json.dumps({**valid_body(model), name: value}))
            assert (answer.status, answer.code) == (422, "invalid_request"), name
            assert [error["message"] for error in answer.body["errors"]] == ["is not a field here"]
    assert {"id", "service", "status", "secondsRemaining", "callsRemaining", "accountId"} - own <= set(tried)
    assert await all_there_is(api) == before


@each_body
async def test_two_equal_keys_are_refused_for_every_field(api: Api, route: Route, model: type[Incoming]) -> None:
    booking = await api.book()
    before = await all_there_is(api)
    for name, value in valid_body(model).items():
        raw = json.dumps(valid_body(model))[:-1] + f', "{name}": {json.dumps(value)}}}'
        answer = await send(api, route, booking["id"], raw)
        assert (answer.status, answer.code) == (400, "malformed_request")
    assert await all_there_is(api) == before


@each_body
async def test_a_missing_field_is_named(api: Api, route: Route, model: type[Incoming]) -> None:
    booking = await api.book()
    for name in valid_body(model):
        body = valid_body(model)
        del body[name]
        answer = await send(api, route, booking["id"], json.dumps(body))
        assert (answer.status, answer.code) == (422, "invalid_request")
        assert [error["field"] for error in answer.body["errors"]] == [name]
