"""How a customer books a pair on a page of the portal, and what the pages show of it."""

import json
import re
from unittest.mock import patch

import pytest

from engine.domain.policy import Policy
from tests.integration.portal_helpers import (
    SITE,
    Portal,
    a_tenant,
    act,
    ask,
    form_for,
    share_number,
)
from tests.integration.web_server import clumsy_in

pytest_plugins = ["tests.integration.portal_fixtures"]
pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_pairs_are_offered_where_a_number_is_shared_and_callers_are_asserted_or_key_in_pins(
    portal: Portal,
) -> None:
    async def offered() -> bool:
        return "/book-pair" in (await ask(portal, "GET", "/portal", (await portal.session()).secret)).text

    assert not await offered()
    await share_number(portal, "+3225550094")
    assert await offered()
    with patch.object(Policy, "may_assert_callers", new=False):
        assert await offered(), "with PINs"
        [book_pair] = [action for action in SITE.actions if action.path == "/book-pair"]
        refused = await act(portal, book_pair, (await portal.session()).secret, form_for(book_pair, portal.ours.ids))
        marked = re.findall(r'name="(\w+)"[^>]*aria-invalid="true"', refused.text)
        assert (refused.status, marked) == (422, ["pins"])
        with patch.object(Policy, "speaks", new=False):
            assert not await offered()


async def test_a_pair_is_booked_shown_with_both_numbers_and_changed_but_for_them(portal: Portal) -> None:
    numbers, more = ("+33612345684", "+33612345685"), ("+3225550091", "+3225550092")
    for number in more:
        await share_number(portal, number)
    tenant = await portal.storage.run(a_tenant, "pairs-up", "+33612345686")
    secret = (await portal.session(of=tenant)).secret
    [book_pair] = [action for action in SITE.actions if action.path == "/book-pair"]
    shown = {name: text for name, text in form_for(book_pair, tenant.ids).items() if name not in {"hours", "timeZone"}}
    form = shown | {"firstNumber": numbers[0], "secondNumber": numbers[1], "firstLabel": "side 4", "secondLabel": ""}
    form["pins"] = "yes"
    for changes, status, marked in (
        ({"secondNumber": numbers[0]}, 422, "secondNumber"),
        ({"firstNumber": "+33"}, 422, "firstNumber"),
        ({"firstNumber": "+3290012345"}, 422, "firstNumber"),
        ({"secondNumber": more[1]}, 422, "secondNumber"),
        ({"secondLabel": "\u202e"}, 422, "secondLabel"),
        ({"callback": "ftp://pairs-up.example"}, 422, "callback"),
        ({"country": "GB"}, 503, ""),
        ({"pins": "perhaps"}, 422, "pins"),
    ):
        refused = await act(portal, book_pair, secret, form | changes)
        found = re.findall(r'name="(\w+)"[^>]*aria-invalid="true"', refused.text)
        assert (refused.status, *found) == (status, *filter(None, [marked])), (changes, refused.text)
    for _ in range(2):  # the form that is sent twice
        booked = await act(portal, book_pair, secret, form)
        assert (booked.status, f"Booked: the number is {more[0]}." in booked.text) == (200, True), booked.text
    page = json.loads((await ask(portal, "GET", "/portal", secret, Accept="application/json")).text)
    [pair, _] = page["data"]
    people = [(number, label) for number, label in zip(numbers, ("side 4", None), strict=True)]
    assert [(each["number"], each["label"]) for each in pair["participants"]] == people
    assert (pair["service"], pair["destination"]) == (more[0], None)
    path = f"/portal/bookings/{pair['id']}"
    for place, said in (("/portal", f"{numbers[0]} (side 4), {numbers[1]}"), (path, f"{numbers[1]}, which reach each")):
        text = (await ask(portal, "GET", place, secret)).text
        assert (said in text, clumsy_in(text)) == (True, []), text
    assert all(each["pin"] in text for each in pair["participants"])
    assert not re.findall('name="(?:reverse|acceptFormerCallers)"', text), "only the participants may call"
    [change] = [action for action in SITE.actions if action.path == "/bookings/{id}/change"]
    changed = await act(portal, change, secret, {"id": pair["id"], "destination": "", "label": "Ann and Bob"})
    assert (changed.status, "Ann and Bob" in changed.text) == (200, True)
    refused = await act(portal, change, secret, {"id": pair["id"], "destination": "+33612345687"})
    assert (refused.status, refused.text.count("participants that do not change")) == (409, 1)
