"""Builds the API: its route table, its middlewares (the outermost first) and its limits."""

import asyncio
from collections import Counter

from aiohttp import web

from api.docs_page import served as docs_page
from api.http.auth import FAILURES, authenticate, keep_to_sandboxes, refuse_suspended
from api.http.auth_failures import FailureLimit
from api.http.dependencies import DEPENDENCIES, SANDBOX, TIME_LIMIT, Dependencies, RequestLimits
from api.http.idempotency import UNDER_WAY
from api.http.parsing import check_parameters
from api.http.problems import problem_of, problem_response
from api.http.rate_limit import QUOTA, RateLimit, limit_requests, set_rate_limit_headers
from api.http.read_turns import TURNS, ReadTurns, take_turns
from api.http.responses import SANDBOX_HEADER, log_failure, set_headers
from api.http.routes import ROUTES_BY_HANDLER, Handler, Route
from api.openapi import served
from api.phone_page import served as phone_page
from api.resources import (
    account,
    blocked_callers,
    booking_pictures,
    bookings,
    callback_endpoints,
    callback_tests,
    callbacks,
    catalogue,
    cdrs,
    explanations,
    exports,
    health,
    number_swaps,
    portal_links,
    sandbox,
    traces,
    usage,
    webhook_secret,
)
from api.twilio_proxy import served as twilio_proxy
from api.twilio_proxy.errors import is_twilios, twilio_error
from api.web.frame.services import WebServices
from api.web.served import set_up_pages

__all__ = ["ROUTES", "Dependencies", "RequestLimits", "WebServices", "build_app"]

ROUTES: tuple[Route, ...] = (
    *bookings.ROUTES,
    *number_swaps.ROUTES,
    *booking_pictures.ROUTES,
    *blocked_callers.ROUTES,
    *explanations.ROUTES,
    *cdrs.ROUTES,
    *traces.ROUTES,
    *exports.ROUTES,
    *usage.ROUTES,
    *catalogue.ROUTES,
    *callback_endpoints.ROUTES,
    *callback_tests.ROUTES,
    *callbacks.ROUTES,
    *webhook_secret.ROUTES,
    *sandbox.ROUTES,
    *account.ROUTES,
    *portal_links.ROUTES,
    *health.ROUTES,
    *served.ROUTES,
)


def build_app(deps: Dependencies, pages: WebServices | None = None) -> web.Application:
    """Returns the aiohttp application that serves the API, and the web pages if it gets what they need."""
    app = web.Application(
        middlewares=[
            refuse_with_problems,
            limit_time,
            authenticate,
            limit_requests,
            refuse_suspended,
            keep_to_sandboxes,
            take_turns,
            check_parameters,
        ],
        client_max_size=deps.limits.body_bytes,
    )
    app[DEPENDENCIES] = deps
    app[served.DOCUMENT] = served.prepared(ROUTES)
    app[UNDER_WAY] = set()
    app[FAILURES] = FailureLimit()
    app[QUOTA] = RateLimit(deps.limits.requests_per_minute)
    app[TURNS] = ReadTurns()
    app[callback_tests.TESTS] = RateLimit(callback_tests.TESTS_PER_MINUTE)
    app[exports.UNDER_WAY] = Counter()
    routes = (
        *ROUTES,
        *docs_page.ROUTES,
        *twilio_proxy.ROUTES,
        *(phone_page.ROUTES if deps.phones else ()),
        *(set_up_pages(app, pages) if pages else ()),
    )
    app[ROUTES_BY_HANDLER] = {route.handler: route for route in routes}
    for route in routes:
        for method in ("GET", "HEAD") if route.method == "GET" else (route.method,):
            app.router.add_route(method, _router_path(route), route.handler)
    app.on_response_prepare.append(on_response)
    if deps.phones:
        phone_page.prepare(app, deps.phones)
    return app


def _router_path(route: Route) -> str:
    """The path for the router. A placeholder at its end does not match a literal step that another path has there."""
    before, placeholder, name = route.path.rpartition("/{")
    literals = [other.path.rpartition("/") for other in ROUTES if "{" not in other.path]
    words = sorted({word for parent, _, word in literals if parent == before})
    if not (placeholder and words and name.endswith("}")):
        return route.path
    return f"{before}/{{{name[:-1]}:(?!({'|'.join(words)})$)[^/]+}}"


@web.middleware
async def refuse_with_problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turns every exception into a problem document, and logs the unexpected ones."""
    try:
        return await handler(request)
    except Exception as error:
        if isinstance(error, web.HTTPException) and error.status < 400:
            raise
        if is_twilios(request):
            return twilio_error(request, error)
        problem = problem_of(error)
        if problem.code == "internal":
            log_failure(request, error)
        return problem_response(problem)


@web.middleware
async def limit_time(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Limits the time that a request may take."""
    async with asyncio.timeout(request.app[DEPENDENCIES].limits.request_seconds) as limit:
        request[TIME_LIMIT] = limit
        return await handler(request)


async def on_response(request: web.Request, response: web.StreamResponse) -> None:
    """Sets the headers that every answer has, and counts it."""
    route = request.app[ROUTES_BY_HANDLER].get(request.match_info.handler)
    request.app[DEPENDENCIES].requests.note(route.path if route else None, request.method, response.status)
    set_headers(request, response)
    set_rate_limit_headers(request, response)
    if SANDBOX in request:
        response.headers[SANDBOX_HEADER] = "test"
