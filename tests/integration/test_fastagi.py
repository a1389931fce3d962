"""The answers of `route` to Asterisk, over real sockets and a real database, and lost answers."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from engine.calls.lifecycle import route_call
from engine.domain.masking import masked
from engine.domain.numbers import E164
from engine.domain.pairs import PIN_TRIES
from engine.domain.policy import UsagePlan
from engine.domain.prompts import Language
from engine.storage.errors import StorageUnsure
from tests.contract.pairing import pair, share
from tests.contract.samples import CALLER, DAY, HIDDEN, POLICY, SECOND
from tests.contract.test_group_commit import hold
from tests.contract.world import POOL, World
from tests.integration.agi_fixtures import agi, world
from tests.integration.fake_asterisk import (
    ALLOWED,
    DATA_HANGUP,
    DEAD,
    HANGUP,
    UNKNOWN_COMMAND,
    USAGE,
    Ending,
    FastAgi,
    Reply,
    environment,
    fast_agi,
    send_raw,
)

__all__ = ["agi", "world"]

REJECTED_404 = {"RN_CAUSE": "1", "RN_PROMPT": "", "RN_VERDICT": "REJECT"}


async def test_a_call_to_an_active_booking_is_bridged_and_the_verdict_comes_last(agi: FastAgi, world: World) -> None:
    booking = await world.book()
    channel = await agi.incoming(booking.service).run()
    assert list(channel.variables.items()) == [
        ("RN_DESTINATION", HIDDEN),
        ("RN_ROUTES", f"main/{HIDDEN}/{CALLER}"),
        ("RN_BOOKING", booking.id),
        ("RN_SECONDS", "60"),
        ("RN_RING", str(POLICY.ring_seconds)),
        ("RN_PROMPT", ""),
        ("RN_VERDICT", "BRIDGE"),
    ]


@pytest.mark.parametrize("spelling", ["{}", "+{}", "00{}"])
async def test_a_rented_number_may_be_dialled_in_every_usual_spelling(
    agi: FastAgi, world: World, spelling: str
) -> None:
    booking = await world.book()
    channel = await agi.incoming(spelling.format(booking.service.removeprefix("+"))).run()
    assert channel.variables["RN_VERDICT"] == "BRIDGE"


@pytest.mark.parametrize("dialled", ["", "abc", "+", "+0322555000", POOL[-1], "+3225550999", f"{POOL[0]}x"])
async def test_an_unrented_number_is_rejected_with_404_and_leaves_no_trace(agi: FastAgi, dialled: str) -> None:
    channel = await agi.incoming(dialled).run()
    assert channel.variables == REJECTED_404
    assert agi.world.rows("SELECT call_id FROM calls UNION ALL SELECT call_id FROM cdrs") == []


async def test_an_expired_booking_is_rejected_with_410_and_a_callback(agi: FastAgi, world: World) -> None:
    booking = await world.book()
    world.now += 2 * DAY
    channel = await agi.incoming(booking.service).run()
    assert channel.variables == {"RN_CAUSE": "22", "RN_PROMPT": "", "RN_VERDICT": "REJECT"}
    assert len(world.rows("SELECT id FROM outbox")) == len(agi.woken) == 1


async def test_a_flood_of_calls_to_an_expired_booking_is_recorded_and_sends_ten_callbacks(
    agi: FastAgi, world: World
) -> None:
    booking = await world.book()
    world.now += 2 * DAY
    calls = [agi.incoming(booking.service, f"flood-{number}") for number in range(300)]
    for at_once in range(0, len(calls), 50):
        channels = await asyncio.gather(*(call.run() for call in calls[at_once : at_once + 50]))
        assert {channel.variables["RN_CAUSE"] for channel in channels} == {"22"}
    [recorded] = world.rows("SELECT SUM(1 + further_calls) AS calls FROM cdrs WHERE disposition = 'EXPIRED'")
    assert recorded == {"calls": len(calls)}
    assert len(world.rows("SELECT id FROM outbox")) == world.policy.notifications.expired_callbacks
    world.now += world.policy.notifications.expired_window_ms
    await agi.incoming(booking.service, "one more").run()
    [row] = world.rows("SELECT body FROM outbox ORDER BY id DESC LIMIT 1")
    assert json.loads(row["body"])["callsNotReported"] == len(calls) - world.policy.notifications.expired_callbacks


async def test_a_refused_caller_hears_why_in_the_language_of_the_booking_or_of_the_operator(world: World) -> None:
    expired, own = await world.book(), await world.book(language=Language.DE)
    async with fast_agi(world, policy=replace(POLICY, speaks=True, language=Language.FR)) as agi:
        bridged = await agi.incoming(own.service).run()
        world.now += 2 * DAY
        refused = [await agi.incoming(number, number).run() for number in (expired.service, own.service, POOL[-1])]
    assert [channel.variables["RN_PROMPT"] for channel in refused] == ["fr/expired", "de/expired", "fr/unknown"]
    # If no trunk takes the call.
    assert bridged.variables["RN_PROMPT"] == "de/unreachable"


async def test_the_log_tells_once_that_wrong_pins_have_closed_a_number(world: World) -> None:
    world.policy = replace(POLICY, speaks=True)
    await share(world, POOL[0])
    await pair(world, pins=True)
    async with fast_agi(world, policy=world.policy) as agi:
        for number in range(PIN_TRIES + 2):
            arguments = (POOL[0], "", "prohib", *[""] * 7, "00000000")
            await agi.call("route", *arguments, call_id=f"c{number}").run()
        [closed] = [entry for entry in agi.logged if entry["event"] == "number_closed_to_pins"]
        reasons = [entry["reason"] for entry in agi.logged if entry["event"] == "call_rejected"]
    assert (closed["log_level"], closed["number"]) == ("warning", masked(E164(POOL[0])))
    assert reasons == ["pins_closed"] * 3


async def test_a_lease_of_which_the_database_did_not_say_whether_it_was_stored_is_given_back(
    agi: FastAgi, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    booking, run_keyed = await world.book(), world.storage.run_keyed

    async def unsure(key: str, command: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        result = await run_keyed(key, command, *args, **kwargs)
        if command is route_call:
            assert agi.leases() == 1
            raise StorageUnsure("no answer to COMMIT")
        return result

    monkeypatch.setattr(world.storage, "run_keyed", unsure)
    assert (await agi.incoming(booking.service).run()).variables == {}
    await agi.until_idle()
    assert agi.leases() == 0


async def test_a_call_beyond_the_last_slot_is_rejected_as_busy(agi: FastAgi, world: World) -> None:
    booking = await world.book()
    await agi.incoming(booking.service, "first").run()
    second = await agi.incoming(booking.service, "second").run()
    assert (second.variables["RN_CAUSE"], second.variables["RN_VERDICT"]) == ("17", "REJECT")
    assert agi.leases() == 1


@pytest.mark.parametrize(
    ("number", "presentation", "told"),
    [
        (CALLER, "allowed", CALLER),
        (CALLER, "allowed_not_screened", CALLER),
        (CALLER, "allowed_passed_screen", CALLER),
        (CALLER.removeprefix("+"), "allowed", CALLER),
        ("0470123456", "allowed", "0470123456"),
        (CALLER, "prohib", "anonymous"),
        (CALLER, "prohib_not_screened", "anonymous"),
        (CALLER, "unavailable", "anonymous"),
        (CALLER, "", "anonymous"),
        ("", "allowed", "anonymous"),
        (CALLER, "not allowed", "anonymous"),
    ],
)
async def test_a_callback_has_the_callers_number_only_where_it_may_be_shown(
    agi: FastAgi, world: World, number: str, presentation: str, told: str
) -> None:
    booking = await world.book()
    await agi.call("route", booking.service, number, presentation).run()
    assert world.rows("SELECT source FROM calls") == [{"source": told}]


async def test_arguments_that_asterisk_leaves_out_are_empty(agi: FastAgi, world: World) -> None:
    booking = await world.book()
    channel = await agi.call("route", booking.service).run()
    assert channel.variables["RN_VERDICT"] == "BRIDGE"
    assert world.rows("SELECT source FROM calls") == [{"source": "anonymous"}]
    assert (await agi.call("route").run()).variables == REJECTED_404


async def test_a_repeated_call_id_gets_the_same_answer_and_holds_one_lease(agi: FastAgi, world: World) -> None:
    booking = await world.book(UsagePlan.MEDIUM)
    first = await agi.incoming(booking.service).run()
    again = await agi.incoming(booking.service).run()
    assert first.variables == again.variables
    assert agi.leases() == 1


async def test_a_call_id_repeated_for_another_number_is_refused(agi: FastAgi, world: World) -> None:
    """Two Asterisks may have the same system name. Neither may reach the other's destination."""
    first, second = await world.book(), await world.book()
    await agi.incoming(first.service).run()
    assert (await agi.incoming(second.service).run()).variables == REJECTED_404


