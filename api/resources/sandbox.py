"""/test: simulated calls and a clock that can be moved, for sandbox keys."""

from aiohttp import web

from api.http.dependencies import ACCOUNT_ID, DEPENDENCIES, machine_timestamp, now_of
from api.http.idempotency import answer_once, kept
from api.http.parsing import read_body
from api.http.responses import json_answer
from api.http.routes import Operation, Route
from api.schemas.sandbox import ClockBody, ClockChange, NewSimulatedCall, SimulatedCallBody
from engine.domain.number_plan import caller_of
from engine.domain.numbers import E164
from engine.domain.simulation import SimulatedCall
from engine.domain.times import rfc3339
from engine.sandbox.clock import advance_clock, sweep_sandbox_of
from engine.sandbox.simulation import simulate_call
from engine.storage.kept_answers import KeptAnswer
from engine.storage.transaction import Transaction


async def call(request: web.Request) -> web.Response:
    """Simulates a call."""
    deps = request.app[DEPENDENCIES]
    body = await read_body(request, NewSimulatedCall)
    simulated = SimulatedCall(
        E164(body.service),
        caller_of(body.source),
        body.outcome,
        body.seconds or 0,
        body.key,
        body.direction,
        tuple(body.pins),
    )
    account_id, at = request[ACCOUNT_ID], machine_timestamp(request)

    def simulate(tx: Transaction) -> KeptAnswer:
        simulation = simulate_call(tx, account_id, simulated, at, deps.policy)
        return kept(SimulatedCallBody.of(simulation, deps.policy), status=200)

    return await answer_once(request, body, simulate)


async def clock(request: web.Request) -> web.Response:
    """Answers with the sandbox's time."""
    return json_answer(ClockBody(now=rfc3339(now_of(request))))


async def advance(request: web.Request) -> web.Response:
    """Moves the clock, then carries out everything that is due. After a crash in between, the sweeps do the rest."""
    deps = request.app[DEPENDENCIES]
    body = await read_body(request, ClockChange)
    account_id, now = request[ACCOUNT_ID], machine_timestamp(request).wall_ms

    def move(tx: Transaction) -> KeptAnswer:
        return kept(ClockBody(now=rfc3339(advance_clock(tx, account_id, body.advance * 1000, now))), status=200)

    answer = await answer_once(request, body, move)
    while await deps.run(sweep_sandbox_of, account_id, now, deps.policy):
        pass
    return answer


# Generated clients have modules named after it: it keeps its old name.
TAG = "Test worlds"

ROUTES = (
    Route(
        "POST",
        "/test/calls",
        call,
        Operation(
            "simulateCall",
            TAG,
            "Simulate a call",
            answers={200: SimulatedCallBody},
            problems=("clock_too_far",),
            detail="The code of real calls handles it: it costs, is recorded and fires callbacks like a real call. The "
            "sandbox's clock moves forward by the duration of the call.",
        ),
        body=NewSimulatedCall,
        keyed=True,
        test=True,
    ),
    Route(
        "GET",
        "/test/clock",
        clock,
        Operation("getClock", TAG, "See the sandbox's clock", answers={200: ClockBody}),
        test=True,
    ),
    Route(
        "POST",
        "/test/clock",
        advance,
        Operation(
            "advanceClock",
            TAG,
            "Move the sandbox's clock forward",
            answers={200: ClockBody},
            problems=("clock_too_far",),
            detail="The answer comes when everything that is due by then has been carried out. The clock "
            "never moves back.",
        ),
        body=ClockChange,
        keyed=True,
        test=True,
    ),
)
