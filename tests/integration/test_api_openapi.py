"""/openapi.json: valid, complete, made of what serves the requests, and right about callbacks."""

import json
from dataclasses import replace
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from api.app import ROUTES
from api.http.idempotency import HEADER
from api.http.problems import PROBLEMS
from api.http.routes import Route
from api.openapi.examples import EXAMPLES
from api.openapi.operations import PARAMETERS, PLACEHOLDERS, RECORD_FILTERS
from api.openapi.refusals import OF_NONE, codes_of
from api.openapi.webhooks import SIGNATURE
from engine.callbacks.signing import signature_headers
from engine.domain import events
from engine.domain.call_ends import CallEnd, HungUpBy
from engine.domain.directions import Direction
from engine.domain.dispositions import Disposition
from engine.domain.events import WhyGone
from tests.contract.samples import BOOKING as RECORD
from tests.contract.samples import CALLER, HIDDEN, START
from tests.integration.api_helpers import UNKNOWN_BOOKING, Api
from tests.integration.api_routes import account_for
from tests.integration.conformance import DOCUMENT, validator_of

pytest_plugins = ["tests.integration.api_fixtures"]

OPERATIONS = {
    (path, method): operation for path, item in DOCUMENT["paths"].items() for method, operation in item.items()
}
SCHEMAS = DOCUMENT["components"]["schemas"]
WITH_BODY = [route for route in ROUTES if route.body]


def name_of(route: Route) -> str:
    return route.operation.id


def name_of_body(route: Route) -> str:
    content = OPERATIONS[route.path, route.method.lower()]["requestBody"]["content"]
    return str(content["application/json"]["schema"]["$ref"].rpartition("/")[2])


def test_it_is_valid_openapi() -> None:
    assert DOCUMENT["openapi"].startswith("3.1.")
    assert [error.message for error in OpenAPIV31SpecValidator(DOCUMENT).iter_errors()] == []


def test_it_has_every_route_and_nothing_else() -> None:
    assert set(OPERATIONS) == {(route.path, route.method.lower()) for route in ROUTES}


# Generated clients have classes of these names: a schema may be added, none renamed.
SCHEMA_NAMES = """
    Account AccountChange BlockedCaller BlockedCallerPage Booking BookingChange BookingExpired
    BookingExpiringSoon BookingGone BookingLowSeconds BookingNumberSwapped BookingPage BookingPatch CallEnded
    CallMissed CallStarted Callback CallbackAttempt CallbackDetail CallbackPage CallbackRequest CallbackState
    CallbackTest CallerId Cdr CdrPage Clock ClockChange Cost Country Direction Disposition Endpoint EndpointPage
    EventType ExpiredCall Explanation FieldError Health Hours HungUpBy Language LimitedBy NewBlockedCaller NewBooking
    NewParticipant NewPortalLink NewSimulatedCall NewTestEvent NewWebhookSecret NumberWish Numbers OpenApiDocument
    OpenTime Outcome Participant Plan Plans PortalLink Problem Prompt Reason Redelivered Redelivery Scope Screening
    SimulatedCall
    Status Trace TraceEvent TraceState TraceStep TracedCallback Trouble Usage UsageLine UsagePlan WebhookSecret
    WhyDisabled WhyGone
"""


def test_no_schema_is_renamed() -> None:
    assert SCHEMA_NAMES.split() == sorted(SCHEMAS)


def test_operation_ids_are_unique() -> None:
    ids = [operation["operationId"] for operation in OPERATIONS.values()]
    ids += [event["post"]["operationId"] for event in DOCUMENT["webhooks"].values()]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("route", ROUTES, ids=name_of)
def test_an_operation_has_its_parameters_its_key_and_its_codes(route: Route) -> None:
    operation = OPERATIONS[route.path, route.method.lower()]
    found = {(parameter["in"], parameter["name"]) for parameter in operation.get("parameters", [])}
    expected = {("query", name) for name in route.parameters} | {("path", name) for name in route.placeholders}
    assert found == expected | ({("header", HEADER)} if route.keyed else set())
    assert all(f"{{{name}}}" in route.path for name in route.placeholders)
    assert route.path.count("{") == len(route.placeholders)
    assert operation.get("security", DOCUMENT["security"]) == ([] if route.public else [{"apiKey": []}])
    codes = [
        code
        for answer in operation["responses"].values()
        for code in answer.get("content", {}).get("application/problem+json", {}).get("examples", {})
    ]
    assert codes == codes_of(route)


