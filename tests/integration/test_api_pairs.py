"""Pairs over the API and the command line: `participants` in place of `destination`."""

from pathlib import Path
from unittest.mock import patch

import pytest

from engine.bookings.shared_numbers import share
from engine.calls.facts import IncomingCall
from engine.calls.lifecycle import route_call
from engine.domain.ids import CallId
from engine.domain.numbers import E164
from engine.domain.pairs import is_pin
from engine.domain.policy import Policy
from engine.domain.rejections import Reason
from engine.domain.routing import Bridge
from tests.integration.api_helpers import (
    CALLER,
    HIDDEN,
    NUMBERS,
    OTHER_HIDDEN,
    POLICY,
    TESTED,
    Api,
    a_pair,
    a_request,
)
from tests.integration.cli_runner import CliInProcess

pytest_plugins = ["tests.integration.api_fixtures"]

NUMBERED = [{"number": HIDDEN, "label": "Ann"}, {"number": OTHER_HIDDEN}]
SHOWN = [{"label": None} | each | {"pin": None} for each in NUMBERED]


async def test_a_pair_is_booked_shown_listed_changed_swapped_and_deleted(api: Api) -> None:
    without = await api.call("POST", "/bookings", a_pair())
    assert (without.status, without.code) == (503, "no_number_free")
    for number in NUMBERS[:2]:
        await api.storage.run(share, number)
    booked = (await api.call("POST", "/bookings", a_pair(label="Order 7"))).body
    assert {name: booked[name] for name in ("service", "destination", "participants", "callerId", "reverse")} == {
        "service": NUMBERS[0], "destination": None, "participants": SHOWN, "callerId": "service", "reverse": False,
    }  # fmt: skip
    path = f"/bookings/{booked['id']}"
    assert await api.see(booked["id"]) == booked
    for filtered in (HIDDEN, OTHER_HIDDEN):
        listed = await api.call("GET", f"/bookings?destination={filtered.replace('+', '%2B')}")
        assert listed.body["data"] == [booked]
    assert (await api.book())["participants"] is None
    changed = await api.call("PATCH", path, {"paused": True, "callerId": "service", "reverse": False})
    assert changed.body == booked | {"paused": True}
    for body in ({"destination": CALLER}, {"callerId": "anonymous"}, {"reverse": True}):
        for method, whole in (("PATCH", body), ("PUT", body | {"usagePlan": "SMALL"})):
            refused = await api.call(method, path, whole)
            assert (refused.status, refused.code) == (409, "not_for_pairs")
    swapped = (await api.call("POST", f"{path}/swap-number", {})).body
    assert (swapped["service"], swapped["participants"]) == (NUMBERS[1], SHOWN)
    incoming = IncomingCall(CallId("c1"), E164(NUMBERS[1]), "anonymous", asserted=E164(OTHER_HIDDEN))
    await api.call("PATCH", path, {"paused": False})
    assert isinstance(await api.storage.run(route_call, incoming, api.clock.timestamp(), POLICY), Bridge)
    assert (await api.call("DELETE", path)).status == 204
    assert api.asterisk.hung_up == ["c1"]


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"destination": HIDDEN}, ""),
        ({"participants": []}, "/participants"),
        ({"participants": [NUMBERED[0]]}, "/participants"),
        ({"participants": [*a_pair()["participants"], {"number": CALLER}]}, "/participants"),
        ({"participants": [{"number": HIDDEN}, {"number": HIDDEN}]}, ""),
        ({"participants": [{"number": HIDDEN}, {"number": "112"}]}, "/participants/1/number"),
        ({"participants": [{"number": HIDDEN}, {"number": CALLER, "side": "a"}]}, "/participants/1/side"),
        ({"participants": [{"number": HIDDEN}, {"number": NUMBERS[3]}]}, "/participants/1/number"),
        ({"participants": [{"number": "+3290012345"}, {"number": HIDDEN}]}, "/participants/0/number"),
        ({"participants": None}, "/participants"),
        ({"participants": [{"number": HIDDEN, "pin": "40718352"}, {"number": CALLER}]}, "/participants/0/pin"),
        ({"pins": None}, "/pins"),
        ({"callerId": "caller"}, ""),
        ({"reverse": True}, ""),
    ],
)
async def test_what_is_no_pair_is_refused_with_its_place(api: Api, changes: dict[str, object], pointer: str) -> None:
    await api.storage.run(share, NUMBERS[0])
    answer = await api.call("POST", "/bookings", a_pair(**changes))
    assert answer.status == 422, answer.text
    assert pointer in [error["pointer"] for error in answer.body["errors"]]


async def test_a_pair_with_pins_shows_them_to_its_owner_and_an_ordinary_booking_has_none(api: Api) -> None:
    for number in NUMBERS[:2]:
        await api.storage.run(share, number)
    refused = await api.call("POST", "/bookings", a_request(pins=True))
    assert (refused.status, refused.code) == (422, "invalid_request")
    with patch.object(Policy, "speaks", new=False):
        assert (await api.call("POST", "/bookings", a_pair(pins=True))).code == "voice_is_off"
    booked = (await api.call("POST", "/bookings", a_pair(pins=True))).body
    pins = [each["pin"] for each in booked["participants"]]
    assert all(is_pin(pin) for pin in pins)
    assert len(set(pins)) == 2
    assert (await api.call("GET", "/bookings")).body["data"] == [booked]
    path = f"/bookings/{booked['id']}"
    assert (await api.call("PATCH", path, {"pins": False})).status == 422
    assert (await api.call("PATCH", path, {"label": "Order 7"})).body["participants"] == booked["participants"]
    swapped = (await api.call("POST", f"{path}/swap-number", {})).body
    assert not set(pins) & {each["pin"] for each in swapped["participants"]}


