"""Checks an answer of the API against its OpenAPI document: status, media type, headers, body.

`Api.call` checks every answer, so that all tests of the API also test /openapi.json.
"""

import json
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

import jsonschema_rs

from api.app import ROUTES
from api.http.problems import CONTENT_TYPE
from api.openapi.served import prepared

DOCUMENT: dict[str, Any] = json.loads(prepared(ROUTES).body)
PATHS = {re.compile(re.sub(r"\{\w+\}", "[^/]+", path)): path for path in DOCUMENT["paths"]}
PROBLEM = {"$ref": "#/components/schemas/Problem"}


def check_answer(method: str, path: str, status: int, headers: Mapping[str, str], text: str) -> None:
    """`path`: as it was asked for, with its query. Raises AssertionError."""
    described = _description(method, path.partition("?")[0], status)
    for name, reference in described.get("headers", {}).items():
        header = _resolved(reference)
        assert name in headers or not header.get("required"), f"{status} without {name}"
        if name in headers:
            _check(header["schema"], _read(headers[name], header["schema"]))
    content = described.get("content", {})
    if not content:
        assert text == ""
        return
    media_type = headers["Content-Type"].partition(";")[0]
    assert media_type in content, f"{status} with {media_type}"
    if method != "HEAD":
        _check(content[media_type]["schema"], json.loads(text) if media_type.endswith("json") else text)


def _description(method: str, path: str, status: int) -> dict[str, Any]:
    """What the document has for such an answer; for a path or a method that it has not, what it says of all others."""
    template = next((template for pattern, template in PATHS.items() if pattern.fullmatch(path)), None)
    operations = DOCUMENT["paths"][template] if template else {}
    operation = operations.get("get" if method == "HEAD" else method.lower())
    if operation is None:
        assert status == (405 if template else 404)
        other: dict[str, Any] = DOCUMENT["components"]["responses"]["method_not_allowed"] if template else {}
        return other or {"content": {CONTENT_TYPE: {"schema": PROBLEM}}}
    assert str(status) in operation["responses"], f"{method} {template} answered {status}"
    described: dict[str, Any] = operation["responses"][str(status)]
    return described


def _resolved(reference: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in reference:
        return reference
    shared: dict[str, Any] = DOCUMENT["components"]["headers"][reference["$ref"].rpartition("/")[2]]
    return shared


def _read(value: str, schema: dict[str, Any]) -> str | int:
    return int(value) if schema["type"] == "integer" else value


def _check(schema: dict[str, Any], value: object) -> None:
    errors = [
        f"{error.instance_path}: {error.message}" for error in validator_of(json.dumps(schema)).iter_errors(value)
    ]
    assert errors == []


@cache
def validator_of(schema: str) -> jsonschema_rs.Draft202012Validator:
    """`schema`: JSON whose references are into the document."""
    whole = json.loads(schema) | {"components": DOCUMENT["components"]}
    return jsonschema_rs.Draft202012Validator(whole, validate_formats=True)
