"""`callbacks list`, `show`, `redeliver`, `endpoints`, `enable` and `secrets …`, without an engine."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from engine.bookings.lifecycle import BookingRequest, book
from engine.callbacks.outbox import post
from engine.cli import app
from engine.cli.database import run_command
from engine.cli.output import console, table_of
from engine.config.policy import policy_of
from engine.config.settings import Settings
from engine.domain.errors import InvalidInput, NotFound, RedeliveredTooSoon
from engine.domain.numbers import E164
from engine.domain.policy import UsagePlan
from engine.domain.retry import HttpAnswer
from engine.local.demo import webhook_secret_file
from engine.local.setup import set_up
from engine.runtime.clock import SystemClock
from engine.storage.sqlite import SqliteStorage
from engine.storage.transaction import Transaction
from tests.integration.callback_sending import attempt_due

HIDDEN = E164("+33199009002")
URL = "https://customer.example/calls"


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The settings of a demo whose account has a callback that was answered with 410."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RENTED_NUMBERS_PROFILE", "demo")
    settings = Settings()
    set_up(settings, lambda _: None)

    def fill(tx: Transaction) -> None:
        now = SystemClock().now()
        demo = tx.accounts.by_name("demo")
        assert demo is not None
        booking = book(tx, BookingRequest(demo.id, HIDDEN, UsagePlan.SMALL, URL), now, policy_of(settings))
        post(tx, booking, {"destination": HIDDEN, "bookingId": booking.id}, now)
        attempt_due(tx, now, HttpAnswer(410), f"no more of {HIDDEN}")

    async def run() -> None:
        storage = SqliteStorage(settings.database)
        await storage.run(fill)
        await storage.close()

    asyncio.run(run())
    return settings


def said(*arguments: str) -> str:
    return CliRunner().invoke(app, arguments, catch_exceptions=False).stdout


def printed(*arguments: str) -> Any:
    return json.loads(said(*arguments, "--json"))


def test_callbacks_are_listed_shown_and_redelivered_without_showing_a_number(settings: Settings) -> None:
    [failed] = printed("callbacks", "list", "--account", "demo", "--state", "FAILED")
    assert (failed["attemptCount"], failed["lastOutcome"], failed["url"]) == (1, "HTTP 410", URL)
    assert printed("callbacks", "list", "--account", "demo", "--booking", failed["bookingId"]) == [failed]
    shown = printed("callbacks", "show", failed["id"])
    assert [(each["status"], each["response"]) for each in shown["attempts"]] == [(410, "no more of +331•••••02")]
    for text in (json.dumps(shown), said("callbacks", "show", failed["id"])):
        assert HIDDEN[1:] not in text
    assert printed("callbacks", "redeliver", "--account", "demo", "--from", "2020-01-01T00:00:00Z") == {
        "redelivered": 1
    }
    assert [each["state"] for each in printed("callbacks", "list", "--account", "demo")] == ["PENDING"]
    [endpoint] = printed("callbacks", "endpoints", "--account", "demo")
    assert (endpoint["state"], endpoint["reason"]) == ("DISABLED", "GONE")
    with pytest.raises(RedeliveredTooSoon):
        printed("callbacks", "redeliver", failed["id"])
    assert printed("callbacks", "enable", endpoint["id"])["state"] == "ENABLED"


def test_text_of_customers_is_shown_unchanged(settings: Settings) -> None:
    """Brackets and colons in bodies and URLs must not be read as markup."""
    url, notes = "https://customer.example/[b]:warning:", {"note": "[/b] :warning:"}

    def fill(tx: Transaction) -> str:
        now = SystemClock().now()
        demo = tx.accounts.by_name("demo")
        assert demo is not None
        wanted = BookingRequest(demo.id, HIDDEN, UsagePlan.SMALL, url, metadata=notes)
        booking = book(tx, wanted, now, policy_of(settings))
        post(tx, booking, {"bookingId": booking.id}, now)
        attempt_due(tx, now, HttpAnswer(410), "")
        [(event_id,)] = tx.outbox._db.execute("SELECT id FROM outbox WHERE booking_id = ?", [booking.id])
        return str(event_id)

    shown = said("callbacks", "show", run_command(settings, fill))
    assert url in shown
    assert notes["note"] in shown
    with console.capture() as captured:
        console.print(table_of([{"url": url}]), width=100)
    assert url in captured.get()


@pytest.mark.usefixtures("settings")
@pytest.mark.parametrize(
    ("words", "refusal", "why"),
    [
        ("callbacks show evt_none", NotFound, "no such callback"),
        ("callbacks redeliver evt_none", NotFound, "no such callback"),
        ("callbacks enable cep_none", NotFound, "no such endpoint"),
        ("callbacks redeliver", InvalidInput, "give one callback's id"),
        ("callbacks redeliver evt_1 --from 2026-03-01T00:00:00Z", InvalidInput, "give one callback's id"),
        ("callbacks redeliver --from 2026-03-01T00:00:00Z", InvalidInput, "or --account and --from"),
        ("callbacks redeliver evt_1 --account demo", InvalidInput, "give one callback's id"),
        ("callbacks redeliver --account demo --from monday", InvalidInput, "'monday' must be an RFC 3339 date-time"),
        (
            "callbacks redeliver --account demo --from 2026-03-01T00:00:00Z --state HELD",
            InvalidInput,
            "FAILED, PENDING",
        ),
        (
            "callbacks redeliver --account demo --from 2026-03-02 --to 2026-03-01",
            InvalidInput,
            "must be an RFC 3339 date-time",
        ),
        (
            "callbacks redeliver --account demo --from 2026-03-01T00:00:01Z --to 2026-03-01T00:00:00Z",
            InvalidInput,
            "--from must not be later than --to",
        ),
        ("secrets rotate demo --overlap 90", InvalidInput, "'90' is not a duration"),
        ("secrets rotate demo --overlap 8d", InvalidInput, "0 to 604800 seconds"),
        ("secrets show nobody", InvalidInput, "no account 'nobody'"),
    ],
)
def test_a_bad_command_is_refused_with_the_reason(words: str, refusal: type[Exception], why: str) -> None:
    with pytest.raises(refusal, match=why):
        said(*words.split())


def test_a_secret_is_rotated_and_the_old_one_shown_while_it_signs(settings: Settings) -> None:
    file = webhook_secret_file(settings.data_dir)
    first = file.read_text().strip()
    rotated = printed("secrets", "rotate", "demo", "--overlap", "30m")
    assert rotated["oldSecret"] == first != rotated["secret"]
    assert printed("secrets", "show", "demo") == rotated
    # The next set-up rewrites the secret that `make call` verifies with.
    set_up(settings, lambda _: None)
    assert file.read_text().strip() == rotated["secret"]