async def test_a_refused_call_does_not_void_the_lease_of_another_call_with_its_id(agi: FastAgi, world: World) -> None:
    first, second = await world.book(), await world.book()
    await agi.incoming(first.service).run()
    await agi.answered(first)
    await agi.incoming(second.service, replies={0: Ending.CLOSE}).run()
    await agi.until_idle()
    assert agi.leases() == 1


async def test_a_call_id_repeated_after_its_end_is_refused(agi: FastAgi, world: World) -> None:
    booking = await world.book(UsagePlan.MEDIUM)
    await agi.incoming(booking.service).run()
    await agi.ended(booking, 1000)
    assert (await agi.incoming(booking.service).run()).variables == REJECTED_404


@pytest.mark.parametrize("reply", [HANGUP, DATA_HANGUP, DEAD, UNKNOWN_COMMAND, USAGE])
async def test_a_lease_is_voided_when_asterisk_rejects_the_verdict(agi: FastAgi, world: World, reply: Reply) -> None:
    booking = await world.book()
    await agi.incoming(booking.service, replies={0: reply}).run()
    await agi.until_idle()
    assert agi.leases() == 0
    assert (await world.stored(booking)).calls.remaining == 1


async def test_a_lease_is_voided_when_the_verdict_cannot_be_encoded(agi: FastAgi, world: World) -> None:
    """A number with a bracket, which the dialplan would have refused."""
    booking = await world.book()
    channel = await agi.call("route", booking.service, "(0470123456", ALLOWED).run()
    await agi.until_idle()
    assert (channel.commands, agi.leases()) == ([], 0)


