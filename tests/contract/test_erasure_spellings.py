"""No spelling of an erased number remains in any place of the database; what is only similar is listed."""

import json
import unicodedata
from collections.abc import Callable
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote, unquote

import pytest

from engine.bookings import lifecycle as bookings
from engine.bookings.lifecycle import BookingRequest
from engine.domain.ids import CallId
from engine.domain.policy import UsagePlan
from engine.privacy import erasure
from engine.privacy.erasure import erase_some
from engine.privacy.findings import MAX_LISTED, Findings, Place
from engine.storage.erasure import Key
from engine.storage.sqlite import SqliteStorage
from tests.contract.erasing import DIGITS, PERSON, call, erased_from, everything, insert_row
from tests.contract.samples import CALLBACK, CALLER, HIDDEN, POLICY, START
from tests.contract.world import World

NUMBER, NATIONAL = "+32475998877", "475998877"
PLAIN = [
    *("+32475998877", "32475998877", "0032475998877", "0475998877", "475998877"),
    *("+32 475 99 88 77", "+32 (0)475 99 88 77", "+32-475-998877", "0475/99.88.77", "00 32 475 99 88 77"),
    *("+32.475.99.88.77", "+32\u00a0475\u00a099\u00a088\u00a077", "+32\u200b475\u200b998877", "99932475998877"),
    *("+32,475,99,88,77", "(0475) 99 88 77", "tel:+32-475-99-88-77", "475 998 877", "475998877 EUR"),
]
# Full-width, Arabic, Persian and Devanagari zeros.
SCRIPTS = (0xFF10, 0x660, 0x6F0, 0x966)
SPELLINGS = [
    spelling
    for plain in PLAIN
    for spelling in (
        plain,
        *(
            plain.translate({48 + value: chr(zero + value) for value in range(10)})
            for zero in (0xFF10, 0x660, 0x6F0, 0x966)
        ),
        plain.replace("+", "\uff0b"),
    )
]
Insert = Callable[[World, int, str], None]


def _booking(world: World, index: int, gone: int | None, **columns: str) -> None:
    values = {"callback": "https://customer.example/", "label": "", "metadata": "{}", "destination": "+33199004188"}
    insert_row(
        world, "bookings", id=f"bkg_{index}", account_id=world.account, service=f"+999{index:09}", gone_at=gone,
        caller_id="anonymous", **(values | columns),
    )  # fmt: skip


def _callback(world: World, index: int, **columns: str) -> None:
    row = {"url": "https://customer.example/", "body": "{}"} | columns
    insert_row(
        world, "outbox", id=f"evt_{index}", account_id=world.account, state="FAILED", attempts=1, finished_at=1, **row
    )


def _response(world: World, index: int, text: str) -> None:
    _callback(world, index)
    insert_row(world, "callback_attempts", callback_id=f"evt_{index}", attempt=1, response=text)


def _answer(world: World, index: int, key: str, body: str) -> None:
    insert_row(world, "kept_answers", account_id=world.account, idempotency_key=f"{index}-{key}", body=body)


PLACES: dict[str, Insert] = {
    "label": lambda world, i, text: _booking(world, i, None, label=text),
    "metadata value": lambda world, i, text: _booking(world, i, None, metadata=json.dumps({"who": f"Ann {text}"})),
    "metadata key": lambda world, i, text: _booking(world, i, None, metadata=json.dumps({text: "Ann"})),
    "callback of a live booking": lambda world, i, text: _booking(
        world, i, None, callback=f"https://a.example/?{text}"
    ),
    "callback of a gone booking": lambda world, i, text: _booking(
        world, i, 1, callback=f"https://a.example/{quote(text)}"
    ),
    "source of a call": lambda world, i, text: insert_row(world, "calls", call_id=f"call {i}", source=text),
    "source of a record": lambda world, i, text: insert_row(
        world, "cdrs", id=f"cdr_{i}", call_id=f"c {i}", source=text
    ),
    "body's source": lambda world, i, text: _callback(world, i, body=json.dumps({"source": text})),
    "body's metadata": lambda world, i, text: _callback(world, i, body=json.dumps({"metadata": {"a": text}})),
    "URL of a callback": lambda world, i, text: _callback(world, i, url=f"https://a.example/{quote(text)}/x"),
    "response": lambda world, i, text: _response(world, i, json.dumps({"got": text})),
    "endpoint": lambda world, i, text: insert_row(
        world, "callback_endpoints", id=f"ep_{i}", account_id=world.account, url=f"https://a.example/{i}x?n={text}"
    ),
    "reason": lambda world, i, text: insert_row(
        world, "grants", id=f"grt_{i}", booking_id="bkg_x", usage_plan=None, reason=f"for {text}", seconds=0, calls=0
    ),
    "kept answer": lambda world, i, text: _answer(world, i, "x", json.dumps({"label": text})),
    "idempotency key": lambda world, i, text: _answer(world, i, f"x{text}x", "{}"),
    "blocked caller": lambda world, i, text: insert_row(world, "blocked_callers", booking_id=f"bkg_b{i}", caller=text),
}