def test_every_problem_stands_somewhere() -> None:
    used = {code for route in ROUTES for code in codes_of(route)}
    assert used | OF_NONE == set(PROBLEMS)
    assert set(DOCUMENT["components"]["responses"]) == OF_NONE


def test_nothing_is_described_that_no_route_has() -> None:
    assert set(PARAMETERS) | set(RECORD_FILTERS) == {name for route in ROUTES for name in route.parameters}
    assert set(PLACEHOLDERS) == {name for route in ROUTES for name in route.placeholders}


def test_every_body_has_an_example() -> None:
    bodies = {body for route in ROUTES for body in (route.body, *route.operation.answers.values()) if body}
    assert {body.__name__ for body in bodies - set(EXAMPLES)} == {"OpenApiDocument"}


@pytest.mark.parametrize("name", [name for name, schema in SCHEMAS.items() if "examples" in schema])
def test_examples_of_bodies_validate(name: str) -> None:
    for example in SCHEMAS[name]["examples"]:
        errors = validator_of(json.dumps({"$ref": f"#/components/schemas/{name}"})).iter_errors(example)
        assert [error.message for error in errors] == []


def test_examples_of_problems_and_parameters_validate() -> None:
    problem = validator_of(json.dumps({"$ref": "#/components/schemas/Problem"}))
    examples = DOCUMENT["components"]["examples"]
    assert [code for code, example in examples.items() if not problem.is_valid(example["value"])] == []
    assert [code for code, example in examples.items() if example["value"]["code"] != code] == []
    for told in (*PARAMETERS.values(), *RECORD_FILTERS.values()):
        values = told["schema"].get("examples", [])
        assert all(validator_of(json.dumps(told["schema"])).is_valid(value) for value in values)
        assert told.keys() <= {"description", "schema", "style", "explode"}


def test_every_field_that_is_taken_or_answered_by_an_example_is_described() -> None:
    """An example that shows less than its model has would be found by nobody."""
    assert [
        (body.__name__, name)
        for body, examples in EXAMPLES.items()
        for name in (field.alias for field in body.model_fields.values() if field.is_required())
        if not all(name in example for example in examples)
    ] == []


@pytest.mark.parametrize("route", WITH_BODY, ids=name_of)
async def test_a_route_reads_the_body_that_is_described(api: Api, route: Route) -> None:
    """Asked with nothing and with a field too many, it names exactly what the schema requires, and that field."""
    schema = SCHEMAS[name_of_body(route)]
    booking = await api.book()
    answer = await api.call(
        route.method, route.path.replace("{id}", booking["id"]), {"unheardOf": 1}, account=account_for(route)
    )
    assert (answer.status, answer.code) == (422, "invalid_request")
    either = {"destination"} if "participants" in schema["properties"] else set()
    assert {error["field"] for error in answer.body["errors"]} == {*schema.get("required", []), *either, "unheardOf"}
    assert schema["additionalProperties"] is False


@pytest.mark.parametrize("route", WITH_BODY, ids=name_of)
async def test_a_route_takes_a_key_if_it_is_described(api: Api, route: Route) -> None:
    booking = await api.book()
    body = SCHEMAS[name_of_body(route)]["examples"][0]
    answer = await api.call(
        route.method,
        route.path.replace("{id}", booking["id"]),
        body,
        account=account_for(route),
        headers={HEADER: "two words"},
    )
    assert (answer.status == 400) == route.keyed


