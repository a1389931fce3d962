"""Every refusal as an RFC 9457 problem document, from one table: code → status, title, when to try again.

`type` is `urn:problem-type:rented-numbers:<code>`. An installation's home on the web is not known here, so an
`https:` type would name somebody else's host, and a relative one would point to a page that each installation
had to serve, and be another type on each of them. A URN is the same everywhere and promises no page.
"""

import re
from dataclasses import dataclass

from aiohttp import hdrs, web

from api.schemas.common import FieldError, ProblemBody
from engine.domain.errors import Refusal, RentedNumbersError
from engine.storage.errors import StorageBusy, StorageUnavailable

TYPE_PREFIX = "urn:problem-type:rented-numbers:"
CONTENT_TYPE = "application/problem+json"
# A body of 64 KiB can be wrong in thousands of places.
MAX_ERRORS = 20
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")


@dataclass(frozen=True, slots=True)
class Kind:
    """`retry_after`: seconds after which the same request may succeed; None: it will not."""

    status: int
    title: str
    retry_after: int | None = None


PROBLEMS: dict[str, Kind] = {
    "malformed_request": Kind(400, "The request cannot be read"),
    "invalid_parameter": Kind(400, "A query parameter is not acceptable"),
    "invalid_cursor": Kind(400, "The cursor is not one of this list"),
    "invalid_idempotency_key": Kind(400, "The idempotency key is not one"),
    "unauthorized": Kind(401, "A valid API key is required"),
    "test_key_required": Kind(403, "A key to a test world is required"),
    "quota_reached": Kind(403, "The account holds as many bookings as it may"),
    "not_found": Kind(404, "There is no such thing"),
    "gone": Kind(404, "The booking is gone for good"),
    "method_not_allowed": Kind(405, "The method is not allowed here"),
    "request_timeout": Kind(408, "The request's body took too long to arrive", retry_after=1),
    "idempotency_key_in_use": Kind(409, "A request with this idempotency key is being carried out", retry_after=1),
    "number_not_free": Kind(409, "The wanted number is not free"),
    "too_large": Kind(413, "The request is too large"),
    "unsupported_media_type": Kind(415, "The body must be plain application/json"),
    "expectation_failed": Kind(417, "The expectation cannot be met"),
    "invalid_request": Kind(422, "The request's content is not acceptable"),
    "invalid_destination": Kind(422, "The destination is not a number that exists"),
    "destination_not_allowed": Kind(422, "The destination is of a kind that may not be called"),
    "destination_is_ours": Kind(422, "The destination is itself a rented number"),
    "unknown_plan": Kind(422, "There is no such usage plan"),
    "callback_not_acceptable": Kind(422, "The callback is not a URL that would be called"),
    "invalid_caller": Kind(422, "The caller is not a number that could be blocked"),
    "too_many_blocked_callers": Kind(422, "The booking blocks as many callers as it can"),
    "idempotency_key_reused": Kind(422, "The idempotency key stands for another request"),
    "booking_too_long": Kind(422, "The booking would end too far ahead"),
    "clock_too_far": Kind(422, "The clock cannot be set further ahead"),
    "too_many_requests": Kind(429, "The account sends too many requests", retry_after=1),
    "too_many_failures": Kind(429, "Too many failed authentications", retry_after=60),
    "internal": Kind(500, "The server failed"),
    "no_number_free": Kind(503, "Every number is booked or in quarantine", retry_after=60),
    "overloaded": Kind(503, "Too much is going on", retry_after=2),
    "unavailable": Kind(503, "The database cannot be reached", retry_after=5),
}

# A refusal that is about one field of the request's body.
CODE_OF_FIELD = {
    "destination": "invalid_destination",
    "usagePlan": "unknown_plan",
    "callback": "callback_not_acceptable",
    "caller": "invalid_caller",
}
FIELD_OF_CODE = {code: field for field, code in CODE_OF_FIELD.items()} | {
    "destination_is_ours": "destination",
    "number_not_free": "service",
    "destination_not_allowed": "destination",
}

CODE_OF_STATUS = {404: "not_found", 405: "method_not_allowed", 413: "too_large"}


class ProblemError(RentedNumbersError):
    """Raised by the edge itself; what the engine raises is translated by `problem_of`.

    `retry_after`: seconds, where more is known than the code's kind says.
    """

    def __init__(
        self,
        code: str,
        detail: str,
        errors: tuple[FieldError, ...] = (),
        allow: str = "",
        retry_after: int | None = None,
    ) -> None:
        super().__init__(code)
        self.code = code
        self.detail = detail
        self.errors = errors[:MAX_ERRORS]
        self.allow = allow
        self.retry_after = PROBLEMS[code].retry_after if retry_after is None else retry_after


INTERNAL = ("internal", "The request could not be carried out. The operator's log says why.")


def problem_of(error: Exception) -> ProblemError:
    """What the client may know of `error`. Anything unforeseen is `internal`, without its text."""
    match error:
        case ProblemError():
            return error
        case Refusal() if error.code in PROBLEMS:
            return _problem_of_refusal(error)
        case StorageBusy() | TimeoutError():
            return ProblemError(
                "overloaded", "The request took or would take too long; see whether it was carried out."
            )
        case StorageUnavailable():
            return ProblemError("unavailable", "The database does not answer; nothing was changed.")
        case web.HTTPException() if error.status < 500:
            return _problem_of_http(error)
        case _:
            return ProblemError(*INTERNAL)


def _problem_of_refusal(refusal: Refusal) -> ProblemError:
    field = FIELD_OF_CODE.get(refusal.code)
    if field:
        return ProblemError(refusal.code, str(refusal), (FieldError(field=field, message=str(refusal)),))
    return ProblemError(refusal.code, _sentence(str(refusal)))


def _sentence(text: str) -> str:
    """As all other details are: what the engine raises, the command line goes on with in a line of its own."""
    return f"{text[:1].upper()}{text[1:]}."


def problem_body(problem: ProblemError) -> ProblemBody:
    kind = PROBLEMS[problem.code]
    return ProblemBody(
        type=TYPE_PREFIX + problem.code,
        title=kind.title,
        status=kind.status,
        detail=problem.detail,
        code=problem.code,
        errors=list(problem.errors) or None,
        retryable=problem.retry_after is not None,
    )


def problem_response(problem: ProblemError) -> web.Response:
    kind = PROBLEMS[problem.code]
    body = problem_body(problem).model_dump_json(exclude_none=True).encode()
    response = web.Response(status=kind.status, body=body, content_type=CONTENT_TYPE)
    if problem.retry_after is not None:
        response.headers[hdrs.RETRY_AFTER] = str(problem.retry_after)
    if kind.status == 401:
        response.headers[hdrs.WWW_AUTHENTICATE] = "Bearer"
    if problem.allow:
        response.headers[hdrs.ALLOW] = problem.allow
    return response


def safe_name(name: object) -> str:
    """A field's or parameter's name as an answer may repeat it: what clients send for one can be anything."""
    return name if isinstance(name, str) and _NAME.fullmatch(name) else "(unnamed)"


def _problem_of_http(error: web.HTTPException) -> ProblemError:
    code = CODE_OF_STATUS.get(error.status, "malformed_request")
    allow = error.headers.get(hdrs.ALLOW, "")
    details = {
        "not_found": "There is nothing at this path.",
        "method_not_allowed": f"Allowed here: {allow}.",
        "too_large": "The body is larger than this server reads.",
        "malformed_request": "The request is not one that this server understands.",
    }
    return ProblemError(code, details[code], allow=allow)
