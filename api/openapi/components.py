"""The schemas of the bodies. Pydantic makes them from the models that the handlers use."""

import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, models_json_schema

from api.http.problems import PROBLEMS, TYPE_PREFIX
from api.http.routes import Route
from api.openapi.examples import EXAMPLES
from api.schemas.common import ProblemBody
from engine.domain.booking import BookingStatus

Json = dict[str, Any]
# Values that no answer has: a booking that is gone is answered with 404.
NEVER_SHOWN: Mapping[StrEnum, type[StrEnum]] = {BookingStatus.GONE: BookingStatus}
# Schemas whose classes have another name here. Generated clients have classes of these names, so they never change.
PUBLIC_NAMES: Mapping[str, str] = {"BookingStatus": "Status"}
Kind = Literal["schemas", "headers", "examples", "responses"]


class _WithoutTitles(GenerateJsonSchema):
    """Leaves out the titles of fields, which only repeat their names."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ANN401  as pydantic passes it on
        return False


def name_of(model: type[BaseModel]) -> str:
    """Returns a model's name in the document. It becomes a class in generated clients: `BookingPage`, for example."""
    return _public(re.sub(r"[^A-Za-z0-9.\-_]", "_", model.__name__))


def ref(name: str, kind: Kind = "schemas") -> Json:
    """Returns a reference to a component."""
    return {"$ref": f"#/components/{kind}/{name}"}


def ref_to(model: type[BaseModel]) -> Json:
    """Returns a reference to a model's schema."""
    return ref(name_of(model))


def schemas(routes: Iterable[Route], callbacks: Iterable[type[BaseModel]]) -> Json:
    """Returns the schemas of all bodies, by name.

    Args:
        routes: The routes whose bodies are described.
        callbacks: The bodies of callbacks.
    """
    models: dict[type[BaseModel], JsonSchemaMode] = dict.fromkeys([ProblemBody, *callbacks], "serialization")
    for route in routes:
        models |= dict.fromkeys([model for model in route.operation.answers.values() if model], "serialization")
        if route.body:
            models[route.body] = "validation"
    _, made = models_json_schema(
        list(models.items()), ref_template="#/components/schemas/{model}", schema_generator=_WithoutTitles
    )
    found = {_public(name): _renamed(schema) for name, schema in made["$defs"].items()}
    for schema in found.values():
        del schema["title"]
        if "description" in schema:
            # What follows the text of a docstring is for readers of the code.
            schema["description"] = schema["description"].partition("\n\nAttributes:")[0]
    for model, examples in EXAMPLES.items():
        if model in models:
            found[name_of(model)]["examples"] = examples
    for word, kind in NEVER_SHOWN.items():
        found[_public(kind.__name__)]["enum"].remove(word)
    problem = found[name_of(ProblemBody)]["properties"]
    problem["code"]["enum"] = list(PROBLEMS)
    problem["type"]["pattern"] = f"^{TYPE_PREFIX}[a-z_]+$"
    return dict(sorted(found.items()))


def _public(name: str) -> str:
    page = re.fullmatch(r"Page_(\w+?)Body_", name)
    return PUBLIC_NAMES.get(name) or (f"{page[1]}Page" if page else name.removesuffix("Body"))


def _renamed(schema: Any) -> Any:  # noqa: ANN401  any JSON
    match schema:
        case {"$ref": str(target), **others}:
            path, _, name = target.rpartition("/")
            return {"$ref": f"{path}/{_public(name)}", **_renamed(others)}
        case dict():
            return {key: _renamed(value) for key, value in schema.items()}
        case list():
            return [_renamed(value) for value in schema]
        case _:
            return schema
