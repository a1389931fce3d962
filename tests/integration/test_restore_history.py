"""R1: bookings, revocations and erasures among backups and restores of any age, in random order: misroutes 0.

RESTORES=200 makes more of them, and -s shows the figures.
"""

import asyncio
import os
import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from engine.accounts.accounts import create_account
from engine.accounts.keys import create_key, revoke_key
from engine.backup.make import make_backup
from engine.backup.restore import Place, restore
from engine.bookings.endings import sweep
from engine.bookings.lifecycle import BookingRequest, book, cancel
from engine.bookings.number_pool import import_numbers
from engine.config import secrets
from engine.domain.errors import BookingGone, NoNumberFree
from engine.domain.ids import AccountId
from engine.domain.numbers import E164
from engine.domain.policy import UsagePlan
from engine.domain.spellings import Spellings
from engine.domain.times import BootMs, EpochMs, Timestamp
from engine.privacy.erasure import erase
from engine.runtime.clock import SystemClock
from engine.storage.migrate import migrate, require_usable
from engine.storage.revocations import KEPT_MS, RevocationLog
from engine.storage.sqlite import SqliteStorage
from tests.contract.ledger import broken_rules
from tests.contract.samples import CALLBACK, POLICY
from tests.contract.world import outsider

RESTORES = int(os.environ.get("RESTORES", "12"))
NUMBERS = [f"+322555{n:04}" for n in range(12)]
CUSTOMERS = ("Ann", "Bob")


class MovedClock(SystemClock):
    """The machine's clock, set ahead: quarantines take weeks."""

    ahead_ms = 0

    def now(self) -> EpochMs:
        return EpochMs(super().now() + self.ahead_ms)

    def timestamp(self) -> Timestamp:
        at = SystemClock().timestamp()
        return Timestamp(EpochMs(at.wall_ms + self.ahead_ms), BootMs(at.boot_ms + self.ahead_ms))


@dataclass
class History:
    """What was acknowledged to whom, which no restore may contradict."""

    place: Place
    pepper: str
    clock: MovedClock
    chance: random.Random
    accounts: dict[str, AccountId] = field(default_factory=dict)
    # Of each number: its last owner, and when it was last known to be held.
    held: dict[str, tuple[str, int]] = field(default_factory=dict)
    open_bookings: dict[str, tuple[str, str]] = field(default_factory=dict)
    revoked: set[str] = field(default_factory=set)
    erased: set[str] = field(default_factory=set)
    ended: set[str] = field(default_factory=set)
    backups: list[tuple[Path, int]] = field(default_factory=list)
    figures: dict[str, int] = field(default_factory=lambda: {"bookings": 0, "refused": 0, "misroutes": 0})

    async def run(self, command: Callable[..., Any], *args: Any) -> Any:
        storage = SqliteStorage(self.place.database)
        try:
            return await storage.run(command, *args)
        finally:
            await storage.close()

    async def book(self) -> None:
        customer, now = self.chance.choice(CUSTOMERS), self.clock.now()
        person = E164(f"+3247{self.chance.randrange(10**7):07}")
        request = BookingRequest(self.accounts[customer], person, UsagePlan.SMALL, CALLBACK)
        try:
            made = await self.run(book, request, now, self.place.policy)
        except NoNumberFree:
            self.figures["refused"] += 1
            return
        owner, until = self.held.get(made.service, (customer, 0))
        self.figures["misroutes"] += owner != customer and now < until + self.place.policy.quarantine_ms
        self.figures["bookings"] += 1
        self.held[made.service] = (customer, now)
        self.open_bookings[made.id] = (customer, person)

    async def cancel(self) -> None:
        listed = await self.run(lambda tx: [row["id"] for row in tx.bookings._db.execute(HELD)])
        if not listed:
            return
        chosen = self.chance.choice(listed)
        customer, person = self.open_bookings[chosen]
        if self.chance.random() < 0.5:
            self.back_up()  # it knows the booking, and not that it ended
        self.ended.add(chosen)
        if self.chance.random() < 0.5:
            storage = SqliteStorage(self.place.database)
            await erase(storage, Spellings(person), self.clock.now(), self.place.policy, self.pepper)
            await storage.close()
            self.erased.add(person)
        else:
            with suppress(BookingGone):  # by time, and no sweep has run
                await self.run(cancel, self.accounts[customer], chosen, self.clock.now(), self.place.policy)

    async def revoke(self) -> None:
        key = await self.run(create_key, self.chance.choice(CUSTOMERS), self.pepper, self.clock.now())
        if self.chance.random() < 0.7:
            if self.chance.random() < 0.5:
                self.back_up()  # it knows the key, and not that it is revoked
            await self.run(revoke_key, key.id, self.clock.now())
            self.revoked.add(key.id)

    def back_up(self) -> None:
        target = self.place.data_dir / f"{len(self.backups)}.backup"
        make_backup(self.place.data_dir, self.place.database, target)
        self.backups.append((target, self.clock.now()))

    def any_backup(self) -> Path:
        """Returns one of any age that a restore accepts."""
        accepted = [path for path, made_at in self.backups if made_at > self.clock.now() - KEPT_MS]
        return self.chance.choice(accepted)

    async def note_held(self) -> None:
        """Every number that a booking holds now is held until now."""
        rows = await self.run(lambda tx: [tuple(row) for row in tx.bookings._db.execute(HELD)])
        for booking, service in rows:
            self.held[service] = (self.open_bookings[booking][0], self.clock.now())

    def check(self) -> None:
        with outsider(self.place.database) as connection:
            keys = {row["id"] for row in connection.execute("SELECT id FROM api_keys WHERE revoked_at IS NULL")}
            numbers = {row["destination"] for row in connection.execute("SELECT destination FROM bookings")}
            live = {row["id"] for row in connection.execute(HELD)}
            assert broken_rules(connection) == {}
        assert not keys & self.revoked
        assert not numbers & self.erased
        assert not live & self.ended


