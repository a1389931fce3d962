"""docs/api.md describes callbacks as they are: fields, headers, verification, schedule, refused URLs."""

import base64
import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from api.openapi.callback_examples import CALLBACKS
from engine.callbacks.signing import signature_headers
from engine.callbacks.ssrf import MAX_URL, check_callback
from engine.config.policy import callback_rules_of, policy_of
from engine.config.settings import Settings
from engine.config.tuning import Tuning
from engine.domain import events
from engine.domain.call_ends import CallEnd, HungUpBy
from engine.domain.dispositions import Disposition
from engine.domain.errors import CallbackNotAcceptable
from engine.domain.events import WhyGone
from engine.domain.notifications import EventType
from engine.domain.pacing import DEFAULT_PACES, MINUTE_MS, REDELIVERY_COOLDOWN_MS
from engine.domain.retry import JITTER, MAY_ASK_FOR_TIME, Delivered, GiveUp, HttpAnswer, RetryAfter, decide
from tests.contract.samples import BOOKING, HOUR, START

PAGE = (Path(__file__).parents[2] / "docs" / "api.md").read_text(encoding="utf-8")
SECTION = PAGE.partition("\n## Callbacks\n")[2].partition("\n## ")[0]
PRODUCTION = callback_rules_of(Settings())
SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
COMMON: Any = {"source": "+14155550123", "destination": "+32470123456", "booking_id": "bkg_1", "service": "+3225550000"}
# What the outbox adds: a number to every body, and metadata if the booking has some.
ADDED: events.EventBody = {"sequence": 1, "metadata": {"order": "1871"}}
NUMBERED: events.EventBody = {"sequence": 1}
END = CallEnd("main", 486, 17, HungUpBy.CALLEE)
ENDED = events.call_ended_body(cdr_id="cdr_1", started_at=START, duration=1, end=END, **COMMON) | ADDED
EXPIRED = events.expired_call_body(called_at=START, not_reported=0, **COMMON) | ADDED
EVENTS = [
    body | NUMBERED
    for body in (
        ENDED,
        EXPIRED,
        events.call_started_body(started_at=START, answered_at=START, **COMMON),
        events.call_missed_body(cdr_id="cdr_1", started_at=START, disposition=Disposition.BUSY, end=END, **COMMON),
        events.expiring_soon_body(BOOKING, START),
        events.low_seconds_body(BOOKING, START),
        events.booking_expired_body(BOOKING, 0),
        events.number_swapped_body(BOOKING, BOOKING.service, START),
        events.booking_gone_body(BOOKING, WhyGone.DELETED, START),
    )
]
FLOOD = events.expired_call_body(called_at=START, not_reported=1, **COMMON) | ADDED


def code_blocks(text: str) -> list[str]:
    """Return the contents of the fenced code blocks, in their order."""
    return re.findall(r"^```[a-z]+\n(.*?)\n```$", text, re.MULTILINE | re.DOTALL)


def bodies_shown() -> list[dict[str, Any]]:
    return [json.loads(block) for text in code_blocks(SECTION) for block in text.split("\n\n") if block[0] == "{"]


def test_the_page_shows_the_bodies_of_the_openapi_document_numbered_in_the_order_of_events() -> None:
    described = [examples[0] for examples in CALLBACKS.values()]
    assert sorted(bodies_shown(), key=sequence) == sorted(described, key=sequence)
    assert sorted(map(sequence, described)) == list(range(1, len(described) + 1))


def sequence(body: dict[str, Any]) -> int:
    return int(body["sequence"])


def test_the_page_shows_every_body_with_all_its_fields_in_their_order() -> None:
    shown = bodies_shown()
    assert [list(body) for body in shown] == [list(body) for body in EVENTS]
    assert [body.get("type") for body in shown] == [body.get("type") for body in EVENTS]
    assert shown[1]["message"] == EXPIRED["message"] == events.EXPIRED_MESSAGE


def test_the_page_explains_every_field_and_every_header() -> None:
    rows = set(re.findall(r"^\| `([A-Za-z-]+)` \|", SECTION, re.MULTILINE))
    fields = {field for body in (*EVENTS, FLOOD) for field in body}
    assert rows == fields | {*signature_headers("evt_1", (SECRET,), "{}", START)}


