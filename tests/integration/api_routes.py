"""Example values for tests that go through the route table. A new field needs an example here."""

from typing import Any

from api.http.routes import Route
from api.schemas.common import Incoming
from tests.integration.api_helpers import CALLBACK, CALLER, HIDDEN, NUMBERS, TESTED

# Of the path parameters after the first id.
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
    "format": "png",
}
# Of the required fields of a body.
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
    "url": CALLBACK,
    "scope": "read",
}


def path_of(route: Route, ids: dict[str, str]) -> str:
    """Fill in the path. `ids` has the ids by the part of the path before them."""
    path = route.path.replace("{id}", ids.get(route.path.partition("/{")[0].strip("/"), ""))
    for name, example in IN_PATH.items():
        path = path.replace(f"{{{name}}}", example.replace("+", "%2B"))
    assert "{" not in path, f"{path}: IN_PATH has no example"
    return path


def account_for(route: Route) -> str:
    """Return the account whose key the route accepts."""
    return TESTED if route.test else "ours"


def fields_of(model: type[Incoming]) -> list[str]:
    """Return the names of the fields in JSON."""
    return [str(field.alias or name) for name, field in model.model_fields.items()]


def valid_body(model: type[Incoming]) -> dict[str, Any]:
    """Return a body with the required fields. Raises KeyError for one without an example in FIELDS."""
    # Of a new booking one of two fields is required, which no field says by itself.
    either = ["destination"] if "participants" in model.model_fields else []
    required = either + [str(field.alias or name) for name, field in model.model_fields.items() if field.is_required()]
    return {name: FIELDS[name] for name in required}