HELD = "SELECT id, service FROM bookings WHERE gone_at IS NULL"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> MovedClock:
    clock = MovedClock()
    for module in ("make", "restore"):
        monkeypatch.setattr(f"engine.backup.{module}.SystemClock", lambda: clock)
    return clock


@pytest.mark.timeout(120 + 10 * RESTORES)
async def test_no_number_is_given_to_another_customer_no_key_revived_and_no_erasure_undone(
    tmp_path: Path, clock: MovedClock
) -> None:
    secrets.ensure(tmp_path / "secrets")
    pepper = secrets.load(tmp_path / "secrets").key_pepper
    place = Place(tmp_path, tmp_path / "rented-numbers.sqlite3", tmp_path / "journal", POLICY)
    migrate(place.database)
    RevocationLog(place.database).begin()
    history = History(place, pepper, clock, random.Random(1307))
    for name in CUSTOMERS:
        history.accounts[name] = (await history.run(create_account, name, clock.now())).id
    await history.run(import_numbers, list(enumerate(NUMBERS, 1)), clock.now())
    history.back_up()
    for _ in range(RESTORES):
        for _ in range(history.chance.randrange(4, 12)):
            await history.chance.choice([history.book, history.book, history.cancel, history.revoke])()
        if history.chance.random() < 0.4:
            history.back_up()
        if not history.backups or history.backups[-1][1] < clock.now() - KEPT_MS / 2:
            history.back_up()
        clock.ahead_ms += history.chance.randrange(POLICY.quarantine_ms)
        await history.note_held()
        # In a thread, because it runs an event loop of its own.
        await asyncio.to_thread(restore, place, history.any_backup(), None, check=False, without_log=False)
        require_usable(place.database, alone=True)
        history.check()
        await history.note_held()
        # In half of the cases the quarantine is over when people book again.
        clock.ahead_ms += POLICY.quarantine_ms + 1 if history.chance.random() < 0.5 else 0
        await history.run(sweep, clock.timestamp(), POLICY)
    print({"restores": RESTORES, **history.figures, "revoked": len(history.revoked), "erased": len(history.erased)})  # noqa: T201
    assert history.figures["misroutes"] == 0
    assert history.figures["bookings"] > RESTORES
    assert history.revoked
    assert history.erased