async def test_a_lease_is_voided_when_the_connection_is_lost_before_the_verdict(agi: FastAgi, world: World) -> None:
    booking = await world.book()
    held = await hold(world.storage)
    await send_raw(agi.port, b"".join(environment("route", (booking.service, CALLER, ALLOWED))), then=Ending.RESET)
    await asyncio.sleep(0.1)  # until the engine has noticed the closed connection
    await held.release()
    await agi.until_idle()
    assert (agi.leases(), world.rows("SELECT disposition FROM cdrs")) == (0, [{"disposition": "CANCELLED"}])


@pytest.mark.parametrize("reply", [Ending.CLOSE, Ending.RESET, b"\n", b"\xff\n", b"GET / HTTP\n", b"200 result=-1\n"])
async def test_a_lease_stays_when_the_verdict_may_have_arrived(agi: FastAgi, world: World, reply: Reply) -> None:
    """Only the end report or the sweep may settle the call now."""
    booking = await world.book()
    await agi.incoming(booking.service, replies={0: reply}).run()
    await agi.until_idle()
    assert agi.leases() == 1
    world.now += (POLICY.ring_seconds + 60) * SECOND + POLICY.lost_call_margin_ms
    assert (await world.sweep()).calls_lost == 1


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (HANGUP, "HungUp"),
        (Ending.RESET, "CallerGone"),
        (UNKNOWN_COMMAND, "CommandRefused"),
        (USAGE, "CommandRefused"),
    ],
)
async def test_the_log_distinguishes_a_hangup_from_a_refused_command(
    agi: FastAgi, world: World, reply: Reply, kind: str
) -> None:
    booking = await world.book()
    await agi.incoming(booking.service, replies={0: reply}).run()
    await agi.until_idle()
    assert [entry["kind"] for entry in agi.logged if entry["event"] == "agi_failed"] == [kind]


async def test_a_lease_stays_when_asterisk_never_answers_the_verdict(world: World) -> None:
    booking = await world.book()
    async with fast_agi(world, script_seconds=0.2) as agi:
        await agi.incoming(booking.service, replies={0: Ending.SILENT}).run()
        await agi.until_idle()
        assert agi.leases() == 1
        assert [entry["event"] for entry in agi.logged if entry["event"] == "agi_timeout"] == ["agi_timeout"]
