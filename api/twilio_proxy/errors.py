"""Refusals in Twilio's form: `code`, `message`, `more_info` and `status`."""

from aiohttp import hdrs, web

from api.http.problems import PROBLEMS, ProblemError, problem_of
from api.http.responses import log_failure
from engine.domain.twilio_proxy import PARAMETER_INVALID, ProxyRefusal

# Where the API is. Twilio's clients put `v1/…` behind it.
PREFIX = "/twilio-proxy"
# The same for what is unknown, what is another account's and what is gone.
NOT_FOUND = "The requested resource was not found"
TWILIO_DOCS = "https://www.twilio.com/docs/errors/"
# What more there is to say of codes that are not Twilio's: a page of our documentation.
OUR_DOCS = "docs/twilio-proxy.md"
# Twilio's codes for our problems. A problem that is not here has its HTTP status as its code.
TWILIO_CODES = {
    "malformed_request": 20001,
    "invalid_parameter": 20001,
    "invalid_cursor": PARAMETER_INVALID,
    "invalid_destination": PARAMETER_INVALID,
    "destination_not_allowed": PARAMETER_INVALID,
    "destination_is_ours": PARAMETER_INVALID,
    "callback_not_acceptable": PARAMETER_INVALID,
    "unauthorized": 20003,
    "account_suspended": 20005,
    "not_found": 20404,
    "gone": 20404,
    "method_not_allowed": 20004,
    "too_many_requests": 20429,
    "too_many_failures": 20429,
    "number_not_free": 80604,
    "no_number_free": 80206,
    "internal": 20500,
    "overloaded": 20503,
    "unavailable": 20503,
}
# The fields of Twilio that our problems are about.
FIELDS = {
    "invalid_cursor": "PageToken",
    "invalid_destination": "Identifier",
    "destination_not_allowed": "Identifier",
    "destination_is_ours": "Identifier",
    "number_not_free": "ProxyIdentifier",
}


def is_twilios(request: web.Request) -> bool:
    """Whether a request is for Twilio Proxy's API, also at a path that it does not have."""
    return request.path.startswith(f"{PREFIX}/")


def twilio_error(request: web.Request, error: Exception) -> web.Response:
    """Returns the answer to a request that failed."""
    if isinstance(error, ProxyRefusal):
        return _answer(error.status, error.code, str(error))
    problem = problem_of(error)
    if problem.code == "internal":
        log_failure(request, error)
    kind = PROBLEMS[problem.code]
    # Twilio has no 422.
    status = 400 if kind.status == 422 else kind.status
    answer = _answer(status, TWILIO_CODES.get(problem.code, status), _message(problem))
    if problem.retry_after is not None:
        answer.headers[hdrs.RETRY_AFTER] = str(problem.retry_after)
    if status == 401:
        answer.headers[hdrs.WWW_AUTHENTICATE] = 'Basic realm="Twilio API"'
    if problem.allow is not None:
        answer.headers[hdrs.ALLOW] = problem.allow
    return answer


def _message(problem: ProblemError) -> str:
    if problem.code in {"not_found", "gone"}:
        return NOT_FOUND
    field = FIELDS.get(problem.code)
    return f"'{field}' is invalid: {problem.detail}" if field else problem.detail


def _answer(status: int, code: int, message: str) -> web.Response:
    more_info = f"{TWILIO_DOCS}{code}" if code >= 10_000 else OUR_DOCS
    return web.json_response(
        {"code": code, "message": message, "more_info": more_info, "status": status}, status=status
    )
