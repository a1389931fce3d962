"""Writes docs/api-reference.md from the OpenAPI document that the API serves."""

import json
from collections.abc import Iterator, Mapping

from api.app import ROUTES
from api.http.problems import PROBLEMS
from api.openapi.components import Json
from api.openapi.document import build
from docs.generate.markdown import anchor, code, document, table

INTRODUCTION = """\
Every operation, parameter, field, problem code and callback of the HTTP API. [HTTP API](api.md) is the guide: it
explains how the parts work together, with examples. A running engine serves the same content as OpenAPI 3.1 at
`GET /openapi.json`, and as a page to try it out at `GET /docs`."""

CALLBACKS_INTRODUCTION = """\
The engine sends these as `POST` to the booking's `callback` URL. [Callbacks](api.md#callbacks) explains delivery and
order, and how to verify the signature. Every callback has these headers:"""

PROBLEMS_INTRODUCTION = """\
Every refusal is a problem document ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)) of the type
[`Problem`](#problem). Decide by its `code`. Where "retry after" has a number, the same request may succeed after that
many seconds; the `Retry-After` header of the answer may name another number."""

# Least and most of a value, by their names in JSON Schema, with the unit.
RANGES = (
    ("minimum", "maximum", ""),
    ("minLength", "maxLength", " characters"),
    ("minItems", "maxItems", " items"),
    ("minProperties", "maxProperties", " pairs"),
)
# Shown instead of the JSON type; their patterns are left out.
SHOWN_FORMATS = {"date-time": "time", "e164": "E.164 number", "uri": "URL"}


def render() -> str:
    """The text of docs/api-reference.md."""
    served = build(ROUTES)
    parts = ["## Operations", *_operations(served)]
    parts += ["## Callback events", *_callbacks(served)]
    parts += ["## Objects", *_schemas(served)]
    parts += ["## Problem codes", PROBLEMS_INTRODUCTION, _problems()]
    return document("API reference", INTRODUCTION, parts)


def _operations(served: Json) -> Iterator[str]:
    everything = [
        (f"{method.upper()} {path}", operation)
        for path, item in served["paths"].items()
        for method, operation in item.items()
    ]
    rows = [(f"[`{name}`](#{anchor(name)})", operation["summary"]) for name, operation in everything]
    yield table(["operation", "what it does"], rows)
    common = set.intersection(
        *(set(_codes(served, each)) for _, each in everything if each.get("security") != []),
    )
    listed = [code(name) for name in PROBLEMS if name in common]
    yield f"Every operation that needs an API key can also answer with one of these problems: {', '.join(listed)}."
    for name, operation in everything:
        yield f"### {name}"
        yield f"{operation['summary']}. {operation.get('description', '')}".strip()
        if operation.get("security") == []:
            yield "Needs no API key."
        if "parameters" in operation:
            yield _parameters(operation["parameters"])
        if "requestBody" in operation:
            yield f"**Body:** {_content(operation['requestBody']['content'])}."
        yield _answers(served, operation, common if operation.get("security") != [] else set())


def _parameters(parameters: list[Json]) -> str:
    rows = [
        (
            code(each["name"]),
            each["in"],
            _type(each["schema"]),
            "yes" if each.get("required") else "no",
            _meaning(each["schema"] | each),
        )
        for each in parameters
    ]
    return table(["parameter", "in", "type", "required", "meaning"], rows)


def _answers(served: Json, operation: Json, common: set[str]) -> str:
    rows = []
    for status, named in operation["responses"].items():
        response = _resolved(served, named)
        if (codes := _problem_codes(response)) is None:
            content = _content(response["content"]) if "content" in response else ""
            rows.append((str(status), content or response["description"]))
        elif own := [code(each) for each in codes if each not in common]:
            rows.append((str(status), "problem: " + ", ".join(own)))
    return table(["answer", "content"], rows)


def _codes(served: Json, operation: Json) -> Iterator[str]:
    for named in operation["responses"].values():
        yield from _problem_codes(_resolved(served, named)) or []


