"""docs/api.md describes the API as it is.

The guide explains tasks. Operations, parameters and fields are listed in docs/api-reference.md, which is generated from
the OpenAPI document; so the tests check that the document is complete, and the links, values and figures of the guide.
"""

import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from api.app import ROUTES
from api.http.problems import PROBLEMS
from api.http.routes import Route
from api.openapi.document import build
from api.resources.account import AccountBody
from api.schemas.booking_requests import NewBooking
from api.schemas.bookings import BookingBody
from api.schemas.callbacks import (
    CallbackAttemptBody,
    CallbackBody,
    CallbackRequestBody,
    EndpointBody,
    NewWebhookSecret,
    RedeliveredBody,
    Redelivery,
    WebhookSecretBody,
)
from api.schemas.cdrs import CdrBody
from api.schemas.common import Outgoing
from engine.callbacks.attempt import SHOWN_BYTES
from engine.callbacks.redelivery import BATCH
from engine.callbacks.secrets import DEFAULT_OVERLAP_SECONDS, MAX_OVERLAP_SECONDS
from engine.config.policy import delivery_rules_of
from engine.config.settings import Settings
from engine.domain.dispositions import Disposition
from engine.domain.policy import UsagePlan
from engine.domain.retry import CallbackState, Trouble, WhyDisabled
from engine.domain.times import DAY_MS
from engine.storage.outbox import MAX_LOGGED

PAGE = (Path(__file__).parents[2] / "docs" / "api.md").read_text(encoding="utf-8")
HEADINGS = re.findall(r"^#+ (.+)$", PAGE, re.MULTILINE)


@cache
def document() -> dict[str, Any]:
    return dict(build(ROUTES))


def operation(route: Route) -> dict[str, Any]:
    found: dict[str, Any] = document()["paths"][route.path][route.method.lower()]
    return found


def test_the_guide_lists_exactly_the_problems_of_the_code() -> None:
    rows = re.findall(r"^\| `([a-z_]+)` \| ([0-9]{3}) \|", PAGE, re.MULTILINE)
    assert {code: int(status) for code, status in rows} == {code: kind.status for code, kind in PROBLEMS.items()}
    assert [int(status) for _, status in rows] == sorted(int(status) for _, status in rows)


def test_the_openapi_document_lists_every_problem() -> None:
    assert set(document()["components"]["schemas"]["Problem"]["properties"]["code"]["enum"]) == set(PROBLEMS)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_the_openapi_document_has_every_operation_with_its_parameters(route: Route) -> None:
    described = operation(route)
    parameters = {each["name"]: each.get("description") for each in described.get("parameters", ())}
    assert described["summary"]
    assert all(parameters.get(name) for name in route.parameters)


def test_the_guide_links_to_the_reference_of_exactly_the_existing_operations() -> None:
    linked = re.findall(r"\[`([^`]+)`\]\(api-reference\.md#([^)]+)\)", PAGE)
    assert {name for name, _ in linked} == {f"{route.method} {route.path}" for route in ROUTES}
    assert all(anchor == re.sub(r"[^\w -]", "", name.lower()).replace(" ", "-") for name, anchor in linked)


def test_the_guide_names_only_routes_that_exist() -> None:
    named = set(re.findall(r"`([A-Z]+) (/[^`?…]*)(?:\?[^`]*)?`", PAGE))
    assert named
    assert named <= {(route.method, route.path) for route in ROUTES} | {("GET", "/docs")}


def test_every_link_inside_the_page_has_its_heading() -> None:
    headings = {title.lower().replace(" ", "-") for title in HEADINGS}
    assert set(re.findall(r"\]\(#([^)]+)\)", PAGE)) <= headings


@pytest.mark.parametrize(
    "body",
    [
        BookingBody,
        CdrBody,
        NewBooking,
        AccountBody,
        CallbackBody,
        CallbackRequestBody,
        CallbackAttemptBody,
        RedeliveredBody,
        EndpointBody,
        WebhookSecretBody,
        NewWebhookSecret,
    ],
)
def test_the_guide_shows_every_field(body: type[Outgoing]) -> None:
    assert all(f'"{field.alias}": ' in PAGE for field in body.model_fields.values())


def section(first: str, last: str) -> str:
    assert {first, last} <= set(HEADINGS)
    return PAGE.partition(f"\n## {first}\n")[2].partition(f"\n## {last}\n")[0]


@pytest.mark.parametrize(
    ("body", "first", "last"),
    [(NewBooking, "Book a number", "List bookings"), (Redelivery, "Send callbacks again", "Disabled URLs")],
)
def test_the_guide_explains_every_field_of_a_request(body: type[BaseModel], first: str, last: str) -> None:
    text = section(first, last)
    fields = [str(field.alias) for field in body.model_fields.values()]
    assert [name for name in fields if not re.search(rf"`{name}[`:]", text)] == []


def test_every_delivery_state_error_and_reason_is_explained() -> None:
    text = section("Delivery log", "Call records")
    words = " ".join(text.split())
    assert set(re.findall(r"^- `([A-Z]+)`:", text, re.MULTILINE)) == set(CallbackState)
    assert [word for word in (*Trouble, *WhyDisabled) if f"`{word}`" not in words] == []


def test_the_guide_has_the_delivery_figures_of_the_code() -> None:
    words = " ".join(section("Delivery log", "Call records").split())
    days = delivery_rules_of(Settings()).disable_after_ms // DAY_MS
    assert f"for {({5: 'five'})[days]} days" in words
    assert f"kept, with its attempts, for {Settings.model_fields['callback_retention'].default.days} days" in words
    assert f"first {SHOWN_BYTES} bytes" in words
    assert f"The last {MAX_LOGGED} attempts" in words
    assert f"up to {BATCH} of them" in words
    assert f"(0 to {MAX_OVERLAP_SECONDS}, which is 7 days; the default is {DEFAULT_OVERLAP_SECONDS}, one day)" in words


def test_every_enumeration_value_is_explained() -> None:
    assert all(f"`{plan}`" in PAGE for plan in UsagePlan)
    assert set(re.findall(r"^\| `([A-Z_]+)` \|", PAGE, re.MULTILINE)) == set(Disposition)
