"""Makes every refusal an RFC 9457 problem document, from one table: code → status, title, when to try again.

`type` is `urn:problem-type:rented-numbers:<code>`. A URN is the same on every installation and promises no web page.
An `https:` type was rejected because it would name a host that is not the installation's own; a relative one, because
it would differ between installations and point to a page that each of them must serve.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

from aiohttp import hdrs, web

from api.schemas.common import FieldError, ProblemBody
from engine.domain.errors import Refusal, RentedNumbersError
from engine.storage.errors import StorageError, StorageTooSlow, StorageUnavailable

TYPE_PREFIX = "urn:problem-type:rented-numbers:"
CONTENT_TYPE = "application/problem+json"
# A body of 64 KiB can be wrong in thousands of places.
MAX_ERRORS = 20
# Names that an answer may repeat. A telephone number begins with a digit or a +.
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
# Likewise for a step of a pointer, which may be a key of the customer's metadata.
_STEP = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of problem.

    Attributes:
        status: The HTTP status.
        title: For people; the same for every problem of this kind.
        retry_after: Seconds after which the same request may succeed; None if repeating it is useless.
    """

    status: int
    title: str
    retry_after: int | None = None


PROBLEMS: dict[str, Kind] = {
    "malformed_request": Kind(400, "The request cannot be parsed"),
    "invalid_parameter": Kind(400, "Invalid query parameter"),
    "invalid_cursor": Kind(400, "Invalid cursor"),
    "invalid_idempotency_key": Kind(400, "Invalid Idempotency-Key"),
    "unauthorized": Kind(401, "A valid API key is required"),
    "account_suspended": Kind(403, "The account is suspended"),
    "test_key_required": Kind(403, "A sandbox key is required"),
    "quota_reached": Kind(403, "The account has reached its limit of bookings"),
    "not_found": Kind(404, "Not found"),
    "gone": Kind(404, "The booking is gone for good"),
    "method_not_allowed": Kind(405, "Method not allowed"),
    "request_timeout": Kind(408, "The request's body took too long to arrive", retry_after=1),
    "idempotency_key_in_use": Kind(409, "A request with this Idempotency-Key is still running", retry_after=1),
    "booking_begun": Kind(409, "The booking has begun"),
    "not_for_pairs": Kind(409, "A pair cannot be changed so"),
    "number_not_free": Kind(409, "The requested number is not free"),
    "too_large": Kind(413, "The request is too large"),
    "unsupported_media_type": Kind(415, "The body must be plain application/json"),
    "expectation_failed": Kind(417, "The Expect header cannot be met"),
    "invalid_request": Kind(422, "The request's body is invalid"),
    "invalid_destination": Kind(422, "The destination is not a valid telephone number"),
    "destination_not_allowed": Kind(422, "Calls to this kind of destination are not allowed"),
    "voice_is_off": Kind(422, "The operator has switched off what is spoken in calls"),
    "reverse_unavailable": Kind(422, "No carrier of this installation asserts who calls"),
    "destination_is_ours": Kind(422, "The destination is itself a rented number"),
    "unknown_plan": Kind(422, "Unknown usage plan"),
    "callback_not_acceptable": Kind(422, "The callback is not an acceptable URL"),
    "invalid_caller": Kind(422, "The caller is not a valid telephone number"),
    "too_many_blocked_callers": Kind(422, "The booking's list of blocked callers is full"),
    "idempotency_key_reused": Kind(422, "This Idempotency-Key was used for a different request"),
    "booking_too_long": Kind(422, "The booking would begin or end too far in the future"),
    "clock_too_far": Kind(422, "The clock cannot be set further ahead"),
    "too_many_new_bookings": Kind(429, "The account has reached its limit of new bookings", retry_after=86_400),
    "too_much_stored": Kind(429, "The account has reached its limit of stored data", retry_after=3_600),
    "too_many_requests": Kind(429, "Too many requests", retry_after=1),
    "redelivered_too_soon": Kind(429, "The callback was sent again moments ago", retry_after=60),
    "too_many_redeliveries": Kind(429, "Many callbacks of the account wait to be sent", retry_after=60),
    "too_many_tests": Kind(429, "The account has reached its limit of test events", retry_after=6),
    "too_many_failures": Kind(429, "Too many failed authentications", retry_after=60),
    "internal": Kind(500, "Internal server error"),
    "no_number_free": Kind(503, "No matching number is free", retry_after=60),
    "overloaded": Kind(503, "The server is overloaded", retry_after=2),
    "unavailable": Kind(503, "The database is unavailable", retry_after=5),
}

