"""Twilio's official client makes a session, and its two participants reach each other over a carrier."""

import json
from typing import Any

from phones.messages import Message
from tests.e2e.carriers.system import CarrierSystem, Line
from tests.e2e.carriers.test_reverse import TRUSTED, asserting
from tests.integration.twilio_client import twilio_client


def test_the_two_participants_of_a_session_call_each_other(carrier_system: CarrierSystem, on: Line) -> None:
    system = carrier_system
    ann, ben = system.number_over(TRUSTED), system.number_over(TRUSTED)
    system.hidden |= {ann, ben}
    shared = system.command("numbers", "list", "--state", "free", "--json")[0]["number"]
    system.command("numbers", "share", shared, "--json")
    with twilio_client() as client:
        client.base = f"http://127.0.0.1:{system.settings.http_port}/twilio-proxy"
        client.users = {"ours": (system.get("/account").body["id"].replace("acc_", "AC"), system.key)}
        service = client.ask_now("services.create(unique_name='shop')")
        people = json.dumps([{"Identifier": ann, "FriendlyName": "Ann"}, {"Identifier": ben}])
        session = client.ask_now(f"services('{service['sid']}').sessions.create(participants={people})")
        it = f"services('{service['sid']}').sessions('{session['sid']}')"
        first, second = client.ask_now(f"{it}.participants.list()")
        assert first["proxy_identifier"] == second["proxy_identifier"] == shared

        for caller, callee in ((ann, ben), (ben, ann)):
            dialog, final = on.call(TRUSTED, shared, [asserting(caller)], caller)
            assert final.status == 200
            on.hang_up(dialog)
            received = on.carrier.calls.pop(callee).messages
            invite = next(each for each in received if each.method == "INVITE" and each.status is None)
            assert shared[1:] in invite.headers("From")[0]
            assert not [each for each in received if caller[-7:] in each.text]
            assert not [each for each in dialog.messages if callee[-7:] in each.text]

        def calls() -> list[dict[str, Any]]:
            found: list[dict[str, Any]] = client.ask_now(f"{it}.interactions.list()")
            return found

        system.until(lambda: len(calls()) == 2, "both calls have their records")
        assert {each["outbound_resource_status"] for each in calls()} <= {"completed", "canceled"}
        assert [each["inbound_participant_sid"] for each in calls()] == [second["sid"], first["sid"]]
        assert client.ask_now(f"{it}.fetch()")["status"] == "in-progress"

        assert client.ask_now(f"{it}.update(status='closed')")["status"] == "closed"
        assert refused(on, shared, ann).status == 410
        assert refused(on, shared, "+33199007999").status == 404
        assert client.ask_now(f"{it}.delete()") is True
        assert refused(on, shared, ann).status == 404
        assert on.carrier.calls.keys().isdisjoint({ann, ben})


def refused(on: Line, service: str, caller: str) -> Message:
    """The answer to a participant who reaches nobody."""
    _, final = on.call(TRUSTED, service, [asserting(caller)], caller)
    return final