def _problem_codes(response: Json) -> list[str] | None:
    """The codes of an answer that is a problem document; None for any other answer."""
    problem = response.get("content", {}).get("application/problem+json")
    return None if problem is None else list(problem["schema"]["properties"]["code"]["enum"])


def _callbacks(served: Json) -> Iterator[str]:
    events = {name: item["post"] for name, item in served["webhooks"].items()}
    yield CALLBACKS_INTRODUCTION
    first = next(iter(events.values()))
    yield table(["header", "meaning"], [(code(each["name"]), each["description"]) for each in first["parameters"]])
    yield "The answer of the receiver decides what follows:"
    answers = first["responses"].items()
    yield table(
        ["answer", "what follows"],
        [("any other" if status == "default" else str(status), each["description"]) for status, each in answers],
    )
    yield "An event with a `type` is sent only to accounts that have chosen it with `PUT /account`."
    yield table(["event", "type", "body"], [_event(served, each) for each in events.values()])


def _event(served: Json, event: Json) -> tuple[str, str, str]:
    content = event["requestBody"]["content"]
    body = _resolved(served, next(iter(content.values()))["schema"])
    kind = body["properties"].get("type")
    return event["summary"], "" if kind is None else _type(kind), _content(content)


def _schemas(served: Json) -> Iterator[str]:
    for name, schema in served["components"]["schemas"].items():
        yield f"### {name}"
        if "description" in schema:
            yield schema["description"]
        if "enum" in schema:
            yield "One of " + ", ".join(code(str(each)) for each in schema["enum"]) + "."
        if "properties" in schema:
            required = schema.get("required", [])
            rows = [
                (code(field), _type(each), "yes" if field in required else "no", _meaning(each))
                for field, each in schema["properties"].items()
            ]
            yield table(["field", "type", "required", "meaning"], rows)


def _problems() -> str:
    rows = [
        (code(name), str(kind.status), kind.title, "" if kind.retry_after is None else f"{kind.retry_after} s")
        for name, kind in PROBLEMS.items()
    ]
    return table(["code", "status", "title", "retry after"], rows)


def _resolved(served: Json, named: Json) -> Json:
    """What a `$ref` points to; anything else is returned as it is."""
    found = named
    for word in named.get("$ref", "").split("/")[1:]:
        found = served if found is named else found
        found = found[word]
    return found


def _content(content: Mapping[str, Json]) -> str:
    return " or ".join(
        _type(each["schema"]) + ("" if kind == "application/json" else f" as `{kind}`")
        for kind, each in content.items()
    )


def _type(schema: Json) -> str:
    match schema:
        case {"$ref": target}:
            name = target.rpartition("/")[2]
            shown = f"[{name}](#{anchor(name)})"
        case {"anyOf": options}:
            shown = " or ".join(_type(each) for each in options)
        case {"allOf": options}:
            shown = " and ".join(_type(each) for each in options)
        case {"const": value}:
            shown = code(json.dumps(value, ensure_ascii=False))
        case {"enum": values}:
            shown = ", ".join(code(str(each)) for each in values)
        case {"type": "array", "items": items}:
            shown = f"list of {_type(items)}"
        case _:
            shown = SHOWN_FORMATS.get(schema.get("format", ""), str(schema.get("type", "any")))
    return shown


def _meaning(schema: Json) -> str:
    """The description, then the range of the value and its default."""
    inner: Json = {}
    for each in schema.get("anyOf", []):
        inner |= each
    everything = inner | schema
    notes = [
        _range(everything.get(least), everything.get(most)) + unit
        for least, most, unit in RANGES
        if most in everything or everything.get(least, 0) > 1
    ]
    if everything.get("default") is not None:
        notes.append(f"default `{json.dumps(everything['default'], ensure_ascii=False)}`")
    described = str(schema.get("description", ""))
    return " ".join(filter(None, [described, f"({', '.join(notes)})" if notes else ""]))


def _range(least: int | None, most: int | None) -> str:
    if most is None:
        return f"at least {least}"
    return f"at most {most}" if least is None else f"{least} to {most}"
