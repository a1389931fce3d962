"""Only the engine decides which number is called: no transfer, forward or loop adds a third leg to a call."""

import asyncio

import pytest

from phones.peer import Dialog, Peer, Reply, user_of
from tests.e2e.booking import import_numbers
from tests.e2e.leaks.callee import SOURCE
from tests.e2e.leaks.caller import HOST
from tests.e2e.leaks.scene import PATIENCE, Scene, scene
from tests.e2e.leaks.system import LeakSystem

FOREIGN = "+33199009998"
DEFAULT_CALLS_AT_ONCE = 10

# Requests that a carrier can send outside of any call, with the headers that make each valid.
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
    """Another rented number, a foreign number, and a telephone's address."""
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
        refers = [
            on.ask(asking, "REFER", (f"Refer-To: <{uri}>",), patience=PATIENCE) for uri in _targets(on, other.service)
        ]
        on.quiet()
        assert _accepted(refers) == []
        assert on.dialled == [called.number]
        assert on.other.packets == []
        # The call itself is not affected.
        assert on.ask(dialog, "BYE") == 200
        assert on.leaks(called) == []


def test_every_telephone_key_is_passed_to_the_other_side(leak_system: LeakSystem) -> None:
    """Asterisk would not pass on a key that starts a transfer."""
    called = leak_system.hide()
    with scene(leak_system) as on:
        dialog, _ = on.call(called.service)
        for key in "#*":
            assert on.key_reaches(key, dialog, on.callee)
            assert on.key_reaches(key, on.callee, dialog)
        assert on.ask(dialog, "BYE") == 200


@pytest.mark.parametrize("required", [(), ("Require: replaces",)])
def test_an_invite_with_replaces_cannot_take_over_a_call(leak_system: LeakSystem, required: tuple[str, ...]) -> None:
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
    import_numbers(leak_system, [called.number])
    refused = leak_system.request(
        "POST", "/bookings", {"destination": called.number, "usagePlan": "SMALL", "callback": "http://127.0.0.1:9/"}
    )
    assert (refused.status, refused.body["code"]) == (422, "destination_is_ours")
    with scene(leak_system) as on:
        _, answer = on.call(called.service)
        assert answer.status == 403
        # The same if the carrier forwards another call back to us.
        on.call(other.service)
        _, answer = on.call(called.service, (f"Diversion: <sip:{other.number}@127.0.0.2>;reason=unconditional",))
        assert answer.status == 403
        assert on.dialled == [other.number]
        assert on.leaks(called) == []


def test_a_loop_through_the_carrier_ends_at_the_bookings_limit_of_calls_at_once(leak_system: LeakSystem) -> None:
    """The carrier forwards the hidden number to the rented number that hides it."""
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


def test_requests_of_the_carrier_outside_of_calls_are_not_forwarded(leak_system: LeakSystem) -> None:
    called = leak_system.hide()
    with scene(leak_system) as on:
        dialog, _ = on.call(called.service)
        answers = {
            method: on.ask_anew(on.carrier, method, called.service, headers, "hello")
            for method, headers in OUTSIDE.items()
        }
        on.quiet()
        # Every number, rented or not, gets this 200, which shows only that Asterisk is running.
        assert answers.pop("OPTIONS") == on.ask_anew(on.carrier, "OPTIONS", FOREIGN) == 200
        assert {method: status for method, status in answers.items() if status is None or status < 400} == {}
        assert on.dialled == [called.number]
        assert [each.method for each in on.callee.messages] == ["INVITE", "ACK"]
        assert [each.method for each in dialog.messages if each.status is None] == []
        assert on.leaks(called) == []
        assert on.ask(dialog, "BYE") == 200


@pytest.mark.parametrize(("source", "status"), [("127.0.0.3", 401), ("127.0.0.2", 404)])
def test_no_request_of_an_unknown_source_is_forwarded(leak_system: LeakSystem, source: str, status: int) -> None:
    """Not even from the trunk's own address. The engine gets no request either."""
    called = leak_system.hide()
    with scene(leak_system) as on:
        unknown = on.stage.run(Peer.open(source))
        answers = {
            method: on.ask_anew(unknown, method, called.service, headers, "hello")
            for method, headers in OUTSIDE.items()
        }
        invited = on.ask_anew(unknown, "INVITE", called.service)
        on.quiet()
        on.stage.run(unknown.close())
        assert invited == status
        assert {method: each for method, each in answers.items() if each is None or each < 400} == {}
        assert on.dialled == []
        assert leak_system.cdrs(called.service) == []
        # The refusal shows only that a telephone system is there.
        assert not [packet for packet in unknown.packets if called.number[-6:].encode() in packet.data]


def test_a_callees_request_outside_of_a_dialog_does_not_log_its_number(leak_system: LeakSystem) -> None:
    called = leak_system.hide()
    with scene(leak_system) as on:

        async def too_early(dialog: Dialog) -> None:
            """Sends a request before any answer, when Asterisk does not know the dialog yet."""
            dialog.request("MESSAGE")
            await asyncio.sleep(PATIENCE)
            dialog.answer(Reply(486))

        on.play = too_early
        _, answer = on.call(called.service)
        assert answer.status == 486
        assert on.leaks(called) == []
    assert called.number[1:] not in (leak_system.data_dir / "asterisk" / "log" / "messages").read_text()


def test_a_new_call_of_the_carrier_is_put_through(leak_system: LeakSystem) -> None:
    """This shows that the tests above are refused because of what they send."""
    called = leak_system.hide()
    with scene(leak_system, HOST) as on:
        dialog, answer = on.call(called.service)
        assert (answer.status, on.dialled) == (200, [called.number])
        assert on.ask(dialog, "BYE") == 200
