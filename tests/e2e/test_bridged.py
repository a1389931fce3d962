"""A bridged call is metered to the second, cut at its limit, recorded and called back, and hides the destination."""

import pytest
from standardwebhooks.webhooks import Webhook

from phones.listener import CallbackListener
from phones.ports import Transport
from tests.e2e.calls import Caller, assert_destination_hidden, is_charged, lasted
from tests.e2e.system import System


def test_a_call_is_bridged_metered_recorded_and_sends_a_callback(
    system: System, caller: Caller, listener: CallbackListener
) -> None:
    booked = system.book("LARGE", listener.url)
    outcome, cdr = caller.talk(booked, 2400)
    assert (booked.now["secondsRemaining"], booked.now["callsRemaining"]) == (7 - cdr["duration"], 24)

    [callback] = listener.wait()
    fields = ("id", "timestamp", "duration", "source", "destination", "service", "hungUpBy", "hangupCause")
    expected = {name: cdr[name] for name in fields}
    assert callback.content == {**expected, "bookingId": booked.id, "sequence": 1}
    Webhook(system.webhook_secret).verify(callback.body, callback.headers)
    assert_destination_hidden(outcome.messages, booked)


def test_the_hidden_number_can_end_the_call(system: System, caller: Caller) -> None:
    booked = system.book("LARGE")
    with caller.hidden("uas_hangs_up", talk=1500):
        outcome = caller.call(booked.service)
    assert outcome.status == 200
    [cdr] = booked.wait_settled()
    assert is_charged(cdr["duration"], outcome.talked)
    assert_destination_hidden(outcome.messages, booked)


def test_a_call_is_cut_at_its_limit(system: System, caller: Caller) -> None:
    booked = system.book("SMALL")
    with caller.hidden():
        outcome = caller.call(booked.service)
    assert outcome.status == 200
    assert lasted(outcome.talked, 3)
    assert [cdr["duration"] for cdr in booked.wait_settled()] == [3]
    assert booked.now["secondsRemaining"] == 0
    assert booked.now["status"] == "EXPIRED"
    assert_destination_hidden(outcome.messages, booked)


@pytest.mark.parametrize("prefix", ["+", "00", ""])
def test_the_dialled_number_is_accepted_in_every_form_that_carriers_send(
    system: System, caller: Caller, prefix: str
) -> None:
    booked = system.book("LARGE")
    with caller.hidden():
        outcome = caller.call(booked.service.replace("+", prefix), "uac_hangs_up", talk=100)
    assert outcome.status == 200
    [cdr] = booked.wait_settled()
    assert is_charged(cdr["duration"], outcome.talked)


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_callee_that_sends_its_number_everywhere_does_not_reveal_it_to_the_caller(
    system: System, caller: Caller, transport: Transport
) -> None:
    booked = system.book("LARGE")
    with caller.hidden("uas_leaky", talk=500):
        outcome = caller.call(booked.service, transport=transport)
    assert outcome.status == 200
    assert_destination_hidden(outcome.messages, booked)
    assert [cdr["disposition"] for cdr in booked.wait_settled()] == ["ANSWERED"]


def test_a_caller_who_withholds_the_number_stays_anonymous(
    system: System, caller: Caller, listener: CallbackListener
) -> None:
    booked = system.book("LARGE", listener.url)
    with caller.hidden() as hidden:
        outcome = caller.call(booked.service, "uac_hangs_up", talk=100, header="Privacy: id", source="anonymous")
        assert outcome.status == 200
        [callback] = listener.wait()
    assert callback.content["source"] == "anonymous"
    invite = next(message for message in hidden.messages() if message.method == "INVITE")
    assert "anonymous" in invite.header("From").lower()


def test_the_destination_does_not_receive_an_earlier_diversion(system: System, caller: Caller) -> None:
    booked = system.book("LARGE")
    with caller.hidden() as hidden:
        caller.call(booked.service, "uac_hangs_up", talk=100, header="Diversion: <sip:+33199005555@127.0.0.1>")
        booked.wait_settled()
    assert "99005555" not in "".join(message.text for message in hidden.messages())
