"""The pool of numbers in the console: counted, listed, imported with bad lines named, and each action on a number."""

import re
from typing import Any

import pytest

from engine.domain.numbers import E164
from engine.domain.web_access import Role
from tests.integration.web_helpers import NUMBERS, Console, act_by_path, ask, data
from tests.integration.web_server import Answer

pytest_plugins = ["tests.integration.web_fixtures"]
pytestmark = pytest.mark.asyncio(loop_scope="module")
FREE = NUMBERS[-1]


async def pool(console: Console, query: str = "") -> Any:
    return await data(console, f"/console/numbers?{query}")


async def send(console: Console, word: str, **form: str) -> Answer:
    return await act_by_path(console, f"/console/numbers/{word}", (await console.session()).secret, form)


async def test_the_pool_is_counted_foreseen_and_paged(console: Console) -> None:
    shown = await pool(console)
    [belgium] = shown["countries"]
    assert belgium == {"country": "BE", "free": 298, "booked": 2, "quarantined": 0, "retired": 0, "shared": 0}
    assert shown["forecast"][0] == {"inDays": 0, "free": 298, "returned": 0, "booked": 0, "inQuarantine": 0}
    listed, following = [], shown["next"]
    listed += [each["number"] for each in shown["numbers"]]
    while following:
        page = await pool(console, f"before={following.replace('+', '%2B')}")
        listed += [each["number"] for each in page["numbers"]]
        following = page["next"]
    assert listed == sorted(NUMBERS)
    booked = await pool(console, "state=BOOKED&country=BE")
    assert console.booking.service in [each["number"] for each in booked["numbers"]]
    one = await pool(console, f"number={FREE.replace('+', '00')}")
    assert [each["number"] for each in one["numbers"]] == [FREE]
    assert (await pool(console, "number=x"))["errors"] != {}
    secret = (await console.session(Role.VIEWER)).secret
    for query in ("state=LOST", "country=belgium", "before=1"):
        assert (await ask(console, "GET", f"/console/numbers?{query}", secret)).status == 400


async def test_an_import_adds_all_lines_or_names_the_bad_ones(console: Console) -> None:
    bad = await send(console, "import", lines=f"number\n+3225558001,x\n\nabc\n{FREE}\n+3225558001")
    assert bad.status == 422
    for problem in ("Line 4: &#39;abc&#39; is not an E.164 number", "is already in the pool", "is already in line 2"):
        assert problem in bad.text
    assert "+3225558001,x" in bad.text  # what was sent is still there to mend
    assert (await pool(console, "number=003225558001"))["numbers"] == []
    good = await send(console, "import", lines='"number"\r\n"+3225558001",x\r\n003225558002\r\n')
    assert "Imported: 2 numbers." in good.text
    for number in ("+3225558001", "+3225558002"):
        [found] = (await pool(console, f"number=%2B{number[1:]}"))["numbers"]
        assert found["state"] == "FREE"
    assert (await send(console, "import", lines="\n")).status == 422


async def test_each_action_changes_what_it_says_and_is_logged(console: Console) -> None:
    spelled = f"{FREE[:3]} {FREE[3]} {FREE[4:7]} {FREE[7:]}"
    table = [
        ("quarantine", {"number": spelled, "days": "10"}, "QUARANTINED", "NumberQuarantined"),
        ("retire", {"number": FREE, "sure": "yes"}, "RETIRED", "NumberRetired"),
        ("restore", {"number": FREE}, "QUARANTINED", "NumberRestored"),
    ]
    for word, form, state, event in table:
        answer = await send(console, word, **form)
        assert (answer.status, f"{FREE} is {state.lower()}." in answer.text) == (200, True), answer.text
        found = await console.storage.run(lambda tx: tx.numbers.by_number(E164(FREE)))
        assert found is not None
        assert found.state == state
        assert console.events()[0] == event
    assert FREE not in str(console.log.newest(100))
    refused = [
        ("quarantine", {"number": "x", "days": ""}, ["number"]),
        ("quarantine", {"number": FREE, "days": "0"}, ["days"]),
        ("retire", {"number": console.booking.service, "sure": "yes"}, []),
        ("retire", {"number": FREE}, []),
        ("restore", {"number": FREE}, []),
    ]
    for word, form, fields in refused:
        answer = await send(console, word, **form)
        assert (answer.status, word) == (422, word)
        assert re.findall(r'name="(\w+)"[^>]*aria-invalid="true"', answer.text) == fields
    booked = await console.storage.run(lambda tx: tx.numbers.by_number(console.booking.service))
    assert booked is not None
    assert booked.state == "BOOKED"
