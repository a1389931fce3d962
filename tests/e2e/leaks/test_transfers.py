"""Nobody but the engine decides who is called: no transfer, no forward, no loop brings a third leg into a call."""

import asyncio

import pytest

from phones.peer import Dialog, Peer, Reply, user_of
from tests.e2e.leaks.caller import HOST, SOURCE
from tests.e2e.leaks.run import LeakSystem
from tests.e2e.leaks.scene import PATIENCE, Scene, scene

FOREIGN = "+33199009998"
DEFAULT_CALLS_AT_ONCE = 10

# What a carrier can send outside of any call: headers that make each of them whole.
OUTSIDE = {
    "OPTIONS": (),
    "MESSAGE": (),
    "SUBSCRIBE": ("Event: presence", "Expires: 60"),
    "PUBLISH": ("Event: presence", "Expires: 60"),
    "NOTIFY": ("Event: message-summary", "Subscription-State: active"),
    "REGISTER": ("Expires: 60",),
    "REFER": ("Refer-To: <sip:+33199009998@127.0.0.1>",),
    "INFO": (),
    "UPDATE": (),
    "BYE": (),
    "PRACK": ("RAck: 1 1 INVITE",),
    "WHATEVER": (),
}


def _targets(on: Scene, other_service: str) -> list[str]:
    """Another rented number, a foreign number, and somebody's telephone."""
    asterisk = f"127.0.0.1:{on.system.asterisk[1]}"
    host, port = on.other.local
    return [f"sip:{other_service}@{asterisk}", f"sip:{FOREIGN}@{asterisk}", f"sip:{FOREIGN}@{host}:{port}"]


def _accepted(statuses: list[int | None]) -> list[int]:
    return [status for status in statuses if status is not None and status < 300]


@pytest.mark.parametrize("side", ["caller", "callee"])
def test_a_refer_in_a_call_is_not_followed(leak_system: LeakSystem, side: str) -> None:
    called, other = leak_system.hide(), leak_system.hide()
    with scene(leak_system) as on:
        dialog, answer = on.call(called.service)
        assert answer.status == 200
        asking = dialog if side == "caller" else on.callee
        refers = [on.ask(asking, "REFER", (f"Refer-To: <{uri}>",)) for uri in _targets(on, other.service)]
        on.quiet()
        assert _accepted(refers) == []
        assert on.dialled == [called.number]
        assert on.other.packets == []
        # The call itself has lost nothing by it.
        assert on.ask(dialog, "BYE") == 200
        assert on.leaks(called) == []


def test_no_key_of_either_telephone_means_anything_to_us(leak_system: LeakSystem) -> None:
    """A key that transfers would be taken, not passed on."""
    called = leak_system.hide()
    with scene(leak_system) as on:
        dialog, _ = on.call(called.service)
        for key in "#*":
            assert on.key_reaches(key, dialog, on.callee)
            assert on.key_reaches(key, on.callee, dialog)
        assert on.ask(dialog, "BYE") == 200


@pytest.mark.parametrize("required", [(), ("Require: replaces",)])
def test_an_invite_with_replaces_takes_over_no_call(leak_system: LeakSystem, required: tuple[str, ...]) -> None:
    called = leak_system.hide()
    with scene(leak_system) as on:
        dialog, _ = on.call(called.service)
        ours, theirs = dialog.local.rpartition("tag=")[2], dialog.peer.rpartition("tag=")[2]
        replaces = f"Replaces: {dialog.call_id};to-tag={theirs};from-tag={ours}"
        for number in (FOREIGN, ""):
            _, answer = on.call(number, (replaces, *required))
            assert (answer.status or 0) >= 400
        on.quiet()
        assert on.dialled == [called.number]
        assert [each.method for each in dialog.messages if each.status is None] == []
        assert on.ask(dialog, "BYE") == 200
        assert on.leaks(called) == []


@pytest.mark.parametrize("status", [300, 301, 302, 305, 380])
def test_a_forward_by_the_callee_is_not_followed(leak_system: LeakSystem, status: int) -> None:
    called, other = leak_system.hide(), leak_system.hide()
    with scene(leak_system) as on:
        for target in _targets(on, other.service):
            diversion = f"Diversion: <sip:{called.number}@127.0.0.2>;reason=unconditional"
            on.answer = Reply(status, "Go elsewhere", (f"Contact: <{target}>", diversion))
            _, answer = on.call(called.service)
            assert answer.status == 486
        on.quiet()
        assert on.dialled == [called.number] * 3
        assert on.other.packets == []
        assert on.leaks(called) == []


