"""docs/api.md names everything that the API has, and nothing that it has not."""

import re
from pathlib import Path

import pytest

from api.app import ROUTES
from api.booking_schemas import BookingBody, NewBooking
from api.problems import PROBLEMS
from api.routes import Route
from api.schemas import CdrBody, Outgoing
from engine.domain.plans import UsagePlan
from engine.domain.routing import Disposition

PAGE = (Path(__file__).parents[2] / "docs" / "api.md").read_text(encoding="utf-8")


def test_the_table_of_problems_is_the_one_in_the_code() -> None:
    rows = re.findall(r"^\| `([a-z_]+)` \| ([0-9]{3}) \|", PAGE, re.MULTILINE)
    assert {code: int(status) for code, status in rows} == {code: kind.status for code, kind in PROBLEMS.items()}


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_every_route_stands_in_the_table_with_its_parameters(route: Route) -> None:
    assert f"[`{route.method} {route.path}`]" in PAGE
    assert all(f"| `{name}` |" in PAGE for name in route.parameters)


def test_every_link_inside_the_page_has_its_heading() -> None:
    headings = {title.lower().replace(" ", "-") for title in re.findall(r"^#+ (.+)$", PAGE, re.MULTILINE)}
    assert set(re.findall(r"\]\(#([^)]+)\)", PAGE)) <= headings


@pytest.mark.parametrize("body", [BookingBody, CdrBody, NewBooking])
def test_every_field_is_shown(body: type[Outgoing]) -> None:
    assert all(f'"{field.alias}": ' in PAGE for field in body.model_fields.values())


def test_every_word_of_an_enumeration_is_explained() -> None:
    assert all(f"`{plan}`" in PAGE for plan in UsagePlan)
    assert set(re.findall(r"^\| `([A-Z_]+)` \|", PAGE, re.MULTILINE)) == set(Disposition)
