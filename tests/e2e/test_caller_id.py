"""What the destination receives about a caller, for each `callerId` of a booking and each kind of caller.

`pytest -s` prints the table.
"""

import re
from typing import Any

import pytest

from phones.messages import Message
from tests.e2e.calls import SOURCE, Caller
from tests.e2e.system import System

# Numbers that a carrier may send in addition to the caller's: an asserted identity, and who forwarded the call.
ASSERTED, FORWARDED = "+33199007123", "+33199007456"
NAME = "Zoe Quidam"
# A Latin-1 byte, which is invalid UTF-8.
LATIN_1 = "Zo\udceb"

PAI = f"P-Asserted-Identity: <sip:{ASSERTED}@127.0.0.1>"
FORWARDING = (
    f"Diversion: <sip:{FORWARDED}@127.0.0.1>;reason=unconditional\r\n"
    f"History-Info: <sip:{FORWARDED}@127.0.0.1>;index=1\r\nHistory-Info: <sip:{ASSERTED}@127.0.0.1>;index=1.1"
)
PARTY = f"Remote-Party-ID: <sip:{SOURCE}@127.0.0.1>;party=calling"
# Kind of caller → SIPp's keys for it, and whether the caller's number may be known at all.
CALLERS: dict[str, tuple[dict[str, Any], bool]] = {
    "plain": ({}, True),
    "display name": ({"name": f'"{NAME}" '}, True),
    "display name in Latin-1": ({"name": f'"{LATIN_1}" '}, True),
    "forwarded by a name in Latin-1": ({"header": f'Diversion: "{LATIN_1}" <sip:{LATIN_1}@127.0.0.1>'}, True),
    "another PAI": ({"header": PAI}, True),
    "Privacy: none": ({"header": "Privacy: none"}, True),
    "Privacy: none, twice": ({"header": "Privacy: none\r\nPrivacy: none"}, True),
    "RPID privacy=off, twice": ({"header": f"{PARTY};privacy=off\r\n{PARTY};privacy=off;screen=yes"}, True),
    "forwarded": ({"header": FORWARDING}, True),
    "Privacy: id": ({"header": "Privacy: id", "name": f'"{NAME}" '}, False),
    "Privacy: user;id": ({"header": "privacy: user;id"}, False),
    "Privacy: id and PAI": ({"header": f"Privacy: id\r\n{PAI}"}, False),
    # RFC 3261 section 7.3.1: repeated headers are one list.
    "Privacy: none, id": ({"header": "Privacy: none\r\nPrivacy: id"}, False),
    "Privacy: id, none": ({"header": "Privacy: id\r\nX-Header: x\r\nprivacy: none"}, False),
    "Privacy: none, none, id": ({"header": "Privacy: none\r\nPrivacy: none\r\nPrivacy: id"}, False),
    "Privacy of 5,000 bytes": ({"header": f"Privacy: id;{'x' * 5000}"}, False),
    "RPID privacy=full": ({"header": f"{PARTY};privacy=full"}, False),
    "RPID privacy=uri": ({"header": f"{PARTY};privacy=uri"}, False),
    "RPID privacy=yes": ({"header": f'{PARTY};privacy = "yes"'}, False),
    "RPID off, full": ({"header": f"{PARTY};privacy=off\r\n{PARTY};privacy=full"}, False),
    "RPID off, full, one line": ({"header": f"{PARTY};privacy=off, <sip:x@127.0.0.1>;privacy=full"}, False),
    "anonymous From": ({"source": "anonymous", "name": '"Anonymous" '}, False),
    "anonymous From and PAI": ({"source": "anonymous", "header": PAI}, False),
    "anonymous and forwarded": ({"source": "anonymous", "header": FORWARDING}, False),
}
ANONYMOUS = '"Anonymous" <sip:anonymous@anonymous.invalid>'
# Headers that could identify the caller.
IDENTIFYING = ("From", "Contact", "P-Asserted-Identity", "Remote-Party-ID", "Privacy", "Diversion", "History-Info")


def _received(trace: list[Message]) -> list[Message]:
    # Retransmissions are identical texts.
    once = {message.text: message for message in reversed(trace) if message.direction == "received"}
    found = list(reversed(once.values()))
    assert [message.method for message in found] == ["INVITE", "ACK", "BYE"]
    return found


def _identifying_headers(invite: Message) -> str:
    """The cell of the table: the identifying headers, without tags."""
    shown = [f"{name}: {re.sub(';tag=.*', '', value)}" for name in IDENTIFYING for value in invite.headers(name)]
    return " | ".join(shown)