def test_a_hidden_number_that_became_a_rented_one_is_not_called(leak_system: LeakSystem) -> None:
    other = leak_system.hide()
    called = leak_system.hide()
    leak_system.import_numbers([called.number])
    refused = leak_system.request(
        "POST", "/bookings", {"destination": called.number, "usagePlan": "SMALL", "callback": "http://127.0.0.1:9/"}
    )
    assert (refused.status, refused.body["code"]) == (422, "destination_is_ours")
    with scene(leak_system) as on:
        _, answer = on.call(called.service)
        assert answer.status == 403
        # Reached by way of another call that the carrier sends back to us, it is the same.
        on.call(other.service)
        _, answer = on.call(called.service, (f"Diversion: <sip:{other.number}@127.0.0.2>;reason=unconditional",))
        assert answer.status == 403
        assert on.dialled == [other.number]
        assert on.leaks(called) == []


def test_a_loop_through_the_carrier_ends_where_the_booking_s_calls_at_once_do(leak_system: LeakSystem) -> None:
    """The hidden telephone is forwarded, by the carrier, to the very number that hides it."""
    called = leak_system.hide()
    with scene(leak_system) as on:
        came: list[str] = []

        async def send_back(dialog: Dialog) -> None:
            assert dialog.invite is not None
            came.append(user_of(dialog.invite.start_line.split()[1]))
            again = await on.carrier.dialog(called.service, leak_system.asterisk, source=SOURCE)
            answer = await again.answered(again.request("INVITE", body=on.describe(again)))
            dialog.answer(Reply(answer.status or 500))

        on.play = send_back
        _, answer = on.call(called.service)
        assert answer.status == 486
        assert came == [called.number] * DEFAULT_CALLS_AT_ONCE
        assert on.leaks(called) == []


def test_what_the_carrier_sends_outside_of_calls_reaches_nobody(leak_system: LeakSystem) -> None:
    called = leak_system.hide()
    with scene(leak_system) as on:
        dialog, _ = on.call(called.service)
        answers = {
            method: on.ask_anew(on.carrier, method, called.service, headers, "hello")
            for method, headers in OUTSIDE.items()
        }
        on.quiet()
        # Any number gets that 200, rented or not: it says that Asterisk is up.
        assert answers.pop("OPTIONS") == on.ask_anew(on.carrier, "OPTIONS", FOREIGN) == 200
        assert {method: status for method, status in answers.items() if status is None or status < 400} == {}
        assert on.dialled == [called.number]
        assert [each.method for each in on.callee.messages] == ["INVITE", "ACK"]
        assert [each.method for each in dialog.messages if each.status is None] == []
        assert on.leaks(called) == []
        assert on.ask(dialog, "BYE") == 200


@pytest.mark.parametrize(("source", "status"), [("127.0.0.3", 401), ("127.0.0.2", 404)])
def test_who_is_not_the_carrier_reaches_nobody_whatever_it_sends(
    leak_system: LeakSystem, source: str, status: int
) -> None:
    """Not even from the trunk's own address, and the engine hears nothing of it."""
    called = leak_system.hide()
    with scene(leak_system) as on:
        stranger = on.stage.run(Peer.open(source))
        answers = {
            method: on.ask_anew(stranger, method, called.service, headers, "hello")
            for method, headers in OUTSIDE.items()
        }
        invited = on.ask_anew(stranger, "INVITE", called.service)
        on.quiet()
        on.stage.run(stranger.close())
        assert invited == status
        assert {method: each for method, each in answers.items() if each is None or each < 400} == {}
        assert on.dialled == []
        assert leak_system.cdrs(called.service) == []
        # The refusal tells nothing but that there is a telephone system.
        assert not [packet for packet in stranger.packets if called.number[-6:].encode() in packet.data]


def test_a_callee_s_request_that_belongs_to_no_call_leaves_its_number_in_no_log(leak_system: LeakSystem) -> None:
    called = leak_system.hide()
    with scene(leak_system) as on:

        async def too_early(dialog: Dialog) -> None:
            """Before any answer, so that Asterisk knows no such dialogue."""
            dialog.request("MESSAGE")
            await asyncio.sleep(PATIENCE)
            dialog.answer(Reply(486))

        on.play = too_early
        _, answer = on.call(called.service)
        assert answer.status == 486
        assert on.leaks(called) == []
    assert called.number[1:] not in (leak_system.data_dir / "asterisk" / "log" / "messages").read_text()


def test_a_call_of_its_own_from_the_carrier_is_put_through(leak_system: LeakSystem) -> None:
    """So what the tests above send is refused for what it is."""
    called = leak_system.hide()
    with scene(leak_system, HOST) as on:
        dialog, answer = on.call(called.service)
        assert (answer.status, on.dialled) == (200, [called.number])
        assert on.ask(dialog, "BYE") == 200