def _holding(world: World) -> list[str]:
    """Returns the texts that have the digits, in any script and with anything but letters between them."""
    found = []
    for [table] in map(list, map(dict.values, world.rows("SELECT name FROM sqlite_master WHERE type = 'table'"))):
        for row in world.rows(f"SELECT * FROM {table}"):  # noqa: S608
            found += [text for text in row.values() if isinstance(text, str) and NATIONAL in _digits(text)]
    return found


def _digits(text: str) -> str:
    plain = unquote(text.encode().decode("unicode_escape") if "\\u" in text else text)
    return "".join(str(unicodedata.decimal(each, each)) for each in plain if each.isalnum())


@pytest.mark.parametrize("place", PLACES)
async def test_no_spelling_remains_in_any_place_unless_it_is_listed(
    storage: SqliteStorage, database: Path, place: str
) -> None:
    world = await World.begin(storage, database)
    for index, spelling in enumerate(SPELLINGS):
        PLACES[place](world, index, spelling)
    assert len(_holding(world)) >= len(SPELLINGS)

    erased: Findings = await erased_from(world, NUMBER)

    listed = len(erased.unsure) + len(erased.remaining)
    holding = _holding(world)
    print({"place": place, "cases": len(SPELLINGS), "listed": listed, "evaded": max(0, len(holding) - listed)})  # noqa: T201
    assert len(holding) <= listed
    # Most are surely the number; of a live booking, only the owner may change the callback.
    assert erased.unsure_count <= (len(SPELLINGS) if place == "idempotency key" else len(SPELLINGS) // 4)
    again = await erased_from(world, NUMBER)
    assert sum(again.removed.values()) == 0
    assert (again.unsure, again.remaining) == (erased.unsure, erased.remaining)


def test_the_list_of_unsure_places_is_bounded() -> None:
    total = Findings()
    for _ in range(3):
        found = Findings()
        for index in range(MAX_LISTED):
            found.note_unsure("bookings", "label", f"bkg_{index}")
        total.add(found)
    assert (len(total.unsure), total.unsure_count) == (MAX_LISTED, 3 * MAX_LISTED)


async def test_a_number_is_erased_from_labels_metadata_and_callbacks_that_repeat_them(world: World) -> None:
    notes = {"who": f"Ann, {PERSON} or 00{DIGITS}", DIGITS: "her", "order": f"9{DIGITS}"}
    without = {"who": "Ann, erased or erased", "erased": "her", "order": f"9{DIGITS}"}
    request = BookingRequest(
        world.account, HIDDEN, UsagePlan.MEDIUM, CALLBACK, label=f"Ann {PERSON}\u00e9", metadata=notes
    )
    booking = await world.storage.run(bookings.book, request, START, POLICY)
    other = await world.book(UsagePlan.MEDIUM)
    for each in (booking, other):
        await call(world, each, CallId(each.id), CALLER)
    erased = await erased_from(world)
    stored = await world.stored(booking)
    # The booking stays active: neither of the two affects its calls.
    assert (stored.gone_at, stored.label, stored.metadata) == (None, "Ann erased\u00e9", without)
    bodies = [json.loads(row["body"]) for row in world.rows("SELECT body FROM outbox ORDER BY id")]
    assert [body.get("metadata") for body in bodies] == [without, None]
    assert (erased.removed["bookings"], erased.removed["callbacks"], erased.remaining) == (1, 1, [])
    # The number within a longer one may be an order, or the number: somebody has to look.
    [callback] = world.rows("SELECT id FROM outbox WHERE booking_id = ?", booking.id)
    assert erased.unsure == [Place("bookings", "metadata", booking.id), Place("outbox", "body", callback["id"])]
    assert sum((await erased_from(world)).removed.values()) == 0
    assert everything(world).count(DIGITS) == everything(world).count(f"9{DIGITS}") == 2


async def test_a_search_is_many_short_transactions_with_pauses(
    storage: SqliteStorage, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Calls write between them. By this clock each row takes 8 ms, and a transaction ends after 20 ms."""
    world = await World.begin(storage, database)
    for index in range(30):
        _booking(world, index, None, destination=HIDDEN)
    clock, searched, pauses = count(0, 0.008), [], []

    def step(*given: Any) -> tuple[Key | None, Findings]:
        after, findings = erase_some(*given)
        searched.append(findings.searched["bookings"])
        return after, findings

    async def pause(seconds: float) -> None:
        pauses.append(round(1000 * seconds))

    monkeypatch.setattr(erasure, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    monkeypatch.setattr(erasure, "asyncio", SimpleNamespace(sleep=pause))
    monkeypatch.setattr(erasure, "erase_some", step)
    await erased_from(world)
    in_transactions = [(rows, wait) for rows, wait in zip(searched, pauses, strict=True) if rows]
    assert in_transactions == [(3, 120)] * 10  # 40 ms by this clock, and a pause of three times that