@pytest.mark.parametrize("choice", ["caller", "service", "anonymous"])
def test_the_destination_sees_what_the_booking_chooses_and_nothing_that_the_caller_withholds(
    system: System, caller: Caller, choice: str
) -> None:
    booked, rows = system.book("LARGE"), list[str]()
    for kind, (keys, shows_number) in CALLERS.items():
        system.request("PUT", f"/bookings/{booked.id}", {"usagePlan": "LARGE", "callerId": choice})
        with caller.hidden() as hidden:
            assert caller.call(booked.service, "uac_hangs_up", talk=50, **keys).status == 200
        trace = _received(hidden.messages())

        shown = {"caller": SOURCE if shows_number else "", "service": booked.service, "anonymous": ""}[choice]
        sender = re.sub(";tag=.*", "", trace[0].header("From"))
        assert sender == (f"<sip:{shown}@127.0.0.1>" if shown else ANONYMOUS), kind
        everything = "".join(message.text for message in trace)
        hidden_from_it = {SOURCE, ASSERTED, FORWARDED, booked.service} - {shown}
        assert [each for each in hidden_from_it if each[-7:] in everything] == [], kind
        assert NAME.split(maxsplit=1)[0] not in everything, kind
        # A caller who shows no number asks the carrier not to show one of its own choice.
        present = [name for name in IDENTIFYING[2:] if trace[0].headers(name)]
        assert present == ([] if shown else ["Privacy"]), kind
        assert trace[0].headers("Privacy") == ([] if shown else ["id"]), kind

        record, *_ = booked.wait_settled(len(rows) + 1)
        assert record["source"] == (SOURCE if shows_number else "anonymous"), kind
        rows.append(f"{choice:<10}{kind:<26}{_identifying_headers(trace[0])}")
    print("\n" + "\n".join(rows))  # noqa: T201  the table


def test_a_put_changes_what_the_next_call_shows(system: System, caller: Caller) -> None:
    booked = system.book("LARGE")
    change = {"usagePlan": "LARGE", "callerId": "service"}
    assert system.request("PUT", f"/bookings/{booked.id}", change).body["callerId"] == "service"
    with caller.hidden() as hidden:
        assert caller.call(booked.service, "uac_hangs_up", talk=50).status == 200
    assert booked.service in _received(hidden.messages())[0].header("From")


def test_blocked_and_anonymous_callers_get_403_and_others_are_put_through(system: System, caller: Caller) -> None:
    booked = system.book("LARGE")
    path = f"/bookings/{booked.id}/blocked-callers"
    assert system.request("POST", path, {"caller": SOURCE}).status == 201
    with caller.hidden() as hidden:
        # In every form that carriers send.
        for source in (SOURCE, SOURCE.removeprefix("+"), SOURCE.replace("+", "00")):
            assert caller.call(booked.service, "uac_rejected", source=source).status == 403
        assert (
            system.request("PUT", f"/bookings/{booked.id}", {"usagePlan": "LARGE", "refuseAnonymous": True}).status
            == 200
        )
        assert caller.call(booked.service, "uac_rejected", source="anonymous").status == 403
        assert caller.call(booked.service, "uac_rejected", source=SOURCE[:-1] + "6", header="Privacy: id").status == 403
        assert _invites(hidden.messages()) == 0
        assert caller.call(booked.service, "uac_hangs_up", talk=50, source=SOURCE[:-1] + "6").status == 200
    records = booked.wait_settled(6)
    assert [record["disposition"] for record in records] == [
        "ANSWERED",
        *["ANONYMOUS_REFUSED"] * 2,
        *["CALLER_BLOCKED"] * 3,
    ]
    assert {record["duration"] for record in records[1:]} == {0}

    assert system.request("DELETE", f"{path}/%2B{SOURCE[1:]}").status == 204
    with caller.hidden():
        assert caller.call(booked.service, "uac_hangs_up", talk=50).status == 200


def test_a_destination_that_is_no_longer_allowed_is_not_dialled(system: System, caller: Caller) -> None:
    booked = system.book("LARGE")
    denied = f'["{booked.destination[:-1]}"]'
    system.stop_engine()
    system.start_engine(RENTED_NUMBERS_DESTINATION_DENIED_PREFIXES=denied)
    try:
        system.wait_ready()
        with caller.hidden() as hidden:
            assert caller.call(booked.service, "uac_rejected").status == 403
            assert _invites(hidden.messages()) == 0
        explained = system.get(f"/bookings/{booked.id}/explain").body
        assert (explained["reason"], explained["putThrough"]) == ("destination_not_allowed", False)
        assert [record["disposition"] for record in booked.wait_settled()] == ["FORBIDDEN"]
        body = {"destination": booked.destination, "usagePlan": "LARGE", "callback": "http://127.0.0.1:9/"}
        assert system.request("POST", "/bookings", body).body["code"] == "destination_not_allowed"
    finally:
        system.stop_engine()
        system.start_engine()
    system.wait_ready()
    with caller.hidden():
        assert caller.call(booked.service, "uac_hangs_up", talk=50).status == 200


def _invites(trace: list[Message]) -> int:
    return sum(message.method == "INVITE" and message.status is None for message in trace)