BOOKED = replace(RECORD, id=UNKNOWN_BOOKING)
ENDED = CallEnd("main", 486, 17, HungUpBy.CALLEE)
SENT: dict[str, Any] = {
    "callEnded": events.call_ended_body(
        cdr_id="cdr_" + "0" * 32,
        started_at=START,
        duration=1,
        source=CALLER,
        destination=HIDDEN,
        booking_id=UNKNOWN_BOOKING,
        service=RECORD.service,
        end=ENDED,
        direction=Direction.REVERSE,
    ),
    "expiredCall": events.expired_call_body(
        called_at=START,
        source="anonymous",
        destination=HIDDEN,
        booking_id=UNKNOWN_BOOKING,
        service=RECORD.service,
        not_reported=990,
        direction=Direction.REVERSE,
    ),
    "callStarted": events.call_started_body(
        started_at=START,
        answered_at=START,
        source=CALLER,
        destination=HIDDEN,
        booking_id=UNKNOWN_BOOKING,
        service=RECORD.service,
        direction=Direction.REVERSE,
    ),
    "callMissed": events.call_missed_body(
        cdr_id="cdr_" + "0" * 32,
        started_at=START,
        disposition=Disposition.LOST,
        source=CALLER,
        destination=HIDDEN,
        booking_id=UNKNOWN_BOOKING,
        service=RECORD.service,
        end=ENDED,
        direction=Direction.REVERSE,
    ),
    "bookingExpiringSoon": events.expiring_soon_body(BOOKED, START),
    "bookingLowSeconds": events.low_seconds_body(BOOKED, START),
    "bookingExpired": events.booking_expired_body(BOOKED, 0),
    "bookingNumberSwapped": events.number_swapped_body(BOOKED, RECORD.service, START),
    "bookingGone": events.booking_gone_body(BOOKED, WhyGone.GRACE_OVER, START),
}
# Only there where it has something to say.
LEFT_OUT = {
    "expiredCall": ["callsNotReported", "direction"],
    "callEnded": ["hungUpBy", "hangupCause", "direction"],
    "callStarted": ["direction"],
    "callMissed": ["sipCode", "hungUpBy", "hangupCause", "direction"],
}


@pytest.mark.parametrize("event", SENT)
def test_what_callbacks_say_is_what_is_described(event: str) -> None:
    described = DOCUMENT["webhooks"][event]["post"]["requestBody"]["content"]["application/json"]["schema"]
    sent = SENT[event] | {"sequence": 1}  # as `engine.outbox.post` puts it into every one
    assert list(validator_of(json.dumps(described)).iter_errors(sent)) == []
    schema = SCHEMAS[described["$ref"].rpartition("/")[2]]
    assert list(schema["properties"]) == [*sent, "metadata"]
    assert schema["required"] == [name for name in sent if name not in LEFT_OUT.get(event, [])]


def test_what_a_test_event_says_is_what_is_described() -> None:
    described = DOCUMENT["webhooks"]["callbackTest"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    sent = events.callback_test_body(START)
    assert list(validator_of(json.dumps(described)).iter_errors(sent)) == []
    schema = SCHEMAS[described["$ref"].rpartition("/")[2]]
    assert list(schema["properties"]) == schema["required"] == list(sent)


@pytest.mark.parametrize("event", LEFT_OUT)
def test_what_callbacks_leave_out_may_be_left_out(event: str) -> None:
    described = DOCUMENT["webhooks"][event]["post"]["requestBody"]["content"]["application/json"]["schema"]
    without = {name: value for name, value in (SENT[event] | {"sequence": 1}).items() if name not in LEFT_OUT[event]}
    assert list(validator_of(json.dumps(described)).iter_errors(without)) == []


def test_every_callback_is_described_with_the_headers_that_it_has() -> None:
    assert set(DOCUMENT["webhooks"]) == {*SENT, "callbackTest"}
    headers = signature_headers("evt_1", ("whsec_" + "A" * 32,), "{}", START)
    assert list(SIGNATURE) == list(headers)
    assert validator_of(json.dumps(SIGNATURE["webhook-signature"]["schema"])).is_valid(headers["webhook-signature"])


async def test_it_is_public_and_kept_by_caches_until_it_changes(api: Api) -> None:
    answer = await api.call("GET", "/openapi.json", account=None)
    assert (answer.status, answer.body) == (200, DOCUMENT)
    assert answer.headers["Cache-Control"] == "public, max-age=300"
    etag = answer.headers["Etag"]
    for known in (etag, f"W/{etag}", "*", f'"other", {etag}'):
        again = await api.call("GET", "/openapi.json", account=None, headers={"If-None-Match": known})
        assert (again.status, again.text, again.headers["Etag"]) == (304, "", etag)
    changed = await api.call("GET", "/openapi.json", account=None, headers={"If-None-Match": '"other"'})
    assert changed.status == 200


async def test_head_tells_its_length_alone(api: Api) -> None:
    answer = await api.call("HEAD", "/openapi.json", account=None)
    assert (answer.status, answer.text) == (200, "")
    whole = await api.call("GET", "/openapi.json", account=None)
    assert answer.headers["Content-Length"] == str(len(whole.text.encode()))
