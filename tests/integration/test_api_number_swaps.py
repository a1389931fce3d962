"""POST /bookings/{id}/swap-number and `bookings swap-number`."""

import asyncio
from pathlib import Path

from tests.integration.api_helpers import NUMBERS, Api
from tests.integration.cli_runner import CliInProcess

pytest_plugins = ["tests.integration.api_fixtures"]

OF_THE_NUMBER = ("service", "serviceNational", "serviceLink")


async def test_a_repeated_request_swaps_once(api: Api) -> None:
    booking = await api.book(label="shop")
    path, key = f"/bookings/{booking['id']}/swap-number", {"Idempotency-Key": "k1"}
    answers = await asyncio.gather(*(api.call("POST", path, {}, headers=key) for _ in range(9)))
    answers = [each for each in answers if each.status != 409]
    first = answers[0].body
    assert [(each.status, each.body) for each in answers] == [(200, first)] * len(answers)
    assert first == booking | {name: first[name] for name in OF_THE_NUMBER}
    assert await api.see(booking["id"]) == first
    assert first["service"] != booking["service"]
    other = await api.call("POST", path, {"service": NUMBERS[-1]}, headers=key)
    assert (other.status, other.code) == (422, "idempotency_key_reused")
    wanted = await api.call("POST", path, {"service": NUMBERS[-1]})
    assert (wanted.status, wanted.body["service"]) == (200, NUMBERS[-1])


async def test_what_cannot_be_swapped_is_refused(api: Api) -> None:
    booking = await api.book()
    path = f"/bookings/{booking['id']}/swap-number"
    for body, status, code in (
        ({"service": booking["service"]}, 409, "number_not_free"),
        ({"prefix": "+999"}, 503, "no_number_free"),
        ({"prefix": "+32", "country": "BE"}, 422, "invalid_request"),
        ({"destination": "+32470123456"}, 422, "invalid_request"),
    ):
        answer = await api.call("POST", path, body)
        assert (answer.status, answer.code, body) == (status, code, body)
    assert await api.see(booking["id"]) == booking
    await api.call("DELETE", f"/bookings/{booking['id']}")
    assert (await api.call("POST", path, {})).code == "gone"


def test_an_operator_swaps_a_number(tmp_path: Path) -> None:
    cli = CliInProcess(tmp_path)
    cli.set_up("demo")
    hidden = ("--callback", "https://customer.example/calls", "+32470123456")
    booking = cli.json("bookings", "create", "--account", "demo", *hidden)
    swapped = cli.json("bookings", "swap-number", booking["service"], "--yes")
    assert swapped == booking | {"service": swapped["service"], "previousService": booking["service"]}
    [had] = cli.json("bookings", "list", "--gone", "--service", booking["service"])
    assert had["service"] == swapped["service"]
    assert "not free" in cli.refused("bookings", "swap-number", booking["id"], "--service", booking["service"], "--yes")
    cli.typed = "n\n"
    assert cli("bookings", "swap-number", booking["id"]).returncode != 0
    assert cli.json("bookings", "show", booking["id"])["service"] == swapped["service"]
