"""From a request's body to a checked object: media type, size, time, UTF-8, JSON, schema; in that order.

The standard library's parser is used and not pydantic's, which keeps the last of two equal keys: what a
client meant by two destinations is not for us to guess.
"""

import asyncio
import json
from typing import Any, NoReturn, TypeVar

from aiohttp import hdrs, web
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from api.http.dependencies import DEPENDENCIES, RequestLimits
from api.http.problems import CODE_OF_FIELD, MAX_ERRORS, ProblemError, safe_name
from api.schemas.common import FieldError, Incoming

M = TypeVar("M", bound=Incoming)


async def read_body(request: web.Request, model: type[M]) -> M:
    """Raises ProblemError, and HTTPRequestEntityTooLarge for a body that says its size only by its end."""
    _check_media_type(request)
    document = _parse(await _read(request, request.app[DEPENDENCIES].limits))
    try:
        return model.model_validate(document)
    except ValidationError as error:
        raise _validation_problem(error) from None


def _check_media_type(request: web.Request) -> None:
    if request.content_type != "application/json" or (request.charset or "utf-8").lower() != "utf-8":
        raise ProblemError("unsupported_media_type", "Send the body as application/json, in UTF-8.")
    # A few compressed bytes can stand for gigabytes, and bodies are far too small here to gain anything.
    codings = (request.headers.get(hdrs.CONTENT_ENCODING, "identity"), request.headers.get(hdrs.TRANSFER_ENCODING, ""))
    if codings[0].lower() != "identity" or codings[1].lower() not in {"", "chunked"}:
        raise ProblemError("unsupported_media_type", "Send the body uncompressed.")


async def _read(request: web.Request, limits: RequestLimits) -> bytes:
    if (request.content_length or 0) > limits.body_bytes:
        raise ProblemError("too_large", f"The body may have {limits.body_bytes} bytes.")
    try:
        async with asyncio.timeout(limits.body_seconds):
            return await request.read()
    except TimeoutError:
        raise ProblemError("request_timeout", f"The body must arrive within {limits.body_seconds:g} s.") from None
    except web.RequestPayloadError:
        raise ProblemError("malformed_request", "The body does not keep to HTTP.") from None


def _parse(body: bytes) -> object:
    try:
        return json.loads(body.decode(), object_pairs_hook=_no_equal_keys, parse_constant=_no_constant)
    except UnicodeDecodeError:
        raise ProblemError("malformed_request", "The body is not UTF-8.") from None
    except json.JSONDecodeError as error:
        detail = f"The body is not JSON: line {error.lineno}, column {error.colno}."
        raise ProblemError("malformed_request", detail) from None
    except ValueError:  # a whole number of thousands of digits
        raise ProblemError("malformed_request", "The body has a number that is too long.") from None
    except RecursionError:
        raise ProblemError("malformed_request", "The body is nested too deeply.") from None


def _no_equal_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ProblemError("malformed_request", "The body has an object with two equal keys.")
    return members


def _no_constant(name: str) -> NoReturn:
    raise ProblemError("malformed_request", f"The body has {name}, which is not JSON.")


def _message(found: ErrorDetails) -> str:
    return "is not a field here" if found["type"] == "extra_forbidden" else found["msg"]


def _validation_problem(error: ValidationError) -> ProblemError:
    """One field that is there and wrong has its own code; what is missing or unknown is `invalid_request`.

    pydantic's messages say what is expected and never repeat what was sent.
    """
    found = error.errors(include_url=False, include_context=False, include_input=False)[:MAX_ERRORS]
    errors = tuple(
        FieldError(field=safe_name(one["loc"][0]) if one["loc"] else "", message=_message(one)) for one in found
    )
    fields = {one.field for one in errors}
    only = fields.pop() if len(fields) == 1 else ""
    if only in CODE_OF_FIELD and found[0]["type"] not in {"missing", "extra_forbidden"}:
        return ProblemError(CODE_OF_FIELD[only], f"{only}: {errors[0].message}", errors)
    return ProblemError("invalid_request", "See `errors` for what is wrong with the body.", errors)
