"""`calls trace`, and numbers in the place of ids, on a database with a few calls."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from api.schemas.traces import TraceBody
from engine.calls.facts import IncomingCall
from engine.calls.lifecycle import route_call
from engine.config import secrets
from engine.domain.ids import CallId
from engine.domain.policy import UsagePlan
from engine.domain.retry import HttpAnswer
from engine.runtime.clock import SystemClock
from tests.contract.samples import CALLER, HIDDEN, SECOND
from tests.contract.world import World
from tests.integration.callback_sending import attempt_due
from tests.integration.cli_runner import CliInProcess
from tests.integration.database_world import world_on_disk

OTHER_CALLER = "+442079460958"
IN_OPERATORS_TRACE = {
    *("account", "callId", "destination", "incomingTrunk", "trunk", "tried", "sipCallId", "calleeSipCallId"),
}
MASKED = "+324•••••56"


async def fill(data: Path) -> dict[str, str]:
    """Make two bookings, a talk and a busy call to the first, a live call to the second; then end a third booking."""
    async with world_on_disk(data) as world:
        world.now = SystemClock().now() - 60 * SECOND
        world.policy = replace(world.policy, longest_call_seconds=30)
        first, second, third = [await world.book(UsagePlan.MEDIUM) for _ in range(3)]
        await world.talk(first, CallId("c1"), 5 * SECOND)
        told = f"call me on {HIDDEN}"
        await world.storage.run(attempt_due, world.now, HttpAnswer(500), told)
        world.now += SECOND
        await world.bridge(first, "c2")
        await world.ended(CallId("c2"), 0, "BUSY")
        world.now += SECOND
        incoming = IncomingCall(CallId("c3"), second.service, OTHER_CALLER, trunk="main")
        await world.storage.run(route_call, incoming, world.at, world.policy)
        await world.cancel(third)
        return {"first": first.id, "second": second.id, "third": third.id} | services(world)


def services(world: World) -> dict[str, str]:
    rows = world.rows("SELECT service FROM bookings ORDER BY id")
    return dict(zip(("service", "busy_service", "gone_service"), (row["service"] for row in rows), strict=True))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[CliInProcess, dict[str, str]]:
    cli = CliInProcess(tmp_path_factory.mktemp("trace"))
    cli.data.mkdir(mode=0o700)
    secrets.ensure(cli.data / "secrets")
    return cli, asyncio.run(fill(cli.data))


@pytest.fixture
def cli(made: tuple[CliInProcess, dict[str, str]]) -> CliInProcess:
    return made[0]


@pytest.fixture
def ids(made: tuple[CliInProcess, dict[str, str]]) -> dict[str, str]:
    return made[1]


def events(trace: dict[str, Any]) -> list[str]:
    return [step["event"] for step in trace["timeline"]]


def test_a_call_is_traced_by_its_id_and_by_that_of_its_record(cli: CliInProcess, ids: dict[str, str]) -> None:
    trace = cli.json("calls", "trace", "c1")
    assert set(trace) == {str(field.alias) for field in TraceBody.model_fields.values()} | IN_OPERATORS_TRACE
    assert cli.json("calls", "trace", trace["id"]) == trace
    assert (trace["account"], trace["bookingId"], trace["callId"]) == ("Ann", ids["first"], "c1")
    assert (trace["destination"], trace["trunk"], trace["sipCallId"]) == (MASKED, "main", "c1@host")
    [callback] = trace["callbacks"]
    assert [attempt["status"] for attempt in callback["attempts"]] == [500]
    assert callback["attempts"][0]["response"] == f"call me on {MASKED}"
    shown = cli("calls", "trace", "c1").stdout
    for text in ("Put through; it could last 30 s.", "the caller hung up", "5 s of 30 s", "Attempt 1: HTTP 500"):
        assert text in shown
    assert HIDDEN[-6:] not in shown + str(trace)


def test_a_live_call_is_traced(cli: CliInProcess) -> None:
    trace = cli.json("calls", "trace", "c3")
    assert (trace["state"], trace["id"], trace["incomingTrunk"]) == ("RINGING", None, "main")
    assert events(trace) == ["came_in", "put_through", "ringing"]


def test_a_number_names_its_newest_call_and_lists_the_others(cli: CliInProcess, ids: dict[str, str]) -> None:
    for number in (CALLER, CALLER.removeprefix("+"), ids["service"]):
        found = cli.json("calls", "trace", number)
        assert [trace["callId"] for trace in found["calls"]] == ["c2"]
        assert found["calls"][0]["tried"] == [
            {"trunk": "main", "dialStatus": "BUSY", "sipCode": 486, "hangupCause": 17}
        ]
        assert [row["disposition"] for row in found["others"]] == ["ANSWERED"]
    both = cli.json("calls", "trace", CALLER, "--last", "2", "--account", "Ann")
    assert ([trace["callId"] for trace in both["calls"]], both["others"]) == (["c2", "c1"], [])
    for number in (OTHER_CALLER, ids["busy_service"]):
        assert [trace["callId"] for trace in cli.json("calls", "trace", number)["calls"]] == ["c3"]
    shown = cli("calls", "trace", CALLER).stdout
    assert "Calls before:" in shown
    assert HIDDEN[-6:] not in shown


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["c9"], "there is no such call: `calls live` or `cdr list` shows them"),
        (["+3225559999"], "no call from or to +3225559999 is stored"),
        ([HIDDEN], f"no call from or to {HIDDEN} is stored"),
        (["c1", "--last", "2"], "--last and --account are for a number"),
        ([CALLER, "--account", "nobody"], "there is no account 'nobody'"),
    ],
)
def test_what_cannot_be_traced_says_why(cli: CliInProcess, arguments: list[str], reason: str) -> None:
    assert reason in cli.refused("calls", "trace", *arguments)


def test_a_rented_number_names_the_booking_that_holds_it(cli: CliInProcess, ids: dict[str, str]) -> None:
    number, plain = ids["service"], ids["service"].removeprefix("+")
    for given in (number, plain, f"00{plain}", ids["first"]):
        assert cli.json("bookings", "show", given)["id"] == ids["first"]
        assert cli.json("explain", given)["bookingId"] == ids["first"]
        assert {row["callId"] for row in cli.json("cdr", "list", "--booking", given)} == {"c1", "c2"}
        assert len(cli.json("callbacks", "list", "--account", "Ann", "--booking", given)) == 1
    assert {row["callId"] for row in cli.json("cdr", "list", "--service", plain)} == {"c1", "c2"}
    assert [row["id"] for row in cli.json("bookings", "list", "--service", plain)] == [ids["first"]]
    assert cli.json("bookings", "list", "--service", ids["gone_service"]) == []
    assert [row["id"] for row in cli.json("bookings", "list", "--gone", "--service", ids["gone_service"])] == [
        ids["third"]
    ]


def test_live_calls_are_filtered(cli: CliInProcess, ids: dict[str, str]) -> None:
    for option, yes, no in (
        ("--service", ids["busy_service"], ids["service"]),
        ("--booking", ids["busy_service"], ids["service"]),
        ("--booking", ids["second"], ids["first"]),
    ):
        assert [row["call"] for row in cli.json("calls", "live", option, yes)] == ["c3"]
        assert cli.json("calls", "live", option, no) == []
    assert len(cli.json("calls", "live", "--account", "Ann")) == 1
    assert "--service is not a telephone number" in cli.refused("calls", "live", "--service", "me")


COMMANDS = [
    ["explain"],
    ["bookings", "show"],
    ["bookings", "change", "--paused"],
    ["bookings", "renew"],
    ["bookings", "adjust", "--seconds", "1", "--reason", "x"],
    ["bookings", "delete", "--yes"],
    ["blocked-callers", "list"],
    ["cdr", "list", "--booking"],
    ["cdr", "export", "--booking"],
    ["calls", "live", "--booking"],
    ["callbacks", "list", "--account", "Ann", "--booking"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_number_that_no_booking_holds_is_refused(cli: CliInProcess, ids: dict[str, str], command: list[str]) -> None:
    said = cli.refused(*command, ids["gone_service"])
    assert f"no booking holds {ids['gone_service']} now: `bookings list --gone" in said


def test_a_booking_that_is_named_by_its_number_is_changed(cli: CliInProcess, ids: dict[str, str]) -> None:
    number = ids["busy_service"]
    assert cli.json("bookings", "change", number, "--paused")["id"] == ids["second"]
    cli.json("blocked-callers", "add", number, OTHER_CALLER)
    assert [row["caller"] for row in cli.json("blocked-callers", "list", ids["second"])] == [OTHER_CALLER]
    assert cli.json("blocked-callers", "remove", number, OTHER_CALLER)["bookingId"] == ids["second"]
    assert cli.json("bookings", "renew", number)["id"] == ids["second"]
    assert cli.json("bookings", "adjust", number, "--seconds", "1", "--reason", "x")["bookingId"] == ids["second"]
