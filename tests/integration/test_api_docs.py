"""docs/api.md names everything that the API has, and nothing that it has not."""

import re
from pathlib import Path

import pytest

from api.app import ROUTES
from api.http.problems import PROBLEMS
from api.http.routes import Route
from api.resources.account import AccountBody
from api.schemas.bookings import BookingBody, NewBooking
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
from engine.callbacks.signing import DEFAULT_OVERLAP_SECONDS, MAX_OVERLAP_SECONDS
from engine.config.settings import Settings
from engine.domain.policy import UsagePlan
from engine.domain.retry import CallbackState, Trouble, WhyDisabled
from engine.domain.routing import Disposition
from engine.storage.outbox import MAX_LOGGED

PAGE = (Path(__file__).parents[2] / "docs" / "api.md").read_text(encoding="utf-8")


def test_the_table_of_problems_is_the_one_in_the_code() -> None:
    rows = re.findall(r"^\| `([a-z_]+)` \| ([0-9]{3}) \|", PAGE, re.MULTILINE)
    assert {code: int(status) for code, status in rows} == {code: kind.status for code, kind in PROBLEMS.items()}
    assert [int(status) for _, status in rows] == sorted(int(status) for _, status in rows)


def test_the_table_of_routes_is_in_the_order_of_the_page() -> None:
    anchors = [title.lower().replace(" ", "-") for title in re.findall(r"^#+ (.+)$", PAGE, re.MULTILINE)]
    places = [anchors.index(anchor) for anchor in re.findall(r"^\| \[`[A-Z]+ [^`]+`\]\(#([^)]+)\)", PAGE, re.MULTILINE)]
    assert len(places) == len(ROUTES) + 1  # and /docs, which is for people
    assert places == sorted(places)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_every_route_stands_in_the_table_with_its_parameters(route: Route) -> None:
    assert f"[`{route.method} {route.path}`]" in PAGE
    assert all(f"| `{name}` |" in PAGE for name in route.parameters)


def test_every_link_inside_the_page_has_its_heading() -> None:
    headings = {title.lower().replace(" ", "-") for title in re.findall(r"^#+ (.+)$", PAGE, re.MULTILINE)}
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
def test_every_field_is_shown(body: type[Outgoing]) -> None:
    assert all(f'"{field.alias}": ' in PAGE for field in body.model_fields.values())


def test_every_field_of_a_redelivery_is_explained() -> None:
    rows = set(re.findall(r"^\| `([A-Za-z]+)` \|", PAGE.partition("## Send callbacks again")[2], re.MULTILINE))
    assert {field.alias for field in Redelivery.model_fields.values()} <= rows


def test_every_state_trouble_and_reason_of_deliveries_is_explained() -> None:
    section = PAGE.partition("## Delivery log")[2].partition("## Health")[0]
    words = " ".join(section.split())
    assert set(re.findall(r"^- `([A-Z]+)`:", section, re.MULTILINE)) == set(CallbackState)
    assert [word for word in (*Trouble, *WhyDisabled) if f"`{word}`" not in words] == []


def test_the_figures_of_deliveries_are_those_in_the_code() -> None:
    words = " ".join(PAGE.partition("## Delivery log")[2].partition("## Health")[0].split())
    days = Settings.model_fields["callback_disable_after"].default.days
    assert f"for {({5: 'five'})[days]} days" in words
    assert f"kept, with its tries, for {Settings.model_fields['callback_retention'].default.days} days" in words
    assert f"first {SHOWN_BYTES} bytes" in words
    assert f"The last {MAX_LOGGED} tries" in words
    assert f"up to {BATCH} of them" in words
    assert f"(0 to {MAX_OVERLAP_SECONDS}, which is 7 days; {DEFAULT_OVERLAP_SECONDS}, a day, unless given)" in words


def test_every_word_of_an_enumeration_is_explained() -> None:
    assert all(f"`{plan}`" in PAGE for plan in UsagePlan)
    assert set(re.findall(r"^\| `([A-Z_]+)` \|", PAGE, re.MULTILINE)) == set(Disposition)