async def test_a_booking_without_anybody_to_reach_is_refused(api: Api) -> None:
    request = a_request()
    del request["destination"]
    answer = await api.call("POST", "/bookings", request)
    assert (answer.status, answer.code) == (422, "invalid_request")
    assert "participants" in answer.body["errors"][0]["message"]


async def test_a_sandbox_tries_out_a_pair(api: Api) -> None:
    booked = (await api.call("POST", "/bookings", a_pair(), account=TESTED)).body
    call = {"service": booked["service"], "outcome": "answered", "seconds": 3}
    seen = {}
    for source, direction in ((HIDDEN, "pair"), (OTHER_HIDDEN, "pair"), (CALLER, "pair"), (HIDDEN, "forward")):
        body = call | {"source": source, "direction": direction}
        done = (await api.call("POST", "/test/calls", body, account=TESTED)).body
        record = done["cdr"]
        seen[source, direction] = (done["reason"], record and (record["source"], record["destination"]))
    assert seen == {
        (HIDDEN, "pair"): (Reason.PUT_THROUGH, (HIDDEN, OTHER_HIDDEN)),
        (OTHER_HIDDEN, "pair"): (Reason.PUT_THROUGH, (OTHER_HIDDEN, HIDDEN)),
        (CALLER, "pair"): (Reason.NOT_A_PARTICIPANT, None),
        (HIDDEN, "forward"): (Reason.NOT_A_PARTICIPANT, None),
    }
    with_pins = (await api.call("POST", "/bookings", a_pair(pins=True), account=TESTED)).body
    pin = with_pins["participants"][1]["pin"]
    body = call | {"service": with_pins["service"], "source": "anonymous", "pins": ["00000000", pin]}
    done = (await api.call("POST", "/test/calls", body, account=TESTED)).body
    assert (done["reason"], done["promptsHeard"]) == (Reason.PUT_THROUGH, ["pin", "pin_wrong"])
    assert (done["cdr"]["source"], done["cdr"]["destination"]) == (OTHER_HIDDEN, HIDDEN)
    for wrong in ([pin] * 4, ["1234567"], "1234", [None]):
        assert (await api.call("POST", "/test/calls", body | {"pins": wrong}, account=TESTED)).status == 422
    explained = await api.call("GET", f"/bookings/{booked['id']}/explain?source=%2B14155550123", account=TESTED)
    assert (explained.body["direction"], explained.body["reason"]) == ("pair", "not_a_participant")
    # Sandboxes share the simulated numbers, so these have no quarantine.
    assert (await api.call("DELETE", f"/bookings/{booked['id']}", account=TESTED)).status == 204
    again = await api.call("POST", "/bookings", a_pair(service=booked["service"]), account=TESTED)
    assert again.status == 201, again.text


def test_an_operator_shares_a_number_and_books_a_pair(tmp_path: Path) -> None:
    cli = CliInProcess(tmp_path)
    cli.set_up("demo")
    cli.environment["RENTED_NUMBERS_TRUNKS"] = '[{"name": "main", "uri": "sip:192.0.2.1", "asserts_identity": true}]'
    free = cli.json("numbers", "list", "--state", "free")[0]["number"]
    create = ("bookings", "create", "--account", "demo", "--callback", "https://customer.example/calls")
    pair = ("--participant", f"{HIDDEN}=Ann", "--participant", OTHER_HIDDEN)
    assert "shared" in cli.refused(*create, *pair)
    assert cli.json("numbers", "share", free)["state"] == "SHARED"
    assert "shared" in cli.refused("numbers", "retire", free)
    booking = cli.json(*create, *pair)
    assert booking["service"] == free
    shown = cli("bookings", "show", booking["id"], "--json").stdout
    assert '"pair": true' in shown
    assert HIDDEN not in shown
    assert "pairs" in cli.refused("numbers", "unshare", free)
    others = ("--participant", CALLER, "--participant", "+32470999001", "--pins")
    cli.environment["RENTED_NUMBERS_VOICE"] = "true"
    secret = cli.json(*create, *others)
    assert not [value for value in secret.values() if is_pin(str(value))]  # for its owner's eyes
    cli("bookings", "delete", secret["id"], "--yes")
    cli.refused(*create, HIDDEN, "--pins")
    for wrong in ((HIDDEN, *pair), pair[:2], (*pair, "--reverse"), (*pair, "--caller-id", "caller")):
        cli.refused(*create, *wrong)
    explained = cli.json("explain", booking["id"], "--source", HIDDEN)
    assert explained["direction"] == "pair"
    cli("bookings", "delete", booking["id"], "--yes")
    assert cli.json("numbers", "unshare", free)["state"] == "QUARANTINED"
    cli.typed = f"{HIDDEN}\n{OTHER_HIDDEN}\n"
    assert "shared" in cli(*create, "--pair").stderr