def test_the_page_explains_every_event_with_its_defaults() -> None:
    assert re.findall(r"^\| `([a-z_]+\.[a-z_]+)` \|", SECTION, re.MULTILINE) == [*EventType]
    words, rules = " ".join(SECTION.split()), policy_of(Settings()).notifications
    assert f"at most {rules.expired_callbacks} callbacks within an hour" in words
    assert rules.expired_window_ms == HOUR
    assert f"the booking ends within {rules.expiring_soon_ms // HOUR} hours" in words
    assert f"fewer than {rules.low_seconds} seconds are left" in words
    assert f"within {Tuning().sweep_interval:g} seconds" in words


def test_the_verification_without_a_package_accepts_genuine_and_refuses_forged_callbacks() -> None:
    [code] = [block for block in code_blocks(SECTION) if "def is_genuine(secret" in block]
    names: dict[str, Any] = {}
    exec(code, names)  # noqa: S102  the page tells people to run it
    body = json.dumps(ENDED)
    headers = signature_headers("evt_1", (SECRET,), body, START)
    assert names["is_genuine"](SECRET, headers, body.encode())
    assert names["is_genuine"](
        SECRET, headers | {"webhook-signature": f"v1,x {headers['webhook-signature']}"}, body.encode()
    )
    assert not names["is_genuine"](SECRET, headers, body.encode() + b" ")
    assert not names["is_genuine"](SECRET, headers | {"webhook-id": "evt_2"}, body.encode())


def in_words(wait: timedelta) -> str:
    for unit in (timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1)):
        if wait >= unit:
            return f"{wait // unit} {({3600: 'hours', 60: 'minutes', 1: 'seconds'})[unit // timedelta(seconds=1)]}"
    raise AssertionError(wait)


def test_timeout_and_schedule_are_the_defaults() -> None:
    waits = [timedelta(seconds=wait) for wait in Tuning().callback_retries]
    *first, last = map(in_words, waits)
    words = " ".join(SECTION.split())
    assert (
        f"There are {len(waits) + 1} attempts. After the first one the waits are {', '.join(first)} and {last}" in words
    )
    assert f"up to {JITTER:.0%} longer".replace("%", " %") in words
    assert f"within {Tuning().callback_timeout:g} seconds" in words


def test_the_paces_are_the_products() -> None:
    words, paces = " ".join(PAGE.split()), DEFAULT_PACES
    for said in (
        f"gets {paces.stranger.burst} attempts at once and then {paces.stranger.per_minute} a minute",
        f"of this kind together get {paces.strangers_of_account.per_minute} attempts a minute",
        f"{paces.at_will.burst} callbacks at once and then {paces.at_will.per_minute} a minute",
    ):
        assert said in words, said
    assert REDELIVERY_COOLDOWN_MS == MINUTE_MS
    assert "A callback can be sent again once a minute" in words


def test_the_page_says_what_follows_an_answer() -> None:
    waits = [1000, 9000]
    assert [decide(HttpAnswer(status), 1, waits, 0.0) for status in (204, 410)] == [Delivered(), GiveUp()]
    assert [decide(HttpAnswer(status), 1, waits, 0.0) for status in (301, 404, 500)] == [RetryAfter(1000)] * 3
    assert decide(HttpAnswer(503, 10**6), 1, waits, 0.0) == RetryAfter(9000)
    assert f"| {', '.join(map(str, sorted(MAY_ASK_FOR_TIME)))} with `Retry-After` |" in SECTION


@pytest.mark.parametrize(
    "url",
    [
        "http://customer.example/calls",
        "https://ann:pw@customer.example/",
        "https://customer.example/#calls",
        "https://customer.example/" + "x" * MAX_URL,
        "https://customer.example/é",
        "https://customer.example:0/",
        "https://customer/",
        "https://customer.example:8080/",
        "https://0x7f000001/",
        *[f"https://{host}/" for host in ("127.0.0.1", "10.0.0.1", "169.254.169.254", "224.0.0.1", "[fe80::1]")],
    ],
)
def test_the_urls_that_the_page_calls_refused_are_refused(url: str) -> None:
    assert f"more than {MAX_URL} characters" in SECTION
    with pytest.raises(CallbackNotAcceptable):
        check_callback(url, PRODUCTION)
    check_callback("https://customer.example/calls", PRODUCTION)
