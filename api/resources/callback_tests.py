"""/callbacks/test: a signed test event to a URL, and what came back."""

import asyncio
import math

from aiohttp import web

from api.http.dependencies import ACCOUNT_ID, DEPENDENCIES, SANDBOX, machine_timestamp
from api.http.parsing import read_body
from api.http.problems import ProblemError
from api.http.rate_limit import RateLimit
from api.http.responses import json_answer
from api.http.routes import Operation, Route
from api.resources.callbacks import TAG
from api.schemas.callbacks import CallbackDetailBody, NewTestEvent
from engine.callbacks.trial import post_test
from engine.domain.errors import NotFound
from engine.domain.retry import CallbackState

# A customer's test events, with those of the sandbox. A person who sets up a receiver needs fewer. They are also paced
# like all callbacks to receivers that have not agreed.
TESTS_PER_MINUTE = 10
TESTS = web.AppKey("TESTS", RateLimit)
# Between two looks at whether the attempt is over.
LOOK_SECONDS = 0.05


async def test(request: web.Request) -> web.Response:
    """Sends a test event and answers with what came back: 200. If nothing has come back yet, with the callback: 202."""
    answer = await send_test(request, await read_body(request, NewTestEvent))
    return json_answer(answer, status=202 if answer.state is CallbackState.PENDING else 200)


async def send_test(request: web.Request, body: NewTestEvent) -> CallbackDetailBody:
    """Sends a test event of the request's account.

    Returns:
        The callback with its log, as soon as its attempt is over, or when the time to wait is.

    Raises:
        ProblemError: The customer has reached its limit.
    """
    deps = request.app[DEPENDENCIES]
    _count_test(request)
    callback_id = await deps.run(post_test, request[ACCOUNT_ID], body.url, machine_timestamp(request).wall_ms)
    return await _answered(request, callback_id)


def _count_test(request: web.Request) -> None:
    """Counts a test event of the customer. Raises ProblemError beyond the limit."""
    sandbox = request.get(SANDBOX)
    customer = sandbox.test_of if sandbox else request[ACCOUNT_ID]
    standing = request.app[TESTS].count(customer, asyncio.get_running_loop().time())
    if not standing.allowed:
        raise ProblemError(
            "too_many_tests",
            f"The account may send {standing.per_minute} test events per minute.",
            retry_after=max(1, math.ceil(standing.next_in)),
        )


async def _answered(request: web.Request, callback_id: str) -> CallbackDetailBody:
    deps = request.app[DEPENDENCIES]
    loop = asyncio.get_running_loop()
    until = loop.time() + deps.limits.test_event_seconds
    while True:
        record = await deps.reads.callback(request[ACCOUNT_ID], callback_id)
        if record is None:
            raise NotFound("there is no such callback")
        if record.state is not CallbackState.PENDING or loop.time() >= until:
            return CallbackDetailBody.with_log(record, await deps.reads.callback_attempts(callback_id))
        await asyncio.sleep(LOOK_SECONDS)


ROUTES = (
    Route(
        "POST",
        "/callbacks/test",
        test,
        Operation(
            "testCallback",
            TAG,
            "Send a test event",
            answers={200: CallbackDetailBody, 202: CallbackDetailBody},
            problems=("callback_not_acceptable", "too_many_tests", "too_many_redeliveries"),
            detail="It is signed and delivered like every callback, once, and is in the log. 200: the attempt is over, "
            "and `attempts` has what came back. 202: it is not over yet; ask `GET /callbacks/{id}`. `HELD`: the URL is "
            f"disabled. An account may send {TESTS_PER_MINUTE} test events a minute, its sandbox included.",
        ),
        body=NewTestEvent,
    ),
)
