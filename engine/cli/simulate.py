"""`simulate …`: calls and time in a customer's sandbox, without telephones and without waiting."""

from typing import Annotated, Any

import typer
from pydantic import ValidationError

from api.schemas.sandbox import ClockBody, ClockChange, NewSimulatedCall, SimulatedCallBody
from engine.accounts import accounts
from engine.cli.database import run_command
from engine.cli.output import Json, show_one
from engine.config import secrets
from engine.config.policy import policy_of
from engine.config.settings import Settings
from engine.domain.directions import Direction
from engine.domain.errors import InvalidInput
from engine.domain.number_plan import caller_of
from engine.domain.numbers import E164
from engine.domain.policy import Policy
from engine.domain.simulation import Outcome, SimulatedCall
from engine.domain.times import EpochMs, Timestamp, rfc3339
from engine.runtime.clock import SystemClock
from engine.sandbox.clock import advance_clock, sweep_sandbox_of
from engine.sandbox.simulation import Simulation, simulate_call
from engine.storage.transaction import Transaction

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Calls and time in a sandbox, without telephones and without waiting.",
)

Account = Annotated[str, typer.Option(help="Id or name of the account that the sandbox belongs to, or of the sandbox.")]


@app.command("call")
def call(
    account: Account,
    service: Annotated[str, typer.Option(help="The rented number to call, one of the sandbox.")],
    source: Annotated[str, typer.Option(help="The caller's number, or anonymous.")],
    outcome: Annotated[Outcome, typer.Option(help="How the call ends, if it is put through.")],
    seconds: Annotated[int | None, typer.Option(help="How long the call lasts; with `answered` only.")] = None,
    key: Annotated[str, typer.Option(help="The key that the callee presses for `screening`; empty: none.")] = "1",
    direction: Annotated[
        Direction,
        typer.Option(
            help="`reverse`: the hidden number calls back. `pair`: a participant calls. Its carrier asserts --source."
        ),
    ] = Direction.FORWARD,
    pins: Annotated[
        list[str] | None,
        typer.Option(help="A PIN that the caller keys in; may be repeated, once for each question for a PIN."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Simulate a call as POST /test/calls does. A running engine delivers its callback within seconds."""
    try:
        wanted = NewSimulatedCall(
            service=service,
            source=source,
            outcome=outcome,
            seconds=seconds,
            key=key or None,
            direction=direction,
            pins=pins or [],
        )
    except ValidationError as error:
        raise InvalidInput([f"--{problem['loc'][0]}: {problem['msg']}" for problem in error.errors()]) from None
    asked = SimulatedCall(
        E164(service), caller_of(source), wanted.outcome, seconds or 0, wanted.key, direction, tuple(wanted.pins)
    )
    settings = Settings()
    policy = policy_of(settings, secrets.load(settings.data_dir / "secrets").key_pepper)
    simulation = run_command(settings, _simulate, account, asked, SystemClock().timestamp(), policy)
    record = SimulatedCallBody.of(simulation, policy).model_dump(mode="json")
    show_one(_without_hidden_number(record), as_json=as_json)


@app.command("clock")
def clock(
    account: Account,
    advance: Annotated[int, typer.Option(min=0, help="The seconds to set the clock forward; 0: only show it.")] = 0,
    as_json: Json = False,
) -> None:
    """Set the clock of a sandbox forward as POST /test/clock does, or show it."""
    settings = Settings()
    now = SystemClock().now()
    if advance:
        try:
            ClockChange(advance=advance)
        except ValidationError as error:
            raise InvalidInput([f"--advance: {problem['msg']}" for problem in error.errors()]) from None
    world_now = run_command(settings, _advance, account, advance * 1000, now)
    while run_command(settings, _sweep, account, now, policy_of(settings)):
        pass
    show_one(ClockBody(now=rfc3339(EpochMs(world_now))).model_dump(mode="json"), as_json=as_json)


def _simulate(tx: Transaction, account: str, asked: SimulatedCall, at: Timestamp, policy: Policy) -> Simulation:
    return simulate_call(tx, accounts.sandbox_of(tx, account, at.wall_ms).id, asked, at, policy)


def _advance(tx: Transaction, account: str, milliseconds: int, now: int) -> int:
    return advance_clock(tx, accounts.sandbox_of(tx, account, EpochMs(now)).id, milliseconds, EpochMs(now))


def _sweep(tx: Transaction, account: str, now: int, policy: Policy) -> int:
    return sweep_sandbox_of(tx, accounts.sandbox_of(tx, account, EpochMs(now)).id, EpochMs(now), policy)


def _without_hidden_number(record: dict[str, Any]) -> dict[str, Any]:
    """Returns one flat record with what operators see of a booking and of a call record elsewhere."""
    cdr, booking = record["cdr"] or {}, record["booking"] or {}
    return {
        "putThrough": record["putThrough"],
        "reason": record["reason"],
        "sipStatus": record["sipStatus"],
        "cdr": cdr.get("id"),
        "disposition": cdr.get("disposition"),
        "duration": cdr.get("duration"),
        "booking": booking.get("id"),
        "status": booking.get("status"),
        "secondsRemaining": booking.get("secondsRemaining"),
        "callsRemaining": booking.get("callsRemaining"),
        "now": record["now"],
    }
