"""Which problems an operation may answer with, and their descriptions: one response for each status, with its codes."""

from collections.abc import Mapping
from itertools import groupby

from aiohttp import hdrs

from api.http.parsing import MAX_LIMIT
from api.http.problems import CODE_OF_FIELD, CONTENT_TYPE, PROBLEMS, ProblemError, problem_body
from api.http.rate_limit import RATE_LIMIT, RATE_LIMIT_POLICY
from api.http.routes import Route
from api.openapi.components import Json, ref, ref_to
from api.schemas.common import FieldError, ProblemBody

OF_ALL = frozenset({"malformed_request", "invalid_parameter", "expectation_failed", "internal", "overloaded"})
OF_PRIVATE = frozenset({"unauthorized", "too_many_requests", "too_many_failures", "unavailable"})
OF_BODIES = frozenset({"request_timeout", "too_large", "unsupported_media_type", "invalid_request"})
OF_KEYED = frozenset({"invalid_idempotency_key", "idempotency_key_in_use", "idempotency_key_reused", "too_much_stored"})
# Only paths and methods without a route get this answer, so no operation has it.
OF_NONE = frozenset({"method_not_allowed"})

QUOTA_HEADERS: Mapping[str, Json] = {
    RATE_LIMIT: ref("RateLimit", "headers"),
    RATE_LIMIT_POLICY: ref("RateLimitPolicy", "headers"),
}


# The examples of problems that name fields or parameters.
ERRORS: Mapping[str, tuple[FieldError, ...]] = {
    "invalid_parameter": (FieldError(field="limit", message=f"must be a whole number from 1 to {MAX_LIMIT}"),),
    "invalid_request": (
        FieldError(field="usagePlan", message="Field required", pointer="/usagePlan"),
        FieldError(field="callback", message="a callback URL has no fragment (#)", pointer="/callback"),
        FieldError(field="metadata", message="Input should be a valid string", pointer="/metadata/order"),
    ),
}


def codes_of(route: Route) -> list[str]:
    """Returns the codes of the problems that an operation may answer with, in the order of PROBLEMS."""
    codes = OF_ALL | set(route.operation.problems)
    if not route.public:
        codes |= OF_PRIVATE if route.while_suspended else OF_PRIVATE | {"account_suspended"}
    if route.test:
        codes |= {"test_key_required"}
    if "cursor" in route.parameters:
        codes |= {"invalid_cursor"}
    if route.placeholders:
        codes |= {"not_found"}
    if route.keyed:
        codes |= OF_KEYED
    if route.body:
        fields = {field.alias for field in route.body.model_fields.values()}
        codes |= OF_BODIES | {code for field, code in CODE_OF_FIELD.items() if field in fields}
    return [code for code in PROBLEMS if code in codes]


def refusals(codes: list[str], *, counted: bool) -> dict[int, Json]:
    """Describes problems, by status.

    Args:
        codes: The codes of the problems.
        counted: Whether the operation counts towards the account's rate limit.
    """
    by_status = groupby(sorted(codes, key=_status), key=_status)
    return {status: _refusal(status, list(group), counted=counted) for status, group in by_status}


def problem_examples() -> Json:
    """Returns an example for every code, for `components`."""
    made = {
        code: problem_body(ProblemError(code, f"{kind.title}.", ERRORS.get(code, ())))
        for code, kind in PROBLEMS.items()
    }
    return {code: {"value": body.model_dump(mode="json", exclude_none=True)} for code, body in made.items()}


def _status(code: str) -> int:
    return PROBLEMS[code].status


def _refusal(status: int, codes: list[str], *, counted: bool) -> Json:
    only = {"status": {"const": status}, "code": {"enum": codes}}
    refusal: Json = {
        "description": "\n".join(f"- `{code}`: {PROBLEMS[code].title}" for code in codes),
        "content": {
            CONTENT_TYPE: {
                "schema": {"allOf": [ref_to(ProblemBody)], "properties": only},
                "examples": {code: ref(code, "examples") for code in codes},
            }
        },
    }
    if headers := _headers(status, codes, counted=counted):
        refusal["headers"] = headers
    return refusal


def _headers(status: int, codes: list[str], *, counted: bool) -> Json:
    # A request with 401 belongs to no account.
    headers: Json = dict(QUOTA_HEADERS) if counted and status != 401 else {}
    if all(PROBLEMS[code].retry_after is not None for code in codes):
        headers[hdrs.RETRY_AFTER] = ref("RetryAfter", "headers")
    if status == 401:
        headers[hdrs.WWW_AUTHENTICATE] = ref("WwwAuthenticate", "headers")
    if status == 405:
        headers[hdrs.ALLOW] = ref("Allow", "headers")
    return headers
