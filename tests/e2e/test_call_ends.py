"""What call records keep of a call's end: who hung up, the SIP status and cause, the trunk and the SIP Call-IDs."""

import json
from collections.abc import Callable

import pytest

from engine.control.client import ask_engine, ask_trunks
from engine.control.requests import HangUp
from engine.domain.ids import CallId
from engine.domain.masking import masked
from phones.messages import by_call
from phones.peer import Media, Peer, Stage, sdp
from phones.sipp import Sipp
from tests.e2e.booking import Booking
from tests.e2e.calls import SOURCE, Caller, wait_talking
from tests.e2e.system import System

OPERATOR_ONLY = {"trunk", "sipCallId", "calleeSipCallId", "callId", "accountId"}


def call_id_of(phone: Sipp, number: str) -> str:
    """The Call-ID of the one call to a number that a telephone made or got.

    Its port may still get requests that belong to an earlier telephone.
    """
    [call_id] = [
        each
        for each, messages in by_call(phone.messages()).items()
        if messages[0].text.startswith(f"INVITE sip:{number}@")
    ]
    return str(call_id)


def caller_hangs_up(caller: Caller, booked: Booking) -> tuple[Sipp, Sipp]:
    with caller.hidden() as callee, caller.dialling(booked.service, "uac_hangs_up", keys={"talk": 300}) as callers:
        callers.wait()
    return callers, callee


def callee_hangs_up(caller: Caller, booked: Booking) -> tuple[Sipp, Sipp]:
    with caller.hidden("uas_hangs_up", talk=300) as callee, caller.dialling(booked.service) as callers:
        callers.wait()
    return callers, callee


def limit_is_reached(caller: Caller, booked: Booking) -> tuple[Sipp, Sipp]:
    with caller.hidden() as callee, caller.dialling(booked.service) as callers:
        callers.wait()
    return callers, callee


def operator_ends_it(caller: Caller, booked: Booking) -> tuple[Sipp, Sipp]:
    """As `calls hangup` does, without the time to start that command: the call must not reach its limit."""
    system = booked.system
    with caller.hidden() as callee, caller.dialling(booked.service) as callers:
        wait_talking(system, callers)
        with system.database() as database:
            [(call_id,)] = database.execute("SELECT call_id FROM calls WHERE booking_id = ?", [booked.id])
        counted = ask_trunks(system.data_dir)
        assert counted is not None
        assert [trunk.calls for trunk in counted] == [1]
        assert ask_engine(system.data_dir, HangUp(CallId(call_id)))
        callers.wait()
    return callers, callee


def caller_gives_up(caller: Caller, booked: Booking) -> tuple[Sipp, Sipp]:
    with (
        caller.hidden("uas_no_answer") as callee,
        caller.dialling(booked.service, "uac_cancel", keys={"ring": 500}) as callers,
    ):
        callers.wait()
    return callers, callee


def nobody_answers(caller: Caller, booked: Booking) -> tuple[Sipp, Sipp]:
    with caller.hidden("uas_no_answer") as callee, caller.dialling(booked.service, "uac_rejected") as callers:
        callers.wait()
    return callers, callee


Call = Callable[[Caller, Booking], tuple[Sipp, Sipp]]
ENDS: list[tuple[Call, str, int | None, int | None]] = [
    (caller_hangs_up, "CALLER", 200, 16),
    (callee_hangs_up, "CALLEE", 200, 16),
    (limit_is_reached, "LIMIT", 200, 16),
    (operator_ends_it, "ENGINE", 200, 16),
    (caller_gives_up, "CALLER", None, None),
    (nobody_answers, "LIMIT", None, None),
]


@pytest.mark.parametrize(("call", "by", "sip_code", "cause"), ENDS, ids=lambda each: getattr(each, "__name__", ""))
def test_a_record_says_who_ended_the_call_and_how(
    system: System, caller: Caller, call: Call, by: str, sip_code: int | None, cause: int | None
) -> None:
    booked = system.book("SMALL" if call is limit_is_reached else "LARGE")
    callers, callee = call(caller, booked)
    [record] = booked.wait_settled()
    assert (record["hungUpBy"], record["sipCode"], record["hangupCause"]) == (by, sip_code, cause)
    assert not set(record) & OPERATOR_ONLY

    shown = system.command("cdr", "show", record["id"], "--json")
    assert (shown["trunk"], shown["sipCallId"]) == ("main", call_id_of(callers, booked.service))
    assert shown["calleeSipCallId"] == (call_id_of(callee, booked.destination) if sip_code == 200 else None)
    logged = [json.loads(line) for line in system.engine_log.splitlines() if '"call_ended"' in line]
    [entry] = [each for each in logged if each["cdr"] == record["id"]]
    lines = [json.loads(line) for line in system.engine_log.splitlines() if '"call_routed"' in line]
    [routed] = [each for each in lines if each["call"] == shown["callId"]]
    for each in (routed, entry):
        assert (each["booking"], each["number"]) == (booked.id, masked(booked.service))
        assert each["sip_call_id"] == shown["sipCallId"]
    assert (entry["call"], entry["trunk"], entry["sip_code"], entry["hung_up_by"]) == (
        shown["callId"],
        "main",
        sip_code,
        by,
    )


def test_a_rejected_call_has_its_sip_call_id_in_its_trace_and_in_the_log(system: System, caller: Caller) -> None:
    booked = system.book("LARGE")
    system.request("PATCH", f"/bookings/{booked.id}", {"paused": True})
    with caller.dialling(booked.service, "uac_rejected") as callers:
        callers.wait()
    [record] = booked.wait_settled()
    assert (record["disposition"], record["hungUpBy"], record["sipCode"]) == ("PAUSED", None, None)
    shown = system.command("calls", "trace", record["id"], "--json")
    assert (shown["sipCallId"], shown["incomingTrunk"]) == (call_id_of(callers, booked.service), "main")
    assert shown["message"] == "Refused: the booking was paused. The caller got SIP 480."
    [rejected] = [line for line in system.engine_log.splitlines() if shown["callId"] in line]
    entry = json.loads(rejected)
    assert (entry["booking"], entry["reason"], entry["number"]) == (booked.id, "paused", masked(booked.service))
    assert entry["sip_call_id"]


def test_a_caller_who_hangs_up_in_the_moment_of_the_answer_pays_a_second(system: System, caller: Caller) -> None:
    """Of one call in six, Asterisk measures 0 milliseconds."""
    with Stage() as stage:
        telephone = stage.run(Peer.open("127.0.0.1"))
        for booked in [system.book("LARGE") for _ in range(3)]:
            with caller.hidden(calls=7):
                assert [stage.run(_hang_up_at_once(telephone, booked)) for _ in range(7)] == [200] * 7
            assert {(each["disposition"], each["duration"]) for each in booked.wait_settled(7)} == {("ANSWERED", 1)}
        stage.run(telephone.close())


async def _hang_up_at_once(telephone: Peer, booked: Booking) -> int | None:
    asterisk, media = ("127.0.0.1", booked.system.settings.sip_port), Media.open("127.0.0.1")
    dialog = await telephone.dialog(booked.service, asterisk, source=SOURCE)
    final = await dialog.answered(dialog.request("INVITE", body=sdp(media.local)))
    await dialog.answered(dialog.request("BYE"))
    media.close()
    return final.status
