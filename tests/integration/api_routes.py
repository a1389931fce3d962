"""What tests that go by the route table put into paths, parameters and bodies. A new field needs an example here."""

from typing import Any

from api.http.routes import Route
from api.schemas.common import Incoming
from tests.integration.api_helpers import CALLBACK, CALLER, HIDDEN, NUMBERS, TESTED

# Of what a path holds beside the first thing's id.
IN_PATH = {"caller": CALLER, "number": CALLER}
QUERY = {
    "source": "%2B14155550123",
    "limit": "1",
    "includeExpired": "true",
    "cursor": "x",
    "from": "2026-03-01T12:00:00Z",
    "to": "2026-03-02T12:00:00Z",
    "disposition": "ANSWERED",
    "status": "ACTIVE",
    "destination": "%2B32470123456",
    "usagePlan": "SMALL",
    "service": "%2B3225550000",
    "label": "x",
    "metadata": "x",
    "bookingId": "bkg_" + "0" * 32,
    "state": "FAILED",
}
# Of the fields that a body must have.
FIELDS: dict[str, Any] = {
    "destination": HIDDEN,
    "usagePlan": "SMALL",
    "callback": CALLBACK,
    "caller": CALLER,
    "number": CALLER,
    "from": "2026-03-01T00:00:00Z",
    "service": NUMBERS[0],
    "source": CALLER,
    "outcome": "busy",
    "advance": 1,
    "events": ["call.missed"],
}


def path_of(route: Route, ids: dict[str, str]) -> str:
    """`ids`: by what stands in the path before them."""
    path = route.path.replace("{id}", ids.get(route.path.partition("/{")[0].strip("/"), ""))
    for name, example in IN_PATH.items():
        path = path.replace(f"{{{name}}}", example.replace("+", "%2B"))
    assert "{" not in path, f"{path}: IN_PATH has no example"
    return path


def account_for(route: Route) -> str:
    """Whose key a request must have to get beyond the key."""
    return TESTED if route.test else "ours"


def fields_of(model: type[Incoming]) -> list[str]:
    """As they stand in JSON."""
    return [str(field.alias or name) for name, field in model.model_fields.items()]


def valid_body(model: type[Incoming]) -> dict[str, Any]:
    """With its required fields. Raises KeyError for one that FIELDS has no example of."""
    required = [str(field.alias or name) for name, field in model.model_fields.items() if field.is_required()]
    return {name: FIELDS[name] for name in required}
