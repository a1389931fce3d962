"""Refusals: one shape, one table, nothing in them that should stay hidden."""

import asyncio
import re

import pytest
from structlog.testing import capture_logs

from api.app import ROUTES, RequestLimits
from api.http.problems import PROBLEMS, TYPE_PREFIX, problem_of
from engine.domain import errors
from engine.storage.errors import StorageBusy
from tests.integration.api_helpers import (
    DAY,
    HIDDEN,
    NUMBERS,
    POLICY,
    UNKNOWN_BOOKING,
    Api,
)
from tests.integration.problem_causes import CAUSES, book, internal, overloaded

pytest_plugins = ["tests.integration.api_fixtures"]


@pytest.fixture
def api_limits() -> RequestLimits:
    return RequestLimits(60, body_seconds=0.2, storage_seconds=0.3, request_seconds=1.0, test_event_seconds=0.0)


def test_every_code_has_a_cause_here() -> None:
    assert set(CAUSES) == set(PROBLEMS)


@pytest.mark.parametrize("code", CAUSES)
async def test_every_refusal_is_a_problem_document(api: Api, code: str) -> None:
    answer = await CAUSES[code](api)
    kind = PROBLEMS[code]
    assert answer.status == kind.status
    assert answer.headers["Content-Type"] == "application/problem+json"
    body = answer.body
    errors_found = body.pop("errors", [])
    assert body == {
        "type": TYPE_PREFIX + code,
        "title": kind.title,
        "status": kind.status,
        "detail": body["detail"],
        "code": code,
        "retryable": kind.retry_after is not None,
    }
    if not errors_found:  # else it may begin with a field's name
        assert re.fullmatch(r"[A-Z`].*[^.]\.", body["detail"])
    in_body = {"pointer"} if answer.status in {409, 422} else set()
    assert all(set(error) == {"field", "message"} | in_body for error in errors_found)
    assert answer.headers.get("Retry-After") == (kind.retry_after and str(kind.retry_after))
    assert HIDDEN not in answer.text
    assert NUMBERS[9] not in answer.text


def subclasses(kind: type[errors.Refusal]) -> list[type[errors.Refusal]]:
    return [one for direct in kind.__subclasses__() for one in (direct, *subclasses(direct))]


@pytest.mark.parametrize("refusal", subclasses(errors.Refusal), ids=lambda kind: kind.__name__)
def test_every_refusal_of_the_engine_stands_in_the_table(refusal: type[errors.Refusal]) -> None:
    assert problem_of(refusal("why")).code == refusal.code
    assert (PROBLEMS[refusal.code].retry_after is not None) == refusal.retryable


@pytest.mark.parametrize("path", ["/", "/booking", "/bookings/", "/bookings/a/b", "/cdr/", "/%00", "/bookings//"])
@pytest.mark.parametrize("account", ["ours", None])
async def test_an_unknown_path_is_a_problem_too(api: Api, path: str, account: str | None) -> None:
    answer = await api.call("GET", path, account=account)
    assert (answer.status, answer.code) == (404, "not_found")


PATHS = sorted({route.path for route in ROUTES})


@pytest.mark.parametrize("path", PATHS)
async def test_other_methods_answer_405_and_what_is_allowed(api: Api, path: str) -> None:
    methods = {route.method for route in ROUTES if route.path == path}
    allowed = methods | {"HEAD"} if "GET" in methods else methods
    for method in {"GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"} - methods:
        answer = await api.call(method, path.replace("{id}", UNKNOWN_BOOKING).replace("{caller}", "x"))
        assert (answer.status, answer.code) == (405, "method_not_allowed")
        assert set(answer.headers["Allow"].split(",")) == allowed


async def test_a_refusal_to_head_has_no_body(api: Api) -> None:
    answer = await api.call("HEAD", f"/bookings/{UNKNOWN_BOOKING}")
    assert (answer.status, answer.text) == (404, "")


async def test_no_answer_may_be_cached_or_sniffed_and_none_tells_versions(api: Api) -> None:
    answers = [
        await book(api),
        await book(api, usagePlan="HUGE"),
        await api.call("GET", "/bookings"),
        await api.call("GET", "/nowhere", account=None),
        await api.call("GET", "/health", account=None),
    ]
    for answer in answers:
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Server"] == "rented-numbers"


async def test_a_failure_is_logged_by_its_place_and_without_any_text_of_the_request(api: Api) -> None:
    with capture_logs() as logs:
        answer = await internal(api)
    assert answer.status == 500
    assert "InvariantBroken" not in answer.text
    (line,) = logs
    assert (line["event"], line["error"], line["route"]) == ("request_failed", "InvariantBroken", "/bookings")
    assert any("check_callback" in frame for frame in line["where"])
    assert HIDDEN not in repr(logs)


async def test_a_full_queue_answers_overloaded(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    async def full(*_: object) -> None:
        raise StorageBusy("4096 commands are waiting")

    monkeypatch.setattr(api.storage, "run", full)
    answer = await book(api)
    assert (answer.status, answer.code) == (503, "overloaded")


async def test_a_request_that_takes_too_long_answers_overloaded(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    async def hang(*_: object, **__: object) -> None:
        await asyncio.sleep(60)

    monkeypatch.setattr(api.reads, "bookings", hang)
    answer = await api.call("GET", "/bookings")
    assert (answer.status, answer.code) == (503, "overloaded")


async def test_failing_reads_answer_unavailable(api: Api) -> None:
    await api.reads.__aexit__(None, None, None)
    answer = await api.call("GET", "/bookings")
    assert (answer.status, answer.code) == (503, "unavailable")


async def test_a_database_that_lost_its_tables_answers_unavailable(api: Api) -> None:
    await api.storage.run(lambda tx: tx.cdrs._db.execute("DROP TABLE cdrs"))
    answer = await api.call("GET", "/cdr")
    assert (answer.status, answer.code) == (503, "unavailable")


async def test_a_command_given_up_before_it_began_is_not_carried_out(api: Api) -> None:
    assert (await overloaded(api)).code == "overloaded"
    assert (await api.call("GET", "/bookings")).body["data"] == []


async def test_gone_is_for_ones_own_only_as_long_as_anybody_asks(api: Api) -> None:
    path = f"/bookings/{(await api.book())['id']}"
    api.clock.advance(DAY + POLICY.grace_ms)
    assert (await api.call("GET", path)).code == "gone"
    assert (await api.call("GET", path, account="theirs")).code == "not_found"