# The codes of problems that are about one field of the body, by that field.
CODE_OF_FIELD = {
    "destination": "invalid_destination",
    "usagePlan": "unknown_plan",
    "callback": "callback_not_acceptable",
    "caller": "invalid_caller",
}
FIELD_OF_CODE = {code: field for field, code in CODE_OF_FIELD.items()} | {
    "destination_is_ours": "destination",
    "booking_begun": "startTime",
    "number_not_free": "service",
    "destination_not_allowed": "destination",
    "reverse_unavailable": "reverse",
}

CODE_OF_STATUS = {404: "not_found", 405: "method_not_allowed", 413: "too_large"}


class ProblemError(RentedNumbersError):
    """A refusal as HTTP answers it. The API raises it; `problem_of` makes it of what the engine raises.

    Attributes:
        code: The stable code, a key of PROBLEMS.
        detail: What is wrong this time, for people.
        errors: The fields or parameters that are wrong; at most MAX_ERRORS.
        allow: The value of the `Allow` header; None if there is none.
        retry_after: Seconds after which the same request may succeed; None if repeating it is useless.
    """

    def __init__(
        self,
        code: str,
        detail: str,
        errors: tuple[FieldError, ...] = (),
        allow: str | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(code)
        self.code = code
        self.detail = detail
        self.errors = errors[:MAX_ERRORS]
        self.allow = allow
        self.retry_after = PROBLEMS[code].retry_after if retry_after is None else retry_after


INTERNAL = ("internal", "The request failed. The reason is in the operator's log.")


def problem_of(error: Exception) -> ProblemError:
    """Returns what a client may learn about `error`. An unexpected error becomes `internal`, without its text."""
    match error:
        case ProblemError():
            return error
        case Refusal() if error.code in PROBLEMS:
            return _problem_of_refusal(error)
        case StorageError() | TimeoutError():
            return _problem_of_storage(error)
        case web.HTTPException() if error.status < 500:
            return _problem_of_http(error)
        case _:
            return ProblemError(*INTERNAL)


def _problem_of_storage(error: StorageError | TimeoutError) -> ProblemError:
    if isinstance(error, StorageUnavailable):
        return ProblemError("unavailable", "The database does not answer. Nothing was changed.")
    if isinstance(error, StorageTooSlow):
        return ProblemError("overloaded", "The query took too long. Ask for fewer records or a shorter time.")
    return ProblemError("overloaded", "The request took too long. Check whether it was carried out.")


def _problem_of_refusal(refusal: Refusal) -> ProblemError:
    field = refusal.field or FIELD_OF_CODE.get(refusal.code)
    if field:
        error = FieldError(field=field, message=str(refusal), pointer=pointer_to((field, *refusal.place)))
        return ProblemError(refusal.code, str(refusal), (error,))
    return ProblemError(refusal.code, _sentence(str(refusal)), retry_after=refusal.retry_after)


def _sentence(text: str) -> str:
    """Writes the engine's text as a sentence, as all details are. The command line uses it in the middle of a line."""
    return f"{text[:1].upper()}{text[1:]}."


def problem_body(problem: ProblemError) -> ProblemBody:
    """Returns the problem document."""
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
    """Returns the answer: the problem document with its status and headers."""
    kind = PROBLEMS[problem.code]
    body = problem_body(problem).model_dump_json(exclude_none=True).encode()
    response = web.Response(status=kind.status, body=body, content_type=CONTENT_TYPE)
    if problem.retry_after is not None:
        response.headers[hdrs.RETRY_AFTER] = str(problem.retry_after)
    if kind.status == 401:
        response.headers[hdrs.WWW_AUTHENTICATE] = "Bearer"
    if problem.allow is not None:
        response.headers[hdrs.ALLOW] = problem.allow
    return response


def safe_name(name: object) -> str:
    """Returns a field's or parameter's name as an answer may repeat it: clients can send anything as a name."""
    return name if isinstance(name, str) and _NAME.fullmatch(name) else "(unnamed)"


def pointer_to(place: Sequence[str | int]) -> str:
    """Returns the JSON pointer (RFC 6901) to a place in the body.

    It ends before a step that an answer must not repeat: it then points to the object that has the unnamed member.

    Args:
        place: The keys and indexes that lead there, as pydantic names them. A wrong key itself ends with `[key]`.
    """
    steps = takewhile(lambda step: isinstance(step, int) or _STEP.fullmatch(step), place)
    return "".join(f"/{step}" for step in steps)


def _problem_of_http(error: web.HTTPException) -> ProblemError:
    code = CODE_OF_STATUS.get(error.status, "malformed_request")
    allow = error.headers.get(hdrs.ALLOW)
    details = {
        "not_found": "There is nothing at this path.",
        "method_not_allowed": f"Allowed here: {allow}.",
        "too_large": "The body is too large.",
        "malformed_request": "The server does not understand the request.",
    }
    return ProblemError(code, details[code], allow=allow)
