"""Twilio's official client on the real API, and sessions that two have joined.

Test modules load it with `pytest_plugins = ["tests.integration.api_fixtures", "tests.integration.twilio_fixtures"]`.
"""

from collections.abc import Iterator

import pytest

from engine.bookings.shared_numbers import share
from tests.integration.api_helpers import (
    NUMBERS,
    THEIRS_TESTED,
    Api,
)
from tests.integration.twilio_client import TwilioClient, twilio_client


@pytest.fixture(scope="module")
def program() -> Iterator[TwilioClient]:
    with twilio_client() as started:
        yield started


@pytest.fixture
async def client(api: Api, program: TwilioClient) -> TwilioClient:
    for number in NUMBERS[:3]:
        await api.storage.run(share, number)
    users = {}
    for name, key in api.keys.items():
        account = (await api.call("GET", "/account", account=name)).body
        users[name] = (account["id"].replace("acc_", "AC"), key)
    users["wrong key"] = (users["ours"][0], api.keys["ours"][:-1] + ("B" if api.keys["ours"].endswith("A") else "A"))
    users["their key"] = (users["ours"][0], api.keys["theirs"])
    users["no account"] = ("ours", api.keys["ours"])
    users["their sandbox"] = (users["theirs"][0], api.keys[THEIRS_TESTED])
    users["their sandbox, rightly"] = users[THEIRS_TESTED]
    program.base, program.users = str(api.client.make_url("/twilio-proxy")), users
    return program
